//! The only place that reads a clock. Everything else is given the time it needs.

use std::time::{Duration, Instant};

/// Measures how long something takes, for people to read; no result depends on it.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The time since the start.
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// Goes through recorded time at so many seconds of it a second.
#[derive(Debug)]
pub struct Replay {
    begun: Stopwatch,
    /// Microseconds of recorded time that have gone by.
    gone: f64,
    speed: f64,
}

impl Replay {
    /// Begins now, at a speed above 0.
    pub fn start(speed: f64) -> Self {
        Self {
            begun: Stopwatch::start(),
            gone: 0.0,
            speed,
        }
    }

    /// Waits until so many more microseconds of recorded time have gone by.
    #[expect(
        clippy::disallowed_methods,
        reason = "nobody is kept waiting but whoever looks on"
    )]
    pub fn pass(&mut self, micros: i64) {
        self.gone += micros.max(0) as f64;
        let due = Duration::from_secs_f64(self.gone / 1e6 / self.speed);
        std::thread::sleep(due.saturating_sub(self.begun.elapsed()));
    }
}
