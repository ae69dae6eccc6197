//! What was looked up before.

use std::sync::{Arc, PoisonError, RwLock};

use foldhash::fast::RandomState;
use hashbrown::HashMap;

/// So many values are remembered; beyond that all are forgotten and looked up anew.
const CAPACITY: usize = 1 << 18;
/// Longer texts are not remembered: nobody honest sends them often.
const LONGEST: usize = 512;

/// Remembers a value for each text. Threads that ask at the same time may both compute it.
pub(super) struct Cache<T>(RwLock<HashMap<Box<str>, Arc<T>, RandomState>>);

impl<T> Default for Cache<T> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<T> Cache<T> {
    /// The value for `text`, computed where it is not known yet.
    pub(super) fn get(&self, text: &str, compute: impl FnOnce() -> T) -> Arc<T> {
        if text.len() > LONGEST {
            return Arc::new(compute());
        }
        // A thread that panicked while it held the lock has at most not added its value.
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = known.get(text) {
            return Arc::clone(value);
        }
        drop(known);
        let value = Arc::new(compute());
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= CAPACITY {
            known.clear();
        }
        known.insert(text.into(), Arc::clone(&value));
        value
    }
}
