//! Tables of days in the log: what rules recorded, and what they record.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Error, defect};
use crate::detect::days::{DAY, Day, Recorded};
use crate::rule::Rule;
use crate::store::{Control, Reader};

/// The kind of their control records.
const KIND: &str = "day";

/// The body of a control record.
#[derive(Serialize, Deserialize)]
struct Body {
    rule: String,
    /// Of the rule's query: a table of another one says nothing.
    query: String,
    #[serde(flatten)]
    day: Day,
}

/// The first 12 hexadecimal digits of the SHA-256 of a rule's query.
fn fingerprint(rule: &Rule) -> String {
    let hash = Sha256::digest(rule.program.sql.as_bytes());
    hash.iter()
        .take(6)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The tables that were recorded, by rule.
///
/// # Errors
/// When the store cannot be read.
pub fn recorded_days(reader: &Reader, rules: &[Rule]) -> Result<Vec<Recorded>, Error> {
    let mut recorded = vec![Recorded::new(); rules.len()];
    let known: Vec<(&str, String)> = rules
        .iter()
        .map(|rule| (rule.name.as_str(), fingerprint(rule)))
        .collect();
    for (_, body) in reader.control(KIND)? {
        let Body { rule, query, day } =
            serde_json::from_str(&body).map_err(|error| defect(&error))?;
        let at = known
            .iter()
            .position(|known| *known == (&rule, query.clone()));
        if let Some(of_rule) = at.and_then(|at| recorded.get_mut(at)) {
            let days = of_rule.entry(day.name).or_default();
            // What was recorded first counts.
            days.entry(day.day).or_insert(day.table);
        }
    }
    Ok(recorded)
}

/// The control records of tables that are not recorded yet.
pub(super) fn controls(
    rules: &[Rule],
    recorded: &[Recorded],
    days: Vec<(usize, Day)>,
) -> Vec<Control> {
    let is_known = |rule: usize, day: &Day| {
        let of_name = recorded.get(rule).and_then(|days| days.get(&day.name));
        of_name.is_some_and(|days| days.contains_key(&day.day))
    };
    let new = days.into_iter().filter(|(rule, day)| !is_known(*rule, day));
    let control = |(rule, day): (usize, Day)| {
        let watermark = day.day.saturating_mul(DAY);
        let body = Body {
            rule: rules[rule].name.clone(),
            query: fingerprint(&rules[rule]),
            day,
        };
        Some(Control {
            watermark,
            kind: KIND,
            body: serde_json::to_string(&body).ok()?,
        })
    };
    new.filter_map(control).collect()
}
