//! The audit events of what is done through the Web API.

use std::io;

use serde_json::{Value, json};

use super::options::Profile;
use super::state::State;
use crate::simulate::dice::mix;
use crate::simulate::line::Line;

/// The organisation's id.
pub(super) const ENTERPRISE: &str = "E00000EXAMPLE";

/// From where the calls seem to come: an address for documentation.
const CALLER: &str = "198.51.100.7";

impl State {
    /// Enters that the token's owner did this to the user now, with a program of this name.
    ///
    /// # Errors
    /// When the event cannot be written.
    pub fn record(
        &mut self,
        action: &str,
        user: &Profile,
        details: Option<Value>,
        agent: &str,
        now: i64,
    ) -> io::Result<()> {
        let owner = self.owner();
        let number = self.log.count(i64::MAX);
        let mut event = json!({
            "id": id(number, now),
            "date_create": now.div_euclid(1_000_000),
            "action": action,
            "actor": {"type": "user", "user": owner},
            "entity": {"type": "user", "user": user},
            "context": {
                "location": {
                    "type": "enterprise",
                    "id": ENTERPRISE,
                    "name": "Example Corporation",
                    "domain": "example-corp",
                },
                "ua": agent,
                "ip_address": CALLER,
                "session_id": null,
                "app": {
                    "id": "A00000EXAMPLE",
                    "name": "Security Response",
                    "is_distributed": false,
                    "is_directory_approved": false,
                    "is_workflow_app": false,
                    "scopes": ["admin.users:read", "admin.users:write"],
                    "creator": owner.id,
                    "team": ENTERPRISE,
                },
            },
        });
        if let Some(details) = details {
            event["details"] = details;
        }
        self.log.add(&event.to_string(), 0)
    }
}

/// A UUID of version 4 that no event of the fake had before.
fn id(number: u64, now: i64) -> String {
    let (high, low) = (mix(number), mix(!number ^ now.unsigned_abs()));
    let bits = u128::from(high) << 64 | u128::from(low);
    let uuid = bits & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    text(|line| line.uuid(uuid))
}

/// The id of a direct message between these people.
pub(super) fn conversation_id(users: &[String]) -> String {
    let bytes = users.iter().flat_map(|user| user.bytes());
    let number = bytes.fold(0, |number, byte| mix(number ^ u64::from(byte)));
    text(|line| line.id("D", number))
}

fn text(write: impl FnOnce(&mut Line) -> &mut Line) -> String {
    let mut line = Line::new(Vec::new());
    write(&mut line);
    String::from_utf8_lossy(&line.into_buffer()).into_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_those_of_slack_and_differ() {
        let ids: HashSet<String> = (0..1_000).map(|number| id(number, 5)).collect();
        assert_eq!(ids.len(), 1_000);
        for id in ids {
            let parts: Vec<usize> = id.split('-').map(str::len).collect();
            assert_eq!(parts, [8, 4, 4, 4, 12], "{id}");
            assert_eq!(&id[14..15], "4", "{id}");
        }
        let of = |users: &[&str]| {
            let users: Vec<String> = users.iter().map(|user| (*user).to_owned()).collect();
            conversation_id(&users)
        };
        assert_eq!(of(&["U1", "U2"]), of(&["U1", "U2"]));
        assert_ne!(of(&["U1", "U2"]), of(&["U1", "U3"]));
        assert!(of(&["U1"]).starts_with('D'));
    }
}
