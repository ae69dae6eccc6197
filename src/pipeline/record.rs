//! Records of findings: their triggering events are decoded once more, with all columns.

use arrow::array::RecordBatch;

use super::stratum::{self, Seen};
use super::{Error, Job, Outcome};
use crate::anomaly::Anomaly;
use crate::detect;
use crate::detect::finding::Finding;
use crate::detect::trigger::Trigger;
use crate::event::decode;
use crate::event::schema::ColumnSet;
use crate::rule::Rule;

/// What a record is ordered by: order time, event time, event id and the rule.
type Order = (i64, i64, String, usize);

/// The records of a run.
#[derive(Default)]
pub(super) struct Records(Vec<(Order, Anomaly)>);

/// The line of the event named by order time, event time and id.
pub(super) type Lines<'a> =
    dyn FnMut(&[(i64, i64, &str)]) -> Result<Vec<Option<String>>, Error> + 'a;

impl Records {
    /// Adds the records of findings, which are given for each of these rules. Gives the rows that stand
    /// for them where rules over anomalies read, each batch in canonical order.
    ///
    /// # Errors
    /// Those of `lines`, and on a defect.
    pub fn add(
        &mut self,
        job: &Job<'_>,
        rules: &[usize],
        findings: Vec<Vec<Finding>>,
        lines: &mut Lines<'_>,
    ) -> Result<Vec<RecordBatch>, Error> {
        /// Triggering events that are in memory at once.
        const AT_ONCE: usize = 1024;
        let found = rules.iter().zip(findings);
        let mut found: Vec<(Order, Finding)> = found
            .flat_map(|(rule, findings)| findings.into_iter().map(|f| (order(&f, *rule), f)))
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
            let lines = lines(&names)?;
            let events = events(job, &lines);
            let mut rows = 0..events.num_rows();
            let mut seen = Vec::new();
            for ((order, finding), line) in some.into_iter().zip(&lines) {
                // A rule may name an event that is not there; its record then has no more than the name.
                let row = line.as_ref().and_then(|_| rows.next());
                let trigger = row.map(|row| Trigger::read(&events, row));
                let rule = &job.rules[order.3];
                let anomaly = rule.record(finding, trigger.unwrap_or_default());
                let times = (order.0, order.1);
                let wait = rule.program.wait_micros;
                let row = row.filter(|_| is_read);
                seen.extend(row.and_then(|row| Seen::new(&anomaly, row as u32, times, wait)));
                self.0.push((order, anomaly));
            }
            if !seen.is_empty() {
                let rows = stratum::rows(&events, seen);
                batches.push(rows.map_err(|error| detect::Error::Failed(error.to_string()))?);
            }
        }
        Ok(batches)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Those that were added after the first so many, but for excepted ones.
    pub fn since(&self, known: usize) -> impl Iterator<Item = &Anomaly> {
        let anomalies = self.0[known..].iter().map(|(_, anomaly)| anomaly);
        anomalies.filter(|anomaly| anomaly.exception.is_none())
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

fn order(finding: &Finding, rule: usize) -> Order {
    let id = finding.event_id.clone();
    (finding.order_time, finding.event_time, id, rule)
}

/// The triggering events in these lines, those that are there.
fn events(job: &Job<'_>, lines: &[Option<String>]) -> RecordBatch {
    let known = lines.iter().flatten().map(String::as_str);
    let batch = decode::decode_raw(known, ColumnSet::all());
    job.enricher.enrich(&batch, ColumnSet::all())
}
