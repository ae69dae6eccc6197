//! How much memory the state of a simulated organisation takes.

use std::error::Error;
use std::io::{self, Write};
use std::sync::Arc;

use gridwatch::detect::live::{Live, Usage};
use gridwatch::detect::plan::Planner;
use gridwatch::enrich::Enricher;
use gridwatch::enrich::network::Networks;
use gridwatch::event::decode;
use gridwatch::event::frame::{Chunk, Framer};
use gridwatch::event::order::Stream;
use gridwatch::event::schema::ColumnSet;
use gridwatch::rule::Rule;
use gridwatch::simulate::{self, Plan};
use rayon::prelude::*;

use super::{Asked, rules};

pub fn run(asked: &Asked) -> Result<(), Box<dyn Error>> {
    let users = asked.value("--memory-users", 5_000);
    let days = asked.value("--memory-days", 10);
    let planner = Planner::new()?;
    for rules in [rules::shipped(&planner), rules::variants(&planner, 42)] {
        let (total, each, events) = state(&planner, &rules, users, days)?;
        println!(
            "\nmemory after {days} days of {users} people ({events} events), {} rules",
            rules.len()
        );
        println!(
            "{:<28} {:>10} {:>10} {:>12} {:>12}",
            "", "keys", "rows", "bytes", "bytes/key"
        );
        let line = |name: &str, usage: &Usage| {
            println!(
                "{name:<28} {:>10} {:>10} {:>12} {:>12}",
                usage.keys,
                usage.rows,
                usage.bytes,
                usage.bytes / usage.keys.max(1)
            );
        };
        for (rule, usage) in rules.iter().zip(&each) {
            line(&rule.name, usage);
        }
        line("all", &total);
        // What rows may take; the rest is the keys'.
        let of_keys = total.bytes.saturating_sub(total.rows as usize * 64);
        println!(
            "  64 bytes a row leave {} bytes a key",
            of_keys / total.keys.max(1)
        );
    }
    Ok(())
}

fn state(
    planner: &Planner,
    rules: &[Rule],
    users: u32,
    days: u32,
) -> Result<(Usage, Vec<Usage>, u64), Box<dyn Error>> {
    let programs: Vec<_> = rules.iter().map(|rule| &rule.program).collect();
    let live = Live::new(planner, &programs).map_err(|(_, error)| error)?;
    let mut csv = Vec::new();
    let plan = Plan::new(users, days, 1);
    let nothing = Plan {
        days: 0,
        ..plan.clone()
    };
    simulate::write(
        &nothing,
        &mut io::sink(),
        &mut csv,
        &mut io::sink(),
        &mut |_| (),
    )?;
    let mut networks = Networks::new();
    networks.add_csv("networks.csv", csv.as_slice())?;
    let columns = live.columns().union(gridwatch::event::order::columns());
    let mut sink = Sink {
        framer: Framer::new(2 << 20),
        chunks: Vec::new(),
        enricher: Arc::new(Enricher::new(networks)),
        columns,
        stream: Stream::new(columns),
        live,
    };
    let totals = simulate::write(
        &plan,
        &mut sink,
        &mut io::sink(),
        &mut io::sink(),
        &mut |_| (),
    )?;
    sink.framer.finish(&mut sink.chunks);
    sink.judge(i64::MAX).map_err(|error| error.to_string())?;
    let (total, each) = sink.live.usage();
    Ok((total, each, totals.events))
}

/// Takes the events as bytes, and keeps nothing but the state.
struct Sink {
    framer: Framer,
    chunks: Vec<Chunk>,
    enricher: Arc<Enricher>,
    columns: ColumnSet,
    stream: Stream,
    live: Live,
}

impl Sink {
    fn judge(&mut self, end: i64) -> Result<(), Box<dyn Error + Send + Sync>> {
        let (enricher, columns) = (&self.enricher, self.columns);
        let decoded: Vec<_> = self
            .chunks
            .par_drain(..)
            .map(|chunk| {
                let inputs = columns.union(Enricher::inputs(columns));
                enricher.enrich(&decode::decode(chunk, inputs).batch, columns)
            })
            .collect();
        let before = self.stream.latest();
        for batch in decoded {
            self.stream.push(batch)?;
        }
        let last = if end == i64::MAX {
            self.stream.latest() + 1_000_000
        } else {
            before.max(0)
        };
        let watermark = last.div_euclid(1_000_000) * 1_000_000;
        let ready = self.stream.take(watermark)?;
        self.live.push(&ready)?;
        self.live.advance(watermark)?;
        Ok(())
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.framer.push(bytes, &mut self.chunks);
        if self.chunks.len() >= 16 {
            self.judge(0).map_err(io::Error::other)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
