//! From a program's logical plan to tables and calls.
//!
//! The plan is walked from the table `events` upwards. What is known of each node is its table, and
//! for each of its columns the expression over fields that gives it.

use std::sync::Arc;

use datafusion::common::Column as Name;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, DFSchemaRef, ScalarValue};
use datafusion::logical_expr::utils::split_conjunction_owned;
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::call::{Draft, Function};
use super::expression::{is_cheap, is_sure, reads};
use super::{
    Call, EVENTS, ExpressionId, Field, Filter, Frame, Graph, Kind, Output, Source, TableId,
};
use crate::detect::plan::Planner;
use crate::detect::{Error, Members, Program, column};
use crate::event::schema::Column;

/// The most parts of an expression in terms of fields.
const MOST_NODES: usize = 4096;

/// What a node of a plan gives.
pub(super) struct Relation {
    pub table: TableId,
    /// One for each column of its schema.
    columns: Vec<Expr>,
    schema: DFSchemaRef,
    /// How long after its `order_time` a row comes out, in microseconds.
    pub(super) wait: i64,
}

impl Relation {
    /// The expression in terms of fields. Names that it is given go.
    pub fn resolve(&self, expression: Expr) -> Result<Expr, Error> {
        let resolved = expression.transform_up(|part| {
            Ok(match part {
                Expr::Column(name) => {
                    let at = self.schema.index_of_column(&name)?;
                    Transformed::yes(self.columns[at].clone())
                }
                Expr::Alias(alias) => Transformed::yes(*alias.expr),
                other => Transformed::no(other),
            })
        });
        let resolved = resolved.map_err(|error| Error::Refused(error.strip_backtrace()))?;
        // What names itself twice in each of many nested queries would grow without end.
        let mut nodes = 0;
        let counted = resolved.data.apply(|_| {
            nodes += 1;
            Ok(TreeNodeRecursion::Continue)
        });
        counted.map_err(|error| Error::Refused(error.strip_backtrace()))?;
        if nodes > MOST_NODES {
            return Err(Error::Refused(format!(
                "an expression of more than {MOST_NODES} parts, once its columns are put in: write \
                 it shorter"
            )));
        }
        Ok(resolved.data)
    }

    /// Whether an expression is the event's own column of this name, and no other that is called so.
    pub fn is_own(&self, expression: &Expr, name: &str) -> Result<bool, Error> {
        let resolved = self.resolve(expression.clone())?;
        Ok(matches!(resolved, Expr::Column(column) if column.name() == name))
    }

    fn column(&self, name: &str) -> Result<Expr, Error> {
        self.resolve(Expr::Column(named(&self.schema, name)?))
    }
}

/// The column of this name, whatever it is qualified by.
fn named(schema: &DFSchema, name: &str) -> Result<Name, Error> {
    let found = schema.qualified_field_with_unqualified_name(name);
    found
        .map(Name::from)
        .map_err(|error| Error::Refused(error.strip_backtrace()))
}

impl Graph {
    /// Adds a program.
    pub(super) fn add(&mut self, planner: &Planner, program: &Program) -> Result<(), Error> {
        let relation = self.relation(planner, &planner.analyzed(&program.sql)?)?;
        for name in [column::EVENT_ID, column::EVENT_TIME, column::ORDER_TIME] {
            if relation.column(name)? != Expr::Column(Name::new_unqualified(name)) {
                return Err(Error::Refused(format!(
                    "the column `{name}` of the result is not the event's own: give another name to \
                     what is computed"
                )));
            }
        }
        let mut columns = Vec::new();
        for (field, value) in relation.schema.fields().iter().zip(&relation.columns) {
            columns.push((
                field.name().clone(),
                self.expression(planner, value.clone())?,
            ));
        }
        let recall = match &program.members {
            Some(members) => Some(self.recall(planner, program, &relation, members)?),
            None => None,
        };
        self.outputs.push(Output {
            table: relation.table,
            columns,
            recall,
            wait: relation.wait,
        });
        Ok(())
    }

    /// A call that remembers the events which form a finding, and the finding's key.
    fn recall(
        &mut self,
        planner: &Planner,
        program: &Program,
        found: &Relation,
        members: &Members,
    ) -> Result<(super::CallId, Vec<ExpressionId>), Error> {
        let relation = self.relation(planner, &planner.analyzed(&members.sql)?)?;
        let keys = |relation: &Relation, graph: &mut Self| {
            let keys = program.key.iter().map(|name| relation.column(name));
            keys.map(|key| graph.expression(planner, key?))
                .collect::<Result<Vec<ExpressionId>, Error>>()
        };
        let partition = keys(&relation, self)?;
        let asked = keys(found, self)?;
        let id = self.expression(planner, relation.column(column::EVENT_ID)?)?;
        let level = self
            .level(partition.iter().copied().chain([id]))
            .max(self.tables[relation.table].level);
        let space = self.space(partition, None);
        let group = self.group(relation.table, space, level, 0);
        let call = self.call(Call {
            group,
            function: Function::Recall { wait: found.wait },
            arguments: vec![id],
            kind: Kind::Text,
            frame: Frame::Range {
                start: Some(-members.span_micros),
                end: 0,
            },
            output: arrow::datatypes::DataType::Null,
            users: Vec::new(),
        });
        Ok((call, asked))
    }

