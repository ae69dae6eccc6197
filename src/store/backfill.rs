//! Back-fills: spans of the past that somebody asked for, and how far each has come.

use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::{Error, Reader, Store};

/// A span that somebody asked for. Its times are Unix seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backfill {
    pub id: i64,
    pub source: String,
    /// Both are within.
    pub first: i64,
    pub last: i64,
    /// All before this second is in.
    pub reached: i64,
    /// Events that were new.
    pub events: u64,
    pub is_over: bool,
}

/// How far a back-fill has come: all before this second is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reached {
    pub id: i64,
    pub second: i64,
    /// Events that were new since it was told last.
    pub events: u64,
}

const COLUMNS: &str = "id, source, first, last, reached, events, ended_at IS NOT NULL";

impl Store {
    /// Asks for a span; gives its number. The service carries it out.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn ask_for(
        &self,
        source: &str,
        span: (i64, i64),
        by: &str,
        now: i64,
    ) -> Result<i64, Error> {
        self.transaction("ask for a back-fill", |transaction| {
            transaction.execute(
                "INSERT INTO backfill (source, first, last, reached, made_at, made_by) \
                 VALUES (?1, ?2, ?3, ?2, ?4, ?5)",
                params![source, span.0, span.1, now, by],
            )?;
            Ok(transaction.last_insert_rowid())
        })
    }

    /// Ends a back-fill that is not wanted any more; what came of it stays. False if it was over.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn end_backfill(&self, id: i64, now: i64) -> Result<bool, Error> {
        self.transaction("end a back-fill", |transaction| {
            let end = "UPDATE backfill SET ended_at = ? WHERE id = ? AND ended_at IS NULL";
            Ok(transaction.execute(end, [now, id])? > 0)
        })
    }
}

impl Reader {
    /// The back-fill of this number.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn backfill(&self, id: i64) -> Result<Option<Backfill>, Error> {
        self.read("read a back-fill", |connection| {
            let query = format!("SELECT {COLUMNS} FROM backfill WHERE id = ?");
            connection.query_row(&query, [id], read).optional()
        })
    }

    /// The oldest back-fill of a source that is not over.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn next_backfill(&self, source: &str) -> Result<Option<Backfill>, Error> {
        self.read("look for a back-fill", |connection| {
            let query = format!(
                "SELECT {COLUMNS} FROM backfill WHERE source = ? AND ended_at IS NULL ORDER BY id LIMIT 1"
            );
            let mut query = connection.prepare_cached(&query)?;
            query.query_row([source], read).optional()
        })
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Backfill> {
    Ok(Backfill {
        id: row.get(0)?,
        source: row.get(1)?,
        first: row.get(2)?,
        last: row.get(3)?,
        reached: row.get(4)?,
        events: row.get(5)?,
        is_over: row.get(6)?,
    })
}

/// Notes how far a back-fill has come; it ends when all of it is in.
pub(super) fn reach(
    transaction: &Transaction<'_>,
    reached: Reached,
    now: i64,
) -> rusqlite::Result<()> {
    let Reached { id, second, events } = reached;
    transaction.execute(
        "UPDATE backfill SET reached = max(reached, ?2), events = events + ?3, \
         ended_at = CASE WHEN ?2 > last THEN coalesce(ended_at, ?4) ELSE ended_at END WHERE id = ?1",
        params![id, second, events, now],
    )?;
    Ok(())
}
