//! The Audit Logs API: `logs`, `actions` and `schemas`.

use std::io;

use super::answer::Answer;
use super::asked::{Asked, Code};
use super::catalogue;
use super::cursor::{self, Position};
use super::fault::Act;
use super::log::Page;
use super::query::Query;
use super::state::{Moment, State, TOKEN};

/// Answers a call. Slack documents the codes, but hardly which HTTP status they come with.
pub(super) fn answer(
    state: &mut State,
    asked: &Asked,
    act: Option<&Act>,
    moment: Moment,
) -> Answer {
    if !asked.is_get {
        return Answer::error(405, "method_not_allowed");
    }
    match asked.method.as_str() {
        "logs" => logs(state, asked, act, moment),
        "actions" => Answer::json(&catalogue::actions()),
        "schemas" => Answer::json(&catalogue::schemas()),
        _ => Answer::error(404, "bad_endpoint"),
    }
}

fn logs(state: &mut State, asked: &Asked, act: Option<&Act>, moment: Moment) -> Answer {
    if state.is_revoked || asked.token.as_deref() != Some(TOKEN) {
        return Answer::empty(401);
    }
    let most = state.options.audit_per_minute;
    let limit = state.limits.entry("logs").or_default();
    if let Err(secs) = limit.admit(moment.steady, most) {
        return Answer::limited(asked.api.limited(), secs);
    }
    let (query, before) = match wanted(state, asked, moment.now) {
        Ok(wanted) => wanted,
        Err(code) => return Answer::error(400, code),
    };
    let page = state.log.page(&query, before, moment.now);
    let body = page.and_then(|page| envelope(state, &query, before, page, act, moment.now));
    body.map_or_else(|_| Answer::error(500, "internal_error"), Answer::ok)
}

/// What is asked for, and the position before which the page begins.
fn wanted(state: &State, asked: &Asked, now: i64) -> Result<(Query, Position), Code> {
    let arguments = asked.arguments.as_ref().map_err(|code| *code)?;
    let query = Query::read(arguments, state.options.most_entries)?;
    let is_known = |name: &String| catalogue::has_action(name) || state.log.has_action(name);
    if !query.actions.iter().all(is_known) {
        return Err("invalid_action");
    }
    let lifetime_secs = state.options.cursor_secs;
    let before = match &query.cursor {
        None => Position::END,
        Some(cursor) => cursor::read(cursor, now, lifetime_secs).ok_or("invalid_cursor")?,
    };
    Ok((query, before))
}

/// The body. After the last page the next cursor is empty or absent, in turn: Slack does both.
fn envelope(
    state: &mut State,
    query: &Query,
    before: Position,
    page: Page,
    act: Option<&Act>,
    now: i64,
) -> io::Result<Vec<u8>> {
    let next = next_cursor(query, before, &page, act, now);
    let entries = if act == Some(&Act::EmptyPage) {
        Vec::new()
    } else {
        page.entries
    };
    let mut body = b"{\"entries\":[".to_vec();
    for (number, entry) in entries.iter().enumerate() {
        if number > 0 {
            body.push(b',');
        }
        state.log.append(entry, &mut body)?;
    }
    let metadata = match next {
        Some(cursor) => format!("{{\"next_cursor\":\"{cursor}\"}}"),
        None => {
            state.last_pages += 1;
            let is_absent = state.last_pages.is_multiple_of(2);
            let end = if is_absent {
                "{}"
            } else {
                "{\"next_cursor\":\"\"}"
            };
            end.to_owned()
        }
    };
    body.extend_from_slice(b"],\"response_metadata\":");
    body.extend_from_slice(metadata.as_bytes());
    body.push(b'}');
    Ok(body)
}

/// Where the walk goes on; `None` after the last page. A cursor that was read is base64, and so are
/// those that are written: JSON need not escape them.
fn next_cursor(
    query: &Query,
    before: Position,
    page: &Page,
    act: Option<&Act>,
    now: i64,
) -> Option<String> {
    /// How many entries come twice.
    const DOUBLE: usize = 5;
    let back = match act {
        Some(Act::EmptyPage) => return Some(cursor::write(before, now)),
        Some(Act::LoopCursor) => {
            let sent = query.cursor.clone();
            return Some(sent.unwrap_or_else(|| cursor::write(Position::END, now)));
        }
        Some(Act::DoubleEntries) => DOUBLE,
        _ => 0,
    };
    let last = page.entries.len().checked_sub(1)?;
    let place = page.entries[last.saturating_sub(back)].position;
    page.has_more.then(|| cursor::write(place, now))
}
