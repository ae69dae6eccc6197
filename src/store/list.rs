//! How Slack's lists changed, and from when on it counts.

use std::collections::BTreeSet;

use rusqlite::types::Type;
use rusqlite::{OptionalExtension, Row, Transaction, params};
use serde::{Deserialize, Serialize};

use super::{Error, Reader, Store};

/// A change of a list: the body of a control record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListChange {
    /// The list's name.
    pub list: String,
    pub added: BTreeSet<String>,
    pub removed: BTreeSet<String>,
}

/// The kind of their control records.
const KIND: &str = "list";

impl Store {
    /// Enters which values came into a list and which left it since the change before; `now` is the clock,
    /// in microseconds. The first change of a list makes it known, even if nobody is in it. A change counts
    /// once a running service, or the next one, has given it a watermark.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn enter_list_change(
        &self,
        list: &str,
        added: &BTreeSet<String>,
        removed: &BTreeSet<String>,
        now: i64,
    ) -> Result<(), Error> {
        self.transaction("enter a change of a list", |transaction| {
            transaction.execute(
                "INSERT INTO list_change (list, added, removed, made_at) VALUES (?, ?, ?, ?)",
                params![list, written(added), written(removed), now],
            )?;
            Ok(())
        })
    }

    /// Gives the changes that wait this watermark, in microseconds, and a control record each; gives them in
    /// the order in which they were entered.
    ///
    /// # Errors
    /// When it cannot be written; then none of them counts.
    pub fn heed_lists(&self, watermark: i64) -> Result<Vec<ListChange>, Error> {
        self.transaction("heed changes of lists", |transaction| {
            let waiting = waiting(transaction)?;
            for (seq, change) in &waiting {
                transaction.execute(
                    "UPDATE list_change SET watermark = ? WHERE seq = ?",
                    [watermark, *seq],
                )?;
                // Texts alone.
                let body = serde_json::to_string(change).unwrap_or_default();
                transaction.execute(
                    "INSERT INTO control (watermark, kind, body) VALUES (?, ?, ?)",
                    params![watermark, KIND, body],
                )?;
            }
            Ok(waiting.into_iter().map(|(_, change)| change).collect())
        })
    }
}

fn waiting(transaction: &Transaction<'_>) -> rusqlite::Result<Vec<(i64, ListChange)>> {
    let mut query = transaction.prepare_cached(
        "SELECT seq, list, added, removed FROM list_change WHERE watermark IS NULL ORDER BY seq",
    )?;
    let rows = query.query_map([], |row| {
        let change = ListChange {
            list: row.get(1)?,
            added: values(row, 2)?,
            removed: values(row, 3)?,
        };
        Ok((row.get(0)?, change))
    })?;
    rows.collect()
}

/// Values as a JSON array.
fn written(values: &BTreeSet<String>) -> String {
    // Texts alone.
    serde_json::to_string(values).unwrap_or_default()
}

/// The values in a column that holds a JSON array.
fn values(row: &Row<'_>, column: usize) -> rusqlite::Result<BTreeSet<String>> {
    let text: String = row.get(column)?;
    let values = serde_json::from_str(&text);
    values.map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
    })
}

impl Reader {
    /// The changes that count, each with its watermark in microseconds, in the order in which they were
    /// heeded.
    ///
    /// # Errors
    /// [`Error::Damaged`] if one of them makes no sense: without it nobody knows who is in the list. When the
    /// state cannot be read.
    pub fn list_changes(&self) -> Result<Vec<(i64, ListChange)>, Error> {
        let records = self.control(KIND)?.into_iter();
        let changes = records.map(|(watermark, body)| {
            let change = serde_json::from_str(&body).map_err(|error| Error::Damaged {
                what: "the record of a list's change in state.db".to_owned(),
                reason: error.to_string(),
            })?;
            Ok((watermark, change))
        });
        changes.collect()
    }

