//! What a person did before an attack: to be attacked convincingly, somebody must be known.

use std::collections::HashMap;

use super::super::agent::Family;
use super::super::calendar::HOUR;
use super::super::event::{Action, By, Form, Record};
use super::super::network::World;
use super::super::person::Person;
use super::super::{Organisation, activity, errand};

/// What the person of that number does in that hour, in no order.
pub(super) fn acts(org: &Organisation, number: u32, hour: u32) -> Vec<Record> {
    let mut events = Vec::new();
    add_acts(org, &org.person(number), hour, &mut events);
    events
}

/// Appends what the person does in that hour, but for what a quarter's end adds: attacks do not depend
/// on whether the plan has one.
fn add_acts(org: &Organisation, person: &Person, hour: u32, out: &mut Vec<Record>) {
    activity::ordinary(org, person, hour, out);
    errand::hour(org, person, hour, out);
}

/// Whether the event shows where the person is, and with which of the usual programs. It does not if
/// Slack cannot say whose context it carries, and on a carrier's network, which may be anywhere.
pub(super) fn is_own(event: &Record) -> bool {
    let proves_nothing = matches!(
        event.action,
        Action::UserLogout
            | Action::HuddleLeft
            | Action::MessageTombstoned
            | Action::ProfileUpdated
            | Action::GuestCreated
            | Action::SessionReset
            | Action::FileMalware
    );
    let is_beside = matches!(
        event.agent.family,
        Family::MediaPlayer
            | Family::PythonRequests
            | Family::PythonSlack
            | Family::PythonAiohttp
            | Family::Curl
    );
    event.by == By::Actor
        && matches!(event.form, Form::Plain | Form::Wide)
        && event.session != 0
        && !proves_nothing
        && !is_beside
        && !World::is_mobile(event.ip)
}

/// For how many seconds before `time` the person has been known.
pub(super) fn known_secs(org: &Organisation, person: &Person, time: i64) -> i64 {
    let last = (time - org.start).div_euclid(HOUR).max(0) as u32;
    let mut events = Vec::new();
    let first = (0..last).find(|hour| {
        add_acts(org, person, *hour, &mut events);
        events.iter().any(is_own)
    });
    first.map_or(0, |hour| time - org.start - i64::from(hour) * HOUR)
}

/// The most distinct files that the person fetched within any hour of the two weeks before that
/// hour. Assumed to be six at least: fewer are nothing to measure by.
pub(super) fn usual_downloads(org: &Organisation, person: &Person, hour: u32) -> u32 {
    const HOURS: u32 = 14 * 24;
    const LEAST: u32 = 6;
    let mut events = Vec::new();
    for earlier in hour.saturating_sub(HOURS)..hour {
        add_acts(org, person, earlier, &mut events);
    }
    events.retain(|event| event.action == Action::FileDownloaded);
    events.sort_unstable_by_key(|event| event.time);
    most_within_an_hour(&events).max(LEAST)
}

/// The most distinct objects of events within an hour; the events are in the order of time.
fn most_within_an_hour(events: &[Record]) -> u32 {
    let mut oldest = events.iter().peekable();
    let mut counts: HashMap<u64, u32> = HashMap::new();
    let mut most = 0;
    for event in events {
        *counts.entry(event.object).or_default() += 1;
        let is_over = |old: &&Record| i64::from(event.time - old.time) > HOUR;
        while let Some(old) = oldest.next_if(is_over) {
            let left = counts.get(&old.object).map_or(0, |count| count - 1);
            if left == 0 {
                counts.remove(&old.object);
            } else {
                counts.insert(old.object, left);
            }
        }
        most = most.max(counts.len());
    }
    most as u32
}
