//! `threshold`: more within a sliding window than a fixed limit.

use serde_saphyr::Spanned;

use super::super::draft::{Draft, Matches};
use super::super::sql;
use super::{Kind, settings};
use crate::detect::{Condition, Members};
use crate::event::time::MICROS;

settings! {
    /// The window slides: it ends at each event and reaches `per` back, both ends included.
    Threshold {
        /// `count(*)`, or `count(distinct …)`, `sum(…)` or `avg(…)` of an expression.
        measure: Option<Spanned<String>>,
        /// The length of the window, at most 48 h.
        per: Option<Spanned<String>>,
        /// The least that is a match.
        at_least: Option<Spanned<u64>>,
    }
}

/// Exact sliding windows reach this far back.
const LONGEST_SECS: i64 = 48 * 3600;

impl Kind for Threshold {
    const NAME: &'static str = "threshold";

    fn expand(&self, draft: &mut Draft<'_>) -> Option<Matches> {
        let common = draft.common(&self.settings());
        let measure = draft.required("measure", self.measure.as_ref());
        let per = draft.required("per", self.per.as_ref());
        let at_least = draft.required("at_least", self.at_least.as_ref());
        let per_secs = draft.duration(per, "1h", 1);
        if let Some(per) = per.filter(|_| per_secs > LONGEST_SECS) {
            let text = &per.value;
            draft.problem(
                per.referenced,
                format!("`{text}` is longer than the 48h a window reaches"),
            );
        }
        if let Some(at_least) = at_least.filter(|at_least| !(1..=1 << 53).contains(&at_least.value))
        {
            let text = at_least.value;
            draft.problem(
                at_least.referenced,
                format!("`{text}` is not a count of at least 1"),
            );
        }
        let common = common?;
        let measure = draft.measure(measure?, &common.relation)?;
        let at_least = at_least?.value;
        let condition = sql::condition(&common, &[]);
        let relation = &common.relation;
        let sql = format!(
            "SELECT {columns} FROM (\n  SELECT *, {measure} OVER (\n    PARTITION BY {keys} ORDER BY \
             order_time\n    RANGE BETWEEN INTERVAL '{per_secs} seconds' PRECEDING AND CURRENT \
             ROW\n  ) AS observed\n  FROM {relation}\n  WHERE {condition}\n) WHERE observed >= \
             {at_least}",
            columns = common.columns(&["observed"]),
            keys = common.keys(),
        );
        let members = Members {
            sql: format!(
                "SELECT event_id, event_time, order_time, {} FROM {relation} WHERE {condition}",
                common.keys(),
            ),
            span_micros: per_secs * MICROS,
        };
        let per = per?.value.trim();
        Some(Matches {
            sql,
            key: common.key,
            wait_secs: 0,
            may_lack_key: false,
            conditions: vec![Condition {
                text: format!("{measure} within {per} >= {at_least}"),
                observed: vec!["observed".to_owned()],
                limit: at_least.into(),
            }],
            members: Some(members),
        })
    }
}

impl Draft<'_> {
    /// The measure as SQL, if it is one that slides.
    pub fn measure(&mut self, measure: &Spanned<String>, relation: &str) -> Option<String> {
        let text = measure.value.trim();
        let call = text.strip_suffix(')').and_then(|call| call.split_once('('));
        let (name, inside) = call.unwrap_or_default();
        let name = name.trim().to_ascii_lowercase();
        if !["count", "sum", "avg"].contains(&name.as_str()) {
            let message = format!(
                "`{text}` is no measure: write count(*), count(distinct …), sum(…) or avg(…)"
            );
            self.problem(measure.referenced, message);
            return None;
        }
        let inside = inside.trim();
        if inside == "*" && name == "count" {
            return Some("count(*)".to_owned());
        }
        let is_distinct = name == "count"
            && inside
                .get(..9)
                .is_some_and(|word| word.eq_ignore_ascii_case("distinct "));
        let value = if is_distinct { &inside[9..] } else { inside };
        let value = Spanned::new(value.to_owned(), measure.referenced, measure.defined);
        let (value, kind) = self.expression(&value, relation)?;
        if name != "count" && !kind.is_integer() {
            let message = format!(
                "`{text}`: {name} adds whole numbers, and `{value}` is {kind}; write round(…) and a cast \
                 to bigint"
            );
            self.problem(measure.referenced, message);
            return None;
        }
        let distinct = if is_distinct { "DISTINCT " } else { "" };
        Some(format!("{name}({distinct}{value})"))
    }
}
