//! Records of findings: their triggering events are decoded once more, with all columns.

use std::collections::{HashMap, HashSet};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;

use super::stratum::{self, Seen};
use super::{Error, Job, Outcome};
use crate::anomaly::Anomaly;
use crate::detect;
use crate::detect::finding::Finding;
use crate::detect::trigger::Trigger;
use crate::event::schema::{Column, ColumnSet};
use crate::event::{decode, order};
use crate::rule::Rule;

/// What a record is ordered by: order time, event time, event id and the rule.
type Order = (i64, i64, String, usize);

/// The records of a run.
#[derive(Default)]
pub(super) struct Records(Vec<(Order, Anomaly)>);

/// Gives the events named by order time, event time and id.
pub(super) type Lookup<'a> = dyn FnMut(&[(i64, i64, &str)]) -> Result<Triggers, Error> + 'a;

/// Where events are kept, each with all columns as they were when it was admitted.
pub(super) trait Past: Send + Sync {
    /// The events of these event times and ids, and perhaps others; in any order.
    fn find(&self, events: &[(i64, &str)]) -> Result<Vec<RecordBatch>, Error>;
}

/// Events that triggered something.
pub(super) struct Triggers {
    /// With all columns.
    events: RecordBatch,
    /// By name: its row, if it is there.
    rows: Vec<Option<u32>>,
}

impl Records {
    /// Adds the records of findings, which are given for each of these rules. Gives the rows that stand
    /// for them where rules over anomalies read, each batch in canonical order.
    ///
    /// # Errors
    /// Those of `lookup`, and on a defect.
    pub fn add(
        &mut self,
        job: &Job<'_>,
        rules: &[usize],
        findings: Vec<Vec<Finding>>,
        lookup: &mut Lookup<'_>,
    ) -> Result<Vec<RecordBatch>, Error> {
        /// Triggering events that are in memory at once.
        const AT_ONCE: usize = 1024;
        let found = rules.iter().zip(findings);
        let mut found: Vec<(Order, Finding)> = found
            .flat_map(|(rule, findings)| findings.into_iter().map(|f| (order_of(&f, *rule), f)))
            .filter(|((time, .., rule), _)| job.counts(*rule, *time))
            .collect();
        found.sort_by(|(one, _), (other, _)| one.cmp(other));
        let mut found = found.into_iter().peekable();
        let mut batches = Vec::new();
        let is_read = job.has_rules_over(rules);
        while found.peek().is_some() {
            let some: Vec<(Order, Finding)> = found.by_ref().take(AT_ONCE).collect();
            let names: Vec<_> = some
                .iter()
                .map(|((order_time, event_time, id, _), _)| (*order_time, *event_time, id.as_str()))
                .collect();
            let Triggers { events, rows } = lookup(&names)?;
            let mut seen = Vec::new();
            for ((order, finding), row) in some.into_iter().zip(rows) {
                // A rule may name an event that is not there; its record then has no more than the name.
                let trigger = row.map(|row| Trigger::read(&events, row as usize));
                let rule = &job.rules[order.3];
                let anomaly = rule.record(finding, trigger.unwrap_or_default());
                let times = (order.0, order.1);
                let wait = rule.program.wait_micros;
                let row = row.filter(|_| is_read);
                seen.extend(row.and_then(|row| Seen::new(&anomaly, row, times, wait)));
                self.0.push((order, anomaly));
            }
            if !seen.is_empty() {
                let rows = stratum::rows(&events, seen);
                batches.push(rows.map_err(|error| detect::Error::Failed(error.to_string()))?);
            }
        }
        Ok(batches)
    }

    /// Takes out the records so far, each with the order and event time of its triggering event and the
    /// position of its rule.
    pub fn drain(&mut self) -> impl Iterator<Item = ((i64, i64, usize), Anomaly)> {
        let taken = std::mem::take(&mut self.0).into_iter();
        taken.map(|((order, event, _, rule), anomaly)| ((order, event, rule), anomaly))
    }

