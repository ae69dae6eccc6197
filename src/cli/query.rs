use std::io::{self, IsTerminal};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use anyhow::anyhow;
use arrow::array::RecordBatch;
use clap::Args;
use futures::StreamExt;
use tokio::runtime::Runtime;

use super::format::Format;
use super::output::Output;
use super::rows::Rows;
use super::setup::{ConfigFile, Setup};
use super::{End, Failure};
use crate::clock::Stopwatch;
use crate::store::Reader;
use crate::store::query::{self, Limits};
use crate::store::read::Span;

/// Asks the store in SQL
///
/// There are two tables: `events`, and `anomalies` with id, rule, level, order_time, event_time,
/// event_id, exception, shadow, found_at and record, which is the whole anomaly as JSON. DESCRIBE events
/// shows the columns. SQL is DataFusion's, with its functions and those of datafusion-functions-json:
/// json_get_str(details, 'type'). Nothing can be changed. Works with the service up or down.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Query {
    /// A query: SELECT, WITH, DESCRIBE, SHOW TABLES or EXPLAIN
    #[arg(value_name = "SQL")]
    sql: String,
    #[command(flatten)]
    config: ConfigFile,
    /// The form of the output: a table on a terminal, else NDJSON
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Give up when the rows have been waited for so many seconds in all
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..))]
    timeout_secs: u32,
}

const EXAMPLES: &str = "\
Examples:
  gridwatch query --config gridwatch.yaml \\
    \"SELECT action, count(*) AS n FROM events WHERE event_time >= '2026-03-02' GROUP BY action ORDER BY n DESC\"
  gridwatch query --config gridwatch.yaml --format csv \\
    \"SELECT event_time, ip, city FROM events WHERE actor_email = 'ann@example.com' ORDER BY event_time\"
  gridwatch query --config gridwatch.yaml \\
    \"SELECT rule, level, count(*) FROM anomalies WHERE exception IS NULL GROUP BY rule, level\"";

/// How long a query that nobody waits for any more may take to notice.
const GRACE: Duration = Duration::from_secs(2);

impl Query {
    pub fn run(&self) -> Result<End, Failure> {
        let setup = Setup::read(&self.config)?;
        let reader = Reader::open(&setup.store_path()).map_err(Failure::io)?;
        let limits = limits(&setup);
        let query = query::Query::new(&reader, Span::All, limits);
        let query = query.map_err(|error| failure(error, &reader))?;
        let runtime = runtime(limits)?;
        let (sender, batches) = sync_channel(2);
        let sql = self.sql.clone();
        runtime.spawn(async move {
            let ended = send(&query, &sql, &sender).await;
            pass(&sender, ended.map(|()| None));
        });
        let mut waiting = Waiting {
            batches,
            left: Duration::from_secs(self.timeout_secs.into()),
            secs: self.timeout_secs,
            reader: &reader,
        };
        let written = self.write(&mut waiting);
        // Whoever still sends sees that nobody waits; what is in temporary files goes with it.
        drop(waiting);
        runtime.shutdown_timeout(GRACE);
        written.map(|()| End::Good)
    }

    fn write(&self, batches: &mut Waiting<'_>) -> Result<(), Failure> {
        let default = Format::default_for(io::stdout().is_terminal());
        let mut out = Output::standard();
        let mut rows = Rows::of(self.format.unwrap_or(default));
        while let Some(batch) = batches.next()? {
            if !rows.write(&batch, &mut out).map_err(Failure::io)? {
                break;
            }
        }
        rows.end(&mut out).map_err(Failure::io)?;
        out.finish().map_err(Failure::io)
    }
}

/// All threads of the machine, and the memory that the configuration grants.
pub(super) fn limits(setup: &Setup) -> Limits {
    Limits {
        threads: thread::available_parallelism().map_or(1, usize::from),
        memory_bytes: (setup.config().memory.query_mib as usize) << 20,
    }
}

/// The threads on which queries run.
pub(super) fn runtime(limits: Limits) -> Result<Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(limits.threads.max(1))
        .enable_all()
        .build()
        .map_err(Failure::internal)
}

/// Why a query over this store failed: DataFusion does not say in which file.
pub(super) fn failure(error: query::Error, reader: &Reader) -> Failure {
    let error = match error {
        query::Error::Io(reason) => match reader.check_segments() {
            Ok(()) => query::Error::Io(reason),
            Err(damaged) => query::Error::Store(damaged),
        },
        error => error,
    };
    match error {
        query::Error::Refused(_) => Failure::usage(error),
        query::Error::Io(_) | query::Error::Store(_) => Failure::io(error),
        query::Error::Memory(_) | query::Error::Defect(_) => Failure::internal(error),
    }
}

/// A batch, the end, or why there is none.
type Message = Result<Option<RecordBatch>, query::Error>;

/// Runs the query and sends what it returns: first a batch without rows, which names the columns.
async fn send(
    query: &query::Query,
    sql: &str,
    sender: &SyncSender<Message>,
) -> Result<(), query::Error> {
    let mut stream = query.sql(sql).await?;
    let mut is_wanted = pass(sender, Ok(Some(RecordBatch::new_empty(stream.schema()))));
    while is_wanted && let Some(batch) = stream.next().await {
        is_wanted = pass(sender, Ok(Some(batch?)));
    }
    Ok(())
}

/// Waits until there is room for one more; false if nobody wants it.
fn pass(sender: &SyncSender<Message>, message: Message) -> bool {
    tokio::task::block_in_place(|| sender.send(message)).is_ok()
}

/// What a query returns, for as long as it may be waited for.
struct Waiting<'a> {
    reader: &'a Reader,
    batches: Receiver<Message>,
    left: Duration,
    /// What `left` was.
    secs: u32,
}

impl Waiting<'_> {
    /// The next batch; `None` after the last.
    fn next(&mut self) -> Result<Option<RecordBatch>, Failure> {
        // What whoever reads the output takes does not count.
        let watch = Stopwatch::start();
        let received = self.batches.recv_timeout(self.left);
        self.left = self.left.saturating_sub(watch.elapsed());
        match received {
            Ok(message) => message.map_err(|error| failure(error, self.reader)),
            Err(RecvTimeoutError::Timeout) => Err(Failure::internal(anyhow!(
                "the query was ended after {} s: narrow it, to a span of event_time for instance, or \
                 raise --timeout-secs",
                self.secs
            ))),
            Err(RecvTimeoutError::Disconnected) => {
                Err(Failure::internal(anyhow!("the query broke off")))
            }
        }
    }
}
