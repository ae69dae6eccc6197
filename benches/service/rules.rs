//! Rule files beside the rules that come with the program.

use std::fs;
use std::io;
use std::path::Path;

use gridwatch::rule::embedded;

/// Actions that an organisation's events have often, and some that they have seldom.
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

/// Limits lie so far out that hardly anything is found: hours of the organisation go by in a second, and
/// at its usual limits everybody would be found at once.
const LEAST: usize = 100_000;

/// The rule that finds markers.
pub const MARKER: &str = "bench_marker";

/// Writes the rules that are missing to so many in all, windows of these lengths taking turns; gives how
/// many it wrote.
pub fn variants(folder: &Path, count: usize, windows: &[String]) -> io::Result<usize> {
    let shipped = embedded::RULES.len();
    for number in shipped..count {
        let name = format!("made_{number}");
        let window = &windows[number / 4 % windows.len()];
        write(folder, number, &name, &detect(number, window), "1h")?;
    }
    Ok(count.saturating_sub(shipped))
}

/// Writes the rule that finds each marker by itself.
pub fn marker(folder: &Path) -> io::Result<()> {
    let detect = "  kind: match\n  where: action = 'file_downloaded' AND entity_name LIKE 'marker-%'\n  key: \
                  entity_id\n";
    write(folder, 999_999, MARKER, detect, "0s")
}

fn write(folder: &Path, number: usize, name: &str, detect: &str, suppress: &str) -> io::Result<()> {
    let text = format!(
        "title: Rule {number}\nid: 00000000-0000-4000-8000-{number:012}\nname: {name}\nstatus: \
         test\nlevel: low\ndescription: >\n  A rule of the bench.\nauthor: bench\ndate: 2026-03-02\ntags: \
         []\nlogsource: {{product: slack, service: audit}}\ndetect:\n{detect}suppress: {suppress}\n"
    );
    fs::create_dir_all(folder)?;
    fs::write(folder.join(format!("{name}.yml")), text)
}

/// Other actions, keys and kinds from one number to the next.
fn detect(number: usize, window: &str) -> String {
    let action = ACTIONS[number % ACTIONS.len()];
    let limit = LEAST + number;
    let key = ["actor_id", "actor_id", "ip", "entity_id"][number % 4];
    match number % 8 {
        0..=2 => format!(
            "  kind: threshold\n  where: action = '{action}'\n  key: {key}\n  measure: count(*)\n  per: \
             {window}\n  at_least: {limit}\n"
        ),
        3 => format!(
            "  kind: threshold\n  where: action = '{action}'\n  key: actor_id\n  measure: count(distinct \
             entity_id)\n  per: {window}\n  at_least: {limit}\n"
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
    }
}
