//! Latency: how soon an anomaly is told of, and what the time is spent on.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use bytes::Bytes;
use clap::Args;
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use super::client::{Away, Coding};
use super::lines::{self, Feed, Pool};
use super::measure::{self, Disk, Spread, grouped, print_line};
use super::server::{Metrics, Server};
use super::{Place, rules};

/// Events come evenly, and now and then one that a rule finds: how long until the sink has it
///
/// The configuration is the default, but for that rule and a sink of type file.
#[derive(Debug, Args)]
pub struct Latency {
    #[command(flatten)]
    place: Place,
    /// Events a second
    #[arg(long, default_value_t = 20_000)]
    rate: u64,
    /// How long, after the first five seconds, which do not count
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    secs: u64,
    /// The source's `lateness_secs`
    #[arg(long, default_value_t = 1)]
    lateness_secs: u32,
    /// People of the organisation
    #[arg(long, default_value_t = 20_000)]
    actors: u32,
}

/// Requests a second, and how many of them hold one marker.
const TICKS: u64 = 20;
const TICKS_OF_MARKER: u64 = 2;
/// Seconds that do not count.
const WARMING: u64 = 5;
/// Requests under way beyond which the service does not keep up.
const MOST_WAITING: usize = 400;
/// How often the sink's file is looked at.
const LOOK: Duration = Duration::from_millis(5);
/// How long a marker is waited for at the end.
const PATIENCE: Duration = Duration::from_secs(30);
/// Seconds beside `lateness_secs` within which nearly all should be told.
const TARGET: f64 = 3.0;

const SINK: &str = "anomalies.ndjson";

impl Latency {
    pub async fn run(&self) -> Result<()> {
        let folder = self.place.folder()?;
        let disk = Disk::measure(folder.path())?;
        let pool = Arc::new(Pool::simulated(self.actors)?);
        let title = format!(
            "latency: {} events/s for {} s, lateness_secs {}; {} people act",
            grouped(self.rate),
            self.secs,
            self.lateness_secs,
            pool.actors(),
        );
        disk.print_head(&title, folder.path());
        rules::marker(&folder.path().join("rules"))?;
        let more = format!(
            "sources: {{push: {{type: push, lateness_secs: {}}}}}\nrules: {{paths: [rules]}}\nsinks: {{out: \
             {{type: file, path: {SINK}}}}}\n",
            self.lateness_secs
        );
        let server = Server::start(folder.path(), &more).await?;
        let (tell, mut told) = unbounded_channel();
        tokio::spawn(follow(folder.path().join(SINK), tell));
        let before = server.metrics().await?;
        let sent = self.send(&server, &pool).await?;
        let told = all_told(&sent.markers, &mut told).await?;
        let after = server.metrics().await?;
        let said = server.said();
        server.stop().await?;
        self.print(&sent, &told, (&before, &after));
        if !said.is_empty() {
            println!("the service said:\n{said}");
        }
        Ok(())
    }

