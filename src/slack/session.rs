//! Who is signed in, and signing people out.

use std::net::IpAddr;

use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{Metadata, read};
use super::{Client, Error};

const LIST: &str = "admin.users.session.list";

const INVALIDATE: &str = "admin.users.session.invalidate";

const RESET: &str = "admin.users.session.reset";

const RESET_BULK: &str = "admin.users.session.resetBulk";

/// Tells whose the token is.
const IDENTITY: &str = "auth.test";

/// Sessions of a page; Slack allows no more.
const PAGE: &str = "1000";

/// Pages of a list at most, so that one without an end is given up.
const MOST_PAGES: usize = 1_000;

/// People of one call of [`RESET_BULK`] at most.
const MOST_PEOPLE: usize = 1_000;

/// A session that is open. Slack does not tell when it began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveSession {
    /// The id of the person, such as `U012AB3CD`.
    pub user: String,
    /// Digits. That the audit log has the same ones in `context.session_id` is likely, but Slack does not
    /// say so.
    pub session: String,
    /// The IP address from which it began, where Slack tells one.
    pub created_ip: Option<String>,
    /// The IP address from which it was used last; the one from which it began while nothing about it has
    /// changed.
    pub recent_ip: Option<String>,
}

/// Which of a person's sessions are reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    All,
    /// What Slack calls `mobile_only`.
    Mobile,
    /// What Slack calls `web_only`.
    Web,
}

impl Client {
    /// The open sessions of this person in Slack's order; none is no error. Only a token of an org admin
    /// with the scope `admin.users:read` may list them.
    ///
    /// Slack lists a person's sessions only in one team. In its own example that is the organisation, so
    /// the token's organisation is asked for. If Slack does not know it as a team, or the token has none,
    /// the sessions of everybody are read instead, some 20 pages of 1,000 a minute: beyond those it ends
    /// as [`Error::RateLimited`].
    ///
    /// # Errors
    /// Any [`Error`]; [`Error::Malformed`] also when a session has no id or no person, so that none is
    /// taken for ended because it could not be read.
    pub async fn sessions(&self, user: &str) -> Result<Vec<ActiveSession>, Error> {
        let organisation = self.organisation().await?;
        match self.sessions_in(organisation.as_deref(), user).await {
            Err(error) if is_refused(&error, "team_not_found") => {
                self.sessions_in(None, user).await
            }
            listed => listed,
        }
    }

    /// Ends this session. Only a token of an org admin with the scope `admin.users:write` may do so.
    ///
    /// # Errors
    /// Any [`Error`]. It is [`Error::Refused`] with the code `session_not_found` if the person has no such
    /// session; nothing is sent if the id is no number, for no session has one of that kind.
    pub async fn invalidate_session(&self, user: &str, session: &str) -> Result<(), Error> {
        let number = number(session).ok_or_else(no_such_session)?;
        let arguments = json!({"user_id": user, "session_id": number});
        self.post_json(INVALIDATE, &arguments).await?;
        Ok(())
    }

    /// Ends these sessions of the person, who may sign in again at once. The token must be as for
    /// [`Self::invalidate_session`].
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn reset_sessions(&self, user: &str, which: Which) -> Result<(), Error> {
        let arguments = json!({
            "user_id": user,
            "mobile_only": which == Which::Mobile,
            "web_only": which == Which::Web,
        });
        self.post_json(RESET, &arguments).await?;
        Ok(())
    }

    /// Orders the end of these sessions of all these people. Slack carries the order out after it has
    /// answered, and only the audit log tells for whom. The people go in calls of 1,000.
    ///
    /// # Errors
    /// Any [`Error`]; the people of the calls before stay ordered.
    pub async fn reset_sessions_of(&self, users: &[String], which: Which) -> Result<(), Error> {
        for users in users.chunks(MOST_PEOPLE) {
            let arguments = json!({
                "user_ids": users,
                "mobile_only": which == Which::Mobile,
                "web_only": which == Which::Web,
            });
            self.post_json(RESET_BULK, &arguments).await?;
        }
        Ok(())
    }

    /// The id of the organisation that the token belongs to, if it belongs to one.
    async fn organisation(&self) -> Result<Option<String>, Error> {
        #[derive(Deserialize)]
        struct Identity {
            enterprise_id: Option<String>,
        }
        let form: &[(&str, &str)] = &[];
        let body = self.post(IDENTITY, form).await?;
        let identity: Identity = read(IDENTITY, &body, "an object that tells whose the token is")?;
        Ok(identity.enterprise_id.filter(|id| !id.is_empty()))
    }

