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

/// The time of day, and the time that goes by, for whoever is given one.
#[derive(Clone)]
pub struct Clock {
    now: Arc<dyn Fn() -> i64 + Send + Sync>,
    steady: Arc<dyn Fn() -> i64 + Send + Sync>,
    pause: Arc<dyn Fn(i64) + Send + Sync>,
}

/// The longest that [`Clock::pause`] takes.
const PAUSE: Duration = Duration::from_millis(100);

impl Clock {
    /// That of the machine.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn system() -> Self {
        let since = |since: Duration| i64::try_from(since.as_micros()).unwrap_or(i64::MAX);
        let begun = Instant::now();
        let steady = move || since(begun.elapsed());
        Self {
            now: Arc::new(move || {
                SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .map_or(0, since)
            }),
            steady: Arc::new(steady),
            pause: Arc::new(move |until| {
                let left = until.saturating_sub(steady()).max(0).unsigned_abs();
                std::thread::sleep(Duration::from_micros(left).min(PAUSE));
            }),
        }
    }

    /// One that somebody else drives: `now` gives both times, and `pause` is called with the time until
    /// which somebody would wait.
    pub fn driven(
        now: impl Fn() -> i64 + Send + Sync + 'static,
        pause: impl Fn(i64) + Send + Sync + 'static,
    ) -> Self {
        let now: Arc<dyn Fn() -> i64 + Send + Sync> = Arc::new(now);
        Self {
            steady: Arc::clone(&now),
            now,
            pause: Arc::new(pause),
        }
    }

    /// The same, with a time of day of its own, which may jump.
    #[must_use]
    pub fn with_time_of_day(self, now: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        Self {
            now: Arc::new(now),
            ..self
        }
    }

    /// That of the machine, in which so many seconds pass in one, from this time of day on; microseconds.
    pub fn fast(start: i64, speed: f64) -> Self {
        let begun = Stopwatch::start();
        let passed = move || (begun.elapsed().as_secs_f64() * 1e6 * speed) as i64;
        let now = move || start.saturating_add(passed());
        Self::driven(now, move |until| {
            let left = until.saturating_sub(now()).max(0) as f64 / 1e6 / speed;
            let left = Duration::try_from_secs_f64(left).unwrap_or(PAUSE);
            #[expect(clippy::disallowed_methods, reason = "this is the clock")]
            std::thread::sleep(left.min(PAUSE));
        })
    }

    /// Microseconds since 1970.
    pub fn now(&self) -> i64 {
        (self.now)()
    }

    /// Microseconds that go by evenly, whatever happens to the time of day.
    pub fn steady(&self) -> i64 {
        (self.steady)()
    }

    /// Waits until the steady time is this, or for a moment: who waits looks again.
    pub fn pause(&self, until: i64) {
        (self.pause)(until);
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
