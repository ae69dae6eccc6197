//! The people and the groups of the organisation, as the Web API lists them.

use serde::Deserialize;

use super::answer::{Metadata, read};
use super::{Client, Error};

/// People of a page of `admin.users.list`; Slack allows no more.
const ADMIN_PAGE: &str = "100";

/// People of a page of `users.list`; Slack recommends no more.
const USERS_PAGE: &str = "200";

/// Slack's own bot, which no field of `users.list` calls a bot.
const SLACKBOT: &str = "USLACKBOT";

/// A person of the organisation, or a bot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Capital letters and digits, such as `U012AB3CD`.
    pub id: String,
    /// Of the organisation or of a workspace, primary or not.
    pub is_owner: bool,
    /// Of the organisation or of a workspace.
    pub is_admin: bool,
    pub is_bot: bool,
    /// Whether the account is deactivated.
    pub is_deleted: bool,
}

/// A group of people, which others mention by its handle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Capital letters and digits, such as `S012AB3CD`.
    pub id: String,
    /// Without the `@`; whoever may edit groups chooses it.
    pub handle: String,
    /// The ids of its members.
    pub users: Vec<String>,
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed<T> {
    /// In Slack's order. A page in the middle may be short, even empty.
    pub items: Vec<T>,
    /// What to ask for the next page with; `None` on the last one.
    pub next_cursor: Option<String>,
}

impl Client {
    /// The active people of the whole organisation, 100 at a time. Only a token of an org admin with the
    /// scope `admin.users:read` may list them.
    ///
    /// # Errors
    /// Any [`Error`]; where [`Error::is_unknown_here`], [`Self::users`] may do.
    pub async fn admin_users(&self, cursor: Option<&str>) -> Result<Listed<Member>, Error> {
        self.people("admin.users.list", ADMIN_PAGE, None, cursor)
            .await
    }

    /// The people and bots of a workspace, deactivated ones too, 200 at a time. A token of the organisation
    /// must name the workspace; one of a workspace need not.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn users(
        &self,
        team: Option<&str>,
        cursor: Option<&str>,
    ) -> Result<Listed<Member>, Error> {
        self.people("users.list", USERS_PAGE, team, cursor).await
    }

    /// All groups of a workspace that are in use, with their members. A token of the organisation must name
    /// the workspace; one of a workspace need not.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn user_groups(&self, team: Option<&str>) -> Result<Vec<Group>, Error> {
        let method = "usergroups.list";
        let form = [
            ("include_users", Some("true")),
            ("include_disabled", Some("false")),
            ("team_id", team),
        ];
        let body = self.post(method, &form).await?;
        let listed: Groups = read(method, &body, "an object with an array `usergroups`")?;
        Ok(listed.usergroups.into_iter().filter_map(group).collect())
    }

    async fn people(
        &self,
        method: &str,
        limit: &str,
        team: Option<&str>,
        cursor: Option<&str>,
    ) -> Result<Listed<Member>, Error> {
        let form = [
            ("limit", Some(limit)),
            ("team_id", team),
            ("cursor", cursor),
        ];
        let body = self.post(method, &form).await?;
        let form = "an object with an array `users` or `members`";
        let listed: People = read(method, &body, form)?;
        Ok(Listed {
            items: listed.users.into_iter().filter_map(member).collect(),
            next_cursor: Metadata::cursor(listed.response_metadata),
        })
    }
}

/// The answer of either list of people: `users` is the word of `admin.users.list`.
#[derive(Deserialize)]
struct People {
    #[serde(alias = "members")]
    users: Vec<Person>,
    response_metadata: Option<Metadata>,
}

/// A person as either list has it. What is absent or null is false.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Person {
    id: Option<String>,
    is_owner: Option<bool>,
    is_primary_owner: Option<bool>,
    is_admin: Option<bool>,
    is_bot: Option<bool>,
    /// Only in `admin.users.list`.
    is_active: Option<bool>,
    /// Only in `users.list`.
    deleted: Option<bool>,
    /// Only in `users.list`: what the person is in the organisation, not in a workspace.
    enterprise_user: Option<Rank>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Rank {
    is_owner: Option<bool>,
    is_primary_owner: Option<bool>,
    is_admin: Option<bool>,
}

