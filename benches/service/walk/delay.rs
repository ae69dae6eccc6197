//! Events on their way into a fake Slack, and how late each of them is seen there.

use std::hash::BuildHasher;
use std::io::{self, Write};

use anyhow::Result;
use foldhash::quality::FixedState;
use gridwatch::simulate::slack::FakeSlack;
use serde::Deserialize;
use statrs::distribution::{ContinuousCDF, LogNormal};

/// How long after it happened an event is seen. That follows from its id, so nobody has to remember it.
///
/// One of 1,000 takes 1 to 6 hours, all others less than an hour: a lognormal, cut off there, with a median
/// of 3 s and a 99th percentile of 5 minutes.
#[derive(Clone)]
pub struct Delays {
    hash: FixedState,
    /// Seconds.
    usual: LogNormal,
    /// The share of them that is not cut off.
    whole: f64,
}

impl Delays {
    const MEDIAN_SECS: f64 = 3.0;
    const P99_SECS: f64 = 300.0;
    /// The 99th percentile of the standard normal distribution.
    const P99_NORMAL: f64 = 2.326_347_874_040_841;
    const HOUR_SECS: f64 = 3_600.0;
    const LONG: f64 = 0.001;

    pub fn new(seed: u64) -> Result<Self> {
        let sigma = (Self::P99_SECS / Self::MEDIAN_SECS).ln() / Self::P99_NORMAL;
        let usual = LogNormal::new(Self::MEDIAN_SECS.ln(), sigma)?;
        Ok(Self {
            hash: FixedState::with_seed(seed),
            whole: usual.cdf(Self::HOUR_SECS),
            usual,
        })
    }

    /// Microseconds.
    pub fn of(&self, id: &str) -> i64 {
        let drawn = (self.hash.hash_one(id) >> 11) as f64 / (1_u64 << 53) as f64;
        let secs = if drawn < Self::LONG {
            Self::HOUR_SECS * (1.0 + 5.0 * drawn / Self::LONG)
        } else {
            let share = (drawn - Self::LONG) / (1.0 - Self::LONG);
            self.usual.inverse_cdf(share * self.whole)
        };
        (secs * 1e6) as i64
    }
}

/// Hands lines on to Slack: so many of all, evenly.
pub struct Feed<'a> {
    slack: &'a FakeSlack,
    delays: &'a Delays,
    wanted: u64,
    all: u64,
    seen: u64,
    line: Vec<u8>,
}

impl<'a> Feed<'a> {
    pub fn new(slack: &'a FakeSlack, delays: &'a Delays, wanted: u64, all: u64) -> Self {
        Self {
            slack,
            delays,
            wanted,
            all,
            seen: 0,
            line: Vec::new(),
        }
    }

    fn take_line(&mut self) -> io::Result<()> {
        #[derive(Deserialize)]
        struct Event<'a> {
            id: &'a str,
        }
        let before = self.seen * self.wanted / self.all;
        self.seen += 1;
        if self.seen * self.wanted / self.all == before {
            return Ok(());
        }
        let line = str::from_utf8(&self.line).map_err(io::Error::other)?;
        let event: Event<'_> = serde_json::from_str(line)?;
        self.slack.add_delayed(line, self.delays.of(event.id))
    }
}

impl Write for Feed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                self.take_line()?;
                self.line.clear();
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
