//! The history execution: programs over a log with stock DataFusion.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::execution::memory_pool::{FairSpillPool, MemoryPool, UnboundedMemoryPool};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::SessionContext;
use futures::future;

use super::finding::{self, Finding};
use super::table::Events;
use super::{Error, Program, members, plan, session};
use crate::event::order::Log;

/// How much of the machine a run may use.
#[derive(Clone, Copy, Debug)]
pub struct Resources {
    /// Threads, and parts into which sorts and windows are cut.
    pub threads: usize,
    /// Memory for the log, and as much again for sorting it; beyond that both use temporary files.
    pub memory_bytes: usize,
}

/// Runs the programs over the log; gives the findings of each, in canonical order.
///
/// # Errors
/// [`Error::Failed`] when the log cannot be read or memory does not suffice, [`Error::Refused`]
/// when a program does what only shows at run time, such as a division by zero.
pub fn run(
    log: &Arc<Log>,
    programs: &[&Program],
    resources: Resources,
) -> Result<Vec<Vec<Finding>>, Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(resources.threads.max(1))
        .build()
        .map_err(|error| Error::Failed(format!("no threads: {error}")))?;
    // Views into shared chunks count once for each batch that holds them, so a log in memory seems
    // many times its size; what sorting adds to it is small.
    let pool: Arc<dyn MemoryPool> = if log.is_on_disk() {
        Arc::new(FairSpillPool::new(resources.memory_bytes))
    } else {
        Arc::new(UnboundedMemoryPool::default())
    };
    let environment = RuntimeEnvBuilder::new()
        .with_memory_pool(pool)
        .build_arc()
        .map_err(|error| failed(&error))?;
    let table = Arc::new(Events::over(Arc::clone(log)));
    let context = session::context(table, resources.threads.max(1), environment)
        .map_err(|error| failed(&error))?;
    runtime.block_on(async {
        let tasks = programs.iter().map(|program| {
            let (context, program) = (context.clone(), Program::clone(program));
            tokio::spawn(async move { findings(&context, &program).await })
        });
        let mut all = Vec::with_capacity(programs.len());
        for joined in future::join_all(tasks).await {
            all.push(joined.map_err(|error| Error::Failed(error.to_string()))??);
        }
        Ok(all)
    })
}

async fn findings(context: &SessionContext, program: &Program) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    for batch in query(context, &program.sql).await? {
        findings.extend(finding::read(program, &batch)?);
    }
    findings.sort_by(|a, b| {
        let order = |finding: &Finding| (finding.order_time, finding.event_time);
        order(a)
            .cmp(&order(b))
            .then_with(|| (&a.event_id, &a.key).cmp(&(&b.event_id, &b.key)))
    });
    if let Some(members) = &program.members
        && let Some(sql) = members::query(members, program, &findings)
    {
        let batches = query(context, &sql).await?;
        members::add(members, program, &batches, &mut findings)?;
    }
    Ok(findings)
}

/// The rows that a query returns.
pub(super) async fn query(context: &SessionContext, sql: &str) -> Result<Vec<RecordBatch>, Error> {
    let frame = context
        .sql_with_options(sql, plan::options())
        .await
        .map_err(|error| failed(&error))?;
    frame.collect().await.map_err(|error| failed(&error))
}

fn failed(error: &datafusion::error::DataFusionError) -> Error {
    Error::Failed(error.strip_backtrace())
}