    /// The person's sessions in this team. Without one, they are picked from those of everybody.
    async fn sessions_in(
        &self,
        team: Option<&str>,
        user: &str,
    ) -> Result<Vec<ActiveSession>, Error> {
        let mut found = Vec::new();
        let mut cursor: Option<String> = None;
        for _ in 0..MOST_PAGES {
            // Slack takes both the team and the person, or neither.
            let form = [
                ("team_id", team),
                ("user_id", team.and(Some(user))),
                ("limit", Some(PAGE)),
                ("cursor", cursor.as_deref()),
            ];
            let page = self.page(&form).await?;
            let sessions = page.active_sessions.into_iter().map(session);
            let sessions: Option<Vec<ActiveSession>> = sessions.collect();
            let sessions = sessions.ok_or_else(unreadable)?;
            found.extend(sessions.into_iter().filter(|session| session.user == user));
            cursor = Metadata::cursor(page.response_metadata);
            if cursor.is_none() {
                return Ok(found);
            }
        }
        let reason = format!("its list has no end after {MOST_PAGES} pages");
        Err(Error::malformed(LIST, reason))
    }

    async fn page(&self, form: &[(&str, Option<&str>)]) -> Result<Page, Error> {
        match self.post(LIST, form).await {
            Ok(body) => read(LIST, &body, "an object with an array `active_sessions`"),
            Err(error) if is_refused(&error, "no_active_sessions") => Ok(Page::default()),
            Err(error) => Err(error),
        }
    }
}