    /// The names of the lists that ever changed.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn list_names(&self) -> Result<Vec<String>, Error> {
        self.read("read the names of lists", |connection| {
            let mut query = connection.prepare_cached("SELECT DISTINCT list FROM list_change")?;
            let rows = query.query_map([], |row| row.get(0))?;
            rows.collect()
        })
    }

    /// Whether changes wait for a watermark.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn has_waiting_lists(&self) -> Result<bool, Error> {
        self.read("look for changes of lists", |connection| {
            let query = "SELECT 1 FROM list_change WHERE watermark IS NULL LIMIT 1";
            let found: Option<i64> = connection
                .query_row(query, [], |row| row.get(0))
                .optional()?;
            Ok(found.is_some())
        })
    }

    /// The members of a list by all changes that were entered, those that wait among them; `None` if there is
    /// none. What Slack says next is compared with them.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn members(&self, list: &str) -> Result<Option<BTreeSet<String>>, Error> {
        self.read("read the members of a list", |connection| {
            let mut query = connection.prepare_cached(
                "SELECT added, removed FROM list_change WHERE list = ? ORDER BY seq",
            )?;
            let mut rows = query.query([list])?;
            let mut members: Option<BTreeSet<String>> = None;
            while let Some(row) = rows.next()? {
                let members = members.get_or_insert_default();
                for value in values(row, 1)? {
                    members.remove(&value);
                }
                members.append(&mut values(row, 0)?);
            }
            Ok(members)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Control;

    const OWNERS: &str = "slack_owners";

    fn set(values: &[&str]) -> BTreeSet<String> {
        values.iter().map(|value| (*value).to_owned()).collect()
    }

    fn change(list: &str, added: &[&str], removed: &[&str]) -> ListChange {
        ListChange {
            list: list.to_owned(),
            added: set(added),
            removed: set(removed),
        }
    }

    fn enter(store: &Store, change: &ListChange) {
        let entered = store.enter_list_change(&change.list, &change.added, &change.removed, 7);
        entered.expect("a change is entered");
    }

    #[test]
    fn a_change_counts_once_it_has_a_watermark() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("a store");
        let reader = Reader::open(folder.path()).expect("a reader");
        let first = change(OWNERS, &["U1", "U2"], &[]);
        let second = change(OWNERS, &["U\"3"], &["U1"]);
        assert!(!reader.has_waiting_lists().expect("an answer"));
        enter(&store, &first);
        assert!(reader.has_waiting_lists().expect("an answer"));
        assert_eq!(reader.list_changes().expect("changes"), []);
        assert_eq!(
            store.heed_lists(100).expect("changes"),
            std::slice::from_ref(&first),
            "those that wait"
        );
        enter(&store, &second);
        assert_eq!(
            reader.list_changes().expect("changes"),
            [(100, first.clone())]
        );
        assert_eq!(
            store.heed_lists(200).expect("changes"),
            std::slice::from_ref(&second)
        );
        assert_eq!(store.heed_lists(300).expect("changes"), []);
        assert!(!reader.has_waiting_lists().expect("an answer"));
        assert_eq!(
            reader.list_changes().expect("changes"),
            [(100, first), (200, second)]
        );
    }

    #[test]
    fn members_are_those_of_all_changes_that_were_entered() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("a store");
        let reader = Reader::open(folder.path()).expect("a reader");
        let members = |list| reader.members(list).expect("an answer");
        assert_eq!(members(OWNERS), None);
        enter(&store, &change("slack_bots", &["B1"], &[]));
        assert_eq!(members(OWNERS), None);
        enter(&store, &change(OWNERS, &[], &[]));
        assert_eq!(members(OWNERS), Some(set(&[])));
        enter(&store, &change(OWNERS, &["U1", "U2"], &[]));
        store.heed_lists(100).expect("changes");
        enter(&store, &change(OWNERS, &["U3"], &["U1"]));
        assert_eq!(members(OWNERS), Some(set(&["U2", "U3"])));
    }

    #[test]
    fn a_damaged_record_is_not_passed_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("a store");
        let reader = Reader::open(folder.path()).expect("a reader");
        let record = Control {
            watermark: 5,
            kind: KIND,
            body: r#"{"list": "slack_owners"}"#.to_owned(),
        };
        store.record(record).expect("a record");
        let error = reader.list_changes().expect_err("it cannot be read");
        assert!(error.to_string().contains("is damaged"), "{error}");
    }
}
