//! Marks: what people said of anomalies. Unlike lists they come while rules run, each from a watermark on.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, PoisonError, RwLock};

/// What somebody said of an anomaly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be: rules learn it at once.
    Benign,
    /// It was one: rules never learn it.
    Attack,
}

impl Verdict {
    /// The word that people write.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Benign => "benign",
            Self::Attack => "attack",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Verdict {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "benign" => Ok(Self::Benign),
            "attack" => Ok(Self::Attack),
            _ => Err(format!("`{word}` is no verdict: use benign or attack")),
        }
    }
}

/// A mark, as rules see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    pub verdict: Verdict,
    /// The order time of the marked anomaly, in microseconds.
    pub about: i64,
    /// The watermark from which it counts, in microseconds.
    pub from: i64,
}

/// The marks of all keys of all rules. They are shared by whoever asks them.
#[derive(Clone, Debug, Default)]
pub struct Marks(Arc<RwLock<ByRule>>);

/// By rule, and by key, those that count first before the others.
type ByRule = HashMap<String, HashMap<String, Vec<Mark>>>;

impl Marks {
    /// Adds a mark of an anomaly of a rule and key. No event from its watermark on may have been judged.
    pub fn add(&self, rule: &str, key: &str, mark: Mark) {
        let mut marks = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let of_rule = marks.entry(rule.to_owned()).or_default();
        let of_key = of_rule.entry(key.to_owned()).or_default();
        of_key.push(mark);
        of_key.sort_by_key(|mark| mark.from);
    }

    /// Whether there are none of this rule.
    pub fn is_empty(&self, rule: &str) -> bool {
        let marks = self.0.read().unwrap_or_else(PoisonError::into_inner);
        !marks.contains_key(rule)
    }

    /// The marks of a key that count at a time, in microseconds; those that count first before the others.
    pub fn until(&self, rule: &str, key: &str, time: i64) -> Vec<Mark> {
        let marks = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let of_key = marks.get(rule).and_then(|of_rule| of_rule.get(key));
        let of_key = of_key.into_iter().flatten();
        of_key.filter(|mark| mark.from <= time).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Mark, Marks, Verdict};

    #[test]
    fn marks_count_from_their_watermarks_on() {
        let marks = Marks::default();
        let mark = |verdict, from| Mark {
            verdict,
            about: 5,
            from,
        };
        marks.add("rule", "U1", mark(Verdict::Attack, 200));
        marks.add("rule", "U1", mark(Verdict::Benign, 100));
        let verdicts = |key, time| {
            let marks = marks.until("rule", key, time).into_iter();
            marks.map(|mark| mark.verdict).collect::<Vec<_>>()
        };
        assert_eq!(verdicts("U1", 99), []);
        assert_eq!(verdicts("U1", 100), [Verdict::Benign]);
        assert_eq!(verdicts("U1", 250), [Verdict::Benign, Verdict::Attack]);
        assert_eq!(verdicts("U2", 250), []);
        assert!(marks.is_empty("other") && !marks.is_empty("rule"));
    }
}
