//! The service under load: how much it takes, how soon it tells, how fast it answers.
//!
//! `cargo bench --bench service -- PART [options]` starts the real program on a store of its own and
//! prints one table. PART is `load`, `latency`, `query` or `walk`, which runs the service without the rest
//! of the program; `PART --help` names its options. Whatever is written lies in a temporary folder, which
//! goes at the end; `--dir` puts it on the disk to measure. The clients run on the same machine, and what
//! they cost is said.

#![expect(clippy::disallowed_methods, reason = "a bench measures time")]
#![expect(clippy::print_stdout, reason = "its figures are for people")]
#![expect(clippy::print_stderr, reason = "and so is how far it has come")]

mod archive;
mod client;
mod latency;
mod lines;
mod load;
mod measure;
mod query;
mod rules;
mod server;
#[path = "../variants.rs"]
mod variants;
mod walk;

use std::io;
use std::path::PathBuf;

use anyhow::{Result, anyhow};
use clap::{Args, CommandFactory, Parser, Subcommand};
use tempfile::TempDir;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What was asked for on the command line.
#[derive(Debug, Parser)]
#[command(
    name = "service",
    about = "Measures the service: cargo bench --bench service -- PART [options]"
)]
struct Asked {
    #[command(subcommand)]
    part: Option<Part>,
    /// Cargo says it to every bench.
    #[arg(long = "bench", global = true, hide = true)]
    _bench: bool,
}

#[derive(Debug, Subcommand)]
enum Part {
    Load(load::Load),
    Latency(latency::Latency),
    Query(query::Query),
    Walk(walk::Walk),
}

/// Where a part writes.
#[derive(Debug, Args)]
struct Place {
    /// The disk to measure: a temporary folder is made in this one
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Place {
    /// A folder that goes when it is dropped.
    fn folder(&self) -> io::Result<TempDir> {
        let dir = self.dir.clone().unwrap_or_else(std::env::temp_dir);
        tempfile::Builder::new()
            .prefix("gridwatch-bench-")
            .tempdir_in(dir)
    }
}

fn main() -> Result<()> {
    let asked = Asked::parse();
    // All benches are run at once, or their tests: nothing that takes minutes was asked for.
    let Some(part) = asked.part else {
        Asked::command().print_help()?;
        return Ok(());
    };
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        tokio::select! {
            biased;
            // What was made is dropped then, and cleans up.
            _ = tokio::signal::ctrl_c() => Err(anyhow!("interrupted")),
            done = run(part) => done,
        }
    })
}

async fn run(part: Part) -> Result<()> {
    match part {
        Part::Load(load) => load.run().await,
        Part::Latency(latency) => latency.run().await,
        Part::Query(query) => query.run().await,
        Part::Walk(walk) => walk.run().await,
    }
}
