//! What people see of the demo: anomalies as they are found, and what they came to.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;

use crate::anomaly::Anomaly;
use crate::cli::format;
use crate::cli::show::thousands;
use crate::event::time;
use crate::sink::{Delivery, Report, Sink};

/// A sink that shows anomalies, from a time on.
pub struct Shown(Arc<Seen>);

/// What was found.
pub struct Seen {
    /// From when on anomalies are shown, in microseconds.
    start: i64,
    found: Mutex<Found>,
}

#[derive(Default)]
struct Found {
    /// Before that.
    hidden: u64,
    by_rule: BTreeMap<String, u64>,
    /// Events that anomalies name.
    events: BTreeSet<String>,
    has_begun: bool,
}

/// An attack, as the simulation labels it.
#[derive(Deserialize)]
struct Label {
    /// RFC 3339.
    start: String,
    event_ids: Vec<String>,
    rules: Vec<String>,
}

impl Shown {
    pub fn new(seen: &Arc<Seen>) -> Self {
        Self(Arc::clone(seen))
    }
}

#[async_trait]
impl Sink for Shown {
    async fn deliver(&mut self, deliveries: &[Delivery], _: i64) -> Report {
        for delivery in deliveries {
            // It is what was written as one.
            if let Ok(anomaly) = serde_json::from_str(&delivery.record) {
                self.0.take(&anomaly);
            }
        }
        Report::all(deliveries.len())
    }
}

impl Seen {
    pub fn new(start: i64) -> Arc<Self> {
        Arc::new(Self {
            start,
            found: Mutex::default(),
        })
    }

    fn take(&self, anomaly: &Anomaly) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.events.extend(anomaly.events.iter().cloned());
        if time::parse(&anomaly.event_time).is_some_and(|time| time < self.start) {
            found.hidden += 1;
            return;
        }
        if !found.has_begun {
            found.has_begun = true;
            let hidden = thousands(found.hidden);
            say(&format!(
                "({hidden} anomalies while learning; now the last days)"
            ));
        }
        *found.by_rule.entry(anomaly.rule.clone()).or_default() += 1;
        say(&format::line(anomaly));
    }

    /// Tells what was found up to this time, in microseconds, with so many calls.
    ///
    /// # Errors
    /// When the labels cannot be read, or standard error cannot be written.
    pub fn summary(
        &self,
        labels: &Path,
        reached: i64,
        calls: usize,
        passed: Duration,
    ) -> io::Result<()> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let labels = fs::read_to_string(labels)?;
        let labels = labels.lines().map(serde_json::from_str::<Label>);
        let labels: Vec<Label> = labels.collect::<Result<_, _>>()?;
        let happened = |label: &&Label| {
            let start = time::parse(&label.start).unwrap_or(i64::MIN);
            (self.start..reached).contains(&start) && !label.rules.is_empty()
        };
        let attacks: Vec<&Label> = labels.iter().filter(happened).collect();
        let is_seen = |label: &&&Label| {
            let mut events = label.event_ids.iter();
            events.any(|id| found.events.contains(id))
        };
        let seen = attacks.iter().filter(is_seen).count();
        let number: u64 = found.by_rule.values().sum();
        let rules = found.by_rule.iter();
        let rules: Vec<String> = rules
            .map(|(rule, count)| format!("{rule} {count}"))
            .collect();
        let mut err = io::stderr().lock();
        writeln!(
            err,
            "{} anomalies in {:.1} simulated hours ({:.0} s, {} calls of Slack): {}",
            thousands(number),
            (reached - self.start) as f64 / 3.6e9,
            passed.as_secs_f64(),
            thousands(calls as u64),
            if rules.is_empty() {
                "none".to_owned()
            } else {
                rules.join(", ")
            },
        )?;
        writeln!(
            err,
            "{seen} of the {} attacks that began in them were found",
            attacks.len()
        )
    }
}

fn say(line: &str) {
    let mut out = BufWriter::new(io::stdout().lock());
    // Whoever read it went away; the demo goes on to its end.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
