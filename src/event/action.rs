//! The action catalogue, and the one decision made from it: whose context does an event carry?

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::Value;

/// Who a context belongs to when an event of an action carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// The actor held a session or credential at that moment; address, agent and session are his.
    Own,
    /// Somebody else's or nobody's, or it proves nothing: a failed sign-in, a denial, a job, and
    /// whatever is in doubt.
    Other,
}

/// An action that Slack lists, documents or was seen to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Action {
    /// Its name, verbatim.
    pub name: &'static str,
    /// Slack's category; the first one for a name that Slack lists under two.
    pub category: &'static str,
    /// Whose context its events carry as far as the name alone tells; see [`own_context`].
    pub context: Context,
}

/// All known actions, sorted by name in byte order.
pub fn catalogue() -> &'static [Action] {
    &CATALOGUE.actions
}

/// The action of this name; `None` for one that Slack does not list.
pub fn find(name: &str) -> Option<&'static Action> {
    CATALOGUE.places.get(name).map(|&at| &CATALOGUE.actions[at])
}

/// The names in what Slack's `/audit/v1/actions` answers: an object of lists of names by category, inside
/// `actions` or by itself.
///
/// # Errors
/// Why the text is none.
pub fn names(text: &str) -> Result<BTreeSet<String>, String> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Answer {
        Whole {
            actions: BTreeMap<String, Vec<String>>,
        },
        Bare(BTreeMap<String, Vec<String>>),
    }
    let remedy =
        "save what https://api.slack.com/audit/v1/actions answers, which asks for no token";
    let answer = serde_json::from_str(text)
        .map_err(|error| format!("no list of actions: {error}; {remedy}"))?;
    let (Answer::Whole { actions } | Answer::Bare(actions)) = answer;
    Ok(actions.into_values().flatten().collect())
}

/// The facts of one event that decide, beside its action, whose context it carries.
#[derive(Clone, Copy, Debug, Default)]
pub struct Evidence<'a> {
    /// `actor.type`.
    pub actor_type: Option<&'a str>,
    /// The id of the acting user.
    pub actor_id: Option<&'a str>,
    /// His e-mail address; missing for strangers.
    pub actor_email: Option<&'a str>,
    /// Whether an app caused the event.
    pub is_by_app: bool,
    /// `context.ip_address`; an absent address speaks neither for nor against.
    pub ip: Option<&'a str>,
    /// Whether an agent acted in the user's name, Slackbot for one.
    pub is_by_agent: bool,
    /// The JSON text of `details`, as it came.
    pub details: Option<&'a str>,
}

/// Whether the event proves that its actor held a session or credential, and that its address,
/// agent and session are the actor's own. In doubt it does not.
pub fn own_context(action: Option<&'static Action>, evidence: &Evidence<'_>) -> bool {
    action.is_some_and(|action| {
        action.context == Context::Own
            && is_person(evidence)
            && !evidence.is_by_app
            && !evidence.is_by_agent
            && !evidence.ip.is_some_and(is_loopback)
            && (!is_membership(action.name) || changed_by_himself(evidence))
    })
}

struct Catalogue {
    actions: Vec<Action>,
    places: HashMap<&'static str, usize>,
}

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| {
    let actions: Vec<Action> = include_str!("actions.tsv")
        .lines()
        .filter_map(row)
        .collect();
    let places = actions
        .iter()
        .enumerate()
        .map(|(at, action)| (action.name, at))
        .collect();
    Catalogue { actions, places }
});

/// Reads a line of the table; comments have no columns.
fn row(line: &'static str) -> Option<Action> {
    let mut columns = line.split('\t');
    let (name, category) = (columns.next()?, columns.next()?);
    let context = match columns.next()? {
        "own" => Context::Own,
        _ => Context::Other,
    };
    Some(Action {
        name,
        category,
        context,
    })
}

fn is_person(evidence: &Evidence<'_>) -> bool {
    let id = evidence.actor_id.unwrap_or_default();
    let email = evidence.actor_email.unwrap_or_default();
    evidence.actor_type == Some("user")
        && !matches!(id, "" | "USLACKUSER" | "USLACKSECURITY" | "USLACKBOT")
        && !email.ends_with("@slack-bots.com")
}

/// Steps on Slack's own servers carry a loopback address.
fn is_loopback(ip: &str) -> bool {
    ip.parse::<IpAddr>()
        .is_ok_and(|ip| ip.to_canonical().is_loopback())
}

