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
    /// Whether it is new; it is known from now on.
    pub fn insert(&mut self, reject: &Reject) -> bool {
        let mut hasher = FixedState::with_seed(0).build_hasher();
        for text in [&reject.text, &reject.base64].into_iter().flatten() {
            hasher.write(text.as_bytes());
        }
        let key = hasher.finish();
        if !self.known.insert(key) {
            return false;
        }
        self.order.push_back(key);
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}