/// The member, if it has an id.
fn member(person: Person) -> Option<Member> {
    let id = person.id.filter(|id| is_id(id))?;
    let rank = person.enterprise_user.unwrap_or_default();
    let any = |flags: &[Option<bool>]| flags.contains(&Some(true));
    Some(Member {
        is_owner: any(&[
            person.is_owner,
            person.is_primary_owner,
            rank.is_owner,
            rank.is_primary_owner,
        ]),
        is_admin: any(&[person.is_admin, rank.is_admin]),
        is_bot: person.is_bot == Some(true) || id == SLACKBOT,
        is_deleted: person.deleted == Some(true) || person.is_active == Some(false),
        id,
    })
}

#[derive(Deserialize)]
struct Groups {
    usergroups: Vec<WireGroup>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireGroup {
    id: Option<String>,
    handle: Option<String>,
    users: Option<Vec<String>>,
}

/// The group, if it has an id.
fn group(group: WireGroup) -> Option<Group> {
    let mut users = group.users.unwrap_or_default();
    users.retain(|id| is_id(id));
    Some(Group {
        id: group.id.filter(|id| is_id(id))?,
        handle: group.handle.unwrap_or_default(),
        users,
    })
}

/// Whether the text has the form of Slack's ids.
fn is_id(text: &str) -> bool {
    let is_fit = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
    text.len() >= 2 && text.bytes().all(is_fit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_what_any_of_its_fields_says() {
        for (person, expected) in [
            ("{}", ""),
            (r#"{"is_owner": true}"#, "owner"),
            (r#"{"is_primary_owner": true}"#, "owner"),
            (r#"{"enterprise_user": {"is_owner": true}}"#, "owner"),
            (
                r#"{"enterprise_user": {"is_primary_owner": true}}"#,
                "owner",
            ),
            (r#"{"enterprise_user": {"is_admin": true}}"#, "admin"),
            (r#"{"is_admin": true, "enterprise_user": {}}"#, "admin"),
            (r#"{"is_admin": null, "enterprise_user": null}"#, ""),
            (r#"{"is_bot": true}"#, "bot"),
            (r#"{"deleted": true}"#, "deleted"),
            (r#"{"is_active": false}"#, "deleted"),
            (r#"{"is_active": true, "is_restricted": 5}"#, ""),
        ] {
            let mut person: Person = serde_json::from_str(person).unwrap();
            person.id = Some("W012".to_owned());
            let found = member(person).unwrap();
            let is = |word: &str| expected == word;
            let wanted = Member {
                id: "W012".to_owned(),
                is_owner: is("owner"),
                is_admin: is("admin"),
                is_bot: is("bot"),
                is_deleted: is("deleted"),
            };
            assert_eq!(found, wanted);
        }
    }

    #[test]
    fn what_has_no_id_is_skipped() {
        for (id, is_fit) in [
            ("U012AB3CD", true),
            ("W1", true),
            ("U", false),
            ("", false),
            ("u012", false),
            ("U012\n", false),
            ("U 12", false),
            ("Ü012", false),
        ] {
            assert_eq!(is_id(id), is_fit, "{id}");
        }
        assert_eq!(member(Person::default()), None);
        assert_eq!(group(WireGroup::default()), None);
        let users = ["U1", "no id", "U2"].map(str::to_owned).to_vec();
        let found = group(WireGroup {
            id: Some("S1".to_owned()),
            users: Some(users),
            ..WireGroup::default()
        });
        assert_eq!(found.unwrap().users, ["U1", "U2"]);
    }

    #[test]
    fn slackbot_is_a_bot() {
        let person = Person {
            id: Some(SLACKBOT.to_owned()),
            is_bot: Some(false),
            ..Person::default()
        };
        assert!(member(person).unwrap().is_bot);
    }
}
