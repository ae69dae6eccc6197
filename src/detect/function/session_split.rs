//! `session_split(…)`: one session at two networks with two agents.
//!
//! A session belongs to one client on one device. A device changes its network, and takes its agent
//! along; a second agent under the same session is most likely a copied cookie. Where the two also come
//! by different networks within a short time it is a theft, unless the person comes and goes between
//! these networks day by day.

use serde_json::{Map, Value, json};

use super::memory::{Layout, Memory};
use super::packed::{self, EventId};
use super::{Argument, Arguments, Fold, Found, Texts, habit, seconds};
use crate::anomaly::Because;
use crate::event::time::{MICROS, rfc3339};

/// Reads appearances: session_id, asn, agent, ip, network_kind, event_time, event_id; and the rule's
/// parameters: within_secs, forget_secs. A row without session, system or agent is none; a person
/// without any for longer than `forget_secs` begins anew.
///
/// It finds an appearance of a session that had another agent in another autonomous system at most
/// `within_secs` ago, unless the two systems make a habit.
#[derive(Debug)]
pub struct SessionSplit;

/// The most appearances of a person that are remembered; the one used longest ago goes first.
const MOST: usize = 16;

/// It has no head.
const LAYOUT: Layout<2> = Layout {
    head: 0,
    widths: [12, habit::WORDS],
};
/// The last appearance of each session, system and agent.
const APPEARANCES: usize = 0;
/// Pairs of systems at which one session was seen.
const HABITS: usize = 1;

impl Fold for SessionSplit {
    const NAME: &'static str = "session_split";
    const ARGUMENTS: &'static [Argument] = &[
        Argument::Text,
        Argument::Integer,
        Argument::Text,
        Argument::Text,
        Argument::Text,
        Argument::Time,
        Argument::Text,
        Argument::Integer,
        Argument::Integer,
    ];
    const HORIZON: usize = 8;
    type Common = ();

    fn step(
        memory: &mut Memory,
        texts: &mut Texts,
        arguments: &Arguments<'_>,
        row: usize,
        (): &(),
    ) -> Option<Found> {
        let limit = |argument| arguments.integer(argument, row).unwrap_or(i64::MAX);
        let (within, forget) = (limit(7), limit(8));
        let here = Here::read(arguments, row)?;
        let release = |old: &Memory| Self::release(old, texts);
        LAYOUT.begin(memory, here.time, forget, release);
        settle(memory, texts, i64::from(here.time) - within);
        let elsewhere: Vec<Appearance> = appearances(memory)
            .filter(|other| other.session == here.session && other.system != here.system)
            .filter(|other| i64::from(here.time.abs_diff(other.time)) <= within)
            .collect();
        let pair = |other: &Appearance| habit::pair(other.system, here.system);
        let is_habit = |other: &Appearance| {
            let mut habits = LAYOUT.list(memory, HABITS);
            habits.any(|habit| habit[..2] == pair(other) && habit::is_formed(habit, habit::DAYS))
        };
        let other = elsewhere
            .iter()
            .rfind(|other| texts.get(other.agent) != here.agent && !is_habit(other));
        let found = other.map(|other| here.found(other, within, texts));
        for other in &elsewhere {
            habit::learn(&LAYOUT, memory, HABITS, pair(other), here.time);
        }
        remember(memory, texts, &here);
        found
    }

    fn release(memory: &Memory, texts: &mut Texts) {
        for appearance in appearances(memory) {
            appearance.leave(texts);
        }
    }
}

/// The session of the event at hand.
struct Here<'a> {
    /// Its id, and that as it is remembered.
    session_id: &'a str,
    session: [u32; 2],
    /// The number of the autonomous system.
    system: u32,
    agent: &'a str,
    /// What the event does not have is empty.
    ip: &'a str,
    network_kind: &'a str,
    /// Seconds.
    time: u32,
    event_id: &'a str,
}

/// A session as it was seen.
#[derive(Clone, Copy, Debug)]
struct Appearance {
    session: [u32; 2],
    system: u32,
    /// Numbers of texts.
    agent: u32,
    ip: u32,
    network_kind: u32,
    /// Seconds.
    time: u32,
    event: EventId,
}

impl<'a> Here<'a> {
    /// What a row of the function's arguments states.
    fn read(arguments: &Arguments<'a>, row: usize) -> Option<Self> {
        let session_id = arguments.text(0, row)?;
        Some(Self {
            session_id,
            session: packed::session(session_id),
            system: u32::try_from(arguments.integer(1, row)?).ok()?,
            agent: arguments.text(2, row)?,
            ip: arguments.text(3, row).unwrap_or_default(),
            network_kind: arguments.text(4, row).unwrap_or_default(),
            time: seconds(arguments.integer(5, row)?),
            event_id: arguments.text(6, row)?,
        })
    }

