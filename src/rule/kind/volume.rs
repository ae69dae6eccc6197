//! `volume`: more than is likely, given the key's own past and everybody's.

use std::collections::BTreeMap;

use serde_saphyr::Spanned;

use super::super::document::OneOrMany;
use super::super::draft::{Common, Draft, Matches};
use super::super::sql;
use super::{Kind, settings};
use crate::anomaly::Level;
use crate::detect::Members;
use crate::detect::function::volume::{WINDOWS, Wanted, least_hours};
use crate::event::time::MICROS;

settings! {
    /// Clock hours are judged, by the largest sliding count within them. The function weighs what it finds;
    /// `level_by` cannot.
    Volume {
        /// `count(*)`, `count(distinct …)`, `sum(…)` or `avg(…)` of whole numbers.
        measure: Option<Spanned<String>>,
        /// The length of the window, at most 48 h; or of several, of which the least likely count counts.
        per: Option<Spanned<OneOrMany>>,
        /// What is longer ago than half of this weighs half as much, 14d by default.
        learn: Option<Spanned<String>>,
        /// The least that is a match.
        at_least: Option<Spanned<u32>>,
        /// By level, the least −log₁₀ of the chance to see so much.
        #[serde(default)]
        surprise: BTreeMap<String, Spanned<f64>>,
        /// After how long without an event a key begins anew, 90d by default.
        forget: Option<Spanned<String>>,
        /// Whether `high` is `medium` while many people do more than is likely; true by default.
        surge: Option<bool>,
    }
}

/// Exact sliding windows reach this far back.
const LONGEST_SECS: i64 = 48 * 3600;
/// So many people within a day, and so many times as many as on a usual day, are a surge.
const SURGE_PEOPLE: u32 = 5;
const SURGE_FACTOR: u32 = 2;

impl Kind for Volume {
    const NAME: &'static str = "volume";

    fn expand(&self, draft: &mut Draft<'_>) -> Option<Matches> {
        if let Some(condition) = self.level_by.values().next() {
            draft.problem(
                condition.referenced,
                "`level_by` is not for volume: write the least surprise of each level under `surprise`",
            );
        }
        let common = draft.common(&self.settings());
        let measure = draft.required("measure", self.measure.as_ref());
        let windows = self.windows(draft);
        let wanted = self.wanted(draft);
        let forget_secs = draft.duration(self.forget.as_ref(), "90d", 86_400);
        let common = common?;
        let measure = draft.measure(measure?, &common.relation)?;
        let windows = windows?;
        let names = windows.iter().map(|(name, _)| name.clone()).collect();
        let wanted = Wanted {
            windows: names,
            ..wanted?
        };
        let settings = serde_json::to_string(&wanted).ok()?;
        let counted = Counted {
            common: &common,
            measure: &measure,
            windows: &windows,
        };
        let matches = format!(
            "SELECT *, volume(\n    {counts}, order_time, mark_of({rule}, {key}), {forget_secs},\n    \
             {settings}\n  ) OVER (PARTITION BY {keys} ORDER BY {order}) AS finding\n  FROM (\n{counted}\n  )",
            counts = counted.names(),
            rule = sql::quoted(&draft.name),
            key = person(&common),
            settings = sql::quoted(&settings),
            keys = common.keys(),
            order = sql::ORDER,
            counted = counted.sql(),
        );
        let members = counted.members();
        Some(self.matches(draft, common, &matches, members))
    }
}

impl Volume {
    /// The query for the matches, and its level, which depends on what others do.
    fn matches(
        &self,
        draft: &Draft<'_>,
        mut common: Common,
        found: &str,
        members: Members,
    ) -> Matches {
        let level = "json_get_str(finding, 'level')";
        let is_surge = format!(
            "unlikely_people >= {SURGE_PEOPLE} AND unlikely_people >= {SURGE_FACTOR} * \
             coalesce(json_get_float(finding, 'evidence', 'usually_unlikely'), 0.0)"
        );
        common.level = match self.surge {
            Some(false) => level.to_owned(),
            _ => {
                format!("CASE WHEN {level} = 'high' AND {is_surge} THEN 'medium' ELSE {level} END")
            }
        };
        let mut shown = vec!["finding", "unlikely_people"];
        let outdated = match draft.reasons.is_empty() || common.has_reason {
            true => String::new(),
            false => {
                let mut reasons = draft.reasons.clone();
                reasons.push(OUTDATED.to_owned());
                let reasons = sql::quoted(&serde_json::json!(reasons).to_string());
                shown.push("reason");
                let days = "json_get_int(finding, 'evidence', 'days_found_of_seven')";
                format!(", CASE WHEN {days} IS NOT NULL THEN {reasons} END AS reason")
            }
        };
        let person = person(&common);
        let query = format!(
            "SELECT {columns} FROM (\n  SELECT *{outdated}, count(DISTINCT {person}) OVER (\n    ORDER BY \
             order_time RANGE BETWEEN INTERVAL '24 hours' PRECEDING AND CURRENT ROW\n  ) AS \
             unlikely_people FROM (\n  {found}\n  ) WHERE finding IS NOT NULL\n) WHERE {level} IS NOT NULL",
            columns = common.columns(&shown),
        );
        Matches {
            sql: query,
            key: common.key,
            wait_secs: 0,
            may_lack_key: false,
            conditions: Vec::new(),
            members: Some(members),
        }
    }

