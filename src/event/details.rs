//! What Slack is known to put into `details`.
//!
//! Source: Slack's Java SDK (`LogsResponse.Details`, whose comments say at which action its authors saw
//! some of the fields) and the page on anomaly events of the Audit Logs API.

/// Fields, and the actions whose events have them; no action where several do or nobody says.
const FIELDS: &[(&[&str], &[&str])] = &[
    (
        &[
            "action_timestamp",
            "previous_ip_address",
            "previous_ua",
            "ip_address_details",
            "user_agent_change_details",
            "client_ja3_fingerprint",
            "detected_client",
            "detected_os",
            "scraping_tool",
            "api_call_method",
        ],
        &["anomaly"],
    ),
    (
        &["mobile_only", "web_only", "non_sso_only"],
        &["user_session_reset_by_admin", "bulk_session_reset_by_admin"],
    ),
    (
        &["succeeded_users", "failed_users"],
        &["bulk_session_reset_by_admin"],
    ),
    (
        &["duration", "desktop_app_browser_quit"],
        &["user_session_settings_changed"],
    ),
    (&["md5_hash"], &["file_malicious_content_detected"]),
    (
        &[
            "access_level",
            "action",
            "actor",
            "added_team_id",
            "added_to_allow",
            "added_user_count",
            "added_user_error_count",
            "admin_app_id",
            "affected_users",
            "app_id",
            "app_owner_id",
            "app_previously_approved",
            "app_previously_resolved",
            "approval_type",
            "approver_id",
            "argument_keys",
            "arguments",
            "attributes",
            "authentication_method",
            "authentication_mode",
            "barrier_id",
            "barriered_from_usergroup_ids",
            "bot_id",
            "bot_scopes",
            "can_huddle",
            "can_thread",
            "cell_date_updated",
            "channel",
            "channel_id",
            "channel_ids",
            "cleared_resolution",
            "cloned_file_id",
            "column_id",
            "config_type",
            "changed_permissions",
            "connectors_disabled",
            "connectors_enabled",
            "datastore_name",
            "datastores",
            "datastores_added",
            "decision",
            "deprecation_search_end",
            "destination_team",
            "destructive",
            "disconnecting_team",
            "enable_at_channel",
            "enable_at_here",
            "enterprise",
            "entity_ids",
            "entity_type",
            "executor_id",
            "expires_on",
            "export_end_ts",
            "export_start_ts",
            "export_type",
            "exporting_team_id",
            "external_organization_id",
            "external_organization_name",
            "external_user_email",
            "external_user_id",
            "file_id",
            "functions",
            "functions_added",
            "granular_bot_token",
            "idp_config_id",
            "idp_entity_id",
            "idp_entity_id_hash",
            "idp_group_member_count",
            "initiated_by",
            "installer_user_id",
            "invite_id",
            "inviter",
            "is_allowed",
            "is_channel_canvas",
            "is_error",
            "is_ext_shared",
            "is_external_limited",
            "is_external_user",
            "is_flagged",
            "is_internal_integration",
            "is_token_rotation_enabled_app",
            "is_workflow",
            "kicker",
            "label",
            "linked_channel_id",
            "location",
            "matched_rule",
            "mcp_client_inferred_behavior",
            "mcp_server_allowlist_domains",
            "md",
            "name",
            "new_profile",
            "new_retention_policy",
            "new_scopes",
            "new_value",
            "new_version_id",
            "old_retention_policy",
            "old_scopes",
            "origin_team",
            "permission_key",
            "permission_type",
            "permissions",
            "permissions_updated",
            "policy_name",
            "previous_profile",
            "previous_scopes",
            "previous_value",
            "primary_usergroup_id",
            "reactivated_user_count",
            "reactivated_user_error_count",
            "read_only",
            "reason",
            "removed_user_count",
            "removed_user_error_count",
            "request",
            "resolution",
            "restricted_subjects",
            "row_id",
            "rules_checked",
            "salesforce_org_config",
            "scopes",
            "secondary_authentication_method",
            "server_name",
            "server_url",
            "service_type",
            "session_search_start",
            "shared_to",
            "shared_with",
            "skill_id",
            "source",
            "source_team",
            "space_file_id",
            "status",
            "subteam",
            "success",
            "target_entity",
            "target_entity_id",
            "target_team",
            "target_user",
            "target_user_id",
            "team",
            "teams_shared_with",
            "template_title",
            "thread_ts",
            "tool",
            "tool_name",
            "total_removal_count",
            "trigger",
            "trigger_config",
            "trigger_id",
            "type",
            "uri",
            "url_private",
            "user",
            "user_ids",
            "variable_names",
            "view_id",
            "who_can_dm_anyone",
            "who_can_post",
            "workflows",
            "workflows_added",
            "workspace_member_count",
        ],
        &[],
    ),
];

/// All known fields.
pub fn fields() -> impl Iterator<Item = &'static str> {
    FIELDS.iter().flat_map(|(fields, _)| fields.iter().copied())
}

/// The actions whose events have the field; empty where that is not known, `None` for a field that is
/// not known itself.
pub fn actions_with(field: &str) -> Option<&'static [&'static str]> {
    let known = FIELDS.iter().find(|(fields, _)| fields.contains(&field));
    known.map(|(_, actions)| *actions)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{FIELDS, actions_with, fields};
    use crate::event::action;

    #[test]
    fn each_field_stands_once_and_its_actions_are_known() {
        let names: BTreeSet<&str> = fields().collect();
        assert_eq!(names.len(), fields().count());
        for name in FIELDS.iter().flat_map(|(_, actions)| *actions) {
            assert!(action::find(name).is_some(), "{name}");
        }
        assert_eq!(actions_with("new_scope"), None);
        assert_eq!(actions_with("previous_ua"), Some(&["anomaly"][..]));
    }
}
