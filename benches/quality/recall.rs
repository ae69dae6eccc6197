//! Which attacks were found, by what, at which level and how soon.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use gridwatch::anomaly::Level;
use serde_json::{Value, json};

use super::interval::{Interval, wilson};
use super::judge::Finding;
use super::matching::Truth;

/// Whose findings count.
#[derive(Clone, Copy, Debug)]
pub enum By<'a> {
    /// Those of the rules that the label names.
    Fitting,
    Rule(&'a str),
}

/// So many of so many.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    pub found: usize,
    pub of: usize,
}

impl Share {
    /// 0 of none.
    pub fn value(self) -> f64 {
        self.found as f64 / self.of.max(1) as f64
    }

    pub fn interval(self) -> Interval {
        wilson(self.found, self.of)
    }

    pub fn json(self) -> Value {
        json!({
            "found": self.found,
            "of": self.of,
            "share": (self.of > 0).then(|| self.value()),
            "interval": self.interval(),
        })
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.of == 0 {
            return f.pad("-");
        }
        let Interval { low, high } = self.interval();
        let text = format!(
            "{}/{} {:.1} % ({:.0}-{:.0})",
            self.found,
            self.of,
            self.value() * 100.0,
            low * 100.0,
            high * 100.0
        );
        f.pad(&text)
    }
}

/// What found one attack.
#[derive(Debug)]
struct Attack {
    /// The rules that its label names.
    fitting: BTreeSet<String>,
    /// Microseconds from its start to the first finding, by rule and level.
    delays: BTreeMap<(String, Level), i64>,
}

impl Attack {
    fn delay(&self, by: By<'_>, least: Level) -> Option<i64> {
        let counts = |rule: &str| match by {
            By::Fitting => self.fitting.contains(rule),
            By::Rule(name) => rule == name,
        };
        let delays = self.delays.iter();
        let delays = delays.filter(|((rule, level), _)| *level >= least && counts(rule));
        delays.map(|(_, delay)| *delay).min()
    }
}

/// All attacks, by the row of the table in which they count.
#[derive(Debug, Default)]
pub struct Recall(BTreeMap<String, Vec<Attack>>);

impl Recall {
    /// Adds the attacks on one organisation.
    pub fn add(&mut self, truth: &Truth<'_>, findings: &[Finding]) {
        let new = |rules: &Vec<String>| Attack {
            fitting: rules.iter().cloned().collect(),
            delays: BTreeMap::new(),
        };
        let labels = truth.labels;
        let mut attacks: Vec<Attack> = labels.iter().map(|label| new(&label.rules)).collect();
        for finding in findings {
            for at in truth.attacks(finding) {
                let delay = finding.time - labels[at].start;
                let by = (finding.rule.clone(), finding.level);
                let first = attacks[at].delays.entry(by).or_insert(delay);
                *first = delay.min(*first);
            }
        }
        for (label, attack) in labels.iter().zip(attacks) {
            self.0
                .entry(label.row().to_owned())
                .or_default()
                .push(attack);
        }
    }

    pub fn rows(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    fn row(&self, row: &str) -> &[Attack] {
        self.0.get(row).map_or(&[], Vec::as_slice)
    }

    /// How many attacks of a row were found at this level or above.
    pub fn share(&self, row: &str, by: By<'_>, least: Level) -> Share {
        Share {
            found: self.delays(row, by, least).len(),
            of: self.row(row).len(),
        }
    }

    /// Microseconds from the start of each attack that was found to its first finding at this level or
    /// above, in ascending order.
    pub fn delays(&self, row: &str, by: By<'_>, least: Level) -> Vec<i64> {
        let attacks = self.row(row).iter();
        let mut delays: Vec<i64> = attacks
            .filter_map(|attack| attack.delay(by, least))
            .collect();
        delays.sort_unstable();
        delays
    }

    /// Of the attacks of a row whose labels name no rule: how many there are, and how many of them
    /// each rule found at its highest level.
    pub fn unexpected(&self, row: &str) -> (usize, BTreeMap<(&str, Level), usize>) {
        let (mut number, mut found) = (0, BTreeMap::new());
        for attack in self.row(row).iter().filter(|one| one.fitting.is_empty()) {
            number += 1;
            // Levels ascend within a rule, so the highest one stays.
            let delays = attack.delays.keys();
            let highest: BTreeMap<&str, Level> = delays
                .map(|(rule, level)| (rule.as_str(), *level))
                .collect();
            for by in highest {
                *found.entry(by).or_default() += 1;
            }
        }
        (number, found)
    }
}

/// The least of ascending values that this share of them do not exceed; nothing of none.
pub fn quantile(ascending: &[i64], share: f64) -> Option<i64> {
    let rank = (ascending.len() as f64 * share).ceil() as usize;
    ascending.get(rank.saturating_sub(1)).copied()
}
