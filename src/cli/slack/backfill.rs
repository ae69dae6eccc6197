use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use anyhow::anyhow;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::setup::{ConfigFile, Setup};
use crate::cli::show::thousands;
use crate::cli::{End, Failure, user};
use crate::clock::Clock;
use crate::config::Source;
use crate::event::time::{MICROS, parse, rfc3339};
use crate::store::{self, Reader, Store};

/// Fetches a span of the past from Slack, beside what is new
///
/// The service does it, with the calls that it has to spare, and takes it up again after a restart; this
/// command leaves the request and shows how far it has come. Ctrl-C ends the showing, not the fetching.
/// What is in already is left as it is; what is very late is kept, and not judged yet.
#[derive(Debug, Args)]
pub(super) struct Backfill {
    #[command(flatten)]
    config: ConfigFile,
    /// Where to begin: a date such as 2026-11-01, or a moment such as 2026-11-01T08:00:00Z
    #[arg(
        long,
        value_name = "TIME",
        required_unless_present = "cancel",
        conflicts_with = "cancel"
    )]
    from: Option<String>,
    /// Where to end; at the moment if it is left out
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// The source, if there are several of type slack
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Leaves the request and does not wait
    #[arg(long)]
    no_wait: bool,
    /// Gives up the fetching of this number; what came stays
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["to", "source", "no_wait"])]
    cancel: Option<i64>,
}

/// How often the store is looked at.
const LOOK: Duration = Duration::from_millis(500);

impl Backfill {
    pub fn run(&self) -> Result<End, Failure> {
        let setup = Setup::read(&self.config)?;
        let now = Clock::system().now();
        let folder = setup.store_path();
        let store = Store::open(&folder).map_err(Failure::io)?;
        if let Some(id) = self.cancel {
            if !store.end_backfill(id, now).map_err(Failure::io)? {
                return Err(Failure::usage(anyhow!(
                    "no fetching of number {id} goes on"
                )));
            }
            return say(&format!("{id} is given up"));
        }
        let source = self.source(&setup)?;
        let from = moment(self.from.as_deref(), "--from")?.unwrap_or(now);
        let to = moment(self.to.as_deref(), "--to")?.unwrap_or(now);
        if from > to.min(now) {
            return Err(Failure::usage(anyhow!(
                "from {} to {} is no span of the past",
                rfc3339(from),
                rfc3339(to)
            )));
        }
        let span = (from.div_euclid(MICROS), to.min(now).div_euclid(MICROS));
        let id = store
            .ask_for(&source, span, &user(), now)
            .map_err(Failure::io)?;
        if self.no_wait {
            return say(&format!("{id} is asked for"));
        }
        if store.lock().is_ok() {
            return say(&format!(
                "{id} is asked for; no service runs on this store, and the next one begins with it"
            ));
        }
        watch(&Reader::open(&folder).map_err(Failure::io)?, id)
    }

    fn source(&self, setup: &Setup) -> Result<String, Failure> {
        let sources = setup.config().sources.iter();
        let sources = sources.filter(|(_, source)| matches!(source, Source::Slack(_)));
        let names: Vec<&String> = sources.map(|(name, _)| name).collect();
        match (&self.source, names.as_slice()) {
            (Some(name), names) if names.contains(&name) => Ok(name.clone()),
            (None, [only]) => Ok((*only).clone()),
            (_, []) => Err(Failure::usage(anyhow!(
                "the configuration has no source of type slack: add one, and name it by --config"
            ))),
            (_, names) => {
                let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
                let names = names.join(", ");
                Err(Failure::usage(anyhow!("--source names one of {names}")))
            }
        }
    }
}

fn moment(text: Option<&str>, argument: &str) -> Result<Option<i64>, Failure> {
    let Some(text) = text else { return Ok(None) };
    let moment = parse(text).ok_or_else(|| {
        Failure::usage(anyhow!(
            "{argument} is `{text}`: write a date such as 2026-11-01, or 2026-11-01T08:00:00Z"
        ))
    });
    moment.map(Some)
}

fn say(line: &str) -> Result<End, Failure> {
    writeln!(io::stdout(), "{line}").map_err(Failure::io)?;
    Ok(End::Good)
}

/// Shows how far it has come, until it is over.
fn watch(reader: &Reader, id: i64) -> Result<End, Failure> {
    let clock = Clock::system();
    let bar = ProgressBar::hidden();
    if io::stderr().is_terminal() {
        bar.set_draw_target(indicatif::ProgressDrawTarget::stderr());
    }
    let style = ProgressStyle::with_template("{bar:40} {percent} %  {msg}  {eta}");
    bar.set_style(style.map_err(Failure::internal)?);
    loop {
        let backfill = reader.backfill(id).map_err(Failure::io)?;
        let Some(store::Backfill {
            first,
            last,
            reached,
            events,
            is_over,
            ..
        }) = backfill
        else {
            return Err(Failure::internal(anyhow!(
                "back-fill {id} is not there any more"
            )));
        };
        bar.set_length((last - first + 1).unsigned_abs());
        bar.set_position((reached - first).clamp(0, last - first + 1).unsigned_abs());
        bar.set_message(format!("{} new events", thousands(events)));
        if is_over {
            bar.finish_and_clear();
            let events = thousands(events);
            let line = if reached > last {
                format!("{id} is fetched: {events} new events")
            } else {
                let reached = rfc3339(reached * MICROS);
                format!("{id} was given up at {reached}: {events} new events")
            };
            return say(&line);
        }
        let until = clock.steady() + LOOK.as_micros() as i64;
        while clock.steady() < until {
            clock.pause(until);
        }
    }
}
