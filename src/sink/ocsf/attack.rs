//! MITRE ATT&CK, as the tags of rules name it.

use serde_json::{Value, json};

/// The tactics of MITRE ATT&CK for enterprises, as tags and as ATT&CK name them.
const TACTICS: [(&str, &str, &str); 14] = [
    ("reconnaissance", "TA0043", "Reconnaissance"),
    ("resource-development", "TA0042", "Resource Development"),
    ("initial-access", "TA0001", "Initial Access"),
    ("execution", "TA0002", "Execution"),
    ("persistence", "TA0003", "Persistence"),
    ("privilege-escalation", "TA0004", "Privilege Escalation"),
    ("defense-evasion", "TA0005", "Defense Evasion"),
    ("credential-access", "TA0006", "Credential Access"),
    ("discovery", "TA0007", "Discovery"),
    ("lateral-movement", "TA0008", "Lateral Movement"),
    ("collection", "TA0009", "Collection"),
    ("command-and-control", "TA0011", "Command and Control"),
    ("exfiltration", "TA0010", "Exfiltration"),
    ("impact", "TA0040", "Impact"),
];

/// The tactic or the technique that a tag of Sigma names: `attack.persistence`, `attack.t1078.004`.
pub(super) fn attack(tag: &str) -> Option<Value> {
    let word = tag.strip_prefix("attack.")?;
    if let Some((_, uid, name)) = TACTICS.iter().find(|(tactic, ..)| *tactic == word) {
        return Some(json!({"tactic": {"uid": uid, "name": name}}));
    }
    let is_number =
        |text: &str, digits| text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = word.strip_prefix('t')?;
    match number.split_once('.') {
        None if is_number(number, 4) => Some(json!({"technique": {"uid": format!("T{number}")}})),
        Some((technique, part)) if is_number(technique, 4) && is_number(part, 3) => Some(json!({
            "technique": {"uid": format!("T{technique}")},
            "sub_technique": {"uid": format!("T{number}")},
        })),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_names_a_tactic_or_a_technique() {
        let initial = json!({"tactic": {"uid": "TA0001", "name": "Initial Access"}});
        let command = json!({"tactic": {"uid": "TA0011", "name": "Command and Control"}});
        let cloud_account = json!({
            "technique": {"uid": "T1078"},
            "sub_technique": {"uid": "T1078.004"},
        });
        for (tag, expected) in [
            ("attack.initial-access", initial),
            ("attack.command-and-control", command),
            ("attack.t1539", json!({"technique": {"uid": "T1539"}})),
            ("attack.t1078.004", cloud_account),
        ] {
            assert_eq!(attack(tag), Some(expected), "{tag}");
        }
        for tag in [
            "attack.",
            "attack.t",
            "attack.t107",
            "attack.t1078.",
            "attack.t1078.04",
            "attack.t1078.004.1",
            "attack.t\u{661}\u{662}",
            "attack.g0016",
            "attack.s0154",
            "attack.unheard-of",
            "t1078",
            "slack.export",
        ] {
            assert_eq!(attack(tag), None, "{tag}");
        }
    }
}
