//! The rules that come with the program.

macro_rules! rules {
    ($($folder:literal: $($name:literal)*;)*) => {
        /// Path in the repository and text of each.
        pub const RULES: &[(&str, &str)] = &[$($(
            (
                concat!("rules/", $folder, "/", $name, ".yml"),
                include_str!(concat!("../../rules/", $folder, "/", $name, ".yml")),
            ),
        )*)*];
    };
}

rules! {
    "places": "travel_impossible" "egress_new" "egress_many_new_sessions";
    "sessions": "session_split" "session_forked" "session_new_asn" "agent_new_family"
        "agent_script_client";
    "sign_ins": "login_new_country" "login_new_hosting_asn" "login_tor" "login_bruteforce"
        "login_spray" "login_fail_then_success" "login_after_deactivation";
    "data": "file_bulk_download" "file_bulk_download_fixed" "file_download_after_travel"
        "file_public_link_sensitive" "file_malware" "file_malware_burst" "file_mass_share"
        "channel_mass_join" "channel_private_to_public" "export_started";
    "apps": "app_added" "app_access_expanded" "app_removed";
    "administration": "privilege_escalation" "privilege_removed" "owner_transferred"
        "policy_auth_weakened" "policy_defence_off" "organization_changed" "response_tampered"
        "admin_mass_session_reset";
    "signals": "slack_anomaly" "risk_score";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::RULES;

    #[test]
    fn every_file_in_the_folders_is_embedded() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut files = BTreeSet::new();
        for folder in std::fs::read_dir(root.join("rules")).unwrap() {
            let folder = folder.unwrap().path();
            if !folder.is_dir() {
                continue;
            }
            for file in std::fs::read_dir(&folder).unwrap() {
                let path = file.unwrap().path();
                let path = path.strip_prefix(root).unwrap();
                files.insert(path.to_string_lossy().replace('\\', "/"));
            }
        }
        let embedded: BTreeSet<String> = RULES.iter().map(|(path, _)| (*path).to_owned()).collect();
        assert_eq!(files, embedded);
    }
}
