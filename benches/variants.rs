//! Rules that are made up, for as many as a bench wants.

/// Actions that an organisation's events have often, and some that they have seldom.
pub const ACTIONS: [&str; 12] = [
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

/// What the rule of a number detects: other actions, keys and kinds from one number to the next.
pub fn detect(number: usize, window: &str, limit: usize) -> String {
    let action = ACTIONS[number % ACTIONS.len()];
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
