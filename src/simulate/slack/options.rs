//! What a fake Slack is like, and who is in its organisation.

use serde::{Deserialize, Serialize};

/// How strict it is, and whom it knows.
#[derive(Clone, Debug)]
pub struct Options {
    /// Calls of `logs` within any 60 s, of all tokens together. Slack lets about 50 through.
    pub audit_per_minute: u32,
    /// The highest `limit` of `logs`. Slack's is 9,999.
    pub most_entries: u32,
    /// Seconds for which a cursor of `logs` is good; 0 for ever.
    pub cursor_secs: i64,
    /// The members of the organisation, in the order in which they are listed. The token is the
    /// first one's, who should be an owner.
    pub people: Vec<Person>,
    pub groups: Vec<Group>,
    /// Methods of the Web API that are refused, each with the error's code.
    pub refused: Vec<(String, String)>,
}

impl Default for Options {
    /// As Slack is, with an owner and the primary owner.
    fn default() -> Self {
        Self {
            audit_per_minute: 50,
            most_entries: 9_999,
            cursor_secs: 0,
            people: vec![
                Person::new("U00000OWNER", Role::Owner),
                Person::new("U0000FOUNDER", Role::PrimaryOwner),
            ],
            groups: Vec::new(),
            refused: Vec::new(),
        }
    }
}

/// A member of the organisation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    pub id: String,
    pub name: String,
    pub email: String,
    /// The id of the workspace.
    pub team: String,
    pub role: Role,
    pub is_bot: bool,
    /// Deactivated.
    pub is_deleted: bool,
}

/// What a member may do in the organisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    Member,
    Admin,
    Owner,
    /// There is one. Nobody else can sign this person out.
    PrimaryOwner,
}

impl Person {
    /// An active person with made-up name and address.
    pub fn new(id: &str, role: Role) -> Self {
        Self {
            id: id.to_owned(),
            name: format!("Person {id}"),
            email: format!("{}@corp.example", id.to_ascii_lowercase()),
            team: "T00000EXAMPLE".to_owned(),
            role,
            is_bot: false,
            is_deleted: false,
        }
    }
}

/// A group of people who can be addressed together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    pub id: String,
    /// What stands behind the `@`.
    pub handle: String,
    /// The ids of its members.
    pub users: Vec<String>,
}

/// A person as events show one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Profile {
    pub id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
}

impl Profile {
    /// Slack's placeholder for nobody in particular.
    pub fn nobody() -> Self {
        Self {
            id: "USLACKUSER".to_owned(),
            ..Self::default()
        }
    }
}

impl From<&Person> for Profile {
    fn from(person: &Person) -> Self {
        Self {
            id: person.id.clone(),
            name: Some(person.name.clone()),
            email: Some(person.email.clone()),
            team: Some(person.team.clone()),
        }
    }
}
