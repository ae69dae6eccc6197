//! The history execution: programs over a log with stock DataFusion.

mod days;

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::execution::memory_pool::{FairSpillPool, MemoryPool, UnboundedMemoryPool};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::SessionContext;
use futures::{StreamExt, stream};

use super::days::Recorded;
use super::finding::{self, Finding};
use super::function::Days;
use super::table::Events;
use super::{Error, Program, members, plan, session};
use crate::event::order::Log;
use crate::list::Lists;

/// How much of the machine a run may use.
#[derive(Clone, Copy, Debug)]
pub struct Resources {
    /// Threads, and parts into which sorts and windows are cut.
    pub threads: usize,
    /// Memory for the log, and as much again for sorting it; beyond that both use temporary files.
    pub memory_bytes: usize,
    /// Memory for what rules remember when they run live.
    pub state_bytes: usize,
}

/// Programs with the tables of days that were recorded for each; what is not recorded is computed.
#[derive(Clone, Copy, Debug)]
pub struct Programs<'a> {
    pub programs: &'a [&'a Program],
    /// By program; may be shorter.
    pub recorded: &'a [Recorded],
}

/// What became of one program.
pub type Ran = Result<Vec<Finding>, Error>;

/// Runs the programs over the log; gives the findings of each, in canonical order. A program that
/// fails, by a division by zero for instance, does not keep the others from running.
///
/// # Errors
/// [`Error::Failed`] when DataFusion or its threads cannot be set up.
pub fn run(
    log: &Arc<Log>,
    programs: Programs<'_>,
    lists: &Lists,
    resources: Resources,
) -> Result<Vec<Ran>, Error> {
    let Programs { programs, recorded } = programs;
    let threads = resources.threads.max(1);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .build()
        .map_err(|error| Error::Failed(format!("no threads: {error}")))?;
    let environment = RuntimeEnvBuilder::new()
        .with_memory_pool(pool(log, resources))
        .build_arc()
        .map_err(|error| failed(&error))?;
    let table = Arc::new(Events::over(Arc::clone(log)));
    let lists = lists.clone();
    let open: Arc<Open> = Arc::new(move |days: &Arc<Days>| {
        let (table, environment) = (Arc::clone(&table), Arc::clone(&environment));
        session::context(table, &lists, days, threads, environment).map_err(|error| failed(&error))
    });
    let context = open(&Arc::default())?;
    // On disk one after the other, so that each has all of the memory for its sorts.
    let at_once = if log.is_on_disk() {
        1
    } else {
        programs.len().max(1)
    };
    let end = log.watermark();
    let tasks = programs.iter().enumerate().map(|(at, program)| {
        let (mut context, program) = (context.clone(), Program::clone(program));
        let recorded = recorded.get(at).cloned().unwrap_or_default();
        let open = Arc::clone(&open);
        async move {
            let task = tokio::spawn(async move {
                let days = days::tables(&context, &program.sql, recorded, end).await?;
                if !days.is_empty() {
                    context = open(&Arc::new(days))?;
                }
                findings(&context, &program, end).await
            });
            task.await
                .unwrap_or_else(|error| Err(Error::Failed(error.to_string())))
        }
    });
    Ok(runtime.block_on(stream::iter(tasks).buffered(at_once).collect()))
}

/// Opens a session over the log that knows these tables of days.
type Open = dyn Fn(&Arc<Days>) -> Result<SessionContext, Error> + Send + Sync;

/// The memory that sorts may use before they spill.
fn pool(log: &Log, resources: Resources) -> Arc<dyn MemoryPool> {
    /// What the sorts of one thread need to get anywhere.
    const LEAST_BYTES: usize = 256 << 20;
    if log.is_on_disk() {
        let least = resources.threads.max(1) * LEAST_BYTES;
        Arc::new(FairSpillPool::new(resources.memory_bytes.max(least)))
    } else {
        // Views into shared chunks count once for each batch that holds them, so a log in memory
        // seems many times its size; what sorting adds to it is small.
        Arc::new(UnboundedMemoryPool::default())
    }
}

/// What the program finds in the events before `end`.
async fn findings(
    context: &SessionContext,
    program: &Program,
    end: i64,
) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    let mut is_text = true;
    for batch in query(context, &program.sql).await? {
        let keys = program.key.iter();
        let keys = keys.filter_map(|name| batch.column_by_name(name));
        is_text &= keys.clone().all(|key| key.data_type().is_string());
        findings.extend(finding::read(program, &batch)?);
    }
    findings.retain(|finding| finding.order_time.saturating_add(program.wait_micros) < end);
    finding::sort(&mut findings);
    if let Some(members) = &program.members
        && let Some(sql) = members::query(members, program, &findings, is_text)
    {
        let batches = query(context, &sql).await?;
        members::add(members, program, &batches, &mut findings)?;
    }
    Ok(findings)
}

/// The rows that a query returns.
pub(super) async fn query(context: &SessionContext, sql: &str) -> Result<Vec<RecordBatch>, Error> {
    let planned = session::plan(&context.state(), sql).await;
    let plan = planned.map_err(|error| failed(&error))?;
    plan::options()
        .verify_plan(&plan)
        .map_err(|error| failed(&error))?;
    let frame = context
        .execute_logical_plan(plan)
        .await
        .map_err(|error| failed(&error))?;
    frame.collect().await.map_err(|error| failed(&error))
}

fn failed(error: &datafusion::error::DataFusionError) -> Error {
    Error::Failed(error.strip_backtrace())
}
