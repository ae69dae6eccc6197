//! A snapshot of a million actors.

use std::error::Error;

use gridwatch::detect::live::Live;
use gridwatch::detect::plan::Planner;
use rayon::prelude::*;

use super::measure::measured;
use super::synthetic::Synthetic;
use super::{Asked, rules};

pub fn run(asked: &Asked) -> Result<(), Box<dyn Error>> {
    let actors = asked.value("--snapshot-actors", 1_000_000_u64);
    let planner = Planner::new()?;
    let rules = rules::shipped(&planner);
    let programs: Vec<_> = rules.iter().map(|rule| &rule.program).collect();
    let new = || Live::new(&planner, &programs).map_err(|(_, error)| error);
    let mut live = new()?;
    let mut events = Synthetic::new(actors, 1000, live.columns());
    for _ in 0..(4 * actors).div_ceil(1 << 15) {
        let (batch, watermark) = events.next(1 << 15);
        live.push(&batch)?;
        live.advance(watermark)?;
    }
    let (usage, _) = live.usage();
    let shards = 0..Live::SHARDS;
    let (saved, writing) = measured(|| {
        shards
            .into_par_iter()
            .map(|shard| live.snapshot(shard))
            .collect::<Result<Vec<_>, _>>()
    })?;
    let saved = saved?;
    let bytes: usize = saved.iter().map(Vec::len).sum();
    let mut other = new()?;
    let (restored, reading) = measured(|| other.restore(&saved))?;
    restored?;
    assert_eq!(other.watermark(), live.watermark());
    println!(
        "\nsnapshot of {actors} actors, {} rows: {} MB (state {} MB), written in {:.2} s, restored in {:.2} s",
        usage.rows,
        bytes / 1_000_000,
        usage.bytes / 1_000_000,
        writing.seconds,
        reading.seconds,
    );
    Ok(())
}