    fn relation(&mut self, planner: &Planner, plan: &LogicalPlan) -> Result<Relation, Error> {
        match plan {
            LogicalPlan::TableScan(scan) => {
                let names = scan.projected_schema.fields().iter();
                let columns = names.map(|field| Expr::Column(Name::new_unqualified(field.name())));
                Ok(Relation {
                    table: EVENTS,
                    columns: columns.collect(),
                    schema: Arc::clone(&scan.projected_schema),
                    wait: 0,
                })
            }
            LogicalPlan::SubqueryAlias(alias) => {
                let mut relation = self.relation(planner, &alias.input)?;
                relation.schema = Arc::clone(&alias.schema);
                Ok(relation)
            }
            LogicalPlan::Projection(projection) => {
                let input = self.relation(planner, &projection.input)?;
                let columns = projection.expr.iter().map(|e| input.resolve(e.clone()));
                Ok(Relation {
                    table: input.table,
                    columns: columns.collect::<Result<_, _>>()?,
                    schema: Arc::clone(&projection.schema),
                    wait: input.wait,
                })
            }
            LogicalPlan::Filter(filter) => {
                let mut relation = self.relation(planner, &filter.input)?;
                let condition = relation.resolve(filter.predicate.clone())?;
                relation.table = self.filtered(planner, relation.table, condition)?;
                Ok(relation)
            }
            LogicalPlan::Window(window) => {
                let input = self.relation(planner, &window.input)?;
                self.window(planner, input, &window.window_expr, &window.schema)
            }
            other => Err(Error::Refused(format!(
                "a rule may not use {}",
                other.display()
            ))),
        }
    }

    /// The rows of a table for which the condition holds.
    fn filtered(
        &mut self,
        planner: &Planner,
        parent: TableId,
        condition: Expr,
    ) -> Result<TableId, Error> {
        let mut filter = Filter {
            parent,
            actions: Vec::new(),
            cheap: Vec::new(),
            rest: Vec::new(),
        };
        for part in split_conjunction_owned(condition) {
            if matches!(part, Expr::Literal(ScalarValue::Boolean(Some(true)), _)) {
                continue;
            }
            let (is_cheap, is_sure) = (is_cheap(&part), is_sure(&part));
            let id = self.expression(planner, part)?;
            let reads = &self.expressions[id].reads;
            if parent == EVENTS && is_sure && reads.as_slice() == [Field::event(Column::Action)] {
                filter.actions.push(id);
            } else if parent == EVENTS && is_cheap {
                filter.cheap.push(id);
            } else if !filter.rest.contains(&id) {
                // In the order in which they were written: one may guard the next.
                filter.rest.push(id);
            }
        }
        for list in [&mut filter.actions, &mut filter.cheap] {
            list.sort_unstable();
            list.dedup();
        }
        let level = self.level(filter.expressions());
        let level = level.max(self.tables[parent].level);
        Ok(self.table(Source::Filter(filter), level))
    }

    /// The input with what its window functions give.
    fn window(
        &mut self,
        planner: &Planner,
        mut input: Relation,
        functions: &[Expr],
        schema: &DFSchemaRef,
    ) -> Result<Relation, Error> {
        let mut drafts = Vec::new();
        let known = input.columns.len();
        for (at, function) in functions.iter().enumerate() {
            let mut function = function;
            while let Expr::Alias(alias) = function {
                function = &alias.expr;
            }
            let Expr::WindowFunction(function) = function else {
                return Err(Error::Refused(format!("`{function}` is no window")));
            };
            let output = schema.field(known + at).data_type().clone();
            drafts.push(self.draft(planner, &input, function, output)?);
        }
        let wait = drafts.iter().map(|draft| draft.frame.ahead()).max();
        let wait = wait.unwrap_or(0).max(0);
        let steps = |draft: &Draft| matches!(draft.frame, Frame::Rows { .. });
        if wait > 0 && drafts.iter().any(steps) {
            return Err(Error::Refused(
                "windows that look ahead beside others of the same keys in the order of events: put \
                 them into queries of their own, one within the other"
                    .to_owned(),
            ));
        }
        let level = |graph: &Self, draft: &Draft| {
            graph
                .level(draft.partition.iter().chain(&draft.arguments).copied())
                .max(graph.tables[input.table].level)
        };
        // What looks ahead takes all columns along, which must be there by then.
        let columns = input.columns.iter().flat_map(reads);
        let columns = columns.map(|field| self.field_level(field));
        let highest = columns
            .chain(drafts.iter().map(|draft| level(self, draft)))
            .max();
        let mut group = None;
        for draft in drafts {
            // Those that look ahead come out together.
            let level = highest
                .filter(|_| wait > 0)
                .unwrap_or_else(|| level(self, &draft));
            let space = self.space(draft.partition, draft.pane);
            let at = self.group(input.table, space, level, wait);
            if wait > 0 && group.is_some_and(|group| group != at) {
                return Err(Error::Refused(
                    "windows that look ahead over different keys: put them into queries of their \
                     own, one within the other"
                        .to_owned(),
                ));
            }
            group = Some(at);
            let call = self.call(Call {
                group: at,
                function: draft.function,
                arguments: draft.arguments,
                kind: draft.kind,
                frame: draft.frame,
                output: draft.output,
                users: Vec::new(),
            });
            let name = Field::call(call).name();
            input
                .columns
                .push(Expr::Column(Name::new_unqualified(name)));
        }
        if let Some(group) = group.filter(|_| wait > 0) {
            let level = self.groups[group].level + 1;
            input.table = self.table(Source::Delayed(group), level);
        }
        input.schema = Arc::clone(schema);
        input.wait += wait;
        Ok(input)
    }
}
