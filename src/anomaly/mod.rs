//! The anomaly record: what was found, of whom, why, and from which events.
//!
//! A record holds only what follows from the log, so two runs over the same events give the same
//! bytes. When it was found and what became of it belongs to an envelope around it.

mod id;
mod level;
mod number;

pub use id::derive;
pub use level::{Level, UnknownLevel};
pub use number::rounded;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One finding of one rule. Serialised in this order of fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Anomaly {
    /// 32 hexadecimal digits, derived from rule, key and triggering event: see [`derive`].
    pub id: String,
    /// The rule's `name`.
    pub rule: String,
    /// The first 12 hexadecimal digits of the SHA-256 of the rule's text.
    pub rule_version: String,
    pub title: String,
    pub level: Level,
    /// Reason codes, Slack's own where it has one for the same finding.
    pub reason: Vec<String>,
    /// When the triggering event happened, RFC 3339 in UTC.
    pub event_time: String,
    /// The triggering event.
    pub event_id: String,
    /// The value of the rule's key; several are joined by ` / `. Null where a `match` has none.
    pub key: Option<String>,
    pub actor: Actor,
    pub entity: Entity,
    pub context: Context,
    /// What the rule saw, by name.
    pub evidence: Map<String, Value>,
    /// Each condition that held, with what was observed and the limit it was held against.
    pub because: Vec<Because>,
    /// The ids of the events that formed it, the trigger first, then the newest; at most
    /// [`MAX_EVENTS`].
    pub events: Vec<String>,
    /// The rule's tags, `attack.t1078` and the like.
    pub tags: Vec<String>,
    /// The exception that it meets: it is kept, and does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exception: Option<String>,
    /// Whether its rule is tried out: it is shown, and goes nowhere else.
    #[serde(default, skip_serializing_if = "is_false")]
    pub shadow: bool,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "what serde calls it with"
)]
fn is_false(value: &bool) -> bool {
    !value
}

/// The most event ids that a record names.
pub const MAX_EVENTS: usize = 100;

/// Who acted in the triggering event.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Actor {
    pub id: Option<String>,
    pub name: Option<String>,
    pub email: Option<String>,
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub team: Option<String>,
}

/// What was acted upon.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Entity {
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub id: Option<String>,
    pub name: Option<String>,
}

/// Where it came from, as the triggering event and the network data say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Context {
    pub action: Option<String>,
    pub ip: Option<String>,
    pub user_agent: Option<String>,
    pub session_id: Option<String>,
    pub country: Option<String>,
    pub city: Option<String>,
    pub latitude: Option<f64>,
    pub longitude: Option<f64>,
    pub accuracy_km: Option<f64>,
    pub asn: Option<i64>,
    pub as_org: Option<String>,
    pub network_kind: Option<String>,
    pub agent_family: Option<String>,
    pub agent_version: Option<String>,
    pub agent_os: Option<String>,
    pub agent_kind: Option<String>,
    pub app_id: Option<String>,
    pub app_name: Option<String>,
    pub location: Location,
}

/// The workspace or organisation in which it happened.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Location {
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub id: Option<String>,
    pub name: Option<String>,
    pub domain: Option<String>,
}

/// A condition that held: in words, what was seen, and where the limit lies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Because {
    pub condition: String,
    pub observed: Value,
    pub limit: Value,
}

impl Because {
    pub fn new(
        condition: impl Into<String>,
        observed: impl Into<Value>,
        limit: impl Into<Value>,
    ) -> Self {
        Self {
            condition: condition.into(),
            observed: observed.into(),
            limit: limit.into(),
        }
    }
}