    /// Whether the two differ in nothing but when they were, and the address.
    fn is(&self, known: &Appearance, texts: &Texts) -> bool {
        (self.session, self.system) == (known.session, known.system)
            && self.agent == texts.get(known.agent)
    }

    /// As it is remembered; its texts are held.
    fn enter(&self, texts: &mut Texts) -> Appearance {
        Appearance {
            session: self.session,
            system: self.system,
            agent: texts.enter(self.agent),
            ip: texts.enter(self.ip),
            network_kind: texts.enter(self.network_kind),
            time: self.time,
            event: EventId::enter(self.event_id, texts),
        }
    }
}

impl Appearance {
    fn read(record: &[u32]) -> Self {
        Self {
            session: [record[0], record[1]],
            system: record[2],
            agent: record[3],
            ip: record[4],
            network_kind: record[5],
            time: record[6],
            event: EventId::from_words(&record[8..], record[7] > 0),
        }
    }

    fn record(&self) -> [u32; 12] {
        let [first, second, third, fourth] = self.event.words();
        [
            self.session[0],
            self.session[1],
            self.system,
            self.agent,
            self.ip,
            self.network_kind,
            self.time,
            self.event.is_text().into(),
            first,
            second,
            third,
            fourth,
        ]
    }

    /// Releases its texts.
    fn leave(&self, texts: &mut Texts) {
        for text in [self.agent, self.ip, self.network_kind] {
            texts.leave(text);
        }
        self.event.leave(texts);
    }
}

/// An appearance for people.
fn describe(
    [ip, network_kind, agent]: [&str; 3],
    (system, time, event_id): (u32, u32, &str),
) -> Value {
    let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    json!({
        "event_id": event_id,
        "event_time": rfc3339(i64::from(time) * MICROS),
        "ip": text(ip),
        "asn": system,
        "network_kind": text(network_kind),
        "agent": agent,
    })
}

/// The latest last.
fn appearances(memory: &Memory) -> impl DoubleEndedIterator<Item = Appearance> {
    LAYOUT.list(memory, APPEARANCES).map(Appearance::read)
}

/// Forgets appearances before `oldest`, in seconds.
fn settle(memory: &mut Memory, texts: &mut Texts, oldest: i64) {
    let is_old = |appearance: Appearance| i64::from(appearance.time) < oldest;
    loop {
        let old = appearances(memory).position(is_old);
        let Some(at) = old else { break };
        forget(memory, texts, at);
    }
}

fn forget(memory: &mut Memory, texts: &mut Texts, at: usize) {
    Appearance::read(LAYOUT.record(memory, APPEARANCES, at)).leave(texts);
    LAYOUT.remove(memory, APPEARANCES, at);
}

/// From now on this is the last appearance of its session, system and agent. Most events differ from the
/// one before in no text: these stay as they are.
fn remember(memory: &mut Memory, texts: &mut Texts, here: &Here<'_>) {
    let known = appearances(memory).position(|known| here.is(&known, texts));
    let Some(at) = known else {
        if appearances(memory).count() >= MOST {
            forget(memory, texts, 0);
        }
        return LAYOUT.push(memory, APPEARANCES, &here.enter(texts).record());
    };
    let record = LAYOUT.record(memory, APPEARANCES, at);
    let mut known = Appearance::read(record);
    let changing = [
        (&mut known.ip, here.ip),
        (&mut known.network_kind, here.network_kind),
    ];
    for (number, text) in changing {
        if texts.get(*number) != text {
            texts.leave(*number);
            *number = texts.enter(text);
        }
    }
    known.event.leave(texts);
    known.event = EventId::enter(here.event_id, texts);
    known.time = here.time;
    record.copy_from_slice(&known.record());
    LAYOUT.move_to_end(memory, APPEARANCES, at);
}

impl Here<'_> {
    fn found(&self, other: &Appearance, within: i64, texts: &Texts) -> Found {
        let elapsed = self.time.abs_diff(other.time);
        let [agent, ip, kind] = [other.agent, other.ip, other.network_kind].map(|n| texts.get(n));
        let event_id = other.event.text(texts);
        let mut evidence = Map::new();
        let mut add = |name: &str, value: Value| evidence.insert(name.to_owned(), value);
        add("session_id", self.session_id.into());
        add("elapsed_secs", elapsed.into());
        let from = (other.system, other.time, &*event_id);
        add("from", describe([ip, kind, agent], from));
        let to = (self.system, self.time, self.event_id);
        add("to", describe([self.ip, self.network_kind, self.agent], to));
        let systems = json!([other.system, self.system]);
        let agents = json!([agent, self.agent]);
        let because = vec![
            Because::new("elapsed_secs <= limit", elapsed, within),
            Because::new("one session at two systems", systems, Value::Null),
            Because::new("one session with two agents", agents, Value::Null),
        ];
        Found {
            evidence,
            because,
            events: vec![event_id.into_owned()],
            ..Found::default()
        }
    }
}
