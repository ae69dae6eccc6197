//! The outbox: what is to be told, and to whom.

use rusqlite::params;

use super::{Error, Reader, Store};

/// An anomaly that a sink has not confirmed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub seq: i64,
    /// The anomaly's record as JSON.
    pub record: String,
    /// By the clock, in microseconds.
    pub found_at: i64,
}

impl Reader {
    /// The oldest entries of a sink, in their order.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn outbox(&self, sink: &str, most: usize) -> Result<Vec<Entry>, Error> {
        self.read("read the outbox", |connection| {
            let mut query = connection.prepare_cached(
                "SELECT seq, record, found_at FROM outbox JOIN anomaly ON anomaly.id = anomaly \
                 WHERE sink = ? ORDER BY seq LIMIT ?",
            )?;
            let rows = query.query_map(params![sink, most as i64], |row| {
                Ok(Entry {
                    seq: row.get(0)?,
                    record: row.get(1)?,
                    found_at: row.get(2)?,
                })
            })?;
            rows.collect()
        })
    }

    /// How many entries each sink has.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn waiting(&self) -> Result<Vec<(String, u64)>, Error> {
        self.read("count the outbox", |connection| {
            let mut query =
                connection.prepare_cached("SELECT sink, count(*) FROM outbox GROUP BY sink")?;
            let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect()
        })
    }
}

impl Store {
    /// Takes entries out that their sink has: all of it up to this one.
    ///
    /// # Errors
    /// When it cannot be written; they are then told once more.
    pub fn delivered(&self, sink: &str, last: i64) -> Result<(), Error> {
        self.transaction("empty the outbox", |transaction| {
            let delete = "DELETE FROM outbox WHERE sink = ? AND seq <= ?";
            transaction.execute(delete, params![sink, last])?;
            Ok(())
        })
    }
}
