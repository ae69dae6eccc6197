//! The rules over a log that is kept: events as they were admitted, in the order that was decided then.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::{filter_record_batch, not};
use serde::{Deserialize, Serialize};

use super::record::Past;
use super::{Error, Job, Outcome, collect, defect};
use crate::event::order::Collector;
use crate::event::schema::{Column, ColumnSet};
use crate::list::dynamic::Change;
use crate::list::{Lists, mark};
use crate::rule::Rule;
use crate::store::read::Span;
use crate::store::{ListChange, Mark, Reader};

/// Runs the rules over all that a store holds and gives the anomalies of what the service has judged:
/// those that it gave itself, if the rules are the same. With `late` also rows that came too late to be
/// judged live.
///
/// # Errors
/// When the store cannot be read, the temporary folder fails or a rule cannot run.
pub fn detect_kept(reader: &Arc<Reader>, job: &Job<'_>, late: bool) -> Result<Outcome, Error> {
    let mut columns = job.columns();
    columns.insert(Column::Late);
    // What counts before it is recorded by then, even if the service goes on.
    let end = reader.evaluated()?.unwrap_or(i64::MIN);
    heed_all(reader, &job.lists)?;
    let view = reader.view(Span::All)?;
    let mut collector = Collector::new(columns, job.resources.memory_bytes);
    let mut outcome = Outcome::default();
    for piece in view.pieces() {
        for batch in view.load(piece, columns)? {
            let batch = if late { batch } else { in_time(batch)? };
            outcome.events += batch.num_rows() as u64;
            collector.push(batch).map_err(Error::Spill)?;
        }
    }
    let log = collector.finish().map_err(Error::Spill)?;
    let log = Arc::new(log.ending_at(end));
    outcome.is_on_disk = log.is_on_disk();
    let past: Arc<dyn Past> = Arc::new(Kept(Arc::clone(reader)));
    collect::judge(&log, job, Some(&past), &mut outcome)?;
    Ok(outcome)
}

/// Tells the rules of all marks and all changes of Slack's lists that count.
pub(super) fn heed_all(reader: &Reader, lists: &Lists) -> Result<(), Error> {
    for (watermark, mark) in reader.marks()? {
        heed(lists, watermark, &mark);
    }
    for (watermark, change) in reader.list_changes()? {
        heed_change(lists, watermark, change);
    }
    Ok(())
}

/// Tells the rules how one of Slack's lists changed.
pub(super) fn heed_change(lists: &Lists, watermark: i64, change: ListChange) {
    let ListChange {
        list,
        added,
        removed,
    } = change;
    let change = Change { added, removed };
    lists.dynamic().apply(&list, &change, watermark);
}

/// Tells the rules of a mark.
pub(super) fn heed(lists: &Lists, watermark: i64, mark: &Mark) {
    // A verdict of a newer version says nothing here, and a match without a key has nothing to learn.
    let (Ok(verdict), Some(key)) = (mark.verdict.parse(), &mark.key) else {
        return;
    };
    let (about, from) = (mark.order_time, watermark);
    lists.marks().add(
        &mark.rule,
        key,
        mark::Mark {
            verdict,
            about,
            from,
        },
    );
}

/// The store as the past of the rules.
pub(super) struct Kept(pub Arc<Reader>);

impl Past for Kept {
    fn find(&self, events: &[(i64, &str)]) -> Result<Vec<RecordBatch>, Error> {
        Ok(self.0.find(events, ColumnSet::all())?)
    }
}

/// The rows that are judged live.
pub(super) fn in_time(batch: RecordBatch) -> Result<RecordBatch, Error> {
    let late = batch[Column::Late.name()].as_boolean();
    if late.true_count() == 0 {
        return Ok(batch);
    }
    let rows = not(late).and_then(|in_time| filter_record_batch(&batch, &in_time));
    rows.map_err(|error| defect(&error))
}

/// Which rules run, and from which watermark on each version counts: the body of a control record.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ruleset(BTreeMap<String, Version>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Version {
    version: String,
    /// Microseconds; none for one that ran from the beginning of the log.
    since: Option<i64>,
}

impl Ruleset {
    /// The kind of its control records.
    pub const KIND: &str = "rules";

    /// As it was recorded last; `None` if nothing ran yet.
    pub fn recorded(reader: &Reader) -> Result<Option<Self>, Error> {
        let records = reader.control(Self::KIND)?;
        let last = records.last().map(|(_, body)| serde_json::from_str(body));
        last.transpose().map_err(|error| defect(&error))
    }

    /// With these rules, of which the new ones count from this watermark on.
    pub fn with(before: Option<&Self>, rules: &[Rule], watermark: i64) -> Self {
        let since = before.map(|_| watermark);
        let rules = rules.iter().map(|rule| {
            let same = before.and_then(|before| before.version(rule)).cloned();
            let version = rule.version.clone();
            (
                rule.name.clone(),
                same.unwrap_or(Version { version, since }),
            )
        });
        Self(rules.collect())
    }

    /// By rule, from which watermark on it counts.
    pub fn since(&self, rules: &[Rule]) -> Vec<Option<i64>> {
        let since = |rule| self.version(rule).and_then(|version| version.since);
        rules.iter().map(since).collect()
    }

    fn version(&self, rule: &Rule) -> Option<&Version> {
        let version = self.0.get(&rule.name)?;
        (version.version == rule.version).then_some(version)
    }
}

/// From which watermark on each of these rules counted in the service; those that it does not run count
/// from the beginning.
///
/// # Errors
/// When the store cannot be read.
pub fn counted_since(reader: &Reader, rules: &[Rule]) -> Result<Vec<Option<i64>>, Error> {
    Ok(Ruleset::recorded(reader)?.unwrap_or_default().since(rules))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::list::dynamic::OWNERS;
    use crate::store::Store;

    #[test]
    fn what_is_recorded_of_lists_is_told_once_more_without_harm() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("a store");
        let reader = Reader::open(folder.path()).expect("a reader");
        let (nobody, person) = (BTreeSet::new(), BTreeSet::from(["U1".to_owned()]));
        for (added, removed, watermark) in [(&person, &nobody, 100), (&nobody, &person, 200)] {
            let entered = store.enter_list_change(OWNERS, added, removed, 7);
            entered.expect("a change is entered");
            store.heed_lists(watermark).expect("a change is heeded");
        }
        let waiting = store.enter_list_change(OWNERS, &person, &nobody, 7);
        waiting.expect("a change is entered");
        let lists = Lists::default();
        for _ in 0..2 {
            heed_all(&reader, &lists).expect("all is told");
            let is_in = |time| lists.dynamic().contains(OWNERS, "U1", time);
            assert_eq!([99, 100, 199, 200].map(is_in), [false, true, true, false]);
        }
    }
}
