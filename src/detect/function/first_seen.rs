//! `first_seen(value, event_time, learn_secs, forget_secs)`: a value that the key never had.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Argument, Arguments, Fold, Found};
use crate::anomaly::Because;
use crate::event::time::{MICROS, rfc3339};

/// Finds a value at its first event, once the key's own history is `learn_secs` long. A value not
/// seen for longer than `forget_secs` counts as new again. NULL is no value.
#[derive(Debug)]
pub struct FirstSeen;

/// The most values that are remembered of a key; beyond that the one seen longest ago is forgotten.
const MOST_VALUES: usize = 1000;
/// The most known values that a finding names, the latest ones.
const MOST_NAMED: usize = 10;

#[derive(Debug, Default, Serialize, Deserialize)]
pub struct State {
    /// When the key had its first value.
    since: Option<i64>,
    /// The values, in their order, each with when it was seen last.
    known: Vec<(Box<str>, i64)>,
}

impl Fold for FirstSeen {
    const NAME: &'static str = "first_seen";
    const ARGUMENTS: &'static [Argument] = &[
        Argument::Text,
        Argument::Time,
        Argument::Integer,
        Argument::Integer,
    ];
    type State = State;

    fn step(state: &mut State, arguments: &Arguments<'_>, row: usize) -> Option<Found> {
        let value = arguments.text(0, row)?;
        let time = arguments.integer(1, row)?;
        let micros = |argument| {
            arguments
                .integer(argument, row)
                .unwrap_or(i64::MAX)
                .saturating_mul(MICROS)
        };
        let (learn, forget) = (micros(2), micros(3));
        let since = *state.since.get_or_insert(time);
        let last_seen = state.see(value, time);
        let is_new = last_seen.is_none_or(|last| time.saturating_sub(last) > forget);
        let history = time.saturating_sub(since);
        (is_new && history >= learn).then(|| state.found(value, last_seen, history, learn))
    }

    fn bytes(state: &State) -> usize {
        let texts: usize = state.known.iter().map(|(value, _)| value.len()).sum();
        texts + state.known.capacity() * size_of::<(Box<str>, i64)>()
    }
}

impl State {
    /// When the value was seen last, if it was; from now on it was seen at `time` too.
    fn see(&mut self, value: &str, time: i64) -> Option<i64> {
        let at = match self
            .known
            .binary_search_by(|(known, _)| (**known).cmp(value))
        {
            Ok(at) => {
                let last = &mut self.known[at].1;
                return Some(std::mem::replace(last, time.max(*last)));
            }
            Err(at) => at,
        };
        if self.known.len() < MOST_VALUES {
            // Most keys have few values, and few keys get another.
            if self.known.len() < 8 {
                self.known.reserve_exact(1);
            }
            self.known.insert(at, (value.into(), time));
            return None;
        }
        let known = self.known.iter().enumerate();
        let oldest = known.min_by_key(|(_, (value, time))| (*time, value));
        if let Some((oldest, _)) = oldest {
            self.known.remove(oldest);
            let at = at - usize::from(oldest < at);
            self.known.insert(at, (value.into(), time));
        }
        None
    }

    fn found(&self, value: &str, last_seen: Option<i64>, history: i64, learn: i64) -> Found {
        let mut known: Vec<(&str, i64)> = self
            .known
            .iter()
            .map(|(known, time)| (&**known, *time))
            .filter(|(known, _)| *known != value)
            .collect();
        known.sort_by_key(|(known, time)| (std::cmp::Reverse(*time), *known));
        let total = known.len();
        let known: Vec<&str> = known
            .iter()
            .take(MOST_NAMED)
            .map(|(known, _)| *known)
            .collect();
        let mut evidence = Map::new();
        evidence.insert("value".to_owned(), value.into());
        evidence.insert("known".to_owned(), known.into());
        evidence.insert("known_count".to_owned(), total.into());
        evidence.insert("last_seen".to_owned(), last_seen.map(rfc3339).into());
        evidence.insert("history_secs".to_owned(), (history / MICROS).into());
        let because = vec![
            Because {
                condition: "value not seen before".to_owned(),
                observed: value.into(),
                limit: Value::Null,
            },
            Because {
                condition: "history_secs >= learn_secs".to_owned(),
                observed: json!(history / MICROS),
                limit: json!(learn / MICROS),
            },
        ];
        Found {
            evidence,
            because,
            ..Found::default()
        }
    }
}