    /// Sends at an even pace, whether or not the requests before are answered.
    async fn send(&self, server: &Server, pool: &Arc<Pool>) -> Result<Sent> {
        let mut feed = Feed::new(pool, 0);
        let mut sent = Sent::default();
        let mut requests = JoinSet::new();
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / TICKS as u32);
        for tick in 0..(WARMING + self.secs) * TICKS {
            ticks.tick().await;
            let created = measure::now();
            let second = created as i64;
            let due = |ticks: u64| self.rate * ticks / TICKS;
            let events = due(tick + 1) - due(tick);
            let mut text = feed.batch(events as usize, second);
            let has_marker = tick >= WARMING * TICKS && tick.is_multiple_of(TICKS_OF_MARKER);
            let id = has_marker.then(|| lines::marker(tick, second, &mut text));
            let (pusher, body) = (server.pusher(), Bytes::from(text));
            requests.spawn(async move {
                let (receipt, away) = pusher.push(&body, Coding::Identity).await?;
                let answered = measure::now();
                let marker = id.map(|id| (id, Marker { created, answered }));
                anyhow::Ok((receipt.accepted, away, marker))
            });
            while let Some(answered) = requests.try_join_next() {
                sent.add(answered??);
            }
            ensure!(
                requests.len() <= MOST_WAITING,
                "the service does not keep up: take a lower --rate"
            );
        }
        while let Some(answered) = requests.join_next().await {
            sent.add(answered??);
        }
        Ok(sent)
    }

    fn print(
        &self,
        sent: &Sent,
        told: &HashMap<String, Told>,
        (before, after): (&Metrics, &Metrics),
    ) {
        let both = sent.markers.iter();
        let both = both.filter_map(|(id, marker)| Some((*marker, *told.get(id)?)));
        let both: Vec<(Marker, Told)> = both.collect();
        let millis = |span: fn(&Marker, &Told) -> f64| {
            Spread::of(both.iter().map(|(marker, told)| span(marker, told) * 1e3))
        };
        let answer = millis(|marker, _| marker.answered - marker.created);
        let notice = millis(|marker, told| told.seen - marker.answered);
        let whole = millis(|marker, told| told.seen - marker.created);
        let head = format!("ms, of {} markers", both.len());
        println!(
            "{head:<40} {:>9} {:>9} {:>9} {:>9}",
            "p50", "p90", "p99", "most"
        );
        for (name, spread) in [
            ("sent → answered (it is on disk)", &answer),
            ("answered → in the sink's file", &notice),
            ("sent → in the sink's file", &whole),
        ] {
            let [median, tenth, hundredth] = [0.5, 0.9, 0.99].map(|share| spread.at(share));
            let most = spread.most();
            println!("{name:<40} {median:>9.0} {tenth:>9.0} {hundredth:>9.0} {most:>9.0}");
        }
        let target = (f64::from(self.lateness_secs) + TARGET) * 1e3;
        let is_met = if notice.at(0.99) <= target {
            "met"
        } else {
            "missed"
        };
        println!("target: p99 of answered → in the file at most {target:.0} ms: {is_met}\n");
        // An event is judged when the second after it, and `lateness_secs`, are over.
        let remaining = millis(|marker, _| marker.created.floor() + 1.0 - marker.answered);
        let lateness = f64::from(self.lateness_secs) * 1e3;
        let mean = |name: &str, labels: &str| after.mean_since(before, name, labels) * 1e3;
        let evaluation = mean("gridwatch_evaluation_seconds", "");
        let commit = mean("gridwatch_commit_seconds", "{kind=\"advance\"}");
        let rest = notice.mean() - remaining.mean() - lateness - evaluation - commit;
        let delivery = millis(|_, told| told.seen - told.found);
        println!("answered → in the sink's file, in parts (means, ms)");
        let line = |name: &str, millis: f64| print_line(name, format!("{millis:.0}"));
        line("what was left of the event's second", remaining.mean());
        line("lateness_secs", lateness);
        line("evaluation of a step", evaluation);
        line("commit of a step", commit);
        line("rest: the next event, queues, outbox, sink", rest);
        line("all", notice.mean());
        line("  of it from when it was found on", delivery.mean());
        let seconds = (WARMING + self.secs) as f64;
        let rate = grouped((sent.accepted as f64 / seconds) as u64);
        print_line("acknowledged, events/s", rate);
        let away = format!("{} / {}", sent.away.busy, sent.away.unavailable);
        print_line("answers 429 / 503", away);
    }
}

/// A marker, by the clock in seconds.
#[derive(Clone, Copy)]
struct Marker {
    /// When its request was made, which waits for no other; its event has that second.
    created: f64,
    answered: f64,
}

/// When a marker was found, as its envelope says, and when the sink's file held it; in seconds.
#[derive(Clone, Copy)]
struct Told {
    found: f64,
    seen: f64,
}

/// What was sent.
#[derive(Default)]
struct Sent {
    accepted: u64,
    away: Away,
    /// By event id.
    markers: HashMap<String, Marker>,
}

impl Sent {
    fn add(&mut self, (accepted, away, marker): (u64, Away, Option<(String, Marker)>)) {
        self.accepted += accepted;
        self.away.add(away);
        self.markers.extend(marker);
    }
}

/// Waits until all markers are told of.
async fn all_told(
    markers: &HashMap<String, Marker>,
    told: &mut UnboundedReceiver<(String, Told)>,
) -> Result<HashMap<String, Told>> {
    let mut seen = HashMap::new();
    while seen.len() < markers.len() {
        let next = tokio::time::timeout(PATIENCE, told.recv()).await;
        let next = next.map_err(|_| {
            let missing = markers.len() - seen.len();
            anyhow!("{missing} of {} markers were never told of", markers.len())
        })?;
        let (id, one) = next.ok_or_else(|| anyhow!("the sink's file cannot be read"))?;
        seen.insert(id, one);
    }
    Ok(seen)
}

/// Reads the sink's file as it grows, and tells which markers it holds.
async fn follow(path: PathBuf, tell: UnboundedSender<(String, Told)>) -> Result<()> {
    let mut looks = tokio::time::interval(LOOK);
    let (mut file, mut text) = (None, Vec::new());
    loop {
        looks.tick().await;
        if file.is_none() {
            // The first anomaly makes it.
            file = File::open(&path).ok();
        }
        let Some(open) = &mut file else { continue };
        if open.read_to_end(&mut text)? == 0 {
            continue;
        }
        let seen = measure::now();
        let Some(end) = memchr::memrchr(b'\n', &text) else {
            continue;
        };
        for line in text[..end].split(|byte| *byte == b'\n') {
            let record: Value = serde_json::from_slice(line)?;
            if record["rule"] != rules::MARKER {
                continue;
            }
            let id = record["event_id"].as_str().unwrap_or_default();
            let found = record["envelope"]["found_at"].as_str().unwrap_or_default();
            let found = found.parse::<Timestamp>()?.as_microsecond() as f64 / 1e6;
            tell.send((id.to_owned(), Told { found, seen }))?;
        }
        text.drain(..=end);
    }
}
