//! Questions to a large archive: how soon they are answered.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use clap::Args;
use futures::TryStreamExt;
use gridwatch::store::Reader;
use gridwatch::store::query::{self, Limits};
use gridwatch::store::read::Span;
use jiff::Timestamp;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::Place;
use super::archive::{self, Made, Plan, RARE, UNKNOWN};
use super::measure::{self, Disk, Spread, grouped};
use super::server::{PROGRAM, STORE, configure};

/// Makes an archive and asks it for the last page of people, a day, and all
///
/// Each question is asked in this process, of the library, and with `gridwatch query`, of which the start
/// of the program is a part. The page cache is warm: what there is was counted just before.
#[derive(Debug, Args)]
pub struct Query {
    #[command(flatten)]
    place: Place,
    /// Events of the archive; each takes some hundred bytes of disk
    #[arg(long, default_value_t = 20_000_000, value_parser = clap::value_parser!(u64).range(1..1 << 40))]
    events: u64,
    /// Days that they are spread over
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    days: u64,
    /// The most rows of a segment
    #[arg(long, default_value_t = 131_072, value_parser = clap::value_parser!(u64).range(1..=4_194_304))]
    segment_rows: u64,
    /// People of the organisation
    #[arg(long, default_value_t = 20_000)]
    actors: u32,
    /// How often each question is asked, after the first time
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    runs: u64,
    /// Where the archive is made and left, or was made before
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// Milliseconds within which a question should be answered.
const TARGET: f64 = 300.0;
/// Rows of a page.
const PAGE: usize = 50;
/// Memory for a query, the default of `memory.query_mib`.
const QUERY_BYTES: usize = 1 << 30;
/// What says, beside the store, what was made.
const MADE: &str = "bench.json";

impl Query {
    pub async fn run(&self) -> Result<()> {
        let home = Home::at(self.keep.as_deref(), &self.place)?;
        let disk = Disk::measure(&home.path)?;
        let (home, made) = self.archive(home).await?;
        let title = format!(
            "query: {} events of {} days and {} people, in {} segments",
            grouped(made.events),
            made.days,
            grouped(made.actors as u64),
            grouped(made.segments),
        );
        disk.print_head(&title, &home.path);
        println!(
            "archive: {} MB, {} bytes an event; encoded, admitted and sealed in {:.0} s, {} events/s",
            grouped(made.bytes / 1_000_000),
            made.bytes / made.events,
            made.seconds,
            grouped((made.events as f64 / made.seconds) as u64),
        );
        let config = configure(&home.path, "")?;
        let reader = Reader::open(&home.path.join(STORE))?;
        let start = times(self.runs, started)?;
        println!("start of the program: {:.0} ms\n", start.median());
        println!(
            "{:<46} {:>6} {:>19} {:>29}",
            "ms", "", "in this process", "gridwatch query"
        );
        println!(
            "{:<46} {:>6} {:>9} {:>9} {:>9} {:>9} {:>9}",
            "", "rows", "first", "median", "first", "median", "most"
        );
        let mut amiss = None;
        for question in questions(&made, &reader).await? {
            let own = self.own(&question, &reader).await?;
            print!(
                "{:<46} {:>6} {:>9.0} {:>9.0}",
                question.name,
                question.rows,
                own.first,
                own.spread.median()
            );
            if amiss.is_some() {
                println!();
                continue;
            }
            match times(self.runs, || asked(&config, &question)) {
                Ok(times) => println!(
                    " {:>9.0} {:>9.0} {:>9.0}  {}",
                    times.first,
                    times.spread.median(),
                    times.spread.most(),
                    times.judged()
                ),
                Err(error) => {
                    println!();
                    amiss = Some(error);
                }
            }
        }
        println!("target: a median of at most {TARGET:.0} ms with gridwatch query");
        match amiss {
            Some(error) => Err(error.context("`gridwatch query` could not be measured")),
            None => Ok(()),
        }
    }

    /// What the folder holds already, or a new archive.
    async fn archive(&self, home: Home) -> Result<(Home, Made)> {
        let path = home.path.join(MADE);
        if path.exists() {
            let made: Made = serde_json::from_slice(&fs::read(&path)?)?;
            ensure!(
                (made.events, made.days) == (self.events, self.days),
                "{} holds {} events of {} days: ask for those, or name another folder",
                home.path.display(),
                made.events,
                made.days
            );
            return Ok((home, made));
        }
        ensure!(
            !home.path.join(STORE).exists(),
            "{} holds an archive that is not whole: remove it",
            home.path.display()
        );
        let plan = Plan {
            events: self.events,
            days: self.days,
            segment_rows: self.segment_rows,
            actors: self.actors,
        };
        eprintln!("making an archive of {} events", grouped(plan.events));
        // Who is interrupted waits for the segment under way; the folder goes after it.
        let cancel = CancellationToken::new();
        let _cancelled = cancel.clone().drop_guard();
        let building = tokio::task::spawn_blocking(move || {
            let made = archive::build(&home.path, &plan, &cancel).inspect_err(|_| {
                // It is of no use.
                let _ = fs::remove_dir_all(home.path.join(STORE));
            })?;
            fs::write(home.path.join(MADE), serde_json::to_vec(&made)?)?;
            anyhow::Ok((home, made))
        });
        building.await?
    }

