//! The promise of the live engine: whatever the stream, the rules, the batches, the threads and the
//! restarts, it finds what history finds.
//!
//! `GRIDWATCH_CASES=200000 cargo test --release one_answer` tries more. A case is a stream with its
//! batches, threads and restarts, and a rule or several; each draw of rules is tried on some streams.

mod grammar;
mod stream;

use std::sync::{Arc, LazyLock, Mutex};

use gridwatch::detect::Program;
use gridwatch::detect::finding::Finding;
use gridwatch::detect::history::{self, Programs, Resources};
use gridwatch::detect::live::Live;
use gridwatch::detect::plan::Planner;
use gridwatch::event::order::{self, Collector, Log};
use gridwatch::event::schema::ColumnSet;
use gridwatch::list::{Entry, List, Lists};
use proptest::prelude::*;

use self::stream::{Admitted, Step, Stream};

static PLANNER: LazyLock<Mutex<Planner>> =
    LazyLock::new(|| Mutex::new(Planner::with_lists(&LISTS).unwrap()));

/// A list whose entries begin and end while the streams run.
static LISTS: LazyLock<Lists> = LazyLock::new(|| {
    let mut list = List::default();
    for (value, group, from, until) in [
        ("U0", Some("early"), None, Some(60)),
        ("U0", Some("late"), Some(60), None),
        ("U1", Some("early"), Some(5), Some(2000)),
        ("U2", None, Some(300), None),
        ("3", None, Some(10), Some(90_000)),
    ] {
        let at = |seconds: i64| (1_700_000_000 + seconds) * 1_000_000;
        let entry = Entry {
            value: value.to_owned(),
            group: group.map(str::to_owned),
            owner: "the test".to_owned(),
            reason: "it moves".to_owned(),
            from: from.map(at),
            until: until.map(at),
        };
        list.add(entry).unwrap();
    }
    Lists::new([("moving".to_owned(), list)].into())
});

/// How many cases are tried in an ordinary run: with one rule each, and with several at once.
const WITH_ONE: u32 = 1200;
const WITH_SEVERAL: u32 = 400;

/// How many cases are asked for in all.
static ASKED: LazyLock<Option<u32>> = LazyLock::new(|| {
    let asked = std::env::var("GRIDWATCH_CASES").ok()?;
    Some(asked.parse().expect("GRIDWATCH_CASES is a number"))
});

/// Streams for each draw of rules: planning takes longer than judging.
fn streams() -> usize {
    if ASKED.is_some() { 10 } else { 2 }
}

/// So many cases, or a share of those that are asked for.
fn config(cases: u32) -> ProptestConfig {
    let all = WITH_ONE + WITH_SEVERAL;
    let cases = ASKED.map_or(cases, |asked| {
        (u64::from(asked) * u64::from(cases) / u64::from(all)) as u32
    });
    ProptestConfig {
        cases: cases.div_ceil(streams() as u32),
        max_shrink_iters: 60,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

fn log_of(steps: &[Step], columns: ColumnSet) -> Arc<Log> {
    let mut collector = Collector::new(columns, usize::MAX);
    for step in steps {
        if let Step::Push(events) = step {
            collector.push(stream::batch(events, columns)).unwrap();
        }
    }
    Arc::new(collector.finish().unwrap())
}

/// The state of all shards.
fn saved(engine: &Live) -> Vec<Vec<u8>> {
    let shards = (0..Live::SHARDS).map(|shard| engine.snapshot(shard).unwrap());
    shards.collect()
}

/// What the live engine finds. Two engines take turns at every restart, whatever they did before.
fn live(
    [engine, other]: &mut [Live; 2],
    steps: &[Step],
    columns: ColumnSet,
    (end, threads): (i64, usize),
) -> Vec<Vec<Finding>> {
    static POOLS: LazyLock<[rayon::ThreadPool; 5]> = LazyLock::new(|| {
        std::array::from_fn(|at| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(at + 1);
            pool.build().unwrap()
        })
    });
    POOLS[threads - 1].install(|| {
        let mut waiting: Vec<Admitted> = Vec::new();
        let mut found = vec![Vec::new(); engine.failures().len()];
        let last = Step::Advance(end);
        for step in steps.iter().chain([&last]) {
            match step {
                Step::Push(events) => {
                    engine.push(&stream::batch(events, columns)).unwrap();
                    waiting.extend(events.iter().cloned());
                }
                Step::Advance(watermark) => {
                    // A last event that comes twice moves the source on, but not the log.
                    let watermark = &end.min(*watermark);
                    let advanced = engine.advance(*watermark).unwrap();
                    for (all, more) in found.iter_mut().zip(advanced) {
                        all.extend(more);
                    }
                    waiting.retain(|event| event.order_time >= *watermark);
                }
                Step::SaveAndRestore => {
                    std::mem::swap(engine, other);
                    engine.restore(&saved(other)).unwrap();
                    engine.push(&stream::batch(&waiting, columns)).unwrap();
                }
            }
        }
        for failure in engine.failures() {
            assert_eq!(*failure, None);
        }
        found
    })
}

fn compare(streams: &[Stream], programs: &[Program]) -> Result<(), TestCaseError> {
    let programs: Vec<&Program> = programs.iter().collect();
    // What rules do not ask for is not there.
    let columns = programs
        .iter()
        .try_fold(order::columns(), |columns, program| {
            let read = PLANNER.lock().unwrap().check(program);
            let read =
                read.map_err(|error| TestCaseError::fail(format!("{error}\n{}", program.sql)))?;
            Ok::<_, TestCaseError>(columns.union(read.columns))
        })?;
    let new = || Live::new(&PLANNER.lock().unwrap(), &programs).unwrap();
    let mut engines = [new(), new()];
    let empty = saved(&engines[0]);
    for stream in streams {
        engines[0].restore(&empty).unwrap();
        compare_one(stream, &programs, &mut engines, columns)?;
    }
    Ok(())
}

fn compare_one(
    stream: &Stream,
    programs: &[&Program],
    engines: &mut [Live; 2],
    columns: ColumnSet,
) -> Result<(), TestCaseError> {
    let steps = stream.steps();
    let log = log_of(&steps, columns);
    let resources = Resources {
        threads: 1,
        memory_bytes: usize::MAX,
        state_bytes: usize::MAX,
    };
    let recorded = &[];
    let programs = Programs { programs, recorded };
    let ran = history::run(&log, programs, &LISTS, resources).unwrap();
    let programs = programs.programs;
    let found = live(engines, &steps, columns, (log.watermark(), stream.threads));
    for ((program, ran), mut found) in programs.iter().zip(ran).zip(found) {
        let ran = ran.map_err(|error| TestCaseError::fail(format!("{error}\n{}", program.sql)))?;
        // Rows that had to wait come after others.
        found.sort_by_key(|f| {
            (
                f.order_time,
                f.event_time,
                f.event_id.clone(),
                f.key.clone(),
            )
        });
        prop_assert_eq!(&ran, &found, "{}", program.sql);
    }
    Ok(())
}

proptest! {
    #![proptest_config(config(WITH_ONE))]

    #[test]
    fn live_finds_what_history_finds(
        streams in prop::collection::vec(stream::stream(60), streams()),
        program in grammar::program(),
    ) {
        compare(&streams, &[program])?;
    }
}

proptest! {
    #![proptest_config(config(WITH_SEVERAL))]

    #[test]
    fn rules_do_not_disturb_each_other(
        streams in prop::collection::vec(stream::stream(40), streams()),
        programs in prop::collection::vec(grammar::program(), 2..5),
    ) {
        compare(&streams, &programs)?;
    }
}
