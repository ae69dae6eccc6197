//! Sustained load: how many events are taken and judged, at what cost in memory, processor and disk.

use std::fs;
use std::path::Path;
use std::process;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;
use gridwatch::rule::embedded;
use gridwatch::store::{Reader, Totals};
use tokio::task::JoinSet;

use super::client::{Away, Coding, Pusher};
use super::lines::{Feed, Pool};
use super::measure::{self, Disk, grouped, print_line};
use super::server::{Metrics, STORE, Server};
use super::{Place, rules};

/// Clients push at full speed: what is taken, judged and kept, and what that costs
///
/// Windows that are longer than the run only fill: with `--windows 10s,30s` those of the made rules
/// come to rest, and memory shows whether anything else grows.
#[derive(Debug, Args)]
pub struct Load {
    #[command(flatten)]
    place: Place,
    /// How long; 600 for a figure to quote
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(4..))]
    secs: u64,
    /// Clients, each of which waits for an answer before it sends the next request
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=128))]
    clients: u64,
    /// Events of a request
    #[arg(long, default_value_t = 4000)]
    batch: usize,
    /// How requests are compressed
    #[arg(long, value_enum, default_value_t = Coding::Identity)]
    coding: Coding,
    /// Rules in all: those of the program, and made ones
    #[arg(long, default_value_t = 40)]
    rules: usize,
    /// The windows of the made rules
    #[arg(long, value_delimiter = ',', default_value = "10m,1h,4h,24h")]
    windows: Vec<String>,
    /// People of the organisation
    #[arg(long, default_value_t = 20_000)]
    actors: u32,
}

/// Seconds of a span of which the slowest is told.
const SPAN: usize = 10;
/// How long it may take until all is judged that was taken.
const JUDGING: Duration = Duration::from_secs(60);

impl Load {
    pub async fn run(&self) -> Result<()> {
        let folder = self.place.folder()?;
        let disk = Disk::measure(folder.path())?;
        let pool = Arc::new(Pool::simulated(self.actors)?);
        let title = format!(
            "load: {} clients, requests of {} events ({}), {} s; {} people act; {} rules",
            self.clients,
            self.batch,
            self.coding.as_str(),
            self.secs,
            pool.actors(),
            self.rules.max(embedded::RULES.len()),
        );
        disk.print_head(&title, folder.path());
        let server = self.start(folder.path(), &pool).await?;
        let load = self.push(&server, &pool).await?;
        let judged_after = judged(&server).await?;
        let (end, said) = (server.metrics().await?, server.said());
        let stopped_after = server.stop().await?;
        let kept = Kept::of(&folder.path().join(STORE))?;
        load.print();
        print_line("backlog gone after, s", format!("{judged_after:.1}"));
        print_anomalies(&end);
        kept.print();
        print_line(
            "ended after, s",
            format!("{:.1}", stopped_after.as_secs_f64()),
        );
        if !said.is_empty() {
            println!("the service said:\n{said}");
        }
        Ok(())
    }

    async fn start(&self, folder: &Path, pool: &Pool) -> Result<Server> {
        fs::write(folder.join("networks.csv"), &pool.networks)?;
        let mut more = "enrich: {networks: [networks.csv]}\n".to_owned();
        // An empty folder would be refused.
        if rules::variants(&folder.join("rules"), self.rules, &self.windows)? > 0 {
            more.push_str("rules: {paths: [rules]}\n");
        }
        Server::start(folder, &more).await
    }

