//! The only place that reads a clock or draws randomness. Everything else is given what it needs.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

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

/// The time of day, for whoever is given one.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> i64 + Send + Sync>);

impl Clock {
    /// That of the machine.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn system() -> Self {
        Self(Arc::new(|| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH);
            since.map_or(0, |since| {
                i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
            })
        }))
    }

    /// One that somebody else drives.
    pub fn driven(now: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// Microseconds since 1970.
    pub fn now(&self) -> i64 {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// Bytes that nobody can guess.
///
/// # Errors
/// When the system has none to give.
pub fn random<const N: usize>() -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(std::io::Error::from)?;
    Ok(bytes)
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
