//! Who is signed in: what the events tell of sessions, and what was ended since.

use std::collections::{BTreeMap, HashSet};

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::device;
use super::options::Profile;

/// The open sessions of all people.
///
/// A session begins with the first event that shows it, and belongs to whoever acted. It ends with a
/// `user_logout`, or by a call. What ended does not begin again.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    users: BTreeMap<String, User>,
    /// All that ever were.
    known: HashSet<u64>,
}

#[derive(Debug)]
struct User {
    profile: Profile,
    open: BTreeMap<u64, Session>,
}

/// Where a session began, and where it was seen last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Session {
    pub created: Origin,
    pub recent: Origin,
}

/// From where and with what somebody acts; what is not told is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Origin {
    pub ip: String,
    pub agent: String,
}

/// An open session with its number and whose it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Open<'a> {
    pub profile: &'a Profile,
    pub id: u64,
    pub session: &'a Session,
}

/// Which of a person's sessions end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    All,
    /// Those of programs for phones and tablets.
    Mobile,
    /// The others.
    Web,
}

impl Which {
    fn includes(self, session: &Session) -> bool {
        match self {
            Self::All => true,
            Self::Mobile => device::is_mobile(&session.created.agent),
            Self::Web => !device::is_mobile(&session.created.agent),
        }
    }
}

/// What is read of an event.
#[derive(Deserialize)]
struct Event {
    #[serde(default)]
    action: String,
    actor: Actor,
    #[serde(default)]
    context: Context,
    details: Option<Details>,
}

#[derive(Deserialize)]
struct Actor {
    user: Profile,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Context {
    session_id: Value,
    ip_address: Option<String>,
    ua: Option<String>,
}

#[derive(Deserialize)]
struct Details {
    inviter: Option<IgnoredAny>,
}

impl Event {
    /// The actor's session. That of a join by invitation is the inviter's.
    fn session(&self) -> Option<u64> {
        let details = self.details.as_ref();
        if details.is_some_and(|details| details.inviter.is_some()) {
            return None;
        }
        match &self.context.session_id {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        }
    }
}

impl Sessions {
    /// Takes note of an event; each must come once, the oldest first. What cannot be read tells
    /// nothing.
    pub fn note(&mut self, line: &[u8]) {
        let Ok(event) = serde_json::from_slice::<Event>(line) else {
            return;
        };
        let session = event.session();
        let profile = event.actor.user;
        let user = self.users.entry(profile.id.clone());
        let user = user.or_insert_with(|| User {
            profile,
            open: BTreeMap::new(),
        });
        let Some(session) = session else {
            return;
        };
        let is_new = self.known.insert(session);
        if event.action == "user_logout" {
            user.open.remove(&session);
            return;
        }
        let recent = Origin {
            ip: event.context.ip_address.unwrap_or_default(),
            agent: event.context.ua.unwrap_or_default(),
        };
        if is_new {
            let created = recent.clone();
            user.open.insert(session, Session { created, recent });
        } else if let Some(open) = user.open.get_mut(&session) {
            open.recent = recent;
        }
    }

    /// The person of this id, if one has acted.
    pub fn profile(&self, user: &str) -> Option<&Profile> {
        self.users.get(user).map(|user| &user.profile)
    }

    /// The open sessions of this person, or of everybody, by person and number.
    pub fn open<'a>(&'a self, user: Option<&'a str>) -> impl Iterator<Item = Open<'a>> {
        let is_meant = move |id: &str| user.is_none_or(|user| user == id);
        let users = self.users.iter().filter(move |(id, _)| is_meant(id));
        users.flat_map(|(_, user)| {
            user.open.iter().map(move |(id, session)| Open {
                profile: &user.profile,
                id: *id,
                session,
            })
        })
    }

    /// Ends the session; false if the person has no such one open.
    pub fn end(&mut self, user: &str, session: u64) -> bool {
        let user = self.users.get_mut(user);
        user.is_some_and(|user| user.open.remove(&session).is_some())
    }

