//! An archive of any size, made as the service makes one: blocks are encoded, admitted and sealed, by the
//! same code. Only what the network and the rules would do is left out.
//!
//! Segments have as many rows as those of a busy service, whatever the number of days: one that is seldom
//! pushed to seals small ones every minute, which is another question.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, ensure};
use gridwatch::enrich::Enricher;
use gridwatch::enrich::network::Networks;
use gridwatch::event::decode;
use gridwatch::event::frame::{Chunk, Framer};
use gridwatch::event::schema::ColumnSet;
use gridwatch::event::time::MICROS;
use gridwatch::store::tail::{self, Decision};
use gridwatch::store::{Admission, Admit, Block, Fresh, Reader, Store};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::lines::{self, Pool, mix};
use super::measure::{self, grouped};
use super::server::STORE;

const DAY_SECS: u64 = 86_400;
/// Events that are encoded together.
const BLOCK_ROWS: u64 = 1 << 14;
/// Bytes of a chunk; a block is far smaller.
const CHUNK_BYTES: usize = 64 << 20;

/// The actor of the first event, and of no other.
pub const RARE: &str = "U0RARE00000";
/// The actor of no event.
pub const UNKNOWN: &str = "U0NOBODY000";

/// What is to be made.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub events: u64,
    /// The last of them is yesterday, UTC.
    pub days: u64,
    pub segment_rows: u64,
    /// People of the organisation.
    pub actors: u32,
}

/// What was made.
#[derive(Debug, Serialize, Deserialize)]
pub struct Made {
    pub events: u64,
    pub days: u64,
    /// Its beginning in seconds since 1970.
    pub first_day: i64,
    pub actors: usize,
    pub segments: u64,
    pub bytes: u64,
    pub seconds: f64,
    /// The actor with most events, and one with about as many as an actor has in the mean.
    pub busy: String,
    pub average: String,
}

/// Makes the archive in a folder that has no store yet.
pub fn build(home: &Path, plan: &Plan, cancel: &CancellationToken) -> Result<Made> {
    let maker = Maker::new(*plan)?;
    let watch = Instant::now();
    let folder = home.join(STORE);
    let store = Store::open(&folder)?;
    let _lock = store.lock()?;
    let reader = Reader::open(&folder)?;
    let (mut segments, mut rows) = (0, 0);
    thread::scope(|scope| -> Result<()> {
        // The next segment is encoded while this one is sealed.
        let (give, take) = sync_channel(1);
        let maker = &maker;
        scope.spawn(move || {
            for part in maker.parts() {
                // Whoever took them met with an error.
                if give.send(maker.blocks(&part)).is_err() {
                    break;
                }
            }
        });
        let mut told = 0;
        for blocks in take {
            ensure!(!cancel.is_cancelled(), "interrupted");
            let blocks: Vec<Block> = blocks?;
            store.admit(&Admit {
                blocks: &blocks.iter().collect::<Vec<_>>(),
                ..Admit::default()
            })?;
            let sealed = store.seal(&reader, u64::MAX, &Fresh::new(0))?;
            segments += sealed.segments;
            rows += sealed.rows;
            let tenths = rows * 10 / plan.events;
            if tenths > told {
                told = tenths;
                let seconds = watch.elapsed().as_secs_f64();
                eprintln!("  {} events after {seconds:.0} s", grouped(rows));
            }
        }
        Ok(())
    })?;
    ensure!(
        rows == plan.events,
        "{rows} events were sealed, not {}",
        plan.events
    );
    maker.made(segments, &folder, watch)
}

/// Makes events; which ones depends on their numbers alone.
struct Maker {
    plan: Plan,
    pool: Pool,
    enricher: Enricher,
    /// By actor, lines in the pool. The first are the busiest.
    cast: Vec<Vec<usize>>,
    first_day: i64,
}

/// What becomes a segment: events of one day.
struct Part {
    /// The day's beginning in seconds since 1970, its first event and how many it has.
    day: i64,
    day_first: u64,
    day_rows: u64,
    /// The part's own.
    first: u64,
    rows: u64,
}

