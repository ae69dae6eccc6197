//! Events per second, from a file to anomalies.

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Read};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use gridwatch::detect::Table;
use gridwatch::detect::history::Resources;
use gridwatch::detect::live::Live;
use gridwatch::detect::plan::Planner;
use gridwatch::enrich::Enricher;
use gridwatch::enrich::network::Networks;
use gridwatch::event::decode;
use gridwatch::event::frame::{Chunk, Framer};
use gridwatch::event::order::{self, Stream};
use gridwatch::event::schema::ColumnSet;
use gridwatch::list::Lists;
use gridwatch::pipeline::{self, Execution, Input, Job};
use gridwatch::rule::Rule;
use gridwatch::simulate::{self, Plan};
use rayon::prelude::*;

use super::measure::{Took, measured, median};
use super::{Asked, rules};

/// The generated files.
struct Files {
    events: PathBuf,
    networks: PathBuf,
    count: u64,
}

pub fn run(asked: &Asked) -> Result<(), Box<dyn Error>> {
    let (users, days) = (asked.value("--users", 4000), asked.value("--days", 9));
    let runs = asked.value("--runs", 5_usize);
    let folder = tempfile::tempdir()?;
    let files = generate(folder.path(), users, days)?;
    let bytes = std::fs::metadata(&files.events)?.len();
    println!(
        "{users} people, {days} days: {} events of {} bytes; {} threads",
        files.count,
        bytes / files.count.max(1),
        rayon::current_num_threads()
    );
    let planner = Planner::new()?;
    let (four, many) = (rules::shipped(&planner), rules::variants(&planner, 42));
    let shipped = rules::all(&planner);
    let (few_rare, many_rare) = (rules::rare(&planner, 20), rules::rare(&planner, 200));
    let needed = four.iter().fold(order::columns(), |columns, rule| {
        columns.union(rule.columns)
    });
    let none = ColumnSet::default();
    type Work<'a> = Box<dyn Fn() -> Result<Took, Box<dyn Error>> + 'a>;
    let live = |rules, extra| detect(&files, rules, extra, Execution::Live);
    let mut parts: Vec<(&str, Work<'_>)> = vec![
        (
            "decode, columns of the four rules",
            Box::new(|| decode(&files, needed)),
        ),
        (
            "decode, all columns",
            Box::new(|| decode(&files, ColumnSet::all())),
        ),
        ("four rules", Box::new(|| live(&four, none))),
        (
            "four rules, all columns built",
            Box::new(|| live(&four, ColumnSet::all())),
        ),
        (
            "stream and engine, four rules",
            Box::new(|| engine(&planner, &files, &four)),
        ),
        (
            "stream and engine, 42 rules",
            Box::new(|| engine(&planner, &files, &many)),
        ),
        ("42 rules", Box::new(|| live(&many, none))),
        (
            "stream and engine, all shipped rules",
            Box::new(|| engine(&planner, &files, &shipped)),
        ),
        ("all shipped rules", Box::new(|| live(&shipped, none))),
        ("20 rare rules", Box::new(|| live(&few_rare, none))),
        ("200 rare rules", Box::new(|| live(&many_rare, none))),
        (
            "stream and engine, 20 rare rules",
            Box::new(|| engine(&planner, &files, &few_rare)),
        ),
        (
            "stream and engine, 200 rare rules",
            Box::new(|| engine(&planner, &files, &many_rare)),
        ),
        (
            "four rules, on history",
            Box::new(|| detect(&files, &four, none, Execution::History)),
        ),
    ];
    let python = asked.value("--python", "python3".to_owned());
    if has_duckdb(&python) {
        let files = &files;
        parts.push((
            "DuckDB, three detectors",
            Box::new(move || duckdb(&python, files)),
        ));
    } else {
        println!(
            "no DuckDB beside it: `{python} -c 'import duckdb'` fails; pip install duckdb, or --python"
        );
    }
    let only = asked.value("--only", String::new());
    parts.retain(|(name, _)| name.contains(&only));
    let mut took: Vec<Vec<Took>> = vec![Vec::new(); parts.len()];
    for _ in 0..runs {
        for ((_, work), took) in parts.iter().zip(&mut took) {
            took.push(work()?);
        }
    }
    println!(
        "{:<36} {:>10} {:>12} {:>12} {:>9} {:>9}",
        "", "seconds", "events/s", "best", "CPU s", "µs/event"
    );
    let (mut speeds, mut costs) = (Vec::new(), Vec::new());
    for ((name, _), took) in parts.iter().zip(&took) {
        let seconds: Vec<f64> = took.iter().map(|took| took.seconds).collect();
        let best = seconds.iter().copied().fold(f64::MAX, f64::min);
        let (middle, cpu) = (
            median(seconds),
            median(took.iter().map(|took| took.cpu_seconds).collect()),
        );
        let count = files.count as f64;
        speeds.push((*name, count / middle));
        costs.push((*name, cpu));
        println!(
            "{name:<36} {middle:>10.2} {:>12.0} {:>12.0} {cpu:>9.2} {:>9.2}",
            count / middle,
            count / best,
            cpu * 1e6 / count,
        );
    }
    let cost = |wanted: &str| costs.iter().find(|(name, _)| *name == wanted);
    for from in ["", "stream and engine, "] {
        let (few, many) = (
            format!("{from}20 rare rules"),
            format!("{from}200 rare rules"),
        );
        if let Some(((_, few), (name, many))) = cost(&few).zip(cost(&many)) {
            println!("{name} : 20 = {:.2}", many / few);
        }
    }
    let speed = |wanted: &str| speeds.iter().find(|(name, _)| *name == wanted);
    if let Some(((_, ours), (_, theirs))) =
        speed("four rules").zip(speed("DuckDB, three detectors"))
    {
        println!("four rules : DuckDB = {:.2}", ours / theirs);
    }
    Ok(())
}

