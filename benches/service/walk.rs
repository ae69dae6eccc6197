//! A source that is walked through: whether all events come in, how soon, and for how many calls.
//!
//! Either the service asks a fake Slack for a simulated day, or the poller alone is asked what it would do
//! for an organisation of a size. Time goes on when somebody would wait, and stands still while anything is
//! done: no call takes any of it, so what is said of soon is what the plan of the calls makes of it.

mod delay;
mod kept;
mod reckoning;

use std::io;
use std::path::Path;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use clap::Args;
use gridwatch::admit::Limits;
use gridwatch::clock::Clock;
use gridwatch::config::Endpoint;
use gridwatch::detect::history::Resources;
use gridwatch::detect::plan::Planner;
use gridwatch::enrich::Enricher;
use gridwatch::enrich::network::Networks;
use gridwatch::event::time::MICROS;
use gridwatch::list::Lists;
use gridwatch::pipeline::service::{Service, Settings, Walked};
use gridwatch::rule::exception::Exceptions;
use gridwatch::rule::{self, Rule, embedded};
use gridwatch::simulate::slack::{FakeSlack, Options};
use gridwatch::simulate::{self, Attacks, Plan};
use gridwatch::slack::Client;
use gridwatch::source::slack as source;
use gridwatch::telemetry::Metrics;
use tokio::task::spawn_blocking;

use self::delay::{Delays, Feed};
use self::kept::Kept;
use self::reckoning::Reckoning;
use super::Place;
use super::measure::{self, Disk, grouped, print_line};
use super::server::STORE;

/// Asks a fake Slack for a simulated day, from its midnight until eight hours after it
///
/// Events are seen late, most by seconds, some by hours. The service has its defaults, and shares this
/// process with Slack. It fails unless the store holds each event once.
#[derive(Debug, Args)]
pub struct Walk {
    #[command(flatten)]
    place: Place,
    /// Events of the day
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    events: u64,
    /// Which events they are, and how late each is seen
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// With the rules of the program; without it none judges
    #[arg(long)]
    rules: bool,
    /// Instead of that: what is asked for an organisation of so many people, without a service
    #[arg(long, value_name = "PEOPLE", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    organisation: Option<u32>,
}

/// All times are in microseconds, unless they say otherwise.
const MINUTE: i64 = 60 * MICROS;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// The midnight at which it begins, and when it ends: what is seen at the latest has long been seen.
const BEGIN: i64 = simulate::DEFAULT_START * MICROS;
const END: i64 = BEGIN + DAY + 8 * HOUR;

/// The defaults of a source of type slack, and of memory for events in bytes.
const POLL: i64 = 5 * MICROS;
const LAG: i64 = 2 * MICROS;
const REWALK: i64 = 8 * HOUR;
const CALLS_PER_MINUTE: u32 = 35;
const INGEST_BYTES: usize = 512 << 20;
/// How far a second look goes back, and how often one is taken.
const LOOK_BACK: i64 = 10 * MINUTE;
const LOOK_EVERY: i64 = MINUTE;
/// An event that is further behind the watermark is not judged live.
const LATE: i64 = 10 * MINUTE;

/// How often the service is looked at.
const WATCH: Duration = Duration::from_millis(100);

impl Walk {
    pub async fn run(&self) -> Result<()> {
        match self.organisation {
            Some(people) => Reckoning::of(people).print(people),
            None => self.day().await,
        }
    }

    async fn day(&self) -> Result<()> {
        let folder = self.place.folder()?;
        let disk = Disk::measure(folder.path())?;
        let time = Arc::new(AtomicI64::new(BEGIN));
        let clock = clock(&time);
        let slack = FakeSlack::start(Options::default(), clock.clone()).await?;
        let delays = Delays::new(self.seed)?;
        let (people, mut service) = self.start(folder.path(), &slack, &delays, clock).await?;
        let title = format!(
            "walk: {} events of {} people in a day; {} rules",
            grouped(self.events),
            grouped(people.into()),
            if self.rules { embedded::RULES.len() } else { 0 },
        );
        disk.print_head(&title, folder.path());
        let watch = Instant::now();
        let memory = watched(&mut service, &time).await?;
        let wall = watch.elapsed();
        spawn_blocking(move || service.stop()).await??;
        print_line("simulated, h", (END - BEGIN) / HOUR);
        print_line("it took, s", format!("{:.0}", wall.as_secs_f64()));
        let most_calls = print_calls(&slack);
        let store = folder.path().join(STORE);
        let comparing = spawn_blocking(move || {
            let kept = Kept::read(&store, &delays)?;
            anyhow::Ok((kept.compare(&slack.ids()), kept))
        });
        let (comparison, kept) = comparing.await??;
        kept.print();
        let memory = format!("{:.0}", memory as f64 / f64::from(1 << 20));
        print_line("memory of the service and Slack, at most, MiB", memory);
        comparison.print();
        comparison.check(self.events)?;
        ensure!(
            most_calls <= CALLS_PER_MINUTE as usize,
            "{most_calls} calls were made within 60 s; {CALLS_PER_MINUTE} may be"
        );
        Ok(())
    }

