//! Which attack a finding belongs to, and whether it is false.

use std::collections::{BTreeSet, HashMap};

use super::judge::Finding;
use super::label::Label;

/// How long after an attack its people are not counted as falsely accused: 24 hours, in microseconds.
const AFTERMATH: i64 = 24 * 3600 * 1_000_000;

/// The attacks on an organisation, by what findings know of them.
pub struct Truth<'a> {
    pub labels: &'a [Label],
    /// Positions of labels.
    by_event: HashMap<&'a str, usize>,
    by_person: HashMap<&'a str, Vec<usize>>,
}

impl<'a> Truth<'a> {
    pub fn new(labels: &'a [Label]) -> Self {
        let (mut by_event, mut by_person) = (HashMap::new(), HashMap::<_, Vec<usize>>::new());
        for (at, label) in labels.iter().enumerate() {
            by_event.extend(label.event_ids.iter().map(|id| (id.as_str(), at)));
            for person in label.people() {
                by_person.entry(person).or_default().push(at);
            }
        }
        Self {
            labels,
            by_event,
            by_person,
        }
    }

    /// The attacks that a finding belongs to, as positions of labels: those whose events it names.
    pub fn attacks(&self, finding: &Finding) -> BTreeSet<usize> {
        let events = finding.events.iter();
        events
            .filter_map(|id| self.by_event.get(id.as_str()).copied())
            .collect()
    }

    /// Whether it belongs to no attack, and neither its actor nor anybody in its key was attacked then.
    /// One about a network or an address is told by its events in any case.
    pub fn is_false(&self, finding: &Finding) -> bool {
        let key = finding.key.as_deref().unwrap_or_default();
        // Several values are joined; a key of one value is a part of itself.
        let mut named = key.split(" / ").chain(finding.actor.as_deref());
        self.attacks(finding).is_empty() && !named.any(|name| self.is_attacked(name, finding.time))
    }

    fn is_attacked(&self, person: &str, time: i64) -> bool {
        let attacks = self.by_person.get(person).into_iter().flatten();
        attacks
            .map(|at| &self.labels[*at])
            .any(|label| (label.start..=label.end + AFTERMATH).contains(&time))
    }
}
