//! From what a program found to the record of an anomaly.

use super::{Rule, State};
use crate::anomaly::{self, Anomaly};
use crate::detect::finding::Finding;
use crate::detect::trigger::Trigger;
use crate::event::time::rfc3339;

impl Rule {
    /// The record of a finding of this rule.
    pub fn record(&self, finding: Finding, trigger: Trigger) -> Anomaly {
        let key: Vec<Option<&str>> = finding.key.iter().map(Option::as_deref).collect();
        let mut events = vec![finding.event_id.clone()];
        events.extend(
            finding
                .events
                .into_iter()
                .filter(|id| *id != finding.event_id),
        );
        events.truncate(anomaly::MAX_EVENTS);
        let reason = if finding.reason.is_empty() {
            self.reason.clone()
        } else {
            finding.reason
        };
        Anomaly {
            id: anomaly::derive(&self.id, &key, &finding.event_id),
            rule: self.name.clone(),
            rule_version: self.version.clone(),
            title: self.title.clone(),
            level: finding.level,
            reason,
            event_time: rfc3339(finding.event_time),
            event_id: finding.event_id,
            key: shown(&key),
            actor: trigger.actor,
            entity: trigger.entity,
            context: trigger.context,
            evidence: finding.evidence,
            because: finding.because,
            events,
            tags: self.tags.clone(),
            exception: finding.exception,
            shadow: self.state == State::Shadow,
        }
    }
}

/// The values of a key in one text; `None` if it has none.
fn shown(key: &[Option<&str>]) -> Option<String> {
    let values: Vec<&str> = key.iter().copied().flatten().collect();
    (!values.is_empty()).then(|| values.join(" / "))
}