    /// Fills Slack, and starts the service that asks it; gives how many people the organisation has.
    async fn start(
        &self,
        folder: &Path,
        slack: &FakeSlack,
        delays: &Delays,
        clock: Clock,
    ) -> Result<(u32, Service)> {
        let (folder, slack, delays) = (folder.to_owned(), slack.clone(), delays.clone());
        let (events, seed, with_rules) = (self.events, self.seed, self.rules);
        let starting = spawn_blocking(move || {
            let (plan, all) = plan(events, seed)?;
            let mut feed = Feed::new(&slack, &delays, events, all);
            let mut networks: Vec<u8> = Vec::new();
            simulate::write(
                &plan,
                &mut feed,
                &mut networks,
                &mut io::sink(),
                &mut |_| (),
            )?;
            let rules = if with_rules { shipped()? } else { Vec::new() };
            let service = begin(&folder, &slack, clock, &networks, rules)?;
            anyhow::Ok((plan.users, service))
        });
        starting.await?
    }
}

/// A clock that goes on as soon as somebody would wait, and stands still at the end.
fn clock(time: &Arc<AtomicI64>) -> Clock {
    const STILL: Duration = Duration::from_millis(10);
    let (shown, moved) = (Arc::clone(time), Arc::clone(time));
    Clock::driven(
        move || shown.load(Ordering::SeqCst),
        move |until| {
            if moved.fetch_max(until.min(END), Ordering::SeqCst) >= END {
                thread::sleep(STILL);
            }
        },
    )
}

/// A workday of as many people as it takes to do so much, none of whom does harm, and what they do.
fn plan(events: u64, seed: u64) -> Result<(Plan, u64)> {
    /// What somebody does on a Monday, some 39.5 events on average, and a little less.
    const EACH: u64 = 38;
    let mut people = events.div_ceil(EACH);
    loop {
        let plan = Plan {
            attacks: Attacks::none(),
            ..Plan::new(u32::try_from(people)?, 1, seed)
        };
        let (mut lines, mut networks, mut labels) = (io::sink(), io::sink(), io::sink());
        let done = simulate::write(&plan, &mut lines, &mut networks, &mut labels, &mut |_| ())?;
        if done.events >= events {
            return Ok((plan, done.events));
        }
        people += people / 10 + 1;
    }
}

/// The rules that come with the program.
fn shipped() -> Result<Vec<Rule>> {
    let planner = Planner::new()?;
    let load = |(file, text): &(&str, &str)| {
        let rule = rule::load(file, text, &planner, &Exceptions::default());
        rule.map_err(|problems| {
            let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
            anyhow!("{}", problems.join("\n"))
        })
    };
    embedded::RULES.iter().map(load).collect()
}

fn begin(
    folder: &Path,
    slack: &FakeSlack,
    clock: Clock,
    networks: &[u8],
    rules: Vec<Rule>,
) -> Result<Service> {
    let mut known = Networks::new();
    known.add_csv("networks.csv", networks)?;
    let endpoint = Endpoint::parse(&slack.audit_endpoint()).map_err(|reason| anyhow!(reason))?;
    let walked = Walked {
        client: Client::new(endpoint, slack.token().into())?,
        settings: asking(BEGIN),
    };
    let settings = Settings {
        store: folder.join(STORE),
        pushed: Vec::new(),
        walked: vec![("slack".to_owned(), walked)],
        directory: None,
        limits: Limits::default(),
        sinks: Vec::new(),
        seal_rows: 131_072,
        // A minute of simulated time passes in a moment.
        seal_every: Duration::from_secs(1),
        snapshot_every: Duration::from_secs(300),
        ingest_bytes: INGEST_BYTES,
        rules,
        lists: Lists::default(),
        enricher: Arc::new(Enricher::new(known)),
        resources: Resources {
            threads: measure::cores(),
            memory_bytes: INGEST_BYTES,
            state_bytes: 4 << 30,
        },
        clock,
    };
    Ok(Service::start(settings, Metrics::new())?)
}

/// How Slack is asked by default, after a first start at this time.
fn asking(start: i64) -> source::Settings {
    source::Settings {
        poll: POLL,
        overlap: MINUTE,
        rewalk: REWALK,
        lag: LAG,
        since: start - DAY,
        calls_per_minute: CALLS_PER_MINUTE,
        most_bytes: INGEST_BYTES / 8,
        seed: 1,
    }
}

/// Looks on until the end; gives the most bytes that this process took.
async fn watched(service: &mut Service, time: &AtomicI64) -> Result<u64> {
    let (watch, mut most, mut told) = (Instant::now(), 0, 0);
    loop {
        let now = time.load(Ordering::SeqCst);
        most = most.max(measure::resident_bytes(process::id()));
        let hours = (now - BEGIN) / HOUR;
        if hours > told {
            told = hours;
            eprintln!("  {hours} h after {:.0} s", watch.elapsed().as_secs_f64());
        }
        if now >= END {
            return Ok(most);
        }
        tokio::select! {
            error = service.failed() => return Err(error.into()),
            () = tokio::time::sleep(WATCH) => {}
        }
    }
}

/// Says how often Slack was asked; gives the most calls of a minute.
fn print_calls(slack: &FakeSlack) -> usize {
    let calls = slack.calls();
    let answered = |status: u16| calls.iter().filter(|call| call.status == status).count();
    let times: Vec<i64> = calls.iter().map(|call| call.at).collect();
    let most = most_in_a_minute(&times);
    print_line("calls", grouped(times.len() as u64));
    print_line("  answered with a page", grouped(answered(200) as u64));
    print_line("  refused with 429", answered(429));
    print_line("  at most in any 60 s", most);
    most
}

/// The most of these times, which are in order, that lie within 60 s.
fn most_in_a_minute(times: &[i64]) -> usize {
    let within = times.iter().enumerate().map(|(at, last)| {
        let first = times.partition_point(|time| *time <= last - MINUTE);
        at + 1 - first
    });
    within.max().unwrap_or(0)
}