    /// Lets the clients push, and looks on.
    async fn push(&self, server: &Server, pool: &Arc<Pool>) -> Result<Pushed> {
        let length = Duration::from_secs(self.secs);
        let before = server.metrics().await?;
        let cpu = (server.cpu_seconds(), measure::cpu_seconds(process::id()));
        let begun = Instant::now();
        let mut clients = JoinSet::new();
        for number in 0..self.clients {
            let client = Client {
                pusher: server.pusher(),
                feed: Feed::new(pool, number),
                events: self.batch,
                coding: self.coding,
            };
            clients.spawn(client.run(begun, length));
        }
        let mut sent = Sent::new(self.secs);
        let mut memory = Vec::new();
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        while begun.elapsed() < length {
            ticks.tick().await;
            memory.push(server.resident_bytes() as f64);
            if let Some(ended) = clients.try_join_next() {
                // None does so without a reason before the end.
                sent.add(&ended??);
            }
        }
        let after = server.metrics().await?;
        let cpu = (
            server.cpu_seconds() - cpu.0,
            measure::cpu_seconds(process::id()) - cpu.1,
        );
        while let Some(ended) = clients.join_next().await {
            sent.add(&ended??);
        }
        Ok(Pushed {
            sent,
            before,
            after,
            cpu,
            memory,
        })
    }
}

/// Sends a request as soon as the one before is answered.
struct Client {
    pusher: Pusher,
    feed: Feed,
    events: usize,
    coding: Coding,
}

impl Client {
    async fn run(mut self, begun: Instant, length: Duration) -> Result<Sent> {
        let mut sent = Sent::new(length.as_secs());
        while begun.elapsed() < length {
            let text = self.feed.batch(self.events, measure::now() as i64);
            sent.bytes += text.len() as u64;
            sent.events += self.events as u64;
            let body = self.coding.encode(text)?;
            let (receipt, away) = self.pusher.push(&body, self.coding).await?;
            sent.away.add(away);
            sent.duplicates += receipt.duplicates;
            let second = begun.elapsed().as_secs() as usize;
            // What is answered after the end does not count.
            if let Some(accepted) = sent.accepted.get_mut(second) {
                *accepted += receipt.accepted;
            }
        }
        Ok(sent)
    }
}

/// What clients sent, and what they were told.
struct Sent {
    events: u64,
    bytes: u64,
    /// By second.
    accepted: Vec<u64>,
    duplicates: u64,
    away: Away,
}

impl Sent {
    fn new(secs: u64) -> Self {
        Self {
            events: 0,
            bytes: 0,
            accepted: vec![0; secs as usize],
            duplicates: 0,
            away: Away::default(),
        }
    }

    fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.bytes += other.bytes;
        for (accepted, more) in self.accepted.iter_mut().zip(&other.accepted) {
            *accepted += more;
        }
        self.duplicates += other.duplicates;
        self.away.add(other.away);
    }
}

/// What there is to say of the time under load.
struct Pushed {
    sent: Sent,
    before: Metrics,
    after: Metrics,
    /// Seconds of the service, and of the clients.
    cpu: (f64, f64),
    /// Of the service, in bytes by second.
    memory: Vec<f64>,
}

impl Pushed {
    fn print(&self) {
        let sent = &self.sent;
        let secs = sent.accepted.len() as f64;
        let accepted: u64 = sent.accepted.iter().sum();
        let rate = |events: f64| grouped((events / secs) as u64);
        print_line("bytes an event", sent.bytes / sent.events.max(1));
        print_line("acknowledged, events/s", rate(accepted as f64));
        let spans = sent.accepted.chunks_exact(SPAN);
        if let Some(least) = spans.map(|span| span.iter().sum::<u64>()).min() {
            let least = grouped(least / SPAN as u64);
            print_line("  in the slowest 10 s", least);
        }
        let name = "gridwatch_evaluated_events_total";
        let evaluated = self.after.get(name) - self.before.get(name);
        print_line("evaluated, events/s", rate(evaluated));
        let away = format!("{} / {}", sent.away.busy, sent.away.unavailable);
        print_line("answers 429 / 503", away);
        print_line("duplicates", sent.duplicates);
        let backlog = self.after.get("gridwatch_backlog_events");
        let behind = backlog / (accepted as f64 / secs).max(1.0);
        let backlog = format!("{} = {behind:.1} s", grouped(backlog.max(0.0) as u64));
        print_line("backlog at the end, events", backlog);
        let tail = self.after.get("gridwatch_tail_events");
        print_line("tail at the end, events", grouped(tail as u64));
        for (name, kind) in [
            ("commit of an admission, ms (mean)", "admit"),
            ("commit of a step, ms (mean)", "advance"),
            ("seal, ms (mean)", "seal"),
        ] {
            let labels = format!("{{kind=\"{kind}\"}}");
            print_line(name, self.mean_ms("gridwatch_commit_seconds", &labels));
        }
        let evaluation = self.mean_ms("gridwatch_evaluation_seconds", "");
        print_line("evaluation of a step, ms (mean)", evaluation);
        self.print_memory();
        let million = |cpu: f64| format!("{:.2}", cpu * 1e6 / accepted.max(1) as f64);
        let (service, clients) = self.cpu;
        print_line("CPU of the service, s a million events", million(service));
        print_line("CPU of the clients, s a million events", million(clients));
        print_line(
            "CPU of both, cores",
            format!("{:.2}", (service + clients) / secs),
        );
    }

