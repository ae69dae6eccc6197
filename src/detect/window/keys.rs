//! The keys of a space: each has a number for as long as some group holds it.

use hashbrown::HashTable;
use serde::{Deserialize, Serialize};

/// Keys by their bytes; numbers of keys that nobody holds are given again.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(from = "Stored")]
pub(crate) struct Keys {
    keys: Vec<Key>,
    #[serde(skip_serializing)]
    numbers: HashTable<u32>,
    #[serde(skip_serializing)]
    free: Vec<u32>,
    /// Of the keys themselves.
    #[serde(skip_serializing)]
    bytes: usize,
}

/// What is stored of them.
#[derive(Deserialize)]
struct Stored {
    keys: Vec<Key>,
}

impl From<Stored> for Keys {
    fn from(stored: Stored) -> Self {
        let mut keys = Self {
            keys: stored.keys,
            ..Self::default()
        };
        for (number, key) in (0..).zip(&keys.keys) {
            if key.holders == 0 {
                keys.free.push(number);
                continue;
            }
            keys.bytes += key.bytes.len();
            let hash = |number: &u32| keys.keys[*number as usize].hash;
            keys.numbers.insert_unique(key.hash, number, hash);
        }
        keys
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Key {
    hash: u64,
    bytes: Box<[u8]>,
    /// Groups that hold it.
    holders: u32,
}

impl Keys {
    /// The number of the key. A new one must be held before the next is asked for.
    #[inline]
    pub fn enter(&mut self, hash: u64, bytes: &[u8]) -> u32 {
        match self.find(hash, bytes) {
            Some(number) => number,
            None => self.add(hash, bytes),
        }
    }

    /// The number of a known key.
    #[inline]
    pub fn find(&self, hash: u64, bytes: &[u8]) -> Option<u32> {
        let is_it = |number: &u32| {
            let key = &self.keys[*number as usize];
            key.hash == hash && *key.bytes == *bytes
        };
        self.numbers.find(hash, is_it).copied()
    }

    fn add(&mut self, hash: u64, bytes: &[u8]) -> u32 {
        let key = Key {
            hash,
            bytes: bytes.into(),
            holders: 0,
        };
        self.bytes += bytes.len();
        let number = match self.free.pop() {
            Some(number) => {
                self.keys[number as usize] = key;
                number
            }
            None => {
                self.keys.push(key);
                self.keys.len() as u32 - 1
            }
        };
        let hash_of = |number: &u32| self.keys[*number as usize].hash;
        self.numbers.insert_unique(hash, number, hash_of);
        number
    }

    /// One more group holds the key.
    pub fn hold(&mut self, number: u32) {
        self.keys[number as usize].holders += 1;
    }

    /// One group less holds the key; with the last one it goes.
    pub fn release(&mut self, number: u32) {
        let key = &mut self.keys[number as usize];
        key.holders -= 1;
        if key.holders > 0 {
            return;
        }
        let key = std::mem::take(key);
        self.bytes -= key.bytes.len();
        if let Ok(known) = self.numbers.find_entry(key.hash, |known| *known == number) {
            known.remove();
        }
        self.free.push(number);
    }

    /// One more than the largest number there is.
    pub fn bound(&self) -> usize {
        self.keys.len()
    }

    /// How many keys are held.
    pub fn count(&self) -> usize {
        self.keys.len() - self.free.len()
    }

    /// About how much memory it takes.
    pub fn bytes(&self) -> usize {
        self.bytes + self.keys.capacity() * size_of::<Key>() + self.numbers.capacity() * 5
    }
}
