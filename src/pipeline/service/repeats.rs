//! What walks come upon again and again, and is to be told once.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;

use crate::event::reject::Reject;

/// The newest rejects, by what they say.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    known: HashSet<u64>,
    order: VecDeque<u64>,
}

/// More than a day of them is something else altogether.
const MOST: usize = 100_000;

impl Repeats {
    /// What a reject says, as a number.
    pub fn key(reject: &Reject) -> u64 {
        let mut hasher = FixedState::with_seed(0).build_hasher();
        for text in [&reject.text, &reject.base64].into_iter().flatten() {
            hasher.write(text.as_bytes());
        }
        hasher.finish()
    }

    pub fn knows(&self, key: u64) -> bool {
        self.known.contains(&key)
    }

    /// It is known from now on; the oldest make room.
    pub fn insert(&mut self, key: u64) {
        if !self.known.insert(key) {
            return;
        }
        self.order.push_back(key);
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}
