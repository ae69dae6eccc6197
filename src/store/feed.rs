//! Feeds: the log's events once more, for sinks that want them raw, until each of these has them.

use rusqlite::{OptionalExtension, params};

use super::{Error, Reader, Store, dead_letter};

/// A block of the log that a sink has not taken yet, or not all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedBlock {
    pub seq: i64,
    /// As in the tail.
    pub events: Vec<u8>,
    pub admission: Vec<u8>,
    /// So many of its rows the sink has.
    pub taken: usize,
}

impl Reader {
    /// The oldest block that a sink has not taken whole.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn feed(&self, sink: &str) -> Result<Option<FeedBlock>, Error> {
        self.read("read a feed", |connection| {
            let mut query = connection.prepare_cached(
                "SELECT seq, events, admission, feed_sink.rows FROM feed_sink \
                 JOIN feed ON seq > taken WHERE sink = ? ORDER BY seq LIMIT 1",
            )?;
            let block = query.query_row([sink], |row| {
                Ok(FeedBlock {
                    seq: row.get(0)?,
                    events: row.get(1)?,
                    admission: row.get(2)?,
                    taken: row.get(3)?,
                })
            });
            block.optional()
        })
    }

    /// How many events wait for a sink of raw events.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn feed_waiting(&self, sink: &str) -> Result<u64, Error> {
        self.read("count a feed", |connection| {
            let mut query = connection.prepare_cached(
                "SELECT coalesce(sum(feed.rows), 0) - min(feed_sink.rows) FROM feed_sink \
                 JOIN feed ON seq > taken WHERE sink = ?",
            )?;
            let rows: Option<i64> = query.query_row([sink], |row| row.get(0))?;
            Ok(rows.map_or(0, |rows| rows.max(0).unsigned_abs()))
        })
    }
}

impl Store {
    /// Feeds these sinks, and no others: one that is new gets what comes from now on. Gives those that are
    /// not fed any more.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set_feeds(&self, sinks: &[String]) -> Result<Vec<String>, Error> {
        self.transaction("set feeds", |transaction| {
            let known: Vec<String> = {
                let mut query = transaction.prepare("SELECT sink FROM feed_sink")?;
                let rows = query.query_map([], |row| row.get(0))?;
                rows.collect::<Result<_, _>>()?
            };
            let gone: Vec<String> = known
                .into_iter()
                .filter(|sink| !sinks.contains(sink))
                .collect();
            for sink in &gone {
                transaction.execute("DELETE FROM feed_sink WHERE sink = ?", [sink])?;
            }
            for sink in sinks {
                transaction.execute(
                    "INSERT OR IGNORE INTO feed_sink (sink, taken, rows) SELECT ?, \
                     coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'feed'), 0), 0",
                    [sink],
                )?;
            }
            forget(transaction)?;
            Ok(gone)
        })
    }

    /// Drops the oldest blocks of all feeds, so that at most so many rows wait; gives how many were dropped.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn trim_feeds(&self, most: u64) -> Result<u64, Error> {
        self.transaction("trim feeds", |transaction| {
            let mut left: i64 =
                transaction.query_row("SELECT coalesce(sum(rows), 0) FROM feed", [], |row| {
                    row.get(0)
                })?;
            let mut dropped = 0;
            while left > most.cast_signed() {
                let (seq, rows): (i64, i64) = transaction.query_row(
                    "SELECT seq, rows FROM feed ORDER BY seq LIMIT 1",
                    [],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )?;
                transaction.execute("DELETE FROM feed WHERE seq = ?", [seq])?;
                transaction.execute(
                    "UPDATE feed_sink SET taken = ?1, rows = 0 WHERE taken < ?1",
                    [seq],
                )?;
                left -= rows;
                dropped += rows.unsigned_abs();
            }
            Ok(dropped)
        })
    }

    /// A sink has so many rows of this block, or with `None` all of it, but for those that it refused: a
    /// line with each reason.
    ///
    /// # Errors
    /// When it cannot be written; they are then sent once more.
    pub fn settle_feed(
        &self,
        sink: &str,
        seq: i64,
        taken: Option<usize>,
        refused: &[(String, String)],
        now: i64,
    ) -> Result<(), Error> {
        self.transaction("go on with a feed", |transaction| {
            for (event, reason) in refused {
                dead_letter::enter(transaction, sink, (None, Some(event)), reason, now)?;
            }
            match taken {
                Some(rows) => transaction.execute(
                    "UPDATE feed_sink SET rows = ? WHERE sink = ?",
                    params![rows as i64, sink],
                )?,
                None => transaction.execute(
                    "UPDATE feed_sink SET taken = ?, rows = 0 WHERE sink = ?",
                    params![seq, sink],
                )?,
            };
            forget(transaction)
        })
    }
}

/// Deletes the blocks that every sink has.
fn forget(transaction: &rusqlite::Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute(
        "DELETE FROM feed WHERE seq <= coalesce((SELECT min(taken) FROM feed_sink), \
         (SELECT max(seq) FROM feed))",
        [],
    )?;
    Ok(())
}

/// Enters a block, if anybody wants it; its rows are those of the log.
pub(super) fn enter(
    transaction: &rusqlite::Transaction<'_>,
    rows: usize,
    events: &[u8],
    admission: &[u8],
) -> rusqlite::Result<()> {
    let mut insert = transaction.prepare_cached(
        "INSERT INTO feed (rows, events, admission) SELECT ?, ?, ? \
         WHERE EXISTS (SELECT 1 FROM feed_sink)",
    )?;
    insert.execute(params![rows as i64, events, admission])?;
    Ok(())
}