    /// Ends these sessions of the person.
    pub fn end_all(&mut self, user: &str, which: Which) {
        if let Some(user) = self.users.get_mut(user) {
            user.open.retain(|_, session| !which.includes(session));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PHONE: &str = "slack/26.03.14 (Google Pixel 8; Android 14)";

    fn note(sessions: &mut Sessions, user: &str, action: &str, session: &Value, agent: &str) {
        let event = json!({
            "action": action,
            "actor": {"type": "user", "user": {"id": user}},
            "context": {"session_id": session, "ip_address": "192.0.2.1", "ua": agent},
        });
        sessions.note(event.to_string().as_bytes());
    }

    fn open(sessions: &Sessions, user: &str) -> Vec<u64> {
        sessions.open(Some(user)).map(|open| open.id).collect()
    }

    #[test]
    fn a_session_begins_when_it_is_first_seen_and_ends_for_good() {
        let mut sessions = Sessions::default();
        for (user, action, session, left) in [
            ("U1", "user_login", json!(7), vec![7]),
            ("U1", "file_shared", json!("8"), vec![7, 8]),
            ("U1", "file_shared", json!(null), vec![7, 8]),
            ("U1", "user_logout", json!(7), vec![8]),
            ("U1", "file_shared", json!(7), vec![8]),
            ("U1", "user_logout", json!(9), vec![8]),
            ("U1", "file_shared", json!(9), vec![8]),
            ("U2", "file_shared", json!(8), vec![]),
            ("U2", "file_shared", json!(10), vec![10]),
        ] {
            note(&mut sessions, user, action, &session, "");
            assert_eq!(open(&sessions, user), left, "{user} {action} {session}");
        }
        assert_eq!(sessions.open(None).count(), 2);
        assert!(sessions.profile("U2").is_some() && sessions.profile("U3").is_none());
    }

    #[test]
    fn what_somebody_else_did_begins_no_session_of_ones_own() {
        let mut sessions = Sessions::default();
        for line in [
            r#"{"actor":{"user":{"id":"U1"}},"context":{"session_id":7},"details":{"inviter":{"id":"U2"}}}"#,
            r#"{"actor":{"user":{"id":"U1"}},"context":{"session_id":{}}}"#,
            r#"{"actor":{"user":{"id":"U1"}}}"#,
            r#"{"actor":"U1","context":{"session_id":7}}"#,
            "{",
        ] {
            sessions.note(line.as_bytes());
        }
        assert_eq!(open(&sessions, "U1"), [0_u64; 0]);
    }

    #[test]
    fn a_session_tells_where_it_began_and_was_last() {
        let mut sessions = Sessions::default();
        for agent in [PHONE, "curl/8.5.0", ""] {
            note(&mut sessions, "U1", "file_shared", &json!(7), agent);
        }
        let open = sessions.open(None).next().unwrap();
        assert_eq!(open.session.created.agent, PHONE);
        assert_eq!(open.session.recent.agent, "");
        assert_eq!(open.session.recent.ip, "192.0.2.1");
    }

    #[test]
    fn sessions_end_one_by_one_or_by_kind() {
        for (which, left) in [
            (Which::All, vec![]),
            (Which::Mobile, vec![8]),
            (Which::Web, vec![7]),
        ] {
            let mut sessions = Sessions::default();
            note(&mut sessions, "U1", "user_login", &json!(7), PHONE);
            note(&mut sessions, "U1", "user_login", &json!(8), "");
            note(&mut sessions, "U1", "user_login", &json!(9), "");
            assert!(!sessions.end("U2", 9));
            assert!(sessions.end("U1", 9));
            assert!(!sessions.end("U1", 9));
            sessions.end_all("U1", which);
            assert_eq!(open(&sessions, "U1"), left, "{which:?}");
        }
    }
}
