//! The newest events of the log, so that most duplicates are found without asking the store.

use std::collections::{BTreeMap, HashSet};

use foldhash::fast::FixedState;

use crate::event::id::{self, Uuid};

/// An event id: by its number, where it is a UUID as Slack writes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    Uuid(Uuid),
    Text(Box<str>),
}

impl Key {
    pub fn of(id: &str) -> Self {
        match id::uuid(id) {
            Some(uuid) => Self::Uuid(uuid),
            None => Self::Text(id.into()),
        }
    }
}

/// The ids of the newest events, second by second. Holds all events from [`Known::floor`] on, about
/// as many as were asked for; of those before it nothing is known.
#[derive(Debug)]
pub struct Known {
    seconds: BTreeMap<i64, HashSet<Key, FixedState>>,
    events: usize,
    most: usize,
    floor: i64,
}

impl Known {
    /// Of an empty log; it holds at most so many events, and one second at least.
    pub fn new(most: usize) -> Self {
        Self {
            seconds: BTreeMap::new(),
            events: 0,
            most,
            floor: i64::MIN,
        }
    }

    /// All events from this time on are held; microseconds.
    pub fn floor(&self) -> i64 {
        self.floor
    }

    /// How many are held.
    pub fn len(&self) -> usize {
        self.events
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.events == 0
    }

    /// Whether the event of this time is held; it may be in the log all the same if it lies before the
    /// floor.
    pub fn holds(&self, time: i64, key: &Key) -> bool {
        let known = self.seconds.get(&time);
        known.is_some_and(|known| known.contains(key))
    }

    /// Adds an event that is now in the log; the oldest make room.
    pub fn insert(&mut self, time: i64, key: Key) {
        if time < self.floor {
            return;
        }
        if self.seconds.entry(time).or_default().insert(key) {
            self.events += 1;
        }
        while self.events > self.most && self.seconds.len() > 1 {
            self.drop_oldest();
        }
    }

    /// Forgets that anything before this time was held; microseconds.
    pub fn raise_floor(&mut self, time: i64) {
        while self
            .seconds
            .first_key_value()
            .is_some_and(|(oldest, _)| *oldest < time)
        {
            self.drop_oldest();
        }
        self.floor = self.floor.max(time);
    }

    fn drop_oldest(&mut self) {
        if let Some((time, ids)) = self.seconds.pop_first() {
            self.events -= ids.len();
            self.floor = time.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_make_room_and_the_floor_says_so() {
        let mut known = Known::new(2);
        for (time, id) in [(5, "a"), (5, "b"), (5, "c"), (4, "d"), (6, "e")] {
            known.insert(time, Key::of(id));
        }
        assert!(!known.holds(5, &Key::of("a")));
        assert!(known.holds(6, &Key::of("e")));
        assert_eq!((known.floor(), known.len()), (6, 1));
        known.insert(5, Key::of("f"));
        assert_eq!(
            known.len(),
            1,
            "what lies below the floor cannot be vouched for"
        );
        known.raise_floor(7);
        assert_eq!((known.floor(), known.len()), (7, 0));
    }

    #[test]
    fn an_id_is_known_at_its_time_only() {
        let mut known = Known::new(9);
        let uuid = "0123abcd-0000-4000-8000-00000000000a";
        known.insert(1, Key::of(uuid));
        known.insert(1, Key::of(uuid));
        assert_eq!(known.len(), 1);
        assert!(known.holds(1, &Key::of(uuid)));
        assert!(!known.holds(2, &Key::of(uuid)));
        assert!(!known.holds(1, &Key::of(&uuid.to_uppercase())));
    }
}