    /// The windows as they are written, and in seconds.
    fn windows(&self, draft: &mut Draft<'_>) -> Option<Vec<(String, i64)>> {
        let per = draft.required("per", self.per.as_ref())?;
        let texts = per.value.to_vec();
        if !(1..=WINDOWS).contains(&texts.len()) {
            let message = format!("`per` takes 1 to {WINDOWS} windows, such as [10m, 1h]");
            draft.problem(per.referenced, message);
            return None;
        }
        let windows = texts.into_iter().map(|text| {
            let spanned = Spanned::new(text.clone(), per.referenced, per.defined);
            let secs = draft.duration(Some(&spanned), "1h", 1);
            if secs > LONGEST_SECS {
                let message = format!("`{text}` is longer than the 48h a window reaches");
                draft.problem(per.referenced, message);
            }
            (text.trim().to_owned(), secs)
        });
        Some(windows.collect())
    }

    /// What is not about windows.
    fn wanted(&self, draft: &mut Draft<'_>) -> Option<Wanted> {
        let learn_secs = draft.duration(self.learn.as_ref(), "14d", 86_400);
        let at_least = draft.required("at_least", self.at_least.as_ref());
        if let Some(at_least) = at_least.filter(|at_least| at_least.value == 0) {
            draft.problem(at_least.referenced, "`0` is not a count of at least 1");
        }
        if self.surprise.is_empty() {
            let message = "`detect` needs `surprise`: by level the least −log₁₀ of the chance, such as {high: 4}";
            draft.missing(draft.place, message);
        }
        let mut surprise = BTreeMap::new();
        for (word, least) in &self.surprise {
            if let Err(error) = word.parse::<Level>() {
                draft.problem(least.referenced, error.to_string());
            }
            if !(0.5..=100.0).contains(&least.value) {
                let message = format!(
                    "`{}` is no surprise: write −log₁₀ of a chance, from 0.5 to 100",
                    least.value
                );
                draft.problem(least.referenced, message);
            }
            surprise.insert(word.clone(), least.value);
        }
        Some(Wanted {
            name: draft.name.clone(),
            windows: Vec::new(),
            learn_secs,
            at_least: at_least?.value,
            surprise,
            time_zone: draft.planner.time_zone().to_owned(),
            least_hours: least_hours(),
        })
    }
}

/// The key as one text, as records have it.
fn person(common: &Common) -> String {
    match common.key.as_slice() {
        [key] => format!("arrow_cast({key}, 'Utf8View')"),
        _ => format!(
            "arrow_cast(concat_ws(' / ', {}), 'Utf8View')",
            common.keys()
        ),
    }
}

/// The reason of a record that tells that its key does so on most days.
const OUTDATED: &str = "baseline_outdated";

/// The sliding counts of some windows.
struct Counted<'a> {
    common: &'a Common,
    measure: &'a str,
    windows: &'a [(String, i64)],
}

impl Counted<'_> {
    fn name(at: usize) -> String {
        format!("count_{}", at + 1)
    }

    /// As arguments; NULL where there is no window.
    fn names(&self) -> String {
        let names = (0..WINDOWS).map(|at| match at < self.windows.len() {
            true => Self::name(at),
            false => "CAST(NULL AS BIGINT)".to_owned(),
        });
        names.collect::<Vec<_>>().join(", ")
    }

    /// The rows with their counts.
    fn sql(&self) -> String {
        let keys = self.common.keys();
        let counts = self.windows.iter().enumerate().map(|(at, (_, secs))| {
            format!(
                ", {} OVER (\n      PARTITION BY {keys} ORDER BY order_time\n      RANGE BETWEEN INTERVAL \
                 '{secs} seconds' PRECEDING AND CURRENT ROW\n    ) AS {}",
                self.measure,
                Self::name(at),
            )
        });
        format!(
            "    SELECT *{}\n    FROM {}\n    WHERE {}",
            counts.collect::<String>(),
            self.common.relation,
            sql::condition(self.common, &[]),
        )
    }

    /// The events of the longest window.
    fn members(&self) -> Members {
        let longest = self.windows.iter().map(|(_, secs)| *secs).max();
        Members {
            sql: format!(
                "SELECT event_id, event_time, order_time, {} FROM {} WHERE {}",
                self.common.keys(),
                self.common.relation,
                sql::condition(self.common, &[]),
            ),
            span_micros: longest.unwrap_or(0) * MICROS,
        }
    }
}
