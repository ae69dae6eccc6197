//! `sequence`: steps that follow each other, and what did not follow.

use serde::Deserialize;
use serde_saphyr::Spanned;

use super::super::draft::{Common, Draft, Matches};
use super::super::sql;
use super::{Kind, settings};
use crate::detect::Condition;
use crate::detect::function::sequence::{MOST_EVENTS, MOST_STEPS, Step, Steps};

settings! {
    /// Steps follow each other in the order of events, each by an event of its own; the last one is the
    /// match.
    Sequence {
        #[serde(default)]
        steps: Vec<Spanned<Wanted>>,
        /// How long after the first event of a sequence its last one comes at most.
        within: Option<Spanned<String>>,
        /// What must not follow the last step.
        not_followed_by: Option<Spanned<Absent>>,
    }
}

/// A step.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    #[serde(rename = "where")]
    filter: Option<Spanned<String>>,
    /// How many such events it takes, 1 by default.
    times: Option<Spanned<u32>>,
    /// How long after the one before each of them comes at most; else as long as `within`.
    gap: Option<Spanned<String>>,
    /// What must not stand between an event before and it.
    unless: Option<Spanned<String>>,
}

/// What must not come.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Absent {
    #[serde(rename = "where")]
    filter: Option<Spanned<String>>,
    /// For so long, at most 1h: the match is found so much later.
    within: Option<Spanned<String>>,
}

/// How far a window looks ahead at most.
const LONGEST_WAIT_SECS: i64 = 3600;

/// The steps as SQL.
struct Shape {
    /// The condition of each step.
    wanted: Vec<String>,
    /// What bars each step.
    unless: Vec<Option<String>>,
    steps: Steps,
}

/// The absence as SQL.
struct Wait {
    filter: String,
    secs: i64,
    text: String,
}

impl Kind for Sequence {
    const NAME: &'static str = "sequence";

    fn expand(&self, draft: &mut Draft<'_>) -> Option<Matches> {
        let common = draft.common(&self.settings());
        let within = draft.required("within", self.within.as_ref());
        let within_secs = draft.duration(within, "1h", 1);
        if self.steps.is_empty() {
            draft.missing(draft.place, "`detect` needs `steps`");
        }
        let common = common?;
        let shape = self.shape(draft, &common, within_secs);
        let wait = match &self.not_followed_by {
            Some(absent) => Some(absent.value.read(draft, absent, &common.relation)?),
            None => None,
        };
        if self.steps.len() == 1 && wait.is_none() {
            draft.problem(
                self.steps[0].referenced,
                "one step alone is no sequence: add another one or `not_followed_by`, or use kind: match",
            );
        }
        let shape = shape?;
        let matches = shape.matches(&common, within_secs, wait.as_ref());
        let (sql, conditions) = match &wait {
            None => (matches, Vec::new()),
            Some(wait) => (wait.matches(&common, &matches), vec![wait.condition()]),
        };
        let shown: &[&str] = match wait {
            Some(_) => &["finding", "observed"],
            None => &["finding"],
        };
        Some(Matches {
            sql: format!("SELECT {} FROM {sql}", common.columns(shown)),
            key: common.key,
            wait_secs: wait.map_or(0, |wait| wait.secs),
            may_lack_key: false,
            conditions,
            members: None,
        })
    }
}

impl Sequence {
    fn shape(&self, draft: &mut Draft<'_>, common: &Common, within_secs: i64) -> Option<Shape> {
        let (mut wanted, mut unless, mut steps) = (Vec::new(), Vec::new(), Vec::new());
        for step in &self.steps {
            let (place, step) = (step.referenced, &step.value);
            match &step.filter {
                Some(filter) => wanted.push(draft.predicate(filter, &common.relation)),
                None => draft.missing(place, "a step needs `where`"),
            }
            let barred = step.unless.as_ref();
            unless.push(barred.map(|barred| draft.predicate(barred, &common.relation)));
            let times = step.times.as_ref().map_or(1, |times| times.value);
            if let Some(times) = step.times.as_ref().filter(|times| times.value == 0) {
                draft.problem(
                    times.referenced,
                    "`0` is not a number of events: at least 1",
                );
            }
            let gap = step
                .gap
                .as_ref()
                .map(|gap| draft.duration(Some(gap), "1h", 0));
            steps.push(Step {
                times,
                gap_secs: u32::try_from(gap.unwrap_or(within_secs)).unwrap_or(u32::MAX),
            });
        }
        if let (Some(first), Some(Some(_))) = (self.steps.first(), unless.first()) {
            draft.problem(
                first.referenced,
                "nothing stands before the first step: leave `unless` out",
            );
        }
        let steps = Steps::new(steps);
        if steps.is_none() && !self.steps.is_empty() {
            draft.problem(
                self.steps[0].referenced,
                format!(
                    "a sequence has at most {MOST_STEPS} steps, and {MOST_EVENTS} events with all `times`"
                ),
            );
        }
        Some(Shape {
            wanted: wanted.into_iter().collect::<Option<_>>()?,
            unless: barred(unless)?,
            steps: steps?,
        })
    }
}

