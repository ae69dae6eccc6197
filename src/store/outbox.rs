//! The outbox: what is to be told, and to whom.

use rusqlite::params;

use super::{Error, Reader, Store, dead_letter};

/// An anomaly that a sink has not confirmed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub seq: i64,
    /// The anomaly's id.
    pub anomaly: String,
    /// Its record as JSON.
    pub record: String,
    /// By the clock, in microseconds.
    pub found_at: i64,
}

/// Something that a sink refused for good: by its position among what it was given, and why.
pub type Refusal = (usize, String);

impl Reader {
    /// The oldest entries of a sink, in their order.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn outbox(&self, sink: &str, most: usize) -> Result<Vec<Entry>, Error> {
        self.read("read the outbox", |connection| {
            let mut query = connection.prepare_cached(
                "SELECT seq, anomaly, record, found_at FROM outbox JOIN anomaly ON anomaly.id = anomaly \
                 WHERE sink = ? ORDER BY seq LIMIT ?",
            )?;
            let rows = query.query_map(params![sink, most as i64], |row| {
                Ok(Entry {
                    seq: row.get(0)?,
                    anomaly: row.get(1)?,
                    record: row.get(2)?,
                    found_at: row.get(3)?,
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
    /// Takes these entries out, which are the oldest of a sink: it has them, but for those that it refused.
    ///
    /// # Errors
    /// When it cannot be written; they are then told once more.
    pub fn settle(
        &self,
        sink: &str,
        entries: &[Entry],
        refused: &[Refusal],
        now: i64,
    ) -> Result<(), Error> {
        let Some(last) = entries.last() else {
            return Ok(());
        };
        self.transaction("empty the outbox", |transaction| {
            for (at, reason) in refused {
                let anomaly = entries.get(*at).map(|entry| entry.anomaly.as_str());
                dead_letter::enter(transaction, sink, (anomaly, None), reason, now)?;
            }
            let delete = "DELETE FROM outbox WHERE sink = ? AND seq <= ?";
            transaction.execute(delete, params![sink, last.seq])?;
            Ok(())
        })
    }
}
