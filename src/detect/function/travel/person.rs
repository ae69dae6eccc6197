//! What is remembered of a person: places, positions and sessions. All of it is bounded: what was
//! used longest ago goes first.

use std::net::Ipv4Addr;

use super::super::memory::{Layout, Memory};
use super::super::packed::{self, EventId};
use super::super::{Texts, habit};
use super::place::{Address, Place, Position, Site};

/// Places of the last hours.
const MOST_RECENT: usize = 8;
/// Places that the person had before.
const MOST_KNOWN: usize = 64;
const MOST_SESSIONS: usize = 16;

/// The head is the second of the person's first event. Lists are in the order in which their records
/// were used last.
const LAYOUT: Layout<6> = Layout {
    head: 1,
    widths: [7, 3, 2, 5, 2, habit::WORDS],
};
/// The last position at each place: site and flags, second, address, four words of the event's id.
const POSITIONS: usize = 0;
/// Places that are new: the place, and the second in which it was first seen.
const NEW_PLACES: usize = 1;
/// Places that are known.
const PLACES: usize = 2;
/// Sessions that are new: the session, the place where it began, and the second.
const NEW_SESSIONS: usize = 3;
/// Sessions that are not new any more.
const SESSIONS: usize = 4;
/// Pairs of systems between which the person seems to travel.
const HABITS: usize = 5;

/// Flags of a position beside the number of its site.
const NO_ADDRESS: u32 = 1 << 31;
const IS_TEXT: u32 = 1 << 30;
const IS_NO_UUID: u32 = 1 << 29;
const IS_TRUSTED: u32 = 1 << 28;
const SITE: u32 = IS_TRUSTED - 1;

/// A person, and where the texts about people are.
pub(super) struct Person<'a> {
    memory: &'a mut Memory,
    texts: &'a mut Texts,
}

/// What the session of a position says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Session {
    /// It began here, not long ago.
    New,
    /// It began elsewhere, or long ago.
    Running,
    /// The event names none.
    Unknown,
}

impl<'a> Person<'a> {
    /// The person, who is here from `time` on if there was no event before, or none for longer than
    /// `forget` seconds.
    pub fn at(memory: &'a mut Memory, texts: &'a mut Texts, time: u32, forget: i64) -> Self {
        let release = |old: &Memory| release(old, texts);
        if let Some(head) = LAYOUT.begin(memory, time, forget, release) {
            head[0] = time;
        }
        Self { memory, texts }
    }

    /// The second of the first event.
    pub fn since(&self) -> u32 {
        LAYOUT.head(self.memory)[0]
    }

    /// Forgets positions before `oldest`; what began before `newest` is not new any more. In seconds.
    pub fn settle(&mut self, oldest: i64, newest: i64) {
        while let Some(at) = self.position(POSITIONS, |record| i64::from(record[1]) < oldest) {
            self.drop_position(at);
        }
        while let Some(at) = self.position(NEW_PLACES, |record| i64::from(record[2]) < newest) {
            let place = self.take(NEW_PLACES, at);
            self.push(PLACES, &place[..2], MOST_KNOWN);
        }
        while let Some(at) = self.position(NEW_SESSIONS, |record| i64::from(record[4]) < newest) {
            let session = self.take(NEW_SESSIONS, at);
            self.push(SESSIONS, &session[..2], MOST_SESSIONS);
        }
    }

    /// What the session says that is used here and now; it begins if it is not known.
    pub fn session(&mut self, id: &str, here: &Position<'_>, newest: i64) -> Session {
        let number = packed::session(id);
        let is_it = |record: &[u32]| record[..2] == number;
        if let Some(at) = self.position(SESSIONS, is_it) {
            LAYOUT.move_to_end(self.memory, SESSIONS, at);
            return Session::Running;
        }
        let place = here.site.place.words();
        if let Some(at) = self.position(NEW_SESSIONS, is_it) {
            let record = LAYOUT.record(self.memory, NEW_SESSIONS, at);
            let is_new = record[2..4] == place && i64::from(record[4]) >= newest;
            LAYOUT.move_to_end(self.memory, NEW_SESSIONS, at);
            return if is_new {
                Session::New
            } else {
                Session::Running
            };
        }
        let record = [number[0], number[1], place[0], place[1], here.time];
        self.push(NEW_SESSIONS, &record, MOST_SESSIONS);
        Session::New
    }