/// The conditions; `None` if one of them is wrong.
fn barred(unless: Vec<Option<Option<String>>>) -> Option<Vec<Option<String>>> {
    let known = unless.into_iter();
    known
        .map(|barred| barred.map_or(Some(None), |right| right.map(Some)))
        .collect()
}

impl Shape {
    /// The events that complete the last step, as a relation.
    fn matches(&self, common: &Common, within_secs: i64, wait: Option<&Wait>) -> String {
        let unless: Vec<Option<&String>> = self.unless.iter().map(Option::as_ref).collect();
        let wanted: Vec<Option<&String>> = self.wanted.iter().map(Some).collect();
        let all = self.wanted.iter().chain(self.unless.iter().flatten());
        let all = all.chain(wait.map(|wait| &wait.filter));
        let mut read: Vec<String> = Vec::new();
        for filter in all.map(|filter| format!("({filter})")) {
            if !read.contains(&filter) {
                read.push(filter);
            }
        }
        let read = format!("({})", read.join(" OR "));
        format!(
            "(\n  SELECT *, sequence(\n    {matched},\n    {barred},\n    order_time, event_time, event_id, \
             '{steps}', {within_secs}\n  ) OVER (PARTITION BY {keys} ORDER BY {order}) AS finding\n  FROM \
             {relation}\n  WHERE {condition}\n){end}",
            matched = bits(&wanted),
            barred = bits(&unless),
            steps = self.steps,
            keys = common.keys(),
            order = sql::ORDER,
            relation = common.relation,
            condition = sql::condition(common, &[&read]),
            end = if wait.is_none() {
                " WHERE finding IS NOT NULL"
            } else {
                ""
            },
        )
    }
}

/// A number in which the bit of each condition that holds is set, as SQL.
fn bits(conditions: &[Option<&String>]) -> String {
    let bits = conditions.iter().enumerate().filter_map(|(at, condition)| {
        let condition = (*condition)?;
        Some(format!("CASE WHEN {condition} THEN {} ELSE 0 END", 1 << at))
    });
    let bits = bits.collect::<Vec<_>>().join(" + ");
    if bits.is_empty() {
        "0".to_owned()
    } else {
        bits
    }
}

impl Absent {
    fn read(&self, draft: &mut Draft<'_>, at: &Spanned<Self>, relation: &str) -> Option<Wait> {
        let filter = self
            .filter
            .as_ref()
            .and_then(|filter| draft.predicate(filter, relation));
        for (name, is_there) in [
            ("where", self.filter.is_some()),
            ("within", self.within.is_some()),
        ] {
            if !is_there {
                draft.missing(at.referenced, format!("`not_followed_by` needs `{name}`"));
            }
        }
        let within = self.within.as_ref()?;
        let secs = draft.duration(Some(within), "1h", 1);
        if secs > LONGEST_WAIT_SECS {
            let message = format!("`{}` is longer than the 1h that a rule waits", within.value);
            draft.problem(within.referenced, message);
        }
        Some(Wait {
            filter: filter?,
            secs,
            text: within.value.trim().to_owned(),
        })
    }
}

impl Wait {
    /// The matches that nothing followed. What comes in the same second counts as following, and the
    /// match does not follow itself.
    fn matches(&self, common: &Common, sequences: &str) -> String {
        let (filter, secs) = (&self.filter, self.secs);
        format!(
            "(\n  SELECT *, count(*) FILTER (WHERE {filter}) OVER (\n    PARTITION BY {keys} ORDER BY \
             order_time\n    RANGE BETWEEN CURRENT ROW AND INTERVAL '{secs} seconds' FOLLOWING\n  ) - CASE \
             WHEN {filter} THEN 1 ELSE 0 END AS observed\n  FROM {sequences}\n) WHERE finding IS NOT NULL AND \
             observed = 0",
            keys = common.keys(),
        )
    }

    fn condition(&self) -> Condition {
        Condition {
            text: format!("{} within {} after it: none", self.filter, self.text),
            observed: vec!["observed".to_owned()],
            limit: 0.into(),
        }
    }
}
