//! The rules that come with the program.

/// Path in the repository and text of each.
pub const RULES: &[(&str, &str)] = &[
    (
        "rules/agent_new_family.yml",
        include_str!("../../rules/agent_new_family.yml"),
    ),
    (
        "rules/file_bulk_download.yml",
        include_str!("../../rules/file_bulk_download.yml"),
    ),
    (
        "rules/session_split.yml",
        include_str!("../../rules/session_split.yml"),
    ),
    (
        "rules/slack_anomaly.yml",
        include_str!("../../rules/slack_anomaly.yml"),
    ),
    (
        "rules/travel_impossible.yml",
        include_str!("../../rules/travel_impossible.yml"),
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::RULES;

    #[test]
    fn every_file_in_the_folder_is_embedded() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
        let files: BTreeSet<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| format!("rules/{}", entry.unwrap().file_name().to_string_lossy()))
            .filter(|path| path.ends_with(".yml"))
            .collect();
        let embedded: BTreeSet<String> = RULES.iter().map(|(path, _)| (*path).to_owned()).collect();
        assert_eq!(files, embedded);
    }
}