/// When a member is added or removed by somebody else, the context is that person's.
fn is_membership(action: &str) -> bool {
    matches!(
        action,
        "user_channel_join" | "user_channel_leave" | "guest_channel_join" | "guest_channel_leave"
    )
}

/// What `details` says about a change of membership; whatever its fields hold, they are read.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Membership {
    inviter: Option<Value>,
    kicker: Option<Value>,
    #[serde(rename = "type")]
    kind: Option<Value>,
    is_workflow: Option<Value>,
}

fn changed_by_himself(evidence: &Evidence<'_>) -> bool {
    let details = evidence.details.unwrap_or("null");
    let Ok(details) = serde_json::from_str::<Option<Membership>>(details) else {
        return false;
    };
    let details = details.unwrap_or_default();
    let himself = |person: &Value| id_of(person) == evidence.actor_id;
    details.inviter.iter().chain(&details.kicker).all(himself)
        && details.kind.as_ref().is_none_or(is_of_own_accord)
        && details.is_workflow.as_ref().and_then(Value::as_bool) != Some(true)
}

/// The id of a person given flat, under `user`, or as the bare id.
fn id_of(person: &Value) -> Option<&str> {
    [person, &person["id"], &person["user"]["id"]]
        .into_iter()
        .find_map(Value::as_str)
}

