//! The transactions that write the log: admit, advance and seal.

use rusqlite::{Transaction, params};

use super::segment::Segment;
use super::tail::{Block, encode_admission};
use super::{Error, Reached, Store, backfill, feed};
use crate::admit::watermark::Progress;

/// What comes in together; all of it is in the log after the commit, or nothing.
#[derive(Debug, Default)]
pub struct Admit<'a> {
    pub blocks: &'a [&'a Block],
    pub refused: &'a [&'a Refused],
    /// The sources that it came from.
    pub sources: &'a [(String, Progress)],
    /// The watermark at which it was admitted, if there was one; microseconds.
    pub watermark: Option<i64>,
    pub control: &'a [Control],
    /// How far back-fills have come with it, and the clock in microseconds.
    pub backfills: &'a [Reached],
    pub now: i64,
}

/// Something that came and is no event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub source: String,
    /// By the clock, in microseconds.
    pub arrived: i64,
    /// `malformed` or `future`.
    pub kind: &'static str,
    /// The reject as JSON.
    pub body: String,
}

/// A record of the log that is no event, and from which watermark on it counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    pub watermark: i64,
    pub kind: &'static str,
    /// JSON.
    pub body: String,
}

/// What a step of the watermark caused.
#[derive(Debug)]
pub struct Advance<'a> {
    /// All rows before it are judged; microseconds.
    pub watermark: i64,
    pub found: &'a [Found],
    pub control: &'a [Control],
    /// Who hears of anomalies.
    pub sinks: &'a [String],
    /// The clock, in microseconds.
    pub now: i64,
}

/// An anomaly, or a match that an exception bars.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub id: String,
    pub rule: String,
    pub level: &'static str,
    /// Of the triggering event, in microseconds.
    pub order_time: i64,
    pub event_time: i64,
    pub event_id: String,
    pub exception: Option<String>,
    pub shadow: bool,
    /// The record as JSON.
    pub record: String,
}

impl Found {
    /// Whether anybody is told.
    pub fn is_told(&self) -> bool {
        self.exception.is_none() && !self.shadow
    }
}

/// Rejects beyond so many make room, the oldest first.
const MOST_REFUSED: i64 = 100_000;

/// How long steps of the watermark are kept one by one, in microseconds; what they decided stands in
/// the events.
const STEPS_KEPT: i64 = 24 * 3600 * 1_000_000;

impl Store {
    /// Writes what came in; gives the numbers of the blocks.
    ///
    /// # Errors
    /// When it cannot be written; then nothing was.
    pub fn admit(&self, admit: &Admit<'_>) -> Result<Vec<i64>, Error> {
        let admissions = admit.blocks.iter().map(|b| encode_admission(&b.admission));
        let admissions = admissions.collect::<Result<Vec<_>, _>>();
        let admissions = admissions.map_err(|error| Error::Query(error.to_string()))?;
        self.transaction("admit events", |transaction| {
            if let Some(watermark) = admit.watermark {
                step(transaction, watermark)?;
            }
            let mut insert = transaction.prepare_cached(
                "INSERT INTO tail (rows, first_order, last_order, first_event, last_event, events, \
                 admission) VALUES (?, ?, ?, ?, ?, ?, ?)",
            )?;
            let mut numbers = Vec::with_capacity(admit.blocks.len());
            for (block, admission) in admit.blocks.iter().zip(&admissions) {
                insert.execute(params![
                    block.rows as i64,
                    block.order.0,
                    block.order.1,
                    block.event.0,
                    block.event.1,
                    block.events.as_slice(),
                    admission,
                ])?;
                numbers.push(transaction.last_insert_rowid());
                feed::enter(transaction, block.rows, &block.events, admission)?;
            }
            for refused in admit.refused {
                let mut insert = transaction.prepare_cached(
                    "INSERT INTO reject (source, arrived, kind, body) VALUES (?, ?, ?, ?)",
                )?;
                let Refused {
                    source,
                    arrived,
                    kind,
                    body,
                } = refused;
                insert.execute(params![source, arrived, kind, body])?;
            }
            if !admit.refused.is_empty() {
                transaction.execute(
                    "DELETE FROM reject WHERE seq <= (SELECT max(seq) - ? FROM reject)",
                    [MOST_REFUSED],
                )?;
            }
            for (name, progress) in admit.sources {
                let mut insert = transaction.prepare_cached(
                    "INSERT OR REPLACE INTO source (name, newest, age, claim) VALUES (?, ?, ?, ?)",
                )?;
                insert.execute(params![name, progress.newest, progress.age, progress.claim])?;
            }
            for reached in admit.backfills {
                backfill::reach(transaction, *reached, admit.now)?;
            }
            enter(transaction, admit.control)?;
            Ok(numbers)
        })
    }

