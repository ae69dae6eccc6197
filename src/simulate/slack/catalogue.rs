//! What `actions` and `schemas` list: a part of what Slack's do.

use serde_json::{Map, Value, json};

/// The actions of the simulated organisation and of the fake itself, under Slack's categories.
const ACTIONS: [(&str, &[&str]); 11] = [
    (
        "workspace_or_org",
        &[
            "audit_logs_records_searched",
            "manual_export_started",
            "pref.anomaly_event_response_changed",
            "pref.two_factor_auth_changed",
        ],
    ),
    (
        "user",
        &[
            "guest_created",
            "role_change_to_admin",
            "role_change_to_user",
            "user_deactivated",
            "user_login",
            "user_login_failed",
            "user_logout",
            "user_profile_updated",
            "user_reactivated",
            "user_session_invalidated",
            "user_session_reset_by_admin",
        ],
    ),
    (
        "file",
        &[
            "file_deleted",
            "file_downloaded",
            "file_malicious_content_detected",
            "file_public_link_created",
            "file_shared",
            "file_uploaded",
        ],
    ),
    (
        "channel",
        &[
            "private_channel_converted_to_public",
            "public_channel_created",
            "public_channel_preview",
            "user_channel_join",
            "user_channel_leave",
        ],
    ),
    (
        "app",
        &[
            "app_approved",
            "app_installed",
            "app_scopes_expanded",
            "app_uninstalled",
        ],
    ),
    ("message", &["message_tombstoned"]),
    (
        "huddle",
        &["huddle_participant_joined", "huddle_participant_left"],
    ),
    ("anomaly", &["anomaly"]),
    (
        "canvas",
        &["canvas_created", "canvas_edited", "canvas_opened"],
    ),
    ("native_dlp", &["native_dlp_rule_deactivated"]),
    (
        "list",
        &["list_cell_updated", "list_opened", "list_row_created"],
    ),
];

/// The types of entities that occur and that Slack describes, with the types of their fields. Slack
/// describes neither `huddle` nor `list`.
const ENTITIES: [(&str, &[(&str, &str)]); 8] = [
    ("workspace", NAMED_PLACE),
    ("enterprise", NAMED_PLACE),
    (
        "user",
        &[
            ("id", "string"),
            ("name", "string"),
            ("email", "string"),
            ("team", "string"),
        ],
    ),
    (
        "file",
        &[
            ("id", "string"),
            ("name", "string"),
            ("filetype", "string"),
            ("title", "string"),
        ],
    ),
    (
        "channel",
        &[
            ("id", "string"),
            ("name", "string"),
            ("privacy", "string"),
            ("is_shared", "bool"),
            ("is_org_shared", "bool"),
            ("teams_shared_with", "Optional: vec<string>"),
        ],
    ),
    (
        "app",
        &[
            ("id", "string"),
            ("name", "string"),
            ("is_distributed", "bool"),
            ("is_directory_approved", "bool"),
            ("is_workflow_app", "bool"),
            ("scopes", "array"),
        ],
    ),
    (
        "canvas",
        &[
            ("id", "string"),
            ("filetype", "string"),
            ("title", "string"),
        ],
    ),
    (
        "message",
        &[
            ("team", "string"),
            ("channel", "string"),
            ("timestamp", "string"),
        ],
    ),
];

const NAMED_PLACE: &[(&str, &str)] = &[("id", "string"), ("name", "string"), ("domain", "string")];

/// Whether `actions` lists the name.
pub(super) fn has_action(name: &str) -> bool {
    ACTIONS.iter().any(|(_, names)| names.contains(&name))
}

/// The answer of `actions`.
pub(super) fn actions() -> Value {
    let categories = ACTIONS.iter();
    let categories = categories.map(|(category, names)| ((*category).to_owned(), json!(names)));
    json!({"actions": categories.collect::<Map<_, _>>()})
}

/// The answer of `schemas`.
pub(super) fn schemas() -> Value {
    let schemas = ENTITIES.iter().map(|(kind, fields)| {
        let fields = fields.iter();
        let fields = fields.map(|(name, of)| ((*name).to_owned(), Value::from(*of)));
        let mut schema = Map::new();
        schema.insert("type".to_owned(), Value::from(*kind));
        schema.insert((*kind).to_owned(), fields.collect::<Map<_, _>>().into());
        Value::from(schema)
    });
    json!({"schemas": schemas.collect::<Vec<_>>()})
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::simulate::{Attacks, Plan, write};

    #[test]
    fn what_the_simulation_writes_is_listed() {
        let plan = Plan {
            attacks: Attacks::plenty(1),
            ..Plan::new(250, 9, 17)
        };
        let mut events = Vec::new();
        let (mut networks, mut labels) = (Vec::new(), Vec::new());
        write(&plan, &mut events, &mut networks, &mut labels, &mut |_| {}).unwrap();
        let (mut actions, mut kinds) = (HashSet::new(), HashSet::new());
        for line in events.split(|byte| *byte == b'\n') {
            let event: Value = serde_json::from_slice(line).unwrap_or_default();
            actions.extend(event["action"].as_str().map(str::to_owned));
            kinds.extend(event["entity"]["type"].as_str().map(str::to_owned));
        }
        assert!(actions.len() > 25, "{actions:?}");
        for action in actions {
            assert!(has_action(&action), "{action}");
        }
        for kind in kinds {
            let is_listed = ENTITIES.iter().any(|(listed, _)| *listed == kind);
            assert!(is_listed || kind == "huddle" || kind == "list", "{kind}");
        }
    }

    #[test]
    fn answers_begin_as_slacks_do() {
        assert!(actions().to_string().starts_with("{\"actions\":{"));
        assert!(schemas().to_string().starts_with("{\"schemas\":[{"));
        let schemas = schemas();
        assert_eq!(schemas["schemas"][2]["type"], "user");
        assert_eq!(schemas["schemas"][2]["user"]["email"], "string");
        assert_eq!(actions()["actions"]["anomaly"], json!(["anomaly"]));
    }
}
