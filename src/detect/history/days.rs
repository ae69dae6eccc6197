//! A first pass for functions that ask tables of days: all their keys' events in the order of time, day by
//! day.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::TimestampMicrosecondType;
use datafusion::common::Column;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::prelude::SessionContext;

use super::failed;
use crate::detect::days::{DAY, Recorded, day_of};
use crate::detect::function::volume::{Model, Shared, Sums, Table, Volume};
use crate::detect::function::{Arguments, Common, Days, Fold, Memory};
use crate::detect::graph::constant;
use crate::detect::shard::Encoding;
use crate::detect::window::Texts;
use crate::detect::{Error, column, function, session};
use crate::event::time::MICROS;

/// The models of all days that the functions of a query ask for, up to `end`, in microseconds; none if it
/// has no such functions.
///
/// # Errors
/// When the query fails.
pub(super) async fn tables(
    context: &SessionContext,
    sql: &str,
    mut recorded: Recorded,
    end: i64,
) -> Result<Days, Error> {
    let mut days = Days::new();
    // A cheap look: most queries have none, and need not be planned twice.
    if !sql.contains(Volume::NAME) {
        return Ok(days);
    }
    let planned = session::plan(&context.state(), sql).await;
    let plan = planned.map_err(|error| failed(&error))?;
    for (input, call) in calls(&plan)? {
        let constants: Vec<_> = call.params.args.iter().map(constant).collect();
        let shared = Shared::new(&constants).map_err(Error::Refused)?;
        let name = shared.name().unwrap_or_default().to_owned();
        let pass = Pass {
            shared,
            memories: HashMap::new(),
            models: BTreeMap::new(),
            recorded: recorded.remove(&name).unwrap_or_default(),
            day: None,
        };
        days.insert(name, pass.run(context, input, &call, end).await?);
    }
    Ok(days)
}

/// The calls of a plan that ask tables of days, each with what it reads.
fn calls(plan: &LogicalPlan) -> Result<Vec<(LogicalPlan, WindowFunction)>, Error> {
    let mut found = Vec::new();
    let walked = plan.apply(|node| {
        if let LogicalPlan::Window(window) = node {
            for expression in &window.window_expr {
                expression.apply(|part| {
                    if let Expr::WindowFunction(call) = part
                        && function::is_daily(call.fun.name())
                    {
                        found.push(((*window.input).clone(), (**call).clone()));
                    }
                    Ok(TreeNodeRecursion::Continue)
                })?;
            }
        }
        Ok(TreeNodeRecursion::Continue)
    });
    walked.map_err(|error| failed(&error))?;
    Ok(found)
}

/// One call over all of its keys.
struct Pass {
    shared: Shared,
    memories: HashMap<Box<[u8]>, Memory>,
    models: BTreeMap<i64, Arc<Model>>,
    recorded: BTreeMap<i64, Table>,
    /// Of the rows at hand.
    day: Option<i64>,
}

impl Pass {
    async fn run(
        mut self,
        context: &SessionContext,
        input: LogicalPlan,
        call: &WindowFunction,
        end: i64,
    ) -> Result<BTreeMap<i64, Arc<Model>>, Error> {
        let params = &call.params;
        let own = |name: &str| Expr::Column(Column::new_unqualified(name));
        let order = [column::ORDER_TIME, column::EVENT_TIME, column::EVENT_ID].map(own);
        let parts = params.partition_by.iter().chain(&params.args).cloned();
        let named = parts
            .enumerate()
            .map(|(at, part)| part.alias(format!("part_{at}")));
        let plan = LogicalPlanBuilder::from(input)
            .project(named.chain(order.clone()))
            .and_then(|plan| plan.sort(order.map(|column| column.sort(true, false))))
            .and_then(LogicalPlanBuilder::build)
            .map_err(|error| failed(&error))?;
        let frame = context.execute_logical_plan(plan).await;
        let batches = frame.map_err(|error| failed(&error))?.collect().await;
        let keys = params.partition_by.len();
        for batch in batches.map_err(|error| failed(&error))? {
            self.take(&batch, keys, end)?;
        }
        let last = day_of(end);
        while self.day.is_some_and(|day| day < last) {
            self.close();
        }
        Ok(self.models)
    }

    fn take(&mut self, batch: &RecordBatch, keys: usize, end: i64) -> Result<(), Error> {
        let defect = |error: &dyn std::fmt::Display| Error::Failed(error.to_string());
        let (keys, rest) = batch.columns().split_at(keys);
        let arrays = Volume::ARGUMENTS.iter().zip(rest);
        let arrays: Vec<ArrayRef> = arrays
            .map(|(argument, array)| cast(array, &argument.data_type()))
            .collect::<Result<_, _>>()
            .map_err(|error| defect(&error))?;
        let types: Vec<_> = keys.iter().map(|key| key.data_type().clone()).collect();
        let encoding = Encoding::new(&types).map_err(|error| defect(&error))?;
        let keys = encoding.keys(keys, batch.num_rows());
        let keys = keys.map_err(|error| defect(&error))?;
        let arguments = Arguments::of::<Volume>(&arrays).map_err(|error| failed(&error))?;
        let times = batch[column::ORDER_TIME].as_primitive::<TimestampMicrosecondType>();
        let mut texts = Texts::default();
        for row in 0..batch.num_rows() {
            let time = times.value(row);
            if time >= end {
                break;
            }
            let today = day_of(time);
            self.day.get_or_insert(today);
            while self.day.is_some_and(|day| day < today) {
                self.close();
            }
            let memory = self.memories.entry(keys.get(row).1.into()).or_default();
            Volume::step(memory, &mut texts, &arguments, row, &self.shared);
        }
        Ok(())
    }

    /// Ends the day of the rows at hand.
    fn close(&mut self) {
        let day = self.day.map_or(0, |day| day + 1);
        let midnight = day * (DAY / MICROS);
        let mut sums = Sums::default();
        for memory in self.memories.values() {
            self.shared.bring(memory, midnight, &mut sums);
        }
        self.memories.retain(|_, memory| !memory.is_over(midnight));
        let table = match self.recorded.remove(&day) {
            Some(recorded) => recorded,
            None => self.shared.next(midnight, &sums),
        };
        let model = Arc::new(Model::of(table));
        self.shared.turn(&model);
        self.models.insert(day, model);
        self.day = Some(day);
    }
}