    /// Asks in this process.
    async fn own(&self, question: &Question, reader: &Reader) -> Result<Times> {
        let mut took = Vec::new();
        for _ in 0..=self.runs {
            let watch = Instant::now();
            let rows = answer(reader, &question.sql).await?;
            took.push(watch.elapsed().as_secs_f64() * 1e3);
            question.check(rows.iter().map(RecordBatch::num_rows).sum())?;
        }
        Ok(Times::of(&took))
    }
}

/// The folder of the archive.
struct Home {
    path: PathBuf,
    /// Unless it is to be kept.
    _folder: Option<TempDir>,
}

impl Home {
    fn at(keep: Option<&Path>, place: &Place) -> Result<Self> {
        if let Some(path) = keep {
            fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))?;
            return Ok(Self {
                path: path.to_owned(),
                _folder: None,
            });
        }
        let folder = place.folder()?;
        Ok(Self {
            path: folder.path().to_owned(),
            _folder: Some(folder),
        })
    }
}

struct Question {
    name: String,
    sql: String,
    /// How many there must be.
    rows: usize,
}

impl Question {
    fn check(&self, rows: usize) -> Result<()> {
        let Self {
            name,
            sql,
            rows: expected,
        } = self;
        ensure!(
            rows == *expected,
            "{name}: {rows} rows, not {expected}: {sql}"
        );
        Ok(())
    }
}

async fn questions(made: &Made, reader: &Reader) -> Result<Vec<Question>> {
    let all = count(reader, "").await?;
    ensure!(
        all == made.events,
        "the archive holds {all} events, not {}",
        made.events
    );
    let mut questions = Vec::new();
    for (who, actor) in [
        ("busy", made.busy.as_str()),
        ("average", made.average.as_str()),
        ("rare", RARE),
        ("unknown", UNKNOWN),
    ] {
        let condition = format!("WHERE actor_id = '{actor}'");
        let events = count(reader, &condition).await?;
        questions.push(Question {
            name: format!("last page, {who} actor ({} events)", grouped(events)),
            sql: format!(
                "SELECT event_time, action, entity_type, entity_name, ip, country, user_agent FROM events \
                 {condition} ORDER BY event_time DESC LIMIT {PAGE}"
            ),
            rows: (events as usize).min(PAGE),
        });
    }
    let day = |number: u64| Timestamp::from_second(made.first_day + number as i64 * 86_400);
    let (from, to) = (day(made.days / 2)?, day(made.days / 2 + 1)?);
    let condition = format!("WHERE event_time >= '{from}' AND event_time < '{to}'");
    let actions = "SELECT action, count(*) AS events FROM events";
    let sql = format!("{actions} {condition} GROUP BY action ORDER BY events DESC");
    let batches = answer(reader, &sql).await?;
    questions.push(Question {
        name: format!(
            "a day by action ({} events)",
            grouped(count(reader, &condition).await?)
        ),
        sql,
        rows: batches.iter().map(RecordBatch::num_rows).sum(),
    });
    questions.push(Question {
        name: "count of all".to_owned(),
        sql: "SELECT count(*) AS events FROM events".to_owned(),
        rows: 1,
    });
    Ok(questions)
}

/// Asks the library, as `gridwatch query` does in a process that has just begun.
async fn answer(reader: &Reader, sql: &str) -> Result<Vec<RecordBatch>> {
    let limits = Limits {
        threads: measure::cores(),
        memory_bytes: QUERY_BYTES,
    };
    let query = query::Query::new(reader, Span::All, limits)?;
    Ok(query.sql(sql).await?.try_collect().await?)
}

/// How many events there are.
async fn count(reader: &Reader, condition: &str) -> Result<u64> {
    let sql = format!("SELECT count(*) AS events FROM events {condition}");
    let batches = answer(reader, &sql).await?;
    let batches = batches.iter().filter(|batch| batch.num_rows() > 0);
    let counts = batches.map(|batch| batch.column(0).as_primitive::<Int64Type>().value(0));
    Ok(counts.sum::<i64>() as u64)
}

/// Asks the program, as a person does.
fn asked(config: &Path, question: &Question) -> Result<()> {
    let ran = Command::new(PROGRAM)
        .args(["query", "--format", "ndjson", "--config"])
        .arg(config)
        .arg(&question.sql)
        .output()?;
    let amiss = String::from_utf8_lossy(&ran.stderr);
    ensure!(ran.status.success(), "{}", amiss.trim());
    let out = String::from_utf8(ran.stdout)?;
    question.check(out.lines().count())
}

/// Starts the program for nothing.
fn started() -> Result<()> {
    let ran = Command::new(PROGRAM).arg("--version").output()?;
    ensure!(ran.status.success(), "gridwatch does not start");
    Ok(())
}

/// Milliseconds.
struct Times {
    first: f64,
    /// All but the first.
    spread: Spread,
}

impl Times {
    fn of(took: &[f64]) -> Self {
        let (first, others) = took.split_first().unwrap_or((&0.0, &[]));
        Self {
            first: *first,
            spread: Spread::of(others.iter().copied()),
        }
    }

    fn median(&self) -> f64 {
        self.spread.median()
    }

    fn judged(&self) -> &'static str {
        match self.median() <= TARGET {
            true => "met",
            false => "missed",
        }
    }
}

/// Does something so often, and once before.
fn times(runs: u64, act: impl Fn() -> Result<()>) -> Result<Times> {
    let mut took = Vec::new();
    for _ in 0..=runs {
        let watch = Instant::now();
        act()?;
        took.push(watch.elapsed().as_secs_f64() * 1e3);
    }
    Ok(Times::of(&took))
}
