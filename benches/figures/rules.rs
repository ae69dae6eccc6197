//! The rules of the figures: the shipped ones, and variants of them until there are more.

use gridwatch::detect::plan::Planner;
use gridwatch::event::action;
use gridwatch::rule::exception::Exceptions;
use gridwatch::rule::{self, Rule, embedded};

use super::variants;

/// The rules by which figures are compared from one version to the next.
const MEASURED: [&str; 4] = [
    "agent_new_family",
    "file_bulk_download",
    "slack_anomaly",
    "travel_impossible",
];

/// Those of the rules that come with gridwatch.
pub fn shipped(planner: &Planner) -> Vec<Rule> {
    let is_measured = |file: &str| {
        let mut names = MEASURED.iter();
        names.any(|name| file.ends_with(&format!("/{name}.yml")))
    };
    let rules = embedded::RULES.iter().filter(|(file, _)| is_measured(file));
    rules
        .map(|(file, text)| load(planner, file, text))
        .collect()
}

/// All rules that come with gridwatch.
pub fn all(planner: &Planner) -> Vec<Rule> {
    let rules = embedded::RULES.iter();
    rules
        .map(|(file, text)| load(planner, file, text))
        .collect()
}

fn load(planner: &Planner, file: &str, text: &str) -> Rule {
    match rule::load(file, text, planner, &Exceptions::default()) {
        Ok(rule) => rule,
        Err(problems) => {
            let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
            panic!("{}\n{text}", problems.join("\n"))
        }
    }
}

/// A rule with this `detect` block.
pub fn made(planner: &Planner, number: usize, detect: &str) -> Rule {
    let text = format!(
        "title: Rule {number}\nid: 00000000-0000-4000-8000-{number:012}\nname: made_{number}\nstatus: \
         test\nlevel: low\ndescription: >\n  A rule of the bench.\nauthor: bench\ndate: 2026-03-02\ntags: \
         []\nlogsource: {{product: slack, service: audit}}\ndetect:\n{detect}suppress: 1h\n"
    );
    load(planner, "made.yml", &text)
}

/// The other actions of which a simulated organisation has more than one in 100,000 events.
const COMMON: [&str; 15] = [
    "anomaly",
    "audit_logs_records_searched",
    "canvas_created",
    "canvas_edited",
    "canvas_opened",
    "file_deleted",
    "huddle_participant_joined",
    "huddle_participant_left",
    "list_cell_updated",
    "list_opened",
    "list_row_created",
    "message_tombstoned",
    "public_channel_preview",
    "user_login_failed",
    "user_profile_updated",
];

/// Rules of kind `match`, this many, each on an action that happens seldom or never.
pub fn rare(planner: &Planner, count: usize) -> Vec<Rule> {
    let is_often = |name: &str| variants::ACTIONS.contains(&name) || COMMON.contains(&name);
    let names = action::catalogue().iter().map(|action| action.name);
    let names = names.filter(|name| !is_often(name)).take(count);
    let rules = names.enumerate().map(|(number, action)| {
        let detect = format!(
            "  kind: match\n  where: action = '{action}' AND actor_type = 'user'\n  key: actor_id\n"
        );
        made(planner, number, &detect)
    });
    rules.collect()
}

/// The shipped rules and variants of them, this many in all: other actions, limits, keys and windows.
pub fn variants(planner: &Planner, count: usize) -> Vec<Rule> {
    let mut rules = shipped(planner);
    for number in rules.len()..count {
        rules.push(variant(planner, number));
    }
    rules
}

fn variant(planner: &Planner, number: usize) -> Rule {
    let per = ["10m", "1h", "4h", "24h"][number / 4 % 4];
    let detect = variants::detect(number, per, 20 + number);
    made(planner, number, &detect)
}
