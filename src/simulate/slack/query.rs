//! What a call of `logs` asks for.

use super::asked::{Arguments, Code};

/// The parameters of a call of `logs`; those that Slack does not know are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Unix seconds of the oldest event, inclusive.
    pub oldest: Option<i64>,
    /// Unix seconds of the newest event, inclusive.
    pub latest: Option<i64>,
    /// Entries on a page, at least 1; more if several share the last one's second.
    pub limit: u32,
    /// Names of actions; all of them if empty.
    pub actions: Vec<String>,
    /// The id of the person who acted.
    pub actor: Option<String>,
    /// The id of what the event is about.
    pub entity: Option<String>,
    pub cursor: Option<String>,
}

impl Query {
    /// Slack documents no default; many connectors ask for so many.
    const USUAL_LIMIT: u32 = 1_000;
    const MOST_ACTIONS: usize = 30;

    /// Reads the parameters. That a limit above `most_entries` or below 1 is `invalid_arguments` is
    /// assumed: Slack does not say.
    ///
    /// # Errors
    /// The code of what is wrong with them.
    pub(super) fn read(arguments: &Arguments, most_entries: u32) -> Result<Self, Code> {
        let limit = arguments.parsed("limit")?;
        let limit = limit.unwrap_or(Self::USUAL_LIMIT.min(most_entries));
        if !(1..=most_entries).contains(&limit) {
            return Err("invalid_arguments");
        }
        let actions = arguments.text("action").unwrap_or_default();
        let actions = actions.split(',').map(str::trim);
        let actions: Vec<String> = actions
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect();
        if actions.len() > Self::MOST_ACTIONS {
            return Err("invalid_action");
        }
        Ok(Self {
            oldest: arguments.parsed("oldest")?,
            latest: arguments.parsed("latest")?,
            limit,
            actions,
            actor: arguments.text("actor"),
            entity: arguments.text("entity"),
            cursor: arguments.text("cursor"),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(value: Value) -> Result<Query, Code> {
        Query::read(&Arguments::from(value), 9_999)
    }

    #[test]
    fn what_is_not_given_is_left_open() {
        let open = read(json!({"max_date_seen_so_far": "x", "cursor": ""})).unwrap();
        assert_eq!(open.limit, 1_000);
        assert_eq!((open.oldest, open.latest, open.cursor), (None, None, None));
        assert!(open.actions.is_empty());
        let few = Query::read(&Arguments::default(), 5).unwrap();
        assert_eq!(few.limit, 5);
    }

    #[test]
    fn parameters_have_bounds() {
        let names = |count| vec!["user_login"; count].join(",");
        for (given, code) in [
            (json!({"limit": "9999"}), None),
            (json!({"limit": "1"}), None),
            (json!({"limit": "10000"}), Some("invalid_arguments")),
            (json!({"limit": "0"}), Some("invalid_arguments")),
            (json!({"limit": "-1"}), Some("invalid_arguments")),
            (json!({"oldest": "yesterday"}), Some("invalid_arguments")),
            (json!({"action": names(30)}), None),
            (json!({"action": names(31)}), Some("invalid_action")),
        ] {
            assert_eq!(read(given.clone()).err(), code, "{given}");
        }
    }

    #[test]
    fn actions_are_a_list() {
        let query = read(json!({"action": "user_login, file_shared,"})).unwrap();
        assert_eq!(query.actions, ["user_login", "file_shared"]);
    }
}
