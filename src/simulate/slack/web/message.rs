//! Messages, and who the token is.

use serde_json::{Value, json};

use super::super::asked::Code;
use super::super::record::{ENTERPRISE, conversation_id};
use super::super::state::State;
use super::{Request, internal};

/// `chat.postMessage`: to a channel, a direct message or a person.
pub(super) fn post(state: &mut State, request: &Request<'_>) -> Result<Value, Code> {
    let arguments = request.arguments;
    let channel = arguments.text("channel").filter(|id| is_id(id));
    let channel = channel.ok_or("channel_not_found")?;
    let has = |name: &str| arguments.fields().contains_key(name);
    if arguments.text("text").is_none() && !has("blocks") && !has("attachments") {
        return Err("no_text");
    }
    let number = state.messages.len();
    let second = request.now.div_euclid(1_000_000);
    // Two messages of one second differ.
    let ts = format!("{second}.{:06}", number % 1_000_000);
    let mut message = Value::Object(arguments.fields().clone());
    message["ts"] = json!(ts);
    state.messages.push(message);
    Ok(json!({
        "channel": channel,
        "ts": ts,
        "message": {
            "type": "message",
            "user": state.owner().id,
            "text": arguments.text("text").unwrap_or_default(),
            "ts": ts,
        },
    }))
}

/// Whether it has the form of an id of what messages can be sent to.
fn is_id(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
    text.starts_with(['C', 'D', 'G', 'U', 'W']) && text.len() > 1 && text.bytes().all(is_part)
}

/// `conversations.open`: a direct message with these people, the same one each time.
pub(super) fn open(state: &mut State, request: &Request<'_>) -> Result<Value, Code> {
    const MOST: usize = 8;
    if let Some(channel) = request.arguments.text("channel") {
        let is_open = state.conversations.contains(&channel);
        return if is_open {
            Ok(opened(&channel, true))
        } else {
            Err("channel_not_found")
        };
    }
    let users = request.arguments.text("users");
    let users = users.ok_or("users_list_not_supplied")?;
    let mut users: Vec<String> = users
        .split(',')
        .map(|user| user.trim().to_owned())
        .collect();
    users.sort_unstable();
    users.dedup();
    if users.len() > MOST {
        return Err("too_many_users");
    }
    state.read_sessions(request.now).map_err(internal)?;
    if users.iter().any(|user| state.profile(user).is_none()) {
        return Err("user_not_found");
    }
    let channel = conversation_id(&users);
    let is_new = state.conversations.insert(channel.clone());
    Ok(opened(&channel, !is_new))
}

fn opened(channel: &str, was_open: bool) -> Value {
    let mut value = json!({"channel": {"id": channel}});
    if was_open {
        value["no_op"] = json!(true);
        value["already_open"] = json!(true);
    }
    value
}

/// `auth.test`
pub(super) fn test(state: &mut State, _: &Request<'_>) -> Result<Value, Code> {
    let owner = state.owner();
    Ok(json!({
        "url": "https://example-corp.enterprise.slack.com/",
        "team": "Example Corporation",
        "team_id": ENTERPRISE,
        "user": owner.name,
        "user_id": owner.id,
        "enterprise_id": ENTERPRISE,
        "is_enterprise_install": true,
    }))
}
