//! Events per second from a file of audit events to anomalies, with the embedded rules.
//!
//! `cargo bench --bench throughput` generates a simulated organisation once, then runs the real
//! command on it several times, with networks, and prints what each run took: wall time, CPU time
//! and peak memory of the whole process. `-- --users N --days D --runs R` change the input; other
//! arguments are for `cargo bench` itself.

#![expect(clippy::disallowed_methods, reason = "a bench measures time")]
#![expect(clippy::print_stdout, reason = "its figures are for people")]

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Clock ticks a second in /proc; Linux shows this to every program, whatever it ticks in.
const TICKS: f64 = 100.0;

fn main() -> Result<(), Box<dyn Error>> {
    let argument = |name: &str, default: u64| {
        let mut arguments = std::env::args().skip_while(|argument| argument != name);
        arguments
            .nth(1)
            .and_then(|value| value.parse().ok())
            .unwrap_or(default)
    };
    let (users, days, runs) = (
        argument("--users", 4000),
        argument("--days", 9),
        argument("--runs", 5),
    );
    let folder = tempfile::tempdir()?;
    let generated = Command::new(env!("CARGO_BIN_EXE_gridwatch"))
        .args(["generate", "--seed", "1", "--users", &users.to_string()])
        .args(["--days", &days.to_string(), "--out"])
        .arg(folder.path())
        .status()?;
    if !generated.success() {
        return Err("gridwatch generate failed".into());
    }
    let file = folder.path().join("events.ndjson");
    let bytes = fs::metadata(&file)?.len();
    let events = lines(&file)?;
    println!("{events} events, {} bytes each", bytes / events.max(1));
    println!(
        "{:>9} {:>12} {:>9} {:>9} {:>9}",
        "seconds", "events/s", "CPU s", "µs/event", "peak MiB"
    );
    let mut best = f64::MAX;
    for _ in 0..runs {
        let run = measure(folder.path())?;
        best = best.min(run.seconds);
        println!(
            "{:>9.2} {:>12.0} {:>9.2} {:>9.2} {:>9}",
            run.seconds,
            events as f64 / run.seconds,
            run.cpu_seconds,
            run.cpu_seconds * 1e6 / events as f64,
            run.peak_kib / 1024,
        );
    }
    println!("best: {:.0} events/s", events as f64 / best);
    Ok(())
}

struct Run {
    seconds: f64,
    cpu_seconds: f64,
    peak_kib: u64,
}

/// Runs `detect` on the generated files, its results thrown away.
fn measure(folder: &Path) -> Result<Run, Box<dyn Error>> {
    let before = children_cpu_seconds()?;
    let start = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_gridwatch"))
        .args(["detect", "--quiet", "--networks"])
        .arg(folder.join("networks.csv"))
        .arg(folder.join("events.ndjson"))
        .stdout(Stdio::null())
        .spawn()?;
    let peak_kib = watch(&mut child)?;
    let seconds = start.elapsed().as_secs_f64();
    if !child.wait()?.success() {
        return Err("gridwatch detect failed".into());
    }
    let cpu_seconds = children_cpu_seconds()? - before;
    Ok(Run {
        seconds,
        cpu_seconds,
        peak_kib,
    })
}

/// Waits for the end; gives the highest resident memory that was seen, in KiB, 0 without /proc.
fn watch(child: &mut Child) -> Result<u64, Box<dyn Error>> {
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait()?.is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        peak = peak.max(kib.unwrap_or(0));
        thread::sleep(Duration::from_millis(5));
    }
    Ok(peak)
}

/// User and system time of all children that were waited for; 0 without /proc.
fn children_cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let Ok(text) = fs::read_to_string("/proc/self/stat") else {
        return Ok(0.0);
    };
    // The name of the program, in parentheses, may hold spaces.
    let fields: Vec<&str> = text
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks: u64 = fields
        .get(13..15)
        .unwrap_or_default()
        .iter()
        .flat_map(|field| field.parse::<u64>())
        .sum();
    Ok(ticks as f64 / TICKS)
}

/// The lines of the file.
fn lines(file: &Path) -> Result<u64, Box<dyn Error>> {
    use std::io::Read;
    let mut reader = fs::File::open(file)?;
    let (mut count, mut buffer) = (0, vec![0; 1 << 20]);
    loop {
        let bytes = reader.read(&mut buffer)?;
        if bytes == 0 {
            return Ok(count);
        }
        count += memchr::memchr_iter(b'\n', &buffer[..bytes]).count() as u64;
    }
}