#[derive(Default, Deserialize)]
struct Page {
    active_sessions: Vec<Entry>,
    response_metadata: Option<Metadata>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    user_id: Option<String>,
    session_id: Value,
    created: Option<Origin>,
    /// Absent while nothing has changed since the session began.
    recent: Option<Origin>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Origin {
    ip: Option<String>,
}

/// The session, if it has an id and a person.
fn session(entry: Entry) -> Option<ActiveSession> {
    let number = match entry.session_id {
        Value::String(text) => number(&text),
        value => value.as_u64(),
    };
    let created_ip = address(entry.created);
    Some(ActiveSession {
        user: entry.user_id?,
        session: number?.to_string(),
        recent_ip: address(entry.recent).or_else(|| created_ip.clone()),
        created_ip,
    })
}

fn address(origin: Option<Origin>) -> Option<String> {
    let address: IpAddr = origin?.ip?.parse().ok()?;
    Some(address.to_string())
}

/// The number of a session, if the text is one as Slack writes it.
fn number(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

fn is_refused(error: &Error, with: &str) -> bool {
    matches!(error, Error::Refused { code, .. } if code == with)
}

/// What Slack says of a number that is no session's.
fn no_such_session() -> Error {
    Error::Refused {
        method: INVALIDATE.to_owned(),
        status: 0,
        code: "session_not_found".to_owned(),
        needed: None,
    }
}

fn unreadable() -> Error {
    Error::malformed(LIST, "a session of its list has no id or no person")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::config::Endpoint;
    use crate::simulate::slack::{FakeSlack, Options, Person, Role};

    /// Where the clock stands, in seconds.
    const NOW: i64 = 1_772_438_400;

    const PHONE: &str = "slack/26.03.14 (Google Pixel 8; Android 14)";

    fn login(user: &str, session: u64, agent: &str) -> String {
        let event = json!({
            "id": session.to_string(),
            "date_create": NOW,
            "action": "user_login",
            "actor": {"type": "user", "user": {"id": user, "name": "Ann", "team": "T1"}},
            "entity": {"type": "user", "user": {"id": user}},
            "context": {"session_id": session, "ip_address": "192.0.2.1", "ua": agent},
        });
        event.to_string()
    }

    /// A fake in which one person has a session in a browser and one on a phone, and another has one.
    async fn open() -> (FakeSlack, Client) {
        let mut options = Options::default();
        options.people.push(Person {
            is_bot: true,
            ..Person::new("UBOT", Role::Member)
        });
        let clock = Clock::driven(|| NOW * 1_000_000, |_| {});
        let fake = FakeSlack::start(options, clock).await.unwrap();
        for (user, session, agent) in [("U1", 7, ""), ("U1", 8, PHONE), ("U2", 9, "")] {
            fake.add(&login(user, session, agent)).unwrap();
        }
        let endpoint = Endpoint::parse(&fake.web_endpoint()).unwrap();
        let client = Client::new(endpoint, fake.token().into()).unwrap();
        (fake, client)
    }

    #[tokio::test]
    async fn a_session_is_listed_until_it_is_ended() {
        let (fake, client) = open().await;
        let session = |user: &str, session: &str| ActiveSession {
            user: user.to_owned(),
            session: session.to_owned(),
            created_ip: Some("192.0.2.1".to_owned()),
            recent_ip: Some("192.0.2.1".to_owned()),
        };
        let both = vec![session("U1", "7"), session("U1", "8")];
        assert_eq!(client.sessions("U1").await, Ok(both));
        assert_eq!(client.invalidate_session("U1", "7").await, Ok(()));
        assert_eq!(fake.sessions_of("U1"), [8]);
        assert_eq!(client.sessions("U1").await, Ok(vec![session("U1", "8")]));
        assert_eq!(client.invalidate_session("U1", "8").await, Ok(()));
        assert_eq!(client.sessions("U1").await, Ok(Vec::new()));
        assert_eq!(client.sessions("U2").await, Ok(vec![session("U2", "9")]));
    }

    #[tokio::test]
    async fn a_reset_ends_the_sessions_of_its_kind() {
        for (which, left) in [
            (Which::All, vec![]),
            (Which::Mobile, vec![7]),
            (Which::Web, vec![8]),
        ] {
            let (fake, client) = open().await;
            assert_eq!(client.reset_sessions("U1", which).await, Ok(()));
            assert_eq!(fake.sessions_of("U1"), left, "{which:?}");
            assert_eq!(fake.sessions_of("U2"), [9], "{which:?}");
        }
    }

    #[tokio::test]
    async fn who_cannot_be_signed_out_never_can() {
        let (fake, client) = open().await;
        let founder = "U0000FOUNDER";
        for (result, code) in [
            (client.sessions("UX").await.map(drop), "user_not_found"),
            (client.sessions("UBOT").await.map(drop), "bots_not_allowed"),
            (
                client.invalidate_session("U1", "9").await,
                "session_not_found",
            ),
            (
                client.invalidate_session(founder, "7").await,
                "cannot_invalidate_primary_owner",
            ),
            (
                client.reset_sessions("UX", Which::All).await,
                "user_not_found",
            ),
            (
                client.reset_sessions("UBOT", Which::All).await,
                "cannot_reset_bot",
            ),
            (
                client.reset_sessions(founder, Which::Web).await,
                "cannot_reset_primary_owner",
            ),
        ] {
            let error = result.unwrap_err();
            assert_eq!(error.code(), code);
            assert!(error.is_permanent(), "{error}");
        }
        assert_eq!(fake.sessions_of("U1"), [7, 8]);
    }

    #[tokio::test]
    async fn an_id_that_is_no_number_is_not_sent() {
        let (fake, client) = open().await;
        for id in [
            "",
            "+7",
            "07",
            "7 ",
            "7.0",
            "-7",
            "session",
            "18446744073709551616",
        ] {
            let error = client.invalidate_session("U1", id).await.unwrap_err();
            assert!(is_refused(&error, "session_not_found"), "{id}: {error}");
        }
        assert!(fake.calls().is_empty());
    }

    #[test]
    fn an_entry_is_a_session_if_it_has_an_id_and_a_person() {
        for (entry, expected) in [
            (r#"{"user_id": "U1", "session_id": 7}"#, Some("7")),
            (r#"{"user_id": "U1", "session_id": "7"}"#, Some("7")),
            (
                r#"{"user_id": "U1", "session_id": 18446744073709551615}"#,
                Some("18446744073709551615"),
            ),
            (r#"{"user_id": "U1", "session_id": "7x"}"#, None),
            (r#"{"user_id": "U1", "session_id": -7}"#, None),
            (r#"{"user_id": "U1", "session_id": 7.5}"#, None),
            (r#"{"user_id": "U1", "session_id": null}"#, None),
            (r#"{"user_id": "U1"}"#, None),
            (r#"{"user_id": null, "session_id": 7}"#, None),
            (r#"{"session_id": 7}"#, None),
        ] {
            let found = session(serde_json::from_str(entry).unwrap());
            let found = found.map(|session| session.session);
            assert_eq!(found.as_deref(), expected, "{entry}");
        }
    }

    #[test]
    fn an_address_is_the_last_that_is_one() {
        for (origins, created, recent) in [
            (json!({}), None, None),
            (
                json!({"created": {"ip": "192.0.2.1"}}),
                Some("192.0.2.1"),
                Some("192.0.2.1"),
            ),
            (
                json!({"created": {"ip": "192.0.2.1"}, "recent": {"ip": "2001:DB8::1"}}),
                Some("192.0.2.1"),
                Some("2001:db8::1"),
            ),
            (
                json!({"created": {"ip": ""}, "recent": {"ip": "\u{1b}[2J"}}),
                None,
                None,
            ),
            (json!({"created": null, "recent": {"ip": null}}), None, None),
        ] {
            let mut entry = origins.clone();
            entry["user_id"] = json!("U1");
            entry["session_id"] = json!(7);
            let found = session(serde_json::from_value(entry).unwrap()).unwrap();
            assert_eq!(found.created_ip.as_deref(), created, "{origins}");
            assert_eq!(found.recent_ip.as_deref(), recent, "{origins}");
        }
    }
}