    /// Gives the outcome the records in order, without those of some rules.
    pub fn finish(
        mut self,
        rules: &[Rule],
        has_failed: impl Fn(usize) -> bool,
        outcome: &mut Outcome,
    ) {
        self.0.retain(|((.., rule), _)| !has_failed(*rule));
        self.0.sort_by(|(one, _), (other, _)| {
            let names = (&rules[one.3].name, &rules[other.3].name);
            let events = |order: &Order| (order.0, order.1);
            events(one)
                .cmp(&events(other))
                .then_with(|| one.2.cmp(&other.2))
                .then_with(|| names.0.cmp(names.1))
        });
        let anomalies = self.0.into_iter().map(|(_, anomaly)| anomaly);
        (outcome.excepted, outcome.anomalies) =
            anomalies.partition(|anomaly| anomaly.exception.is_some());
    }
}

fn order_of(finding: &Finding, rule: usize) -> Order {
    let id = finding.event_id.clone();
    (finding.order_time, finding.event_time, id, rule)
}

impl Triggers {
    /// The events in these lines, decoded and enriched once more.
    pub fn decoded(job: &Job<'_>, lines: &[Option<String>]) -> Self {
        let known = lines.iter().flatten().map(String::as_str);
        let batch = decode::decode_raw(known, ColumnSet::all());
        let mut rows = 0..batch.num_rows() as u32;
        Self {
            events: job.enricher.enrich(&batch, ColumnSet::all()),
            rows: lines
                .iter()
                .map(|line| line.as_ref().and_then(|_| rows.next()))
                .collect(),
        }
    }

    /// The named events: those in the batches at hand, if these have all columns, and those of the past.
    pub fn stored<'b>(
        names: &[(i64, i64, &str)],
        recent: impl IntoIterator<Item = &'b RecordBatch>,
        past: &dyn Past,
    ) -> Result<Self, Error> {
        let all = ColumnSet::all().schema();
        let recent = recent.into_iter().filter(|batch| batch.schema() == all);
        let mut batches: Vec<RecordBatch> = recent.cloned().collect();
        let mut places: Vec<Option<Place>> = vec![None; names.len()];
        locate(names, &batches, 0, &mut places);
        let missing = names.iter().zip(&places);
        let missing = missing.filter(|(_, place)| place.is_none());
        let missing: Vec<(i64, &str)> = missing.map(|((_, at, id), _)| (*at, *id)).collect();
        if !missing.is_empty() {
            let first = batches.len();
            batches.extend(past.find(&missing)?);
            locate(names, &batches, first, &mut places);
        }
        let found: Vec<Place> = places.iter().flatten().copied().collect();
        let events = order::arranged(&all, &batches, &found)
            .map_err(|error| detect::Error::Failed(error.to_string()))?;
        let mut rows = 0..found.len() as u32;
        Ok(Self {
            events,
            rows: places
                .iter()
                .map(|place| place.and_then(|_| rows.next()))
                .collect(),
        })
    }
}

/// A row, named by batch and row.
type Place = (usize, usize);

/// Finds where the named events stand in the batches from `first` on.
fn locate(
    names: &[(i64, i64, &str)],
    batches: &[RecordBatch],
    first: usize,
    places: &mut [Option<Place>],
) {
    let mut wanted: HashMap<(i64, &str), Vec<usize>> = HashMap::new();
    let mut wanted_times = HashSet::new();
    for (at, (_, time, id)) in names.iter().enumerate() {
        wanted.entry((*time, id)).or_default().push(at);
        wanted_times.insert(*time);
    }
    for (number, batch) in batches.iter().enumerate().skip(first) {
        let times = batch[Column::EventTime.name()].as_primitive::<TimestampMicrosecondType>();
        let ids = batch[Column::EventId.name()].as_string_view();
        for (row, time) in times.values().iter().enumerate() {
            if !wanted_times.contains(time) {
                continue;
            }
            for at in wanted.get(&(*time, ids.value(row))).into_iter().flatten() {
                places[*at].get_or_insert((number, row));
            }
        }
    }
}
