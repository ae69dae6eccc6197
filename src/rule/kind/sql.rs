//! `sql`: a query of the rule's own, for whatever no other kind says.

use serde::Deserialize;
use serde_saphyr::Spanned;

use super::super::document::OneOrMany;
use super::super::draft::{Draft, Matches};
use super::Kind;
use crate::detect::{Condition, column};

/// One SELECT that returns `event_id`, `event_time`, `order_time` and the key of each match; a
/// column `level` or `reason` says so of the match, all others are evidence.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sql {
    #[serde(rename = "kind")]
    _kind: String,
    key: Option<Spanned<OneOrMany>>,
    query: Option<Spanned<String>>,
    /// How long its frames look ahead, at most 1h: a match is found so much later.
    wait: Option<Spanned<String>>,
    /// What held, for the record.
    #[serde(default)]
    because: Vec<Spanned<Reason>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reason {
    condition: String,
    /// A column of the query.
    observed: Option<String>,
    limit: Option<serde_json::Value>,
}

impl Kind for Sql {
    const NAME: &'static str = "sql";

    fn expand(&self, draft: &mut Draft<'_>) -> Option<Matches> {
        let key = draft.required("key", self.key.as_ref());
        let query = draft.required("query", self.query.as_ref())?;
        let text = query.value.trim().trim_end_matches(';').trim_end();
        let columns = match draft.planner.output(text) {
            Ok(columns) => columns,
            Err(error) => {
                draft.problem(query.referenced, format!("the query is refused: {error}"));
                return None;
            }
        };
        for name in [column::STANDING, column::EXCEPTION] {
            if columns.iter().any(|column| column == name) {
                let message = format!("`{name}` is a name of ours: choose another");
                draft.problem(query.referenced, message);
                return None;
            }
        }
        let exception = draft
            .exception(&format!("(\n{text}\n)"))
            .map_or_else(String::new, |case| {
                format!(", {case} AS {}", column::EXCEPTION)
            });
        let wait_secs = draft.duration(self.wait.as_ref(), "0s", 0);
        let key = key?;
        let has = |name: &str| columns.iter().any(|column| column == name);
        let names = key.value.to_vec();
        let needed = [column::EVENT_ID, column::EVENT_TIME, column::ORDER_TIME];
        let observed = self
            .because
            .iter()
            .filter_map(|part| part.value.observed.as_deref());
        let mut is_whole = true;
        for name in needed
            .into_iter()
            .chain(names.iter().map(String::as_str))
            .chain(observed)
        {
            if !has(name) {
                is_whole = false;
                let message =
                    format!("the query does not return `{name}`: add it to its SELECT list");
                draft.problem(query.referenced, message);
            }
        }
        let keyed: Vec<String> = names
            .iter()
            .map(|key| format!("{key} IS NOT NULL"))
            .collect();
        let level = if has(column::LEVEL) {
            String::new()
        } else {
            format!(", '{}' AS level", draft.level)
        };
        let condition = if keyed.is_empty() {
            "true".to_owned()
        } else {
            keyed.join(" AND ")
        };
        let conditions = self.because.iter().map(|part| Condition {
            text: part.value.condition.clone(),
            observed: part.value.observed.iter().cloned().collect(),
            limit: part.value.limit.clone().unwrap_or(true.into()),
        });
        is_whole.then(|| Matches {
            sql: format!("SELECT *{level}{exception} FROM (\n{text}\n) WHERE {condition}"),
            key: names.clone(),
            wait_secs,
            may_lack_key: false,
            conditions: conditions.collect(),
            members: None,
        })
    }
}
