//! The figures of the engine, in one table.
//!
//! `cargo bench --bench figures` generates a simulated organisation, runs the rules over it in several
//! ways, then measures how cost grows with actors, windows and rules, how much memory the state takes
//! and how long a snapshot does. Names after `--` choose among `throughput`, `growth`, `memory` and
//! `snapshot`; `--users N --days D --runs R` change the input and `--only WORDS` the lines of
//! `throughput`; `--memory-users N --memory-days D` that
//! of `memory`, which is small by default. DuckDB runs beside it where `python3` can import it;
//! `--python PATH` names another interpreter.

#![expect(clippy::disallowed_methods, reason = "a bench measures time")]
#![expect(clippy::print_stdout, reason = "its figures are for people")]

mod growth;
mod measure;
mod memory;
mod rules;
mod snapshot;
mod synthetic;
mod throughput;
#[path = "../variants.rs"]
mod variants;

use std::error::Error;
use std::str::FromStr;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What was asked for on the command line.
struct Asked(Vec<String>);

impl Asked {
    fn value<T: FromStr>(&self, name: &str, default: T) -> T {
        let at = self.0.iter().position(|argument| argument == name);
        let value = at.and_then(|at| self.0.get(at + 1)?.parse().ok());
        value.unwrap_or(default)
    }

    /// Whether the part is chosen; all are unless some are.
    fn wants(&self, part: &str) -> bool {
        const PARTS: [&str; 4] = ["throughput", "growth", "memory", "snapshot"];
        let chosen = |part: &str| self.0.iter().any(|argument| argument == part);
        chosen(part) || !PARTS.into_iter().any(chosen)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let asked = Asked(std::env::args().skip(1).collect());
    if asked.wants("throughput") {
        throughput::run(&asked)?;
    }
    if asked.wants("growth") {
        growth::run(&asked)?;
    }
    if asked.wants("memory") {
        memory::run(&asked)?;
    }
    if asked.wants("snapshot") {
        snapshot::run(&asked)?;
    }
    Ok(())
}
