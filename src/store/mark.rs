//! Marks: what people said of anomalies, and from when on it counts.

use rusqlite::{OptionalExtension, Transaction, params};
use serde::{Deserialize, Serialize};

use super::{Error, Reader, Store};

/// A mark with the anomaly that it is about: the body of a control record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The anomaly's id.
    pub anomaly: String,
    pub rule: String,
    /// As the anomaly's record has it.
    pub key: Option<String>,
    /// Of the anomaly's triggering event, in microseconds.
    pub order_time: i64,
    /// `benign` or `attack`.
    pub verdict: String,
    pub reason: String,
    pub made_by: String,
}

/// The kind of their control records.
const KIND: &str = "mark";

impl Store {
    /// Enters a mark of an anomaly; false if there is no anomaly of this id. It counts once a running
    /// service, or the next one, has given it a watermark.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn mark(
        &self,
        anomaly: &str,
        verdict: &str,
        reason: &str,
        by: &str,
        now: i64,
    ) -> Result<bool, Error> {
        self.transaction("enter a mark", |transaction| {
            let entered = transaction.execute(
                "INSERT INTO mark (anomaly, verdict, reason, made_at, made_by) \
                 SELECT id, ?2, ?3, ?4, ?5 FROM anomaly WHERE id = ?1",
                params![anomaly, verdict, reason, now, by],
            )?;
            Ok(entered > 0)
        })
    }

    /// Gives the marks that wait this watermark, and a control record each; gives them.
    ///
    /// # Errors
    /// When it cannot be written; then none of them counts.
    pub fn heed_marks(&self, watermark: i64) -> Result<Vec<Mark>, Error> {
        self.transaction("heed marks", |transaction| {
            let waiting = waiting(transaction)?;
            for (seq, mark) in &waiting {
                transaction.execute(
                    "UPDATE mark SET watermark = ? WHERE seq = ?",
                    [watermark, *seq],
                )?;
                // Texts and numbers.
                let body = serde_json::to_string(mark).unwrap_or_default();
                transaction.execute(
                    "INSERT INTO control (watermark, kind, body) VALUES (?, ?, ?)",
                    params![watermark, KIND, body],
                )?;
            }
            Ok(waiting.into_iter().map(|(_, mark)| mark).collect())
        })
    }
}

fn waiting(transaction: &Transaction<'_>) -> rusqlite::Result<Vec<(i64, Mark)>> {
    let mut query = transaction.prepare_cached(
        "SELECT seq, anomaly, rule, record, order_time, verdict, reason, made_by \
         FROM mark JOIN anomaly ON anomaly.id = mark.anomaly WHERE watermark IS NULL ORDER BY seq",
    )?;
    let rows = query.query_map([], |row| {
        let record: String = row.get(3)?;
        let record: serde_json::Value = serde_json::from_str(&record).unwrap_or_default();
        let mark = Mark {
            anomaly: row.get(1)?,
            rule: row.get(2)?,
            key: record["key"].as_str().map(str::to_owned),
            order_time: row.get(4)?,
            verdict: row.get(5)?,
            reason: row.get(6)?,
            made_by: row.get(7)?,
        };
        Ok((row.get(0)?, mark))
    })?;
    rows.collect()
}

impl Reader {
    /// The marks that count, each with its watermark, in the order in which they were heeded.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn marks(&self) -> Result<Vec<(i64, Mark)>, Error> {
        let records = self.control(KIND)?.into_iter();
        let read = records.filter_map(|(watermark, body)| {
            let mark = serde_json::from_str(&body).ok()?;
            Some((watermark, mark))
        });
        Ok(read.collect())
    }

    /// Whether marks wait for a watermark.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn has_waiting_marks(&self) -> Result<bool, Error> {
        self.read("look for marks", |connection| {
            let query = "SELECT 1 FROM mark WHERE watermark IS NULL LIMIT 1";
            let found: Option<i64> = connection
                .query_row(query, [], |row| row.get(0))
                .optional()?;
            Ok(found.is_some())
        })
    }
}
