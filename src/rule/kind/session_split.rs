//! `session_split`: one session at two networks with two agents.

use serde_saphyr::Spanned;

use super::super::draft::{Draft, Matches};
use super::super::sql;
use super::{Kind, settings};

settings! {
    /// Reads only events whose context is the actor's own and names a session, a system and an agent.
    /// Whatever the key is, habits are those of a person.
    SessionSplit {
        /// How long after one the other appearance comes at most, 30m by default.
        within: Option<Spanned<String>>,
        /// Lists of networks or systems by which the organisation's own people come.
        #[serde(default)]
        trusted: Vec<Spanned<String>>,
        /// After how long without an event a person begins anew, 90d by default.
        forget: Option<Spanned<String>>,
    }
}

/// What must hold of an event beside. Offices and relays carry anybody's traffic, and what fetches
/// files for a client is no second client.
const NEEDED: [&str; 7] = [
    "own_context",
    "actor_id IS NOT NULL",
    "session_id IS NOT NULL",
    "asn IS NOT NULL",
    "agent_family IS NOT NULL",
    "coalesce(agent_kind, '') NOT IN ('service', 'bot')",
    "coalesce(network_kind, '') NOT IN ('corporate', 'relay')",
];

impl Kind for SessionSplit {
    const NAME: &'static str = "session_split";

    fn expand(&self, draft: &mut Draft<'_>) -> Option<Matches> {
        let common = draft.common(&self.settings());
        let within_secs = draft.duration(self.within.as_ref(), "30m", 1);
        let forget_secs = draft.duration(self.forget.as_ref(), "90d", 1);
        let common = common?;
        let trusted = draft.trusted(&self.trusted, &common.relation)?;
        let trusted = trusted.iter().map(|ask| format!("NOT ({ask})"));
        let needed: Vec<String> = NEEDED
            .map(str::to_owned)
            .into_iter()
            .chain(trusted)
            .collect();
        let needed: Vec<&str> = needed.iter().map(String::as_str).collect();
        let call = format!(
            "session_split(\n    session_id, asn, arrow_cast(concat(agent_family, ' on ', \
             coalesce(agent_os, 'unknown')), 'Utf8View'),\n    ip, network_kind, event_time, event_id, \
             {within_secs}, {forget_secs}\n  )"
        );
        Some(sql::found(common, &call, "PARTITION BY actor_id ", &needed))
    }
}