fn generate(folder: &Path, users: u32, days: u32) -> Result<Files, Box<dyn Error>> {
    let files = Files {
        events: folder.join("events.ndjson"),
        networks: folder.join("networks.csv"),
        count: 0,
    };
    let mut events = BufWriter::new(File::create(&files.events)?);
    let mut networks = BufWriter::new(File::create(&files.networks)?);
    let plan = Plan::new(users, days, 1);
    let mut nobody = |_| ();
    let totals = simulate::write(
        &plan,
        &mut events,
        &mut networks,
        &mut Vec::new(),
        &mut nobody,
    )?;
    Ok(Files {
        count: totals.events,
        ..files
    })
}

/// Decodes the file on all threads, and nothing else.
fn decode(files: &Files, columns: ColumnSet) -> Result<Took, Box<dyn Error>> {
    let mut file = File::open(&files.events)?;
    let work = move || -> std::io::Result<usize> {
        let (mut framer, mut buffer) = (Framer::new(2 << 20), vec![0; 256 << 10]);
        let (mut chunks, mut rows, mut is_over) = (Vec::new(), 0, false);
        while !is_over {
            while chunks.len() < 8 && !is_over {
                let bytes = file.read(&mut buffer)?;
                is_over = bytes == 0;
                match bytes {
                    0 => framer.finish(&mut chunks),
                    _ => framer.push(&buffer[..bytes], &mut chunks),
                }
            }
            let decoded = |chunk: Chunk| decode::decode(chunk, columns).batch.num_rows();
            rows += chunks.par_drain(..).map(decoded).sum::<usize>();
        }
        Ok(rows)
    };
    let (rows, took) = measured(work)?;
    assert_eq!(rows? as u64, files.count);
    Ok(took)
}

fn detect(
    files: &Files,
    rules: &[Rule],
    extra: ColumnSet,
    execution: Execution,
) -> Result<Took, Box<dyn Error>> {
    let work = || -> Result<u64, Box<dyn Error>> {
        let mut networks = Networks::new();
        networks.add_csv_file(&files.networks)?;
        let path = files.events.clone();
        let job = Job {
            rules,
            input: Table::Events,
            lists: Lists::default(),
            enricher: Arc::new(Enricher::new(networks)),
            resources: Resources {
                threads: rayon::current_num_threads(),
                memory_bytes: 4 << 30,
                state_bytes: 4 << 30,
            },
            execution,
            extra,
            quiet_micros: 0,
            counted_since: Vec::new(),
            recorded_days: Vec::new(),
        };
        let input = Input {
            name: "events.ndjson".to_owned(),
            reader: Box::new(File::open(&path)?),
            again: Some(Box::new(move || Ok(Box::new(File::open(&path)?)))),
        };
        let outcome = pipeline::detect(vec![input], &job, &mut |_| Ok(()))?;
        // Rare rules may find nothing.
        let is_rare = rules.iter().all(|rule| rule.kind == "match");
        assert!(is_rare || !outcome.anomalies.is_empty());
        assert!(outcome.failures.is_empty());
        Ok(outcome.events)
    };
    let (events, took) = measured(work)?;
    assert_eq!(events?, files.count);
    Ok(took)
}

/// The engine alone, and the order of the events: these were decoded before.
fn engine(planner: &Planner, files: &Files, rules: &[Rule]) -> Result<Took, Box<dyn Error>> {
    let programs: Vec<_> = rules.iter().map(|rule| &rule.program).collect();
    let mut live = Live::new(planner, &programs).map_err(|(_, error)| error)?;
    let columns = live.columns().union(order::columns());
    let mut networks = Networks::new();
    networks.add_csv_file(&files.networks)?;
    let enricher = Enricher::new(networks);
    let (mut framer, mut chunks) = (Framer::new(2 << 20), Vec::new());
    framer.push(&std::fs::read(&files.events)?, &mut chunks);
    framer.finish(&mut chunks);
    let decoded = |chunk: Chunk| {
        let inputs = columns.union(Enricher::inputs(columns));
        enricher.enrich(&decode::decode(chunk, inputs).batch, columns)
    };
    let batches: Vec<_> = chunks.into_par_iter().map(decoded).collect();
    let work = move || -> Result<(), Box<dyn Error>> {
        let mut stream = Stream::new(columns);
        for batches in batches.chunks(11) {
            for batch in batches {
                stream.push(batch.clone())?;
            }
            let watermark = stream.latest() / 1_000_000 * 1_000_000;
            live.push(&stream.take(watermark)?)?;
            live.advance(watermark)?;
        }
        Ok(())
    };
    let (done, took) = measured(work)?;
    done?;
    Ok(took)
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/duckdb.py")
}

fn has_duckdb(python: &str) -> bool {
    let tried = Command::new(python).args(["-c", "import duckdb"]).output();
    tried.is_ok_and(|tried| tried.status.success())
}

/// The peer's own measure of its query.
fn duckdb(python: &str, files: &Files) -> Result<Took, Box<dyn Error>> {
    let ran = Command::new(python)
        .arg(script())
        .args([&files.events, &files.networks])
        .args(["--threads", &rayon::current_num_threads().to_string()])
        .output()?;
    if !ran.status.success() {
        return Err(String::from_utf8_lossy(&ran.stderr).into_owned().into());
    }
    let said: serde_json::Value = serde_json::from_slice(&ran.stdout)?;
    let number = |name: &str| said[name].as_f64().unwrap_or(0.0);
    Ok(Took {
        seconds: number("seconds"),
        cpu_seconds: number("cpu_seconds"),
    })
}
