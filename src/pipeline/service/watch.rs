//! Watching: what others wrote into the store, and how much there is of everything.

use std::sync::Arc;
use std::time::Duration;

use super::Error;
use super::state::Shared;
use crate::clock::Stopwatch;
use crate::store::{self, Reader, Store};

pub(super) struct Watching {
    pub store: Arc<Store>,
    pub reader: Reader,
    pub shared: Arc<Shared>,
}

/// Raw events that wait for sinks; more of them make room, the oldest first: they are in the archive.
const MOST_FED: u64 = 10_000_000;
/// How often that is looked at.
const TRIM: Duration = Duration::from_secs(60);

/// So many seconds events may be dated ahead of the clock.
const MOST_AHEAD: f64 = 3600.0;
/// A token that was made or taken back counts after so long.
const LOOK: Duration = Duration::from_secs(1);

impl Watching {
    pub fn run(self) -> Result<(), Error> {
        let mut since_trim = Stopwatch::start();
        loop {
            let heard = self.shared.end.heard();
            if self.shared.is_stopping() {
                return Ok(());
            }
            if let Err(error) = self.look() {
                tracing::warn!(%error, "the store could not be looked at");
            }
            if since_trim.elapsed() >= TRIM {
                since_trim = Stopwatch::start();
                self.trim();
            }
            self.shared.end.wait(heard, LOOK);
        }
    }

    fn trim(&self) {
        match self.store.trim_feeds(MOST_FED) {
            Ok(0) => {}
            Ok(events) => tracing::error!(
                events,
                "raw events that waited for sinks are dropped, since there were too many; export has them"
            ),
            Err(error) => tracing::warn!(%error, "feeds could not be trimmed"),
        }
    }

    pub fn look(&self) -> Result<(), store::Error> {
        let tokens = self.reader.tokens()?.into_iter();
        // A role of a newer version may do nothing here.
        let roles = tokens.filter_map(|(hash, role)| Some((hash, role.parse().ok()?)));
        self.shared.set_roles(roles.collect());
        let totals = self.reader.totals()?;
        let metrics = &self.shared.metrics;
        metrics.tail_events.set(totals.tail_rows as i64);
        metrics.archive_segments.set(totals.segments as i64);
        let dead = self.reader.dead()?;
        for name in &self.shared.sinks {
            let letters = dead.iter().find(|(sink, _)| sink == name);
            let letters = letters.map_or(0, |(_, letters)| *letters);
            let gauge = metrics.dead_letters.with_label_values(&[name]);
            gauge.set(letters as i64);
        }
        let now = self.shared.clock.now() as f64 / 1e6;
        let watermark = metrics.watermark_seconds.get();
        if watermark > 0.0 {
            metrics.lag_seconds.set(now - watermark);
        }
        let ahead = metrics.admitted_watermark_seconds.get() - now;
        let reason = (ahead > MOST_AHEAD).then(|| {
            format!(
                "it is {ahead:.0} s behind the watermark, so that new events count as late; was it set \
                 forward for a while?"
            )
        });
        self.shared.set_amiss("clock", reason);
        Ok(())
    }
}
