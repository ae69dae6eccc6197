//! The rules of the figures: the shipped ones, and variants of them until there are more.

use gridwatch::detect::plan::Planner;
use gridwatch::event::action;
use gridwatch::rule::exception::Exceptions;
use gridwatch::rule::{self, Rule, embedded};

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
        names.any(|name| file == format!("rules/{name}.yml"))
    };
    let rules = embedded::RULES.iter().filter(|(file, _)| is_measured(file));
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

/// As many actions as events of an organisation have most often.
const ACTIONS: [&str; 12] = [
    "file_downloaded",
    "user_login",
    "file_uploaded",
    "file_shared",
    "file_public_link_created",
    "public_channel_created",
    "private_channel_created",
    "user_channel_join",
    "user_channel_leave",
    "app_installed",
    "user_session_invalidated",
    "user_logout",
];

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
    let is_often = |name: &str| ACTIONS.contains(&name) || COMMON.contains(&name);
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
    let action = ACTIONS[number % ACTIONS.len()];
    let limit = 20 + number;
    let key = ["actor_id", "actor_id", "ip", "entity_id"][number % 4];
    let per = ["10m", "1h", "4h", "24h"][number / 4 % 4];
    let detect = match number % 8 {
        0..=2 => format!(
            "  kind: threshold\n  where: action = '{action}'\n  key: {key}\n  measure: count(*)\n  per: \
             {per}\n  at_least: {limit}\n"
        ),
        3 => format!(
            "  kind: threshold\n  where: action = '{action}'\n  key: actor_id\n  measure: count(distinct \
             entity_id)\n  per: {per}\n  at_least: {limit}\n"
        ),
        4 => format!(
            "  kind: new_value\n  where: own_context AND action = '{action}'\n  key: actor_id\n  value: \
             ip\n  learn: 3d\n  forget: 90d\n"
        ),
        5 => format!(
            "  kind: match\n  where: action = '{action}' AND actor_type <> 'user'\n  key: actor_id\n"
        ),
        6 => format!(
            "  kind: match\n  where: action = 'made_up_{number}' AND json_get_str(details, 'x') = 'y'\n  \
             key: actor_id\n"
        ),
        _ => format!(
            "  kind: sql\n  key: actor_id\n  query: |\n    SELECT * FROM (\n      SELECT event_id, \
             event_time, order_time, actor_id, ip,\n        lag(ip) OVER (PARTITION BY actor_id ORDER BY \
             order_time, event_time, event_id) AS before\n      FROM events WHERE action = '{action}'\n    \
             ) WHERE ip <> before AND before = '192.0.2.{number}'\n"
        ),
    };
    made(planner, number, &detect)
}