    fn mean_ms(&self, name: &str, labels: &str) -> String {
        let mean = self.after.mean_since(&self.before, name, labels);
        format!("{:.1}", mean * 1e3)
    }

    fn print_memory(&self) {
        const MIB: f64 = (1 << 20) as f64;
        let last = self.memory.len().saturating_sub(1);
        let quarter = |quarter: usize| last * quarter / 4;
        let at: Vec<String> = (1..=4)
            .filter_map(|number| self.memory.get(quarter(number)))
            .map(|bytes| format!("{:.0}", bytes / MIB))
            .collect();
        print_line(
            "memory at 25 / 50 / 75 / 100 % of the time, MiB",
            at.join(" / "),
        );
        let most = self.memory.iter().copied().fold(0.0, f64::max);
        print_line("  at most, MiB", format!("{:.0}", most / MIB));
        let mean = |from: usize| measure::mean(&self.memory[quarter(from - 1)..quarter(from)]);
        let ratio = mean(4) / mean(2).max(1.0);
        print_line("  last quarter : second quarter", format!("{ratio:.2}"));
        let state = self.after.get("gridwatch_state_bytes");
        if state > 0.0 {
            let state = format!("{:.0}", state / MIB);
            print_line("  of it what rules remember (last snapshot), MiB", state);
        }
    }
}

/// Waits until all is judged; gives how long that took in seconds.
async fn judged(server: &Server) -> Result<f64> {
    let watch = Instant::now();
    while server.metrics().await?.get("gridwatch_backlog_events") > 0.0 {
        if watch.elapsed() > JUDGING {
            bail!("the backlog does not go:\n{}", server.said());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(watch.elapsed().as_secs_f64())
}

fn print_anomalies(end: &Metrics) {
    let late = end.sum("gridwatch_late_events_total");
    print_line("events too late to be judged live", late);
    print_line(
        "anomalies",
        grouped(end.sum("gridwatch_anomalies_total") as u64),
    );
    let failed = end.sum("gridwatch_rule_failed");
    if failed > 0.0 {
        print_line("rules out of service", failed);
    }
}

/// What is on disk at the end.
struct Kept {
    totals: Totals,
    archive_bytes: u64,
    all_bytes: u64,
}

impl Kept {
    fn of(store: &Path) -> Result<Self> {
        Ok(Self {
            totals: Reader::open(store)?.totals()?,
            archive_bytes: measure::folder_bytes(&store.join("events"))?,
            all_bytes: measure::folder_bytes(store)?,
        })
    }

    fn print(&self) {
        let rows = self.totals.segment_rows;
        print_line("archive, segments", grouped(self.totals.segments));
        if let Some(each) = self.archive_bytes.checked_div(rows) {
            print_line("archive, bytes an event", each);
        }
        let rest = self.all_bytes.saturating_sub(self.archive_bytes) >> 20;
        print_line("beside it (state and snapshots), MiB", grouped(rest));
    }
}
