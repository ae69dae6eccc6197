//! What is to be reached, and whether it was.

use std::fmt;

use gridwatch::anomaly::Level;
use serde_json::{Value, json};

use super::Measured;
use super::alarms::Rate;
use super::recall::{By, Share};
use super::rules::{DOWNLOAD, TRAVEL};

enum Goal {
    /// So large a share of a kind's attacks is found at a level or above.
    Found {
        kind: &'static str,
        by: By<'static>,
        level: Level,
        least: f64,
    },
    /// Of one rule, or of all, there are no more false alarms at a level or above for 1,000 people a day.
    False {
        rule: Option<&'static str>,
        level: Level,
        most: f64,
    },
}

/// Kinds that some fitting rule must find at some level.
const OTHERS: [&str; 11] = [
    "stolen_session",
    "script_client",
    "fail_then_success",
    "spray",
    "brute_force",
    "deactivated_login",
    "mass_join",
    "mass_share",
    "malware_burst",
    "privilege_escalation",
    "wide_app",
];

fn goals() -> Vec<Goal> {
    let by_rule = |kind, rule, level, least| Goal::Found {
        kind,
        by: By::Rule(rule),
        level,
        least,
    };
    let at_most = |rule, level, most| Goal::False { rule, level, most };
    let mut goals = vec![
        by_rule("travel_continent", TRAVEL, Level::High, 0.98),
        by_rule("travel_country", TRAVEL, Level::High, 0.95),
        by_rule("travel_far_city", TRAVEL, Level::High, 0.78),
        at_most(Some(TRAVEL), Level::High, 0.6),
        by_rule("bulk_download", DOWNLOAD, Level::High, 0.94),
        at_most(Some(DOWNLOAD), Level::High, 0.7),
        by_rule("bulk_download", DOWNLOAD, Level::Medium, 0.98),
        at_most(Some(DOWNLOAD), Level::Medium, 3.0),
    ];
    goals.extend(OTHERS.map(|kind| Goal::Found {
        kind,
        by: By::Fitting,
        level: Level::Informational,
        least: 0.9,
    }));
    goals.push(at_most(None, Level::High, 3.0));
    goals.push(at_most(None, Level::Medium, 12.0));
    goals
}

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Pass,
    Fail,
    /// The rules that it takes were not run, or nobody was attacked so.
    NotMeasured,
}

impl Verdict {
    fn of(is_reached: bool) -> Self {
        match is_reached {
            true => Self::Pass,
            false => Self::Fail,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "FAIL",
            Self::NotMeasured => "not measured",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What was reached of one goal.
pub struct Line {
    pub goal: String,
    /// As a share, or for 1,000 people a day, with its interval.
    pub reached: String,
    pub limit: String,
    pub verdict: Verdict,
    figures: Value,
}

impl Line {
    pub fn json(&self) -> Value {
        json!({
            "goal": self.goal,
            "limit": self.limit,
            "reached": self.figures,
            "verdict": self.verdict.as_str(),
        })
    }
}

/// All goals with what was reached. With some rules only, goals about the others are not judged.
pub fn judged(measured: &Measured, rules: &[String], are_all_rules: bool) -> Vec<Line> {
    let is_run = |rule: &str| rules.iter().any(|name| name == rule);
    let line = |goal: &Goal| match *goal {
        Goal::Found {
            kind,
            by,
            level,
            least,
        } => {
            let share = measured.recall.share(kind, by, level);
            let is_measured = match by {
                By::Rule(rule) => is_run(rule),
                By::Fitting => are_all_rules,
            };
            found(kind, by, level, least, share, is_measured)
        }
        Goal::False { rule, level, most } => {
            let is_of = |name: &str| rule.is_none_or(|rule| rule == name);
            let rate = measured.alarms.rate(level, is_of);
            let is_measured = rule.map_or(are_all_rules, is_run);
            at_most(rule, level, most, rate, is_measured)
        }
    };
    goals().iter().map(line).collect()
}

/// The level and those above it.
fn and_above(level: Level) -> String {
    match level {
        Level::Informational => "at any level".to_owned(),
        _ => format!("at {level} and above"),
    }
}

fn found(
    kind: &str,
    by: By<'_>,
    level: Level,
    least: f64,
    share: Share,
    is_measured: bool,
) -> Line {
    let by = match by {
        By::Rule(rule) => rule,
        By::Fitting => "a fitting rule",
    };
    Line {
        goal: format!("{kind} found by {by} {}", and_above(level)),
        reached: share.to_string(),
        limit: format!(">= {:.0} %", least * 100.0),
        verdict: match is_measured && share.of > 0 {
            true => Verdict::of(share.value() >= least),
            false => Verdict::NotMeasured,
        },
        figures: share.json(),
    }
}

fn at_most(rule: Option<&str>, level: Level, most: f64, rate: Rate, is_measured: bool) -> Line {
    let by = rule.unwrap_or("all rules");
    Line {
        goal: format!("false alarms of {by} {}", and_above(level)),
        reached: rate.to_string(),
        limit: format!("<= {most}"),
        verdict: match is_measured {
            true => Verdict::of(rate.value() <= most),
            false => Verdict::NotMeasured,
        },
        figures: rate.json(),
    }
}
