//! Records of findings: their triggering events are decoded once more, with all columns.

use super::{Job, Outcome};
use crate::anomaly::Anomaly;
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
pub(super) type Lines<'a, E> =
    dyn FnMut(&[(i64, i64, &str)]) -> Result<Vec<Option<String>>, E> + 'a;

impl Records {
    /// Adds the records of findings, which are given by rule.
    ///
    /// # Errors
    /// Those of `lines`.
    pub fn add<E>(
        &mut self,
        job: &Job<'_>,
        findings: Vec<Vec<Finding>>,
        lines: &mut Lines<'_, E>,
    ) -> Result<(), E> {
        /// Triggering events that are in memory at once.
        const AT_ONCE: usize = 1024;
        let found = findings.into_iter().enumerate();
        let mut found: Vec<(Order, Finding)> = found
            .flat_map(|(rule, findings)| findings.into_iter().map(move |f| (order(&f, rule), f)))
            .collect();
        found.sort_by(|(one, _), (other, _)| one.cmp(other));
        let mut found = found.into_iter().peekable();
        while found.peek().is_some() {
            let some: Vec<(Order, Finding)> = found.by_ref().take(AT_ONCE).collect();
            let names: Vec<_> = some
                .iter()
                .map(|((order_time, event_time, id, _), _)| (*order_time, *event_time, id.as_str()))
                .collect();
            let triggers = triggers(job, &lines(&names)?);
            for ((order, finding), trigger) in some.into_iter().zip(triggers) {
                let anomaly = job.rules[order.3].record(finding, trigger);
                self.0.push((order, anomaly));
            }
        }
        Ok(())
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

/// The triggering events in these lines, in their order.
fn triggers(job: &Job<'_>, lines: &[Option<String>]) -> Vec<Trigger> {
    let known = lines.iter().flatten().map(String::as_str);
    let batch = decode::decode_raw(known, ColumnSet::all());
    let batch = job.enricher.enrich(&batch, ColumnSet::all());
    let mut rows = 0..batch.num_rows();
    let trigger = |line: &Option<String>| {
        // A rule may name an event that is not there; its record then has no more than the name.
        let row = line.as_ref().and_then(|_| rows.next());
        row.map(|row| Trigger::read(&batch, row))
            .unwrap_or_default()
    };
    lines.iter().map(trigger).collect()
}
