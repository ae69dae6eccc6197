//! Dead letters: what a sink refused for good, until somebody sends it again or drops it.

use rusqlite::{params, params_from_iter};

use super::{Error, Reader, Store};

/// Something that a sink refused for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    pub seq: i64,
    pub sink: String,
    /// The anomaly's id; `None` for a raw event.
    pub anomaly: Option<String>,
    /// The event's line; `None` for an anomaly.
    pub event: Option<String>,
    pub reason: String,
    /// By the clock, in microseconds.
    pub refused_at: i64,
}

/// Which dead letters: those of a sink, or of all; with these numbers, or all.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    pub sink: Option<String>,
    pub numbers: Vec<i64>,
}

impl Choice {
    /// A condition in SQL, with its values.
    fn condition(&self) -> (String, Vec<rusqlite::types::Value>) {
        let mut values: Vec<rusqlite::types::Value> = Vec::new();
        let mut condition = "TRUE".to_owned();
        if let Some(sink) = &self.sink {
            condition.push_str(" AND sink = ?");
            values.push(sink.clone().into());
        }
        if !self.numbers.is_empty() {
            let marks = vec!["?"; self.numbers.len()].join(", ");
            condition.push_str(&format!(" AND seq IN ({marks})"));
            values.extend(self.numbers.iter().map(|number| (*number).into()));
        }
        (condition, values)
    }
}

impl Reader {
    /// The dead letters, the oldest first.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn dead_letters(&self, choice: &Choice) -> Result<Vec<DeadLetter>, Error> {
        let (condition, values) = choice.condition();
        self.read("read the dead letters", |connection| {
            let mut query = connection.prepare(&format!(
                "SELECT seq, sink, anomaly, event, reason, refused_at FROM dead_letter \
                 WHERE {condition} ORDER BY seq"
            ))?;
            let rows = query.query_map(params_from_iter(values), |row| {
                Ok(DeadLetter {
                    seq: row.get(0)?,
                    sink: row.get(1)?,
                    anomaly: row.get(2)?,
                    event: row.get(3)?,
                    reason: row.get(4)?,
                    refused_at: row.get(5)?,
                })
            })?;
            rows.collect()
        })
    }

    /// How many dead letters each sink has.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn dead(&self) -> Result<Vec<(String, u64)>, Error> {
        self.read("count the dead letters", |connection| {
            let mut query = connection
                .prepare_cached("SELECT sink, count(*) FROM dead_letter GROUP BY sink")?;
            let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect()
        })
    }
}

impl Store {
    /// Puts anomalies among the dead letters back into the outbox; gives how many. Raw events stay: a sink
    /// that wants them again asks the archive.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn resend(&self, choice: &Choice) -> Result<usize, Error> {
        let (condition, values) = choice.condition();
        let condition = format!("{condition} AND anomaly IS NOT NULL");
        self.transaction("send dead letters again", |transaction| {
            transaction.execute(
                &format!(
                    "INSERT INTO outbox (sink, anomaly) SELECT sink, anomaly FROM dead_letter \
                     WHERE {condition} ORDER BY seq"
                ),
                params_from_iter(&values),
            )?;
            let delete = format!("DELETE FROM dead_letter WHERE {condition}");
            transaction.execute(&delete, params_from_iter(&values))
        })
    }

    /// Drops dead letters; gives how many.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn drop_dead(&self, choice: &Choice) -> Result<usize, Error> {
        let (condition, values) = choice.condition();
        self.transaction("drop dead letters", |transaction| {
            let delete = format!("DELETE FROM dead_letter WHERE {condition}");
            transaction.execute(&delete, params_from_iter(values))
        })
    }
}

/// Raw events beyond so many make room, the oldest first.
const MOST_EVENTS: i64 = 100_000;

/// Enters something that was refused.
pub(super) fn enter(
    transaction: &rusqlite::Transaction<'_>,
    sink: &str,
    content: (Option<&str>, Option<&str>),
    reason: &str,
    now: i64,
) -> rusqlite::Result<()> {
    let (anomaly, event) = content;
    let mut insert = transaction.prepare_cached(
        "INSERT INTO dead_letter (sink, anomaly, event, reason, refused_at) VALUES (?, ?, ?, ?, ?)",
    )?;
    insert.execute(params![sink, anomaly, event, reason, now])?;
    // Raw events are in the archive, too.
    transaction.execute(
        "DELETE FROM dead_letter WHERE event IS NOT NULL AND seq <= (SELECT max(seq) - ? FROM dead_letter)",
        [MOST_EVENTS],
    )?;
    Ok(())
}