    /// Whether the person had no event there before `newest`, nor was found there.
    pub fn is_new(&self, place: Place, newest: i64) -> bool {
        let words = place.words();
        let is_known = || self.position(PLACES, |record| *record == words).is_some();
        let is_old = |record: &[u32]| record[..2] == words && i64::from(record[2]) < newest;
        !is_known() && self.position(NEW_PLACES, is_old).is_none()
    }

    /// Whether none of the other places is in the same autonomous system, as far as it is known.
    pub fn is_new_system(&self, place: Place) -> bool {
        let is_there = |record: &[u32]| {
            let known = Place::from_words(record);
            known != place && known.system() == place.system()
        };
        place.system().is_none()
            || [PLACES, NEW_PLACES]
                .iter()
                .all(|list| self.position(*list, is_there).is_none())
    }

    /// The person was at a place. Where a journey to it was found, it is not new any more.
    pub fn add_place(&mut self, place: Place, time: u32, is_found: bool) {
        let [system, cell] = place.words();
        let is_it = |record: &[u32]| record[..2] == [system, cell];
        if let Some(at) = self.position(PLACES, is_it) {
            LAYOUT.move_to_end(self.memory, PLACES, at);
            return;
        }
        match self.position(NEW_PLACES, is_it) {
            Some(at) if is_found => {
                self.take(NEW_PLACES, at);
                self.push(PLACES, &[system, cell], MOST_KNOWN);
            }
            Some(at) => LAYOUT.move_to_end(self.memory, NEW_PLACES, at),
            None if is_found => self.push(PLACES, &[system, cell], MOST_KNOWN),
            None => self.push(NEW_PLACES, &[system, cell, time], MOST_KNOWN),
        }
    }

    /// Where the person was last.
    pub fn last_place(&self) -> Option<Place> {
        let newest = LAYOUT.list(self.memory, POSITIONS).next_back()?;
        Some(Site::place(self.texts, newest[0] & SITE))
    }

    /// Whether the person seemed to travel so on so many days: between home and the exit of a tunnel,
    /// most likely. From one exit to another of such a tunnel is part of the habit.
    pub fn is_habit(&self, from: Place, here: &Site<'_>, days: u32) -> bool {
        let (Some(pair), Some(system)) = (systems((from, here.place)), from.system()) else {
            return false;
        };
        let is_exit = pair[0] == pair[1] && here.is_tunnel();
        let is_habit = |record: &[u32]| {
            let is_it = record[..2] == pair || is_exit && record[..2].contains(&system);
            is_it && habit::is_formed(record, days)
        };
        self.position(HABITS, is_habit).is_some()
    }

    /// The person seemed to travel between these places.
    pub fn add_journey(&mut self, pair: (Place, Place), time: u32) {
        if let Some(pair) = systems(pair).filter(|pair| pair[0] != pair[1]) {
            habit::learn(&LAYOUT, self.memory, HABITS, pair, time);
        }
    }

