//! Wall and CPU time of what runs in this process.

use std::error::Error;
use std::fs;
use std::time::Instant;

/// Clock ticks a second in /proc; Linux shows this to every program, whatever it ticks in.
const TICKS: f64 = 100.0;

/// What something took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Took {
    pub seconds: f64,
    /// Of all threads; 0 without /proc.
    pub cpu_seconds: f64,
}

impl Took {
    pub fn add(&mut self, other: Self) {
        self.seconds += other.seconds;
        self.cpu_seconds += other.cpu_seconds;
    }
}

/// Runs the work and says what it took.
pub fn measured<T>(work: impl FnOnce() -> T) -> Result<(T, Took), Box<dyn Error>> {
    let (before, start) = (cpu_seconds()?, Instant::now());
    let done = work();
    let seconds = start.elapsed().as_secs_f64();
    let cpu_seconds = cpu_seconds()? - before;
    Ok((
        done,
        Took {
            seconds,
            cpu_seconds,
        },
    ))
}

fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    if let Ok(text) = fs::read_to_string("/proc/self/stat") {
        // The name of the program, in parentheses, may hold spaces.
        let fields: Vec<&str> = text
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        let ticks = fields.get(11..13).unwrap_or_default();
        let ticks: u64 = ticks.iter().flat_map(|field| field.parse::<u64>()).sum();
        return Ok(ticks as f64 / TICKS);
    }
    Ok(0.0)
}

/// The middle one.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