    /// Writes what a step of the watermark caused; gives the positions in `found` of what is new.
    ///
    /// # Errors
    /// When it cannot be written; then nothing was.
    pub fn advance(&self, advance: &Advance<'_>) -> Result<Vec<usize>, Error> {
        self.transaction("write what was found", |transaction| {
            step(transaction, advance.watermark)?;
            set_meta(transaction, EVALUATED, advance.watermark)?;
            enter(transaction, advance.control)?;
            let mut new = Vec::new();
            for (at, found) in advance.found.iter().enumerate() {
                let mut insert = transaction.prepare_cached(
                    "INSERT OR IGNORE INTO anomaly (id, rule, level, order_time, event_time, \
                     event_id, exception, shadow, record, found_at) \
                     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                )?;
                let inserted = insert.execute(params![
                    found.id,
                    found.rule,
                    found.level,
                    found.order_time,
                    found.event_time,
                    found.event_id,
                    found.exception,
                    found.shadow,
                    found.record,
                    advance.now,
                ])?;
                if inserted == 0 {
                    continue;
                }
                new.push(at);
                for sink in advance.sinks.iter().filter(|_| found.is_told()) {
                    let mut insert = transaction
                        .prepare_cached("INSERT INTO outbox (sink, anomaly) VALUES (?, ?)")?;
                    insert.execute(params![sink, found.id])?;
                }
            }
            Ok(new)
        })
    }

    /// Enters segments into the manifest, in place of the blocks up to `last`.
    ///
    /// # Errors
    /// When it cannot be written; then nothing was.
    pub(super) fn enter(&self, segments: &[Segment], last: i64) -> Result<(), Error> {
        self.transaction("seal the tail", |transaction| {
            let mut insert = transaction.prepare_cached(
                "INSERT INTO segment (path, rows, bytes, first_order, last_order, first_event, \
                 last_event) VALUES (?, ?, ?, ?, ?, ?, ?)",
            )?;
            for segment in segments {
                insert.execute(params![
                    segment.path,
                    segment.rows as i64,
                    segment.bytes as i64,
                    segment.order.0,
                    segment.order.1,
                    segment.event.0,
                    segment.event.1,
                ])?;
            }
            transaction.execute("DELETE FROM tail WHERE seq <= ?", [last])?;
            transaction.execute(
                "DELETE FROM control WHERE kind = 'watermark' AND watermark < \
                 (SELECT max(watermark) - ? FROM control WHERE kind = 'watermark')",
                [STEPS_KEPT],
            )?;
            Ok(())
        })
    }

    /// Gives the next block a number beyond this one.
    pub(super) fn number_blocks_from(&self, highest: i64) -> Result<(), Error> {
        self.transaction("number blocks", |transaction| {
            let raise = "UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = 'tail'";
            transaction.execute(raise, [highest])?;
            Ok(())
        })
    }

    /// Tries whether anything can be written.
    ///
    /// # Errors
    /// When it cannot.
    pub fn probe(&self, now: i64) -> Result<(), Error> {
        self.transaction("write at all", |transaction| {
            set_meta(transaction, "probed", now)
        })
    }

    /// Writes a control record by itself.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn record(&self, control: Control) -> Result<(), Error> {
        self.admit(&Admit {
            control: &[control],
            ..Admit::default()
        })?;
        Ok(())
    }
}

/// Under which all rows before it are judged.
pub(super) const EVALUATED: &str = "evaluated";

fn set_meta(transaction: &Transaction<'_>, name: &str, value: i64) -> rusqlite::Result<()> {
    let mut set =
        transaction.prepare_cached("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)")?;
    set.execute(params![name, value])?;
    Ok(())
}

fn enter(transaction: &Transaction<'_>, controls: &[Control]) -> rusqlite::Result<()> {
    for control in controls {
        let mut insert = transaction
            .prepare_cached("INSERT INTO control (watermark, kind, body) VALUES (?, ?, ?)")?;
        insert.execute(params![control.watermark, control.kind, control.body])?;
    }
    Ok(())
}

/// A step of the watermark is written with what first depends on it.
fn step(transaction: &Transaction<'_>, watermark: i64) -> rusqlite::Result<()> {
    let mut insert = transaction.prepare_cached(
        "INSERT OR IGNORE INTO control (watermark, kind, body) VALUES (?, 'watermark', '')",
    )?;
    insert.execute([watermark])?;
    Ok(())
}