    /// The last position at each of the latest places.
    pub fn positions(&self) -> impl Iterator<Item = Position<'_>> {
        let records = LAYOUT.list(self.memory, POSITIONS);
        records.map(|record| read(record, self.texts))
    }

    /// The person's last position at its place is this one.
    pub fn add_position(&mut self, here: &Position<'_>) {
        // Most events are where the one before was.
        let mut newest = LAYOUT.list(self.memory, POSITIONS).rev();
        let site = newest.next().map(|record| record[0] & SITE);
        if let Some(site) = site.filter(|site| here.site.is(self.texts, *site)) {
            let at = LAYOUT.list(self.memory, POSITIONS).len() - 1;
            self.texts.hold(site);
            return self.set_position(at, site, here);
        }
        let site = here.site.enter(self.texts);
        let is_here = |record: &[u32]| Site::place(self.texts, record[0] & SITE) == here.site.place;
        if let Some(at) = self.position(POSITIONS, is_here) {
            return self.set_position(at, site, here);
        }
        if LAYOUT.list(self.memory, POSITIONS).len() >= MOST_RECENT {
            self.drop_position(0);
        }
        let record = write(site, here, self.texts);
        LAYOUT.push(self.memory, POSITIONS, &record);
    }

    fn set_position(&mut self, at: usize, site: u32, here: &Position<'_>) {
        let record = write(site, here, self.texts);
        let known = LAYOUT.record(self.memory, POSITIONS, at);
        leave(known, self.texts);
        known.copy_from_slice(&record);
        LAYOUT.move_to_end(self.memory, POSITIONS, at);
    }

    fn drop_position(&mut self, at: usize) {
        leave(LAYOUT.record(self.memory, POSITIONS, at), self.texts);
        LAYOUT.remove(self.memory, POSITIONS, at);
    }

    fn position(&self, list: usize, is_it: impl Fn(&[u32]) -> bool) -> Option<usize> {
        LAYOUT.list(self.memory, list).position(is_it)
    }

    /// Takes a record out of its list.
    fn take(&mut self, list: usize, at: usize) -> Vec<u32> {
        let record = LAYOUT.record(self.memory, list, at).to_vec();
        LAYOUT.remove(self.memory, list, at);
        record
    }

    /// Adds a record to a list of at most `most`.
    fn push(&mut self, list: usize, record: &[u32], most: usize) {
        LAYOUT.push_at_most(self.memory, list, record, most);
    }
}

/// The systems of two places in the order of their numbers, if both are known.
fn systems((one, other): (Place, Place)) -> Option<[u32; 2]> {
    Some(habit::pair(one.system()?, other.system()?))
}

/// Releases what a person's memory holds of the texts.
pub(super) fn release(memory: &Memory, texts: &mut Texts) {
    for record in LAYOUT.list(memory, POSITIONS) {
        leave(record, texts);
    }
}

/// A position as it is remembered.
fn write(site: u32, here: &Position<'_>, texts: &mut Texts) -> [u32; 7] {
    let (address_flag, address) = match here.address {
        Address::Unknown => (NO_ADDRESS, 0),
        Address::V4(address) => (0, address.to_bits()),
        Address::Other(text) => (IS_TEXT, texts.enter(text)),
    };
    let event = EventId::enter(&here.event_id, texts);
    let event_flag = if event.is_text() { IS_NO_UUID } else { 0 };
    let trusted_flag = if here.is_trusted { IS_TRUSTED } else { 0 };
    let flags = address_flag | event_flag | trusted_flag;
    let [first, second, third, fourth] = event.words();
    [
        site | flags,
        here.time,
        address,
        first,
        second,
        third,
        fourth,
    ]
}

/// The position of a record.
fn read<'a>(record: &[u32], texts: &'a Texts) -> Position<'a> {
    let flags = record[0];
    Position {
        site: Site::get(texts, flags & SITE),
        address: match flags {
            flags if flags & NO_ADDRESS > 0 => Address::Unknown,
            flags if flags & IS_TEXT > 0 => Address::Other(texts.get(record[2])),
            _ => Address::V4(Ipv4Addr::from_bits(record[2])),
        },
        time: record[1],
        is_trusted: flags & IS_TRUSTED > 0,
        event_id: event_of(record).text(texts),
    }
}

/// The event of a record.
fn event_of(record: &[u32]) -> EventId {
    EventId::from_words(&record[3..], record[0] & IS_NO_UUID > 0)
}

/// Releases the texts of a position.
fn leave(record: &[u32], texts: &mut Texts) {
    texts.leave(record[0] & SITE);
    if record[0] & IS_TEXT > 0 {
        texts.leave(record[2]);
    }
    event_of(record).leave(texts);
}
