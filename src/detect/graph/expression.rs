//! Expressions over the fields of a row, each planned once.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field as ArrowField, Schema, SchemaRef};
use datafusion::common::DFSchema;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use datafusion::physical_expr::PhysicalExpr;

use super::{ExpressionId, Field, Graph};
use crate::detect::Error;
use crate::detect::plan::Planner;

/// An expression, and the fields that it reads.
#[derive(Debug)]
pub struct Expression {
    pub reads: Vec<Field>,
    pub data_type: DataType,
    /// Set if it is no more than a field.
    pub bare: Option<Field>,
    /// Whether a program needs it.
    pub is_used: bool,
    schema: SchemaRef,
    physical: Arc<dyn PhysicalExpr>,
}

impl Expression {
    /// Its values for so many rows, of which `fields` holds what it reads, in that order.
    ///
    /// # Errors
    /// When the expression fails: a division by zero, for instance.
    pub fn evaluate(&self, fields: Vec<ArrayRef>, rows: usize) -> Result<ArrayRef> {
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let schema = Arc::clone(&self.schema);
        let batch = RecordBatch::try_new_with_options(schema, fields, &options)?;
        // Functions of others may panic; that is the rule's failure, not that of all rules.
        let evaluate = AssertUnwindSafe(|| self.physical.evaluate(&batch)?.into_array(rows));
        catch_unwind(evaluate).unwrap_or_else(|_| {
            let expression = &self.physical;
            Err(DataFusionError::Execution(format!(
                "{expression} gave up; please report it"
            )))
        })
    }
}

impl Graph {
    /// The expression, which is written in terms of fields; equal ones are one.
    pub(super) fn expression(
        &mut self,
        planner: &Planner,
        expression: Expr,
    ) -> Result<ExpressionId, Error> {
        if let Some(known) = self.known_expressions.get(&expression) {
            return Ok(*known);
        }
        let reads = reads(&expression);
        let bare = match &expression {
            Expr::Column(column) => Field::by_name(column.name()),
            _ => None,
        };
        let fields: Vec<ArrowField> = reads
            .iter()
            .map(|field| ArrowField::new(field.name(), self.data_type(*field), true))
            .collect();
        let schema = Arc::new(Schema::new(fields.clone()));
        let known = DFSchema::from_unqualified_fields(fields.into(), HashMap::new());
        let known = known.map_err(|error| planner.refuse(&error))?;
        let physical = planner.physical(expression.clone(), &known)?;
        let data_type = physical.data_type(&schema);
        let data_type = data_type.map_err(|error| planner.refuse(&error))?;
        let id = self.expressions.len();
        self.known_expressions.insert(expression, id);
        self.expressions.push(Expression {
            reads,
            data_type,
            bare,
            is_used: false,
            schema,
            physical,
        });
        Ok(id)
    }
}

/// The fields that an expression reads, each once.
pub(super) fn reads(expression: &Expr) -> Vec<Field> {
    let columns = expression.column_refs();
    let fields = columns
        .iter()
        .filter_map(|column| Field::by_name(column.name()));
    let mut fields: Vec<Field> = fields.collect();
    fields.sort_unstable();
    fields.dedup();
    fields
}

/// Whether the condition cannot fail, whatever it is asked about.
pub(super) fn is_sure(condition: &Expr) -> bool {
    match condition {
        Expr::Like(like) => is_column(&like.expr) && is_literal(&like.pattern),
        Expr::Not(of) => is_sure(of),
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::And | Operator::Or,
            right,
        }) => is_sure(left) && is_sure(right),
        Expr::InList(list) => is_column(&list.expr) && list.list.iter().all(is_literal),
        other => is_cheap(other),
    }
}

/// Whether the condition is so cheap, and so sure not to fail, that it may be computed for rows that
/// nobody asked about.
pub(super) fn is_cheap(condition: &Expr) -> bool {
    match condition {
        Expr::Column(_) => true,
        Expr::IsNull(of) | Expr::IsNotNull(of) => is_column(of),
        Expr::IsTrue(of) | Expr::IsNotTrue(of) | Expr::Not(of) => is_cheap(of),
        Expr::InList(list) => {
            is_column(&list.expr) && list.list.len() <= 16 && list.list.iter().all(is_literal)
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match op {
            Operator::And | Operator::Or => is_cheap(left) && is_cheap(right),
            Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq => is_column(left) && is_literal(right),
            _ => false,
        },
        _ => false,
    }
}

fn is_column(expression: &Expr) -> bool {
    matches!(expression, Expr::Column(_))
}

fn is_literal(expression: &Expr) -> bool {
    match expression {
        Expr::Literal(..) => true,
        Expr::Cast(cast) => is_literal(&cast.expr),
        _ => false,
    }
}