fn is_of_own_accord(kind: &Value) -> bool {
    kind.as_str().is_some_and(|kind| {
        kind.eq_ignore_ascii_case("JOINED") || kind.eq_ignore_ascii_case("LEFT")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERSON: Evidence<'static> = Evidence {
        actor_type: Some("user"),
        actor_id: Some("U1"),
        actor_email: Some("ann@example.com"),
        is_by_app: false,
        ip: Some("203.0.113.7"),
        is_by_agent: false,
        details: None,
    };

    fn own(action: &str, evidence: &Evidence<'_>) -> bool {
        own_context(find(action), evidence)
    }

    #[test]
    fn the_table_is_whole() {
        let lines = include_str!("actions.tsv").lines();
        for line in lines.clone().filter(|line| !line.starts_with('#')) {
            let columns: Vec<&str> = line.split('\t').collect();
            assert_eq!(columns.len(), 3, "{line}");
            assert!(columns.iter().all(|text| !text.is_empty()), "{line}");
            assert!(matches!(columns[2], "own" | "other"), "{line}");
        }
        // 762 names listed by Slack, 15 documented or observed beside them.
        assert_eq!(catalogue().len(), 777);
        assert!(catalogue().is_sorted_by(|a, b| a.name < b.name));
        let categories: BTreeSet<_> = catalogue().iter().map(|action| action.category).collect();
        // The 25th, `account_type_role`, holds only names that `message` lists first.
        assert_eq!(categories.len(), 24);
        for action in catalogue() {
            assert_eq!(find(action.name), Some(action));
        }
    }

    #[test]
    fn unlisted_actions_are_not_found() {
        for name in ["", "user_logins", "USER_LOGIN", "# own: the actor held"] {
            assert_eq!(find(name), None, "{name}");
        }
        assert!(!own("brand_new_action", &PERSON));
    }

    #[test]
    fn actions_say_whose_context_they_carry() {
        let table = [
            ("app_approved", true),
            ("audit_logs_export_csv_started", true),
            ("canvas_opened", true),
            ("channel_renamed", true),
            ("cli_login", true),
            ("file_downloaded", true),
            ("file_public_link_created", true),
            ("huddle_participant_joined", true),
            ("list_cell_updated", true),
            ("manual_export_downloaded", true),
            ("manual_export_started", true),
            ("pref.two_factor_auth_changed", true),
            ("private_channel_archive", true),
            ("public_channel_preview", true),
            ("role_change_to_owner", true),
            ("user_login", true),
            ("user_logout", true),
            ("anomaly", false),
            ("app_agentforce_execute_slack_action", false),
            ("bulk_session_reset_by_admin", false),
            ("external_shared_channel_invite_auto_revoked", false),
            ("file_download_blocked", false),
            ("file_downloaded_blocked", false),
            ("guest_expired", false),
            ("ip_allowlist_access_denied", false),
            ("manual_export_completed", false),
            ("mcp_slack_read_channel_tool_called", false),
            ("migration_scheduled", false),
            ("scheduled_export_started", false),
            ("team_unsupported_versions_job_start", false),
            ("user_added_to_usergroup", false),
            ("user_created", false),
            ("user_deactivated", false),
            ("user_joined_workspace", false),
            ("user_login_failed", false),
            ("user_logout_compromised", false),
            ("user_password_reset_requested", false),
            ("user_session_invalidated", false),
            ("user_session_reset_by_admin", false),
            ("user_sessions_reset_by_anomaly_event_response", false),
            ("usergroup_update_enqueued", false),
        ];
        for (action, expected) in table {
            assert!(find(action).is_some(), "{action}");
            assert_eq!(own(action, &PERSON), expected, "{action}");
        }
    }

    #[test]
    fn only_people_in_a_client_have_a_context_of_their_own() {
        let table: [(&str, Evidence<'_>, bool); 16] = [
            ("a person", PERSON, true),
            (
                "no type",
                Evidence {
                    actor_type: None,
                    ..PERSON
                },
                false,
            ),
            (
                "an app",
                Evidence {
                    actor_type: Some("app"),
                    ..PERSON
                },
                false,
            ),
            (
                "no id",
                Evidence {
                    actor_id: None,
                    ..PERSON
                },
                false,
            ),
            (
                "an empty id",
                Evidence {
                    actor_id: Some(""),
                    ..PERSON
                },
                false,
            ),
            (
                "nobody",
                Evidence {
                    actor_id: Some("USLACKUSER"),
                    ..PERSON
                },
                false,
            ),
            (
                "Slack",
                Evidence {
                    actor_id: Some("USLACKSECURITY"),
                    ..PERSON
                },
                false,
            ),
            (
                "no address",
                Evidence {
                    actor_email: None,
                    ..PERSON
                },
                true,
            ),
            (
                "a bot",
                Evidence {
                    actor_email: Some("botuser-T1-A1@slack-bots.com"),
                    ..PERSON
                },
                false,
            ),
            (
                "by an app",
                Evidence {
                    is_by_app: true,
                    ..PERSON
                },
                false,
            ),
            (
                "by an agent",
                Evidence {
                    is_by_agent: true,
                    ..PERSON
                },
                false,
            ),
            ("no ip", Evidence { ip: None, ..PERSON }, true),
            (
                "IPv6",
                Evidence {
                    ip: Some("2001:db8::1"),
                    ..PERSON
                },
                true,
            ),
            (
                "loopback",
                Evidence {
                    ip: Some("127.8.0.1"),
                    ..PERSON
                },
                false,
            ),
            (
                "IPv6 loopback",
                Evidence {
                    ip: Some("::1"),
                    ..PERSON
                },
                false,
            ),
            (
                "mapped loopback",
                Evidence {
                    ip: Some("::ffff:127.0.0.1"),
                    ..PERSON
                },
                false,
            ),
        ];
        for (what, evidence, expected) in table {
            assert_eq!(own("file_downloaded", &evidence), expected, "{what}");
        }
    }

    #[test]
    fn a_membership_changed_by_others_carries_their_context() {
        let table = [
            (None, true),
            (Some("null"), true),
            (Some("[]"), true),
            (Some("{}"), true),
            (Some(r#"{"type":"JOINED"}"#), true),
            (Some(r#"{"type":"left","is_workflow":false}"#), true),
            (Some(r#"{"type":"JOINED","is_workflow":true}"#), false),
            (Some(r#"{"type":"INVITED"}"#), false),
            (Some(r#"{"type":"KICKED"}"#), false),
            (Some(r#"{"type":7}"#), false),
            (Some(r#"{"type":null,"inviter":null,"kicker":null}"#), true),
            (
                Some(r#"{"inviter":{"type":"user","user":{"id":"U2"}}}"#),
                false,
            ),
            (Some(r#"{"inviter":{"id":"U2","name":"Bob"}}"#), false),
            (Some(r#"{"inviter":{"id":"U1"},"type":"JOINED"}"#), true),
            (
                Some(r#"{"inviter":{"type":"user","user":{"id":"U1"}}}"#),
                true,
            ),
            (Some(r#"{"inviter":"U2"}"#), false),
            (Some(r#"{"inviter":{}}"#), false),
            (Some(r#"{"kicker":{"id":"U3"}}"#), false),
            (Some(r#"{"kicker":false}"#), false),
            (Some("{broken"), false),
        ];
        let actions = [
            "user_channel_join",
            "guest_channel_join",
            "user_channel_leave",
            "guest_channel_leave",
        ];
        for action in actions {
            for (details, expected) in table {
                let evidence = Evidence { details, ..PERSON };
                assert_eq!(own(action, &evidence), expected, "{action} {details:?}");
            }
        }
        let elsewhere = Evidence {
            details: Some("{broken"),
            ..PERSON
        };
        assert!(own("file_downloaded", &elsewhere));
    }
}
