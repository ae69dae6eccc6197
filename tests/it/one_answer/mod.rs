//! The promise of the live engine: whatever the stream, the rules, the batches, the threads and the
//! restarts, it finds what history finds.
//!
//! `GRIDWATCH_CASES=200000 cargo test one_answer` tries more.

mod grammar;
mod stream;

use std::sync::{Arc, LazyLock, Mutex};

use gridwatch::detect::Program;
use gridwatch::detect::finding::Finding;
use gridwatch::detect::history::{self, Resources};
use gridwatch::detect::live::Live;
use gridwatch::detect::plan::Planner;
use gridwatch::event::order::{self, Collector, Log};
use gridwatch::event::schema::ColumnSet;
use proptest::prelude::*;

use self::stream::{Admitted, Step, Stream};

static PLANNER: LazyLock<Mutex<Planner>> = LazyLock::new(|| Mutex::new(Planner::new().unwrap()));

/// How many streams are tried in an ordinary run: with one rule each, and with several at once.
const WITH_ONE: u32 = 1200;
const WITH_SEVERAL: u32 = 400;

fn config(cases: u32) -> ProptestConfig {
    let asked = std::env::var("GRIDWATCH_CASES").ok();
    ProptestConfig {
        cases: asked.and_then(|asked| asked.parse().ok()).unwrap_or(cases),
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

/// What the live engine finds.
fn live(
    programs: &[&Program],
    steps: &[Step],
    columns: ColumnSet,
    (end, threads): (i64, usize),
) -> Vec<Vec<Finding>> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.unwrap().install(|| {
        let new = || Live::new(&PLANNER.lock().unwrap(), programs).unwrap();
        let mut engine = new();
        let mut waiting: Vec<Admitted> = Vec::new();
        let mut found = vec![Vec::new(); programs.len()];
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
                    let saved = (0..Live::SHARDS).map(|shard| engine.snapshot(shard).unwrap());
                    let saved: Vec<Vec<u8>> = saved.collect();
                    engine = new();
                    engine.restore(&saved).unwrap();
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

fn compare(stream: &Stream, programs: &[Program]) -> Result<(), TestCaseError> {
    let steps = stream.steps();
    let programs: Vec<&Program> = programs.iter().collect();
    // What rules do not ask for is not there.
    let read = programs
        .iter()
        .try_fold(order::columns(), |columns, program| {
            let read = PLANNER.lock().unwrap().check(program);
            let read =
                read.map_err(|error| TestCaseError::fail(format!("{error}\n{}", program.sql)))?;
            Ok::<_, TestCaseError>(columns.union(read))
        })?;
    let log = log_of(&steps, read);
    let resources = Resources {
        threads: 1,
        memory_bytes: usize::MAX,
    };
    let ran = history::run(&log, &programs, resources).unwrap();
    let found = live(&programs, &steps, read, (log.watermark(), stream.threads));
    for ((program, ran), mut found) in programs.iter().zip(ran).zip(found) {
        let ran = ran.map_err(|error| TestCaseError::fail(format!("{error}\n{}", program.sql)))?;
        // Rows that had to wait come after others.
        found.sort_by(|a, b| {
            let key = |f: &Finding| {
                (
                    f.order_time,
                    f.event_time,
                    f.event_id.clone(),
                    f.key.clone(),
                )
            };
            key(a).cmp(&key(b))
        });
        prop_assert_eq!(&ran, &found, "{}", program.sql);
    }
    Ok(())
}

proptest! {
    #![proptest_config(config(WITH_ONE))]

    #[test]
    fn live_finds_what_history_finds(stream in stream::stream(60), program in grammar::program()) {
        compare(&stream, &[program])?;
    }
}

proptest! {
    #![proptest_config(config(WITH_SEVERAL))]

    #[test]
    fn rules_do_not_disturb_each_other(
        stream in stream::stream(40),
        programs in prop::collection::vec(grammar::program(), 2..5),
    ) {
        compare(&stream, &programs)?;
    }
}
