//! Who is in the organisation.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::super::asked::{Arguments, Code};
use super::super::options::{Group, Person, Role};
use super::super::record::ENTERPRISE;
use super::super::state::State;
use super::Request;

/// `admin.users.list`: those who are active, or with `is_active=false` the others.
pub(super) fn admin_users(state: &mut State, request: &Request<'_>) -> Result<Value, Code> {
    /// Slack's default too.
    const MOST: usize = 100;
    let limit = request.arguments.parsed("limit")?.unwrap_or(MOST);
    if !(1..=MOST).contains(&limit) {
        return Err("invalid_arguments");
    }
    let is_active = request.arguments.parsed("is_active")?.unwrap_or(true);
    let people = state.options.people.iter();
    let people: Vec<&Person> = people
        .filter(|person| person.is_deleted != is_active)
        .collect();
    let (page, next) = page(&people, request.arguments, limit)?;
    let users: Vec<Value> = page.iter().map(|person| user(person)).collect();
    Ok(json!({"users": users, "response_metadata": {"next_cursor": next}}))
}

/// `users.list`: all, with those who are deactivated. Without a limit Slack tries to give everybody.
pub(super) fn users(state: &mut State, request: &Request<'_>) -> Result<Value, Code> {
    const MOST: usize = 1_000;
    let limit = match request.arguments.parsed("limit")? {
        None | Some(0) => MOST,
        Some(limit) => MOST.min(limit),
    };
    let people: Vec<&Person> = state.options.people.iter().collect();
    let (page, next) = page(&people, request.arguments, limit)?;
    let members: Vec<Value> = page.iter().map(|person| member(person)).collect();
    Ok(json!({
        "members": members,
        "cache_ts": request.now.div_euclid(1_000_000),
        "response_metadata": {"next_cursor": next},
    }))
}

/// `usergroups.list`: all groups at once, with their members if these are asked for.
pub(super) fn groups(state: &mut State, request: &Request<'_>) -> Result<Value, Code> {
    let has_users = request.arguments.flag("include_users");
    let groups = state.options.groups.iter();
    let groups: Vec<Value> = groups.map(|found| group(found, has_users)).collect();
    Ok(json!({"usergroups": groups}))
}

/// As many people as the limit says from the cursor's person on, and the cursor to the next one, or
/// nothing. It holds that person's id, as those of `users.list` do.
fn page<'a>(
    people: &[&'a Person],
    arguments: &Arguments,
    limit: usize,
) -> Result<(Vec<&'a Person>, String), Code> {
    let start = match arguments.text("cursor") {
        None => 0,
        Some(cursor) => place(people, &cursor).ok_or("invalid_cursor")?,
    };
    let mut rest = people[start..].iter();
    let page = rest.by_ref().take(limit).copied().collect();
    let next = rest.next();
    let next = next.map_or_else(String::new, |next| {
        STANDARD.encode(format!("user:{}", next.id))
    });
    Ok((page, next))
}

fn place(people: &[&Person], cursor: &str) -> Option<usize> {
    let text = String::from_utf8(STANDARD.decode(cursor).ok()?).ok()?;
    let id = text.strip_prefix("user:")?;
    people.iter().position(|person| person.id == id)
}

fn user(person: &Person) -> Value {
    json!({
        "id": person.id,
        "email": person.email,
        "username": person.id.to_ascii_lowercase(),
        "full_name": person.name,
        "is_admin": person.role >= Role::Admin,
        "is_owner": person.role >= Role::Owner,
        "is_primary_owner": person.role == Role::PrimaryOwner,
        "is_restricted": false,
        "is_ultra_restricted": false,
        "is_bot": person.is_bot,
        "is_active": !person.is_deleted,
        "has_2fa": true,
        "has_sso": true,
        "workspaces": [person.team],
    })
}

fn member(person: &Person) -> Value {
    json!({
        "id": person.id,
        "team_id": person.team,
        "name": person.id.to_ascii_lowercase(),
        "deleted": person.is_deleted,
        "real_name": person.name,
        "profile": {"real_name": person.name, "email": person.email},
        "is_admin": person.role >= Role::Admin,
        "is_owner": person.role >= Role::Owner,
        "is_primary_owner": person.role == Role::PrimaryOwner,
        "is_restricted": false,
        "is_ultra_restricted": false,
        "is_bot": person.is_bot,
        "is_app_user": false,
        "enterprise_user": {
            "id": person.id,
            "enterprise_id": ENTERPRISE,
            "enterprise_name": "Example Corporation",
            "is_admin": person.role >= Role::Admin,
            "is_owner": person.role >= Role::Owner,
            "teams": [person.team],
        },
    })
}

fn group(group: &Group, has_users: bool) -> Value {
    let mut value = json!({
        "id": group.id,
        "team_id": ENTERPRISE,
        "is_usergroup": true,
        "name": group.handle,
        "description": "",
        "handle": group.handle,
        "is_external": false,
        "date_delete": 0,
        "user_count": group.users.len(),
    });
    if has_users {
        value["users"] = json!(group.users);
    }
    value
}
