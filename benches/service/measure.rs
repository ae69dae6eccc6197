//! What is measured from outside the service: time, processes, the disk, the machine.

use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Clock ticks a second in /proc; Linux shows this to every program, whatever it ticks in.
const TICKS: f64 = 100.0;

/// Seconds since 1970.
pub fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}

/// Values in their order.
pub struct Spread(Vec<f64>);

impl Spread {
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    /// The least value that this share of them do not exceed; 0 if there are none.
    pub fn at(&self, share: f64) -> f64 {
        let rank = (self.0.len() as f64 * share).ceil() as usize;
        let last = self.0.len().saturating_sub(1);
        let value = self.0.get(rank.saturating_sub(1).min(last));
        value.copied().unwrap_or(0.0)
    }

    pub fn median(&self) -> f64 {
        self.at(0.5)
    }

    pub fn most(&self) -> f64 {
        self.at(1.0)
    }

    pub fn mean(&self) -> f64 {
        mean(&self.0)
    }
}

/// 0 if there are none.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// CPU seconds of all threads of a process so far; 0 without /proc.
pub fn cpu_seconds(process: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name of the program, in parentheses, may hold spaces.
    let fields = text.rsplit(')').next().unwrap_or_default();
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.flat_map(str::parse::<u64>).sum();
    ticks as f64 / TICKS
}

/// Memory of a process that is not swapped out, in bytes; 0 without /proc.
pub fn resident_bytes(process: u32) -> u64 {
    kib(&format!("/proc/{process}/status"), "VmRSS") << 10
}

/// A number of KiB in a file of /proc.
fn kib(path: &str, name: &str) -> u64 {
    let value = field(path, name).unwrap_or_default();
    let number = value.split_whitespace().next().unwrap_or_default();
    number.parse().unwrap_or(0)
}

/// What stands after `NAME:` in a file of /proc.
fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let mut values = text.lines().filter_map(|line| line.strip_prefix(name));
    let value = values.next()?.trim_start().strip_prefix(':')?;
    Some(value.trim().to_owned())
}

/// How many threads run at once.
pub fn cores() -> usize {
    thread::available_parallelism().map_or(1, |cores| cores.get())
}

/// The machine, in a line.
fn machine() -> String {
    let model = field("/proc/cpuinfo", "model name");
    let model = model.unwrap_or_else(|| "processor unknown".to_owned());
    let gib = kib("/proc/meminfo", "MemTotal") as f64 / f64::from(1 << 20);
    format!("{} cores ({model}), {gib:.0} GiB of memory", cores())
}

/// What the disk of a folder takes to keep something, in milliseconds each.
pub struct Disk {
    small: Spread,
    large: Spread,
}

impl Disk {
    const SMALL: usize = 4 << 10;
    const LARGE: usize = 1 << 20;

    pub fn measure(folder: &Path) -> io::Result<Self> {
        Ok(Self {
            small: synced(folder, Self::SMALL)?,
            large: synced(folder, Self::LARGE)?,
        })
    }

    /// The lines above a table: what is measured, where, and on what.
    pub fn print_head(&self, title: &str, folder: &Path) {
        println!("{title}");
        println!("{}; disk of {}", machine(), folder.display());
        for (name, spread) in [("4 KiB", &self.small), ("1 MiB", &self.large)] {
            println!(
                "  write and sync of {name}: {:.2} ms each (median; p99 {:.2})",
                spread.median(),
                spread.at(0.99)
            );
        }
        println!();
    }
}

/// Appends to a file and syncs it, again and again.
fn synced(folder: &Path, bytes: usize) -> io::Result<Spread> {
    const MOST: usize = 200;
    const PATIENCE: Duration = Duration::from_secs(2);
    let path = folder.join("synced");
    let mut file = File::create(&path)?;
    let piece = vec![0x5a; bytes];
    let (begun, mut took) = (Instant::now(), Vec::new());
    while took.len() < MOST && begun.elapsed() < PATIENCE {
        let watch = Instant::now();
        file.write_all(&piece)?;
        file.sync_data()?;
        took.push(watch.elapsed().as_secs_f64() * 1e3);
    }
    fs::remove_file(&path)?;
    Ok(Spread::of(took))
}

/// The bytes of all files in a folder and below it.
pub fn folder_bytes(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += match metadata.is_dir() {
            true => folder_bytes(&entry.path())?,
            false => metadata.len(),
        };
    }
    Ok(bytes)
}

/// 1234567 as 1,234,567.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::with_capacity(digits.len() * 4 / 3 + 1);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// A line of a table.
pub fn print_line(name: &str, value: impl Display) {
    println!("{name:<52} {value:>24}");
}
