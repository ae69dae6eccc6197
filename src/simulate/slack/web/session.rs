//! Sessions: who is signed in, and signing people out.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::super::asked::Code;
use super::super::device::Device;
use super::super::options::{Profile, Role};
use super::super::record::ENTERPRISE;
use super::super::session::{Open, Origin, Which};
use super::super::state::State;
use super::{Request, internal, required};

/// `admin.users.session.list`: of one person with `user_id` and `team_id`, of everybody without them.
pub(super) fn list(state: &mut State, request: &Request<'_>) -> Result<Value, Code> {
    const MOST: usize = 1_000;
    let arguments = request.arguments;
    let limit = arguments.parsed("limit")?.unwrap_or(MOST);
    if !(1..=MOST).contains(&limit) {
        return Err("invalid_arguments");
    }
    let after = match arguments.text("cursor") {
        None => None,
        Some(cursor) => Some(place(&cursor).ok_or("invalid_cursor")?),
    };
    state.read_sessions(request.now).map_err(internal)?;
    let user = match (arguments.text("user_id"), arguments.text("team_id")) {
        (None, None) => None,
        (Some(_), None) => return Err("missing_team"),
        (None, Some(_)) => return Err("missing_user"),
        (Some(user), Some(_)) => Some(user),
    };
    if let Some(user) = &user {
        if state.profile(user).is_none() {
            return Err("user_not_found");
        }
        if state.person(user).is_some_and(|person| person.is_bot) {
            return Err("bots_not_allowed");
        }
    }
    let is_after = |open: &Open<'_>| {
        let after = after.as_ref();
        after.is_none_or(|(user, id)| (&open.profile.id, open.id) > (user, *id))
    };
    let mut rest = state.sessions.open(user.as_deref()).filter(is_after);
    let page: Vec<Open<'_>> = rest.by_ref().take(limit).collect();
    let last = page.last().ok_or("no_active_sessions")?;
    let next = rest.next().map_or_else(String::new, |_| {
        STANDARD.encode(format!("session:{}:{}", last.profile.id, last.id))
    });
    let page: Vec<Value> = page.iter().map(session).collect();
    Ok(json!({"active_sessions": page, "response_metadata": {"next_cursor": next}}))
}

/// The person and the session behind which a list goes on.
fn place(cursor: &str) -> Option<(String, u64)> {
    let text = String::from_utf8(STANDARD.decode(cursor).ok()?).ok()?;
    let (user, id) = text.strip_prefix("session:")?.split_once(':')?;
    Some((user.to_owned(), id.parse().ok()?))
}

fn session(open: &Open<'_>) -> Value {
    json!({
        "user_id": open.profile.id,
        "team_id": open.profile.team.as_deref().unwrap_or(ENTERPRISE),
        "session_id": open.id,
        "created": origin(&open.session.created),
        "recent": origin(&open.session.recent),
    })
}

fn origin(origin: &Origin) -> Value {
    let mut value = json!(Device::read(&origin.agent));
    value["ip"] = json!(origin.ip);
    value
}

/// `admin.users.session.invalidate`: ends one session.
pub(super) fn invalidate(state: &mut State, request: &Request<'_>) -> Result<Value, Code> {
    let user = required(request.arguments, "user_id")?;
    let session = request.arguments.parsed::<u64>("session_id")?;
    let session = session.ok_or("invalid_arguments")?;
    let profile = target(state, request, &user)?;
    if is_out_of_reach(state, &user) {
        return Err("cannot_invalidate_primary_owner");
    }
    if !state.sessions.end(&user, session) {
        return Err("session_not_found");
    }
    let action = "user_session_invalidated";
    let recorded = state.record(action, &profile, None, request.agent, request.now);
    recorded.map_err(internal)?;
    Ok(json!({}))
}

/// `admin.users.session.reset`: ends all sessions of a person, or those on one kind of device. That
/// asking for both kinds alone is an error is assumed.
pub(super) fn reset(state: &mut State, request: &Request<'_>) -> Result<Value, Code> {
    let arguments = request.arguments;
    let user = required(arguments, "user_id")?;
    let (mobile, web) = (arguments.flag("mobile_only"), arguments.flag("web_only"));
    let which = match (mobile, web) {
        (false, false) => Which::All,
        (true, false) => Which::Mobile,
        (false, true) => Which::Web,
        (true, true) => return Err("invalid_arguments"),
    };
    let profile = target(state, request, &user)?;
    if state.person(&user).is_some_and(|person| person.is_bot) {
        return Err("cannot_reset_bot");
    }
    if is_out_of_reach(state, &user) {
        return Err("cannot_reset_primary_owner");
    }
    state.sessions.end_all(&user, which);
    let details = json!({"mobile_only": mobile, "web_only": web});
    let action = "user_session_reset_by_admin";
    let recorded = state.record(action, &profile, Some(details), request.agent, request.now);
    recorded.map_err(internal)?;
    Ok(json!({}))
}

/// The person who is to be signed out.
fn target(state: &mut State, request: &Request<'_>, user: &str) -> Result<Profile, Code> {
    state.read_sessions(request.now).map_err(internal)?;
    state.profile(user).ok_or("user_not_found")
}

/// Only the primary owner may sign out the primary owner.
fn is_out_of_reach(state: &State, user: &str) -> bool {
    let person = state.person(user);
    let is_primary = person.is_some_and(|person| person.role == Role::PrimaryOwner);
    is_primary && state.owner().id != user
}
