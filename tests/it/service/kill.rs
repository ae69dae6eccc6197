//! Killed at any moment, it loses nothing, doubles nothing, and finds what it would have found.
//!
//! `GRIDWATCH_KILLS=1000 cargo test --release --test it service::kill -- --nocapture` kills it more
//! often and tells the figures. `GRIDWATCH_SEED` draws the same moments and batches once more; what
//! the service does at these moments is another matter.

use std::collections::HashSet;
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use gridwatch::clock::{Clock, Stopwatch};
use serde_json::Value;

use super::client::{Answer, Client};
use super::{Log, PATIENCE, Service, assert_same, body, pause, second, wait_for};

/// How often it is killed in an ordinary run.
const KILLS: usize = 20;

/// How long a start may take that is to be cut short, in milliseconds.
const START_MILLIS: u64 = if cfg!(debug_assertions) { 1000 } else { 300 };

/// Rules that find much, wait, and rest on what others found: name, `detect`, `suppress`.
const RULES: [(&str, &str, &str); 5] = [
    (
        "file_opened",
        "{kind: match, where: action = 'file_downloaded', key: actor_id}",
        "30m",
    ),
    (
        "many_files",
        "{kind: threshold, where: action = 'file_downloaded', key: actor_id, measure: count(distinct entity_id), per: 1h, at_least: 3}",
        "1h",
    ),
    (
        "quiet_sign_in",
        "{kind: sequence, key: actor_id, within: 1h, steps: [{where: action = 'user_login'}], not_followed_by: {where: action = 'file_downloaded', within: 10m}}",
        "0s",
    ),
    (
        "above_two",
        "{kind: threshold, from: anomalies, key: actor_id, measure: count(distinct rule), per: 1h, at_least: 2}",
        "1h",
    ),
    (
        "above_quiet",
        "{kind: sequence, from: anomalies, key: actor_id, within: 1h, steps: [{where: rule = 'file_opened'}], not_followed_by: {where: rule = 'many_files', within: 30m}}",
        "1h",
    ),
];

/// The block of configuration that adds [`RULES`], once they are written.
pub(super) const WITH_RULES: &str = "rules: {paths: [rules]}";

/// Writes the rules into the folder of the service.
pub(super) fn write_rules(service: &Service) {
    fs::create_dir(service.folder.path("rules")).unwrap();
    for (number, (name, detect, suppress)) in RULES.iter().enumerate() {
        let text = format!(
            "title: {name}\nid: 00000000-0000-4000-8000-{number:012}\nname: {name}\nstatus: test\nlevel: \
             medium\nlogsource: {{product: slack, service: audit}}\ndetect: {detect}\nsuppress: {suppress}\n"
        );
        fs::write(service.folder.path(&format!("rules/{name}.yml")), text).unwrap();
    }
}

/// Numbers of a seed.
struct Dice(u64);

impl Dice {
    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let a = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let b = (a ^ (a >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        b ^ (b >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.draw() % end as u64) as usize
    }

    /// From one number of milliseconds up to another.
    fn millis(&mut self, least: u64, end: u64) -> Duration {
        Duration::from_millis(least + self.draw() % (end - least))
    }

    /// From 1 to 2000, the small as often as the large.
    fn size(&mut self) -> usize {
        let part = (self.draw() >> 11) as f64 / (1_u64 << 53) as f64;
        2000_f64.powf(part) as usize
    }
}

/// How far the killing is.
struct Progress {
    kills: AtomicUsize,
    wanted: usize,
}

impl Progress {
    fn is_over(&self) -> bool {
        self.kills.load(Ordering::SeqCst) >= self.wanted
    }

    /// Up to where events may be sent by now, so that they last until the end.
    fn share_of(&self, events: usize) -> usize {
        let kills = self.kills.load(Ordering::SeqCst);
        events * (kills + 1) / self.wanted.max(1)
    }
}

/// What was sent.
#[derive(Default)]
struct Load {
    batches: usize,
    /// Events that were sent though they had been acknowledged.
    again: usize,
    /// Events that were written, while the answer did not come through.
    unanswered: u64,
    retries: usize,
}

/// Sends all lines in their order, in batches, each until it is acknowledged; some of them once more.
fn send_all(client: &Client, log: &Log, progress: &Progress, seed: u64) -> Load {
    let mut dice = Dice(seed);
    let lines = &log.lines;
    let mut load = Load::default();
    let mut sent: Vec<Range<usize>> = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        while at >= progress.share_of(lines.len()) && !progress.is_over() {
            pause(Duration::from_millis(5));
        }
        let is_again = !sent.is_empty() && dice.below(5) == 0;
        let batch = if is_again {
            sent[sent.len() - 1 - dice.below(sent.len().min(5))].clone()
        } else {
            at..lines.len().min(at + dice.size())
        };
        let answer = until_taken(client, &lines[batch.clone()], &mut load);
        let (accepted, duplicates, rejected) = answer.receipt();
        assert_eq!(accepted + duplicates, batch.len() as u64);
        assert_eq!(rejected, 0);
        load.batches += 1;
        if is_again {
            assert_eq!(accepted, 0, "what was acknowledged was not there");
            load.again += batch.len();
        } else {
            load.unanswered += duplicates;
            at = batch.end;
            sent.push(batch);
        }
        if !progress.is_over() {
            pause(dice.millis(0, 300));
        }
    }
    load
}

