//! The Web API: the methods that gridwatch calls.
//!
//! Slack answers with HTTP 200 and `ok`, also where it refuses; only too many calls are an HTTP 429.

mod allow;
mod directory;
mod message;
mod session;
#[cfg(test)]
mod tests;

use serde_json::{Value, json};

pub(super) use self::allow::Allowed;
use super::answer::Answer;
use super::asked::{Arguments, Asked, Code};
use super::state::{Moment, State, TOKEN};

/// A call that was let in.
pub(super) struct Request<'a> {
    pub arguments: &'a Arguments,
    /// The program that asks.
    pub agent: &'a str,
    /// Microseconds by the time of day.
    pub now: i64,
}

/// A method of the Web API.
struct Method {
    name: &'static str,
    /// What a token must be good for.
    scope: &'static str,
    /// Calls within any 60 s.
    per_minute: u32,
    /// Gives an object; `ok` is added to it.
    handler: fn(&mut State, &Request<'_>) -> Result<Value, Code>,
}

/// Slack's tiers 2 to 4. It lets short bursts pass above them, and some methods have limits of their
/// own that are no lower.
const TIER_2: u32 = 20;
const TIER_3: u32 = 50;
const TIER_4: u32 = 100;

const METHODS: &[Method] = &[
    Method {
        name: "admin.users.list",
        scope: "admin.users:read",
        per_minute: TIER_4,
        handler: directory::admin_users,
    },
    Method {
        name: "users.list",
        scope: "users:read",
        per_minute: TIER_2,
        handler: directory::users,
    },
    Method {
        name: "usergroups.list",
        scope: "usergroups:read",
        per_minute: TIER_2,
        handler: directory::groups,
    },
    Method {
        name: "admin.users.session.list",
        scope: "admin.users:read",
        per_minute: TIER_2,
        handler: session::list,
    },
    Method {
        name: "admin.users.session.invalidate",
        scope: "admin.users:write",
        per_minute: TIER_2,
        handler: session::invalidate,
    },
    Method {
        name: "admin.users.session.reset",
        scope: "admin.users:write",
        per_minute: TIER_2,
        handler: session::reset,
    },
    Method {
        name: "admin.audit.anomaly.allow.getItem",
        scope: "admin",
        per_minute: TIER_2,
        handler: allow::get,
    },
    Method {
        name: "admin.audit.anomaly.allow.updateItem",
        scope: "admin",
        per_minute: TIER_2,
        handler: allow::update,
    },
    Method {
        name: "chat.postMessage",
        scope: "chat:write",
        per_minute: TIER_4,
        handler: message::post,
    },
    Method {
        name: "conversations.open",
        scope: "im:write",
        per_minute: TIER_3,
        handler: message::open,
    },
    Method {
        name: "auth.test",
        scope: "",
        per_minute: TIER_4,
        handler: message::test,
    },
];

pub(super) fn answer(state: &mut State, asked: &Asked, moment: Moment) -> Answer {
    let method = METHODS.iter().find(|method| method.name == asked.method);
    let Some(method) = method else {
        return refusal("unknown_method");
    };
    if let Err(code) = check(state, asked.token.as_deref()) {
        return refusal(code);
    }
    let limit = state.limits.entry(method.name).or_default();
    if let Err(secs) = limit.admit(moment.steady, method.per_minute) {
        return Answer::limited(asked.api.limited(), secs);
    }
    let mut refused = state.options.refused.iter();
    if let Some((_, code)) = refused.find(|(name, _)| name == method.name) {
        return refused_by_option(code, method.scope);
    }
    let handled = asked.arguments.as_ref().map_err(|code| *code);
    let handled = handled.and_then(|arguments| {
        let request = Request {
            arguments,
            agent: &asked.agent,
            now: moment.now,
        };
        (method.handler)(state, &request)
    });
    match handled {
        Ok(mut value) => {
            value["ok"] = Value::Bool(true);
            Answer::json(&value)
        }
        Err(code) => refusal(code),
    }
}

/// Whether the token is good.
fn check(state: &State, token: Option<&str>) -> Result<(), Code> {
    match token {
        None => Err("not_authed"),
        Some(TOKEN) if state.is_revoked => Err("token_revoked"),
        Some(TOKEN) => Ok(()),
        Some(_) => Err("invalid_auth"),
    }
}

fn refusal(code: &str) -> Answer {
    Answer::error(200, code)
}

fn refused_by_option(code: &str, scope: &str) -> Answer {
    if code != "missing_scope" {
        return refusal(code);
    }
    Answer::json(&json!({
        "ok": false,
        "error": code,
        "needed": scope,
        "provided": "identify,auditlogs:read",
    }))
}

/// The argument.
///
/// # Errors
/// `invalid_arguments` if it is missing.
fn required(arguments: &Arguments, name: &str) -> Result<String, Code> {
    arguments.text(name).ok_or("invalid_arguments")
}

/// What went wrong with the fake's own file.
fn internal(_: std::io::Error) -> Code {
    "internal_error"
}