impl Maker {
    fn new(plan: Plan) -> Result<Self> {
        let pool = Pool::simulated(plan.actors)?;
        let mut networks = Networks::new();
        networks.add_csv("networks.csv", pool.networks.as_slice())?;
        let mut cast: BTreeMap<&[u8], Vec<usize>> = BTreeMap::new();
        for line in 0..pool.len() {
            cast.entry(pool.actor(line)).or_default().push(line);
        }
        let cast = cast.into_values().collect();
        let today = measure::now() as u64 / DAY_SECS;
        let first_day = today.saturating_sub(plan.days) * DAY_SECS;
        Ok(Self {
            plan,
            pool,
            enricher: Enricher::new(networks),
            cast,
            first_day: first_day as i64,
        })
    }

    fn parts(&self) -> Vec<Part> {
        let Plan {
            events,
            days,
            segment_rows,
            ..
        } = self.plan;
        let (mut parts, mut first) = (Vec::new(), 0);
        for day in 0..days {
            let day_rows = events / days + u64::from(day < events % days);
            let (day_first, day_end) = (first, first + day_rows);
            while first < day_end {
                let rows = segment_rows.min(day_end - first);
                parts.push(Part {
                    day: self.first_day + (day * DAY_SECS) as i64,
                    day_first,
                    day_rows,
                    first,
                    rows,
                });
                first += rows;
            }
        }
        parts
    }

    fn blocks(&self, part: &Part) -> Result<Vec<Block>> {
        let end = part.first + part.rows;
        let firsts = (part.first..end).step_by(BLOCK_ROWS as usize);
        let firsts: Vec<u64> = firsts.collect();
        let blocks = firsts
            .into_par_iter()
            .map(|first| self.block(part, first, end.min(first + BLOCK_ROWS)));
        blocks.collect()
    }

    /// The block of the events from one number up to another.
    fn block(&self, part: &Part, first: u64, end: u64) -> Result<Block> {
        let second =
            |number: u64| part.day + ((number - part.day_first) * DAY_SECS / part.day_rows) as i64;
        let mut text = Vec::new();
        for number in first..end {
            let start = text.len();
            let line = self.line(number);
            self.pool.append(line, second(number), number, &mut text);
            if number == 0 {
                lines::rename(&mut text[start..], RARE);
            }
        }
        let (mut framer, mut chunks) = (Framer::new(CHUNK_BYTES), Vec::new());
        framer.push(&text, &mut chunks);
        framer.finish(&mut chunks);
        let [chunk] = <[Chunk; 1]>::try_from(chunks)
            .map_err(|chunks| anyhow!("{} chunks of a block", chunks.len()))?;
        let decoded = decode::decode(chunk, ColumnSet::all());
        let rows = decoded.batch.num_rows();
        ensure!(
            rows as u64 == end - first,
            "events of the bench were refused: {:?}",
            decoded.rejects.first()
        );
        let batch = self.enricher.enrich(&decoded.batch, ColumnSet::all());
        let admission = Admission {
            source: "push".to_owned(),
            arrival: (second(end - 1) + 1) * MICROS,
            fates: vec![Decision::Live(0); rows],
        };
        let block = Block::new(&batch, tail::encode(&batch)?.into(), admission);
        block.context("a block without rows")
    }

    /// The line that an event is made of. Actors have shares in proportion to 1 / (place + 1), nearly: the
    /// first a fifteenth of all, most a few events a day. Of an actor's lines all are as likely.
    fn line(&self, number: u64) -> usize {
        let dice = mix(number ^ 0x6172_6368_6976_6500);
        let share = (dice >> 11) as f64 / (1_u64 << 53) as f64;
        let place = (self.cast.len() as f64 + 1.0).powf(share) - 1.0;
        let own = &self.cast[(place as usize).min(self.cast.len() - 1)];
        own[(mix(dice) % own.len() as u64) as usize]
    }

    fn made(&self, segments: u64, folder: &Path, watch: Instant) -> Result<Made> {
        let actors = self.cast.len() as f64;
        // Where the share, 1 / (place + 1) / ln(actors + 1), is that of one among as many.
        let average = (actors / (actors + 1.0).ln() - 1.0).max(0.0) as usize;
        let id = |place: usize| String::from_utf8_lossy(self.pool.actor(self.cast[place][0]));
        Ok(Made {
            events: self.plan.events,
            days: self.plan.days,
            first_day: self.first_day,
            actors: self.cast.len(),
            segments,
            bytes: measure::folder_bytes(&folder.join("events"))?,
            seconds: watch.elapsed().as_secs_f64(),
            busy: id(0).into_owned(),
            average: id(average).into_owned(),
        })
    }
}