fn until_taken(client: &Client, lines: &[String], load: &mut Load) -> Answer {
    wait_for("an answer", PATIENCE, || {
        let answer = client.push(body(lines)).ok();
        let taken = answer.filter(|answer| {
            let is_known = [200, 429, 503].contains(&answer.status);
            assert!(is_known, "{answer:?}");
            answer.status == 200
        });
        load.retries += usize::from(taken.is_none());
        taken
    })
}

/// When it is killed.
enum Moment {
    /// So long after its start, ready or not.
    Starting(Duration),
    /// So long after it was ready.
    Running(Duration),
    /// While it writes a segment or a snapshot.
    Writing,
}

impl Moment {
    fn draw(dice: &mut Dice) -> Self {
        match dice.below(4) {
            0 => Self::Starting(dice.millis(20, START_MILLIS)),
            1 => Self::Writing,
            _ => Self::Running(dice.millis(20, 1500)),
        }
    }
}

/// Whether a segment or a snapshot is half written.
fn is_writing(data: &Path) -> bool {
    let is_unfinished = |folder: &Path| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let mut paths = entries.map(|entry| entry.path());
        paths.any(|path| path.extension().is_some_and(|ending| ending == "tmp"))
    };
    let days = fs::read_dir(data.join("events")).into_iter().flatten();
    data.join(SNAPSHOT).exists() || days.flatten().any(|day| is_unfinished(&day.path()))
}

/// A snapshot that is half written.
const SNAPSHOT: &str = "snapshots/unfinished";

/// A number that the environment gives.
fn asked(name: &str) -> Option<u64> {
    let asked = std::env::var(name).ok()?;
    Some(asked.parse().expect("it is a number"))
}

#[test]
fn nothing_is_lost_or_doubled_by_kills() {
    let kills = asked("GRIDWATCH_KILLS").map_or(KILLS, |kills| kills as usize);
    let seed = asked("GRIDWATCH_SEED").unwrap_or_else(|| Clock::system().now() as u64);
    println!("GRIDWATCH_SEED={seed} GRIDWATCH_KILLS={kills}");
    let watch = Stopwatch::start();
    // About 2,000 events from one kill to the next and, where there are many, some hundreds.
    let log = Arc::new(Log::simulated(60, 20 + kills as u32 / 6));
    let mut service = Service::new(&log, WITH_RULES);
    write_rules(&service);
    let progress = Arc::new(Progress {
        kills: AtomicUsize::new(0),
        wanted: kills,
    });
    let sending = {
        let (client, log, progress) = (service.sender(), Arc::clone(&log), Arc::clone(&progress));
        thread::spawn(move || send_all(&client, &log, &progress, !seed))
    };
    let mut dice = Dice(seed);
    let (mut while_starting, mut while_writing) = (0, 0);
    for _ in 0..kills {
        let moment = Moment::draw(&mut dice);
        if matches!(moment, Moment::Writing) {
            // One of an earlier kill may be left.
            let _ = fs::remove_file(service.data.join(SNAPSHOT));
        }
        let before = service.log().len();
        service.spawn();
        match moment {
            Moment::Starting(time) => pause(time),
            Moment::Running(time) => {
                service.await_ready();
                pause(time);
            }
            Moment::Writing => {
                service.await_ready();
                let waited = Stopwatch::start();
                while !is_writing(&service.data) && waited.elapsed() < Duration::from_secs(3) {
                    pause(Duration::from_millis(1));
                }
                while_writing += usize::from(is_writing(&service.data));
            }
        }
        service.kill();
        let has_run = service.log()[before..].contains("gridwatch runs");
        while_starting += usize::from(!has_run);
        progress.kills.fetch_add(1, Ordering::SeqCst);
    }
    service.start();
    let load = sending.join().unwrap();
    service.await_judged(second(log.lines.last().unwrap()));
    service.stop();

    service.assert_keeps(&log.lines);
    let stored = service.stored();
    for execution in ["history", "live"] {
        assert_same(execution, &stored, &service.found_in_store(execution));
    }
    let told = service.assert_told();
    let rules: HashSet<String> = stored.iter().map(|record| rule(record)).collect();
    let totals = service.reader().totals().unwrap();
    println!(
        "{kills} kills, {while_starting} of them while starting, {while_writing} while writing a segment or \
         snapshot; {} events in {} batches, {} events sent again, {} written and not answered, {} retries; \
         {} anomalies of {} rules, told {told} times; {} segments; {:.0} s",
        log.lines.len(),
        load.batches,
        load.again,
        load.unanswered,
        load.retries,
        stored.len(),
        rules.len(),
        totals.segments,
        watch.elapsed().as_secs_f64(),
    );
    assert!(stored.len() > 1000 && rules.len() > 5, "{rules:?}");
}

fn rule(record: &str) -> String {
    let record: Value = serde_json::from_str(record).unwrap();
    record["rule"].as_str().unwrap().to_owned()
}
