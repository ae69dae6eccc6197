//! A condition on events by itself, for whoever wants some of them and no rule.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, LogicalPlan, lit};
use datafusion::physical_expr::PhysicalExpr;

use super::Error;
use super::plan::Planner;
use crate::event::schema::Column;

/// A condition that was planned.
#[derive(Clone, Debug)]
pub struct Filter {
    /// What it reads.
    columns: Vec<Column>,
    schema: SchemaRef,
    condition: Arc<dyn PhysicalExpr>,
}

impl Filter {
    /// A condition in the SQL of rules; it must be one whole expression.
    ///
    /// # Errors
    /// [`Error::Refused`] with what is wrong with it.
    pub fn new(planner: &Planner, condition: &str) -> Result<Self, Error> {
        let plan = planner.analyzed(&format!("SELECT raw FROM events WHERE ({condition})"))?;
        let condition = predicate(&plan).unwrap_or_else(|| lit(true));
        let columns: Vec<Column> = {
            let mut columns: Vec<Column> = condition
                .column_refs()
                .into_iter()
                .filter_map(|column| Column::by_name(&column.name))
                .collect();
            columns.sort_unstable_by_key(|column| column.name());
            columns
        };
        let fields = columns
            .iter()
            .map(|column| Field::new(column.name(), column.data_type(), true));
        let fields: Vec<Field> = fields.collect();
        let schema = Arc::new(Schema::new(fields.clone()));
        let known = DFSchema::from_unqualified_fields(fields.into(), HashMap::new());
        let known = known.map_err(|error| planner.refuse(&error))?;
        let plain = condition.transform(|expression| {
            Ok(match expression {
                Expr::Column(mut column) => {
                    column.relation = None;
                    Transformed::yes(Expr::Column(column))
                }
                other => Transformed::no(other),
            })
        });
        let plain = plain.map_err(|error| planner.refuse(&error))?.data;
        Ok(Self {
            columns,
            schema,
            condition: planner.physical(plain, &known)?,
        })
    }

    /// By row, whether an event meets it; NULL is no. The batch has all columns that it reads.
    ///
    /// # Errors
    /// When the condition fails: a division by zero, for instance.
    pub fn keep(&self, batch: &RecordBatch) -> Result<BooleanArray, DataFusionError> {
        let arrays = self.columns.iter();
        let arrays: Vec<ArrayRef> = arrays
            .map(|column| Arc::clone(&batch[column.name()]))
            .collect();
        let options = arrow::array::RecordBatchOptions::new();
        let options = options.with_row_count(Some(batch.num_rows()));
        let schema = Arc::clone(&self.schema);
        let read = RecordBatch::try_new_with_options(schema, arrays, &options)?;
        let kept = self.condition.evaluate(&read)?;
        Ok(kept.into_array(batch.num_rows())?.as_boolean().clone())
    }
}

/// What the plan's filter asks.
fn predicate(plan: &LogicalPlan) -> Option<Expr> {
    match plan {
        LogicalPlan::Filter(filter) => Some(filter.predicate.clone()),
        other => other.inputs().into_iter().find_map(predicate),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::decode;
    use crate::event::frame::Framer;
    use crate::event::schema::ColumnSet;

    fn events(lines: &str) -> RecordBatch {
        let (mut framer, mut chunks) = (Framer::new(1 << 20), Vec::new());
        framer.push(lines.as_bytes(), &mut chunks);
        framer.finish(&mut chunks);
        decode::decode(chunks.remove(0), ColumnSet::all()).batch
    }

    #[test]
    fn a_condition_chooses_among_events() {
        let planner = Planner::new().unwrap();
        let batch = events(
            "{\"id\":\"1\",\"date_create\":1,\"action\":\"user_login\"}\n\
             {\"id\":\"2\",\"date_create\":2,\"action\":\"file_downloaded\"}\n",
        );
        for (condition, wanted) in [
            ("action = 'user_login'", vec![true, false]),
            (
                "action IN ('user_login', 'file_downloaded')",
                vec![true, true],
            ),
            (
                "event_id > '1' AND action <> 'user_login'",
                vec![false, true],
            ),
            ("ip = '1.2.3.4'", vec![false, false]),
            ("true", vec![true, true]),
        ] {
            let kept = Filter::new(&planner, condition)
                .unwrap()
                .keep(&batch)
                .unwrap();
            let kept: Vec<bool> = kept.iter().map(|kept| kept.unwrap_or(false)).collect();
            assert_eq!(kept, wanted, "{condition}");
        }
        for condition in ["actoin = 'x'", "now() > event_time", "count(*) > 1", "1"] {
            assert!(Filter::new(&planner, condition).is_err(), "{condition}");
        }
    }
}
