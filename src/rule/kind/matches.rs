//! `match`: every event for which a condition holds.

use super::super::draft::{Draft, Matches};
use super::super::expression;
use super::{Kind, settings};
use crate::detect::Condition;

settings! {
    /// An event without a key is judged by itself.
    Match {}
}

impl Kind for Match {
    const NAME: &'static str = "match";

    fn expand(&self, draft: &mut Draft<'_>) -> Option<Matches> {
        let text = draft.required("where", self.filter.as_ref());
        let common = draft.common(&self.settings())?;
        let filter = common.filter.as_deref().filter(|_| text.is_some())?;
        let parsed = expression::parse(filter).ok()?;
        let conditions: Vec<Condition> = expression::conjuncts(&parsed)
            .into_iter()
            .map(|part| Condition {
                text: part.to_string(),
                observed: draft
                    .planner
                    .reads(&part.to_string(), &common.relation)
                    .unwrap_or_default(),
                limit: expression::limit(part),
            })
            .collect();
        let shown: Vec<&str> = conditions
            .iter()
            .flat_map(|part| &part.observed)
            .map(String::as_str)
            .collect();
        let sql = format!(
            "SELECT {} FROM {} WHERE {filter}",
            common.columns(&shown),
            common.relation
        );
        Some(Matches {
            sql,
            key: common.key,
            wait_secs: 0,
            may_lack_key: true,
            conditions,
            members: None,
        })
    }
}
