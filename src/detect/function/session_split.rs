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

    fn step(
        memory: &mut Memory,
        texts: &mut Texts,
        arguments: &Arguments<'_>,
        row: usize,
    ) -> Option<Found> {
        let session = arguments.text(0, row)?;
        let limit = |argument| arguments.integer(argument, row).unwrap_or(i64::MAX);
        let (within, forget) = (limit(7), limit(8));
        let here = Appearance::enter(arguments, row, texts)?;
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
            habits.any(|habit| habit[..2] == pair(other) && habit::is_formed(habit))
        };
        let other = elsewhere
            .iter()
            .rfind(|other| other.agent != here.agent && !is_habit(other));
        let found = other.map(|other| found(session, other, &here, within, texts));
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

/// A session as it was seen.
#[derive(Clone, Copy, Debug)]
struct Appearance {
    session: [u32; 2],
    /// The number of the autonomous system.
    system: u32,
    /// Numbers of texts; what the event did not have is the empty one.
    agent: u32,
    ip: u32,
    network_kind: u32,
    /// Seconds.
    time: u32,
    event: EventId,
}

impl Appearance {
    /// What a row of the function's arguments states; its texts are held.
    fn enter(arguments: &Arguments<'_>, row: usize, texts: &mut Texts) -> Option<Self> {
        let session = packed::session(arguments.text(0, row)?);
        let system = u32::try_from(arguments.integer(1, row)?).ok()?;
        let agent = arguments.text(2, row)?;
        let time = seconds(arguments.integer(5, row)?);
        let event = arguments.text(6, row)?;
        Some(Self {
            session,
            system,
            agent: texts.enter(agent),
            ip: texts.enter(arguments.text(3, row).unwrap_or_default()),
            network_kind: texts.enter(arguments.text(4, row).unwrap_or_default()),
            time,
            event: EventId::enter(event, texts),
        })
    }

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

    /// Whether the two differ in nothing but when they were.
    fn is_same(&self, other: &Self) -> bool {
        (self.session, self.system, self.agent) == (other.session, other.system, other.agent)
    }

    fn describe(&self, texts: &Texts) -> Value {
        let text = |number| Some(texts.get(number)).filter(|text| !text.is_empty());
        json!({
            "event_id": self.event.text(texts),
            "event_time": rfc3339(i64::from(self.time) * MICROS),
            "ip": text(self.ip),
            "asn": self.system,
            "network_kind": text(self.network_kind),
            "agent": text(self.agent),
        })
    }
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

/// From now on the appearance is the last of its session, system and agent.
fn remember(memory: &mut Memory, texts: &mut Texts, here: &Appearance) {
    let known = appearances(memory).position(|known| known.is_same(here));
    if let Some(at) = known {
        let record = LAYOUT.record(memory, APPEARANCES, at);
        Appearance::read(record).leave(texts);
        record.copy_from_slice(&here.record());
        return LAYOUT.move_to_end(memory, APPEARANCES, at);
    }
    if appearances(memory).count() >= MOST {
        forget(memory, texts, 0);
    }
    LAYOUT.push(memory, APPEARANCES, &here.record());
}

fn found(
    session: &str,
    other: &Appearance,
    here: &Appearance,
    within: i64,
    texts: &Texts,
) -> Found {
    let elapsed = here.time.abs_diff(other.time);
    let mut evidence = Map::new();
    evidence.insert("session_id".to_owned(), session.into());
    evidence.insert("elapsed_secs".to_owned(), elapsed.into());
    evidence.insert("from".to_owned(), other.describe(texts));
    evidence.insert("to".to_owned(), here.describe(texts));
    let asked = |condition: &str, observed: Value, limit: Value| Because {
        condition: condition.to_owned(),
        observed,
        limit,
    };
    let agents = [other, here].map(|appearance| texts.get(appearance.agent));
    let because = vec![
        asked("elapsed_secs <= limit", elapsed.into(), within.into()),
        asked(
            "one session at two systems",
            json!([other.system, here.system]),
            Value::Null,
        ),
        asked("one session with two agents", json!(agents), Value::Null),
    ];
    Found {
        evidence,
        because,
        events: vec![other.event.text(texts).into_owned()],
        ..Found::default()
    }
}
