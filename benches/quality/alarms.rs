//! False alarms, for 1,000 people a day.

use std::collections::BTreeMap;
use std::fmt;

use gridwatch::anomaly::Level;
use serde_json::{Value, json};

use super::interval::{Interval, poisson};
use super::judge::Finding;
use super::matching::Truth;

/// How many there were in so many thousands of days of people.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    pub count: usize,
    thousand_days: f64,
}

impl Rate {
    /// For 1,000 people a day.
    pub fn value(self) -> f64 {
        self.count as f64 / self.thousand_days
    }

    pub fn interval(self) -> Interval {
        let Interval { low, high } = poisson(self.count);
        Interval {
            low: low / self.thousand_days,
            high: high / self.thousand_days,
        }
    }

    pub fn json(self) -> Value {
        json!({
            "count": self.count,
            "per_1000_people_a_day": self.value(),
            "interval": self.interval(),
        })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Interval { low, high } = self.interval();
        f.pad(&format!("{:.2} ({low:.2}-{high:.2})", self.value()))
    }
}

/// What was found of people to whom nothing had been done.
#[derive(Debug, Default)]
pub struct Alarms {
    by_rule: BTreeMap<(String, Level), usize>,
    thousand_days: f64,
}

impl Alarms {
    /// Adds the false ones among the findings about one organisation from a moment on, in microseconds
    /// since 1970; `thousand_days` is how many days after it there are, times its people, by 1,000.
    pub fn add(&mut self, truth: &Truth<'_>, findings: &[Finding], since: i64, thousand_days: f64) {
        self.thousand_days += thousand_days;
        let counted = findings.iter().filter(|finding| finding.time >= since);
        for finding in counted.filter(|finding| truth.is_false(finding)) {
            let by = (finding.rule.clone(), finding.level);
            *self.by_rule.entry(by).or_default() += 1;
        }
    }

    /// Those of some rules at a level or above.
    pub fn rate(&self, least: Level, is_of: impl Fn(&str) -> bool) -> Rate {
        let counts = self.by_rule.iter();
        let counts = counts.filter(|((rule, level), _)| *level >= least && is_of(rule));
        self.of(counts.map(|(_, count)| count).sum())
    }

    /// Those of each rule and level of which there are any.
    pub fn each(&self) -> impl Iterator<Item = (&str, Level, Rate)> {
        let counts = self.by_rule.iter();
        counts.map(|((rule, level), count)| (rule.as_str(), *level, self.of(*count)))
    }

    /// As though there had been so many.
    pub fn of(&self, count: usize) -> Rate {
        Rate {
            count,
            thousand_days: self.thousand_days,
        }
    }

    pub fn thousand_days(&self) -> f64 {
        self.thousand_days
    }
}
