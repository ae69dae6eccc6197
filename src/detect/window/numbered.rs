//! Byte strings with numbers: each stands here once, for as long as somebody holds it.

use std::fmt;

use hashbrown::HashTable;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Byte strings by number; numbers that nobody holds are given again.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(from = "Stored")]
pub(crate) struct Numbered {
    entries: Vec<Entry>,
    #[serde(skip_serializing)]
    numbers: HashTable<u32>,
    #[serde(skip_serializing)]
    free: Vec<u32>,
    /// Of the long ones.
    #[serde(skip_serializing)]
    long: usize,
}

/// Half a cache line: all that a look-up of a short one reads.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Entry {
    bytes: Bytes,
    holders: u32,
    hash: u32,
}

/// What is stored of them.
#[derive(Deserialize)]
struct Stored {
    entries: Vec<Entry>,
}

impl From<Stored> for Numbered {
    fn from(stored: Stored) -> Self {
        let mut all = Self {
            entries: stored.entries,
            ..Self::default()
        };
        for (number, entry) in (0..).zip(&all.entries) {
            if entry.holders == 0 {
                all.free.push(number);
                continue;
            }
            all.long += entry.bytes.beyond();
            let spread = |number: &u32| spread(all.entries[*number as usize].hash);
            all.numbers.insert_unique(spread(&number), number, spread);
        }
        all
    }
}

impl Numbered {
    /// The number of these bytes, whose hash is given. New ones must be held before the next are
    /// entered.
    #[inline]
    pub fn enter(&mut self, hash: u64, bytes: &[u8]) -> u32 {
        match self.find(hash, bytes) {
            Some(number) => number,
            None => self.add(folded(hash), bytes),
        }
    }

    /// The number of known bytes.
    #[inline]
    pub fn find(&self, hash: u64, bytes: &[u8]) -> Option<u32> {
        let hash = folded(hash);
        let is_it = |number: &u32| {
            let entry = &self.entries[*number as usize];
            entry.hash == hash && entry.bytes.get() == bytes
        };
        self.numbers.find(spread(hash), is_it).copied()
    }

    fn add(&mut self, hash: u32, bytes: &[u8]) -> u32 {
        let entry = Entry {
            bytes: Bytes::new(bytes),
            holders: 0,
            hash,
        };
        self.long += entry.bytes.beyond();
        let number = match self.free.pop() {
            Some(number) => {
                self.entries[number as usize] = entry;
                number
            }
            None => {
                push(&mut self.entries, entry);
                self.entries.len() as u32 - 1
            }
        };
        let spread = |number: &u32| spread(self.entries[*number as usize].hash);
        self.numbers.insert_unique(spread(&number), number, spread);
        number
    }

    pub fn get(&self, number: u32) -> &[u8] {
        self.entries[number as usize].bytes.get()
    }

    /// There is one holder more.
    pub fn hold(&mut self, number: u32) {
        self.entries[number as usize].holders += 1;
    }

    /// There is one holder less; with the last one the bytes go.
    pub fn release(&mut self, number: u32) {
        let entry = &mut self.entries[number as usize];
        entry.holders -= 1;
        if entry.holders > 0 {
            return;
        }
        let entry = std::mem::take(entry);
        self.long -= entry.bytes.beyond();
        let found = self
            .numbers
            .find_entry(spread(entry.hash), |known| *known == number);
        if let Ok(known) = found {
            known.remove();
        }
        self.free.push(number);
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// About how much memory they take.
    pub fn bytes(&self) -> usize {
        self.long
            + self.entries.capacity() * size_of::<Entry>()
            + self.numbers.capacity() * (size_of::<u32>() + 1)
            + self.free.capacity() * size_of::<u32>()
    }
}

/// Half of a hash is kept.
fn folded(hash: u64) -> u32 {
    (hash ^ (hash >> 32)) as u32
}

/// The table looks at both ends of a hash; multiplied by an odd number it differs at both.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Adds an item; a full list grows by an eighth, since what lies idle is memory too.
pub(super) fn push<T>(list: &mut Vec<T>, item: T) {
    if list.len() == list.capacity() {
        list.reserve_exact(list.len() / 8 + 4);
    }
    list.push(item);
}

/// Adds items until there are so many.
pub(super) fn grow<T: Default>(list: &mut Vec<T>, length: usize) {
    while list.len() < length {
        push(list, T::default());
    }
}

/// Bytes that stand where they are as long as they are short.
#[derive(Debug)]
enum Bytes {
    Short(u8, [u8; Self::SHORT]),
    Long(Box<[u8]>),
}

impl Default for Bytes {
    fn default() -> Self {
        Self::Short(0, [0; Self::SHORT])
    }
}

impl Bytes {
    const SHORT: usize = 22;

    fn new(bytes: &[u8]) -> Self {
        let mut short = [0; Self::SHORT];
        match short.get_mut(..bytes.len()) {
            Some(room) => {
                room.copy_from_slice(bytes);
                Self::Short(bytes.len() as u8, short)
            }
            None => Self::Long(bytes.into()),
        }
    }

    #[inline]
    fn get(&self) -> &[u8] {
        match self {
            Self::Short(length, bytes) => &bytes[..usize::from(*length)],
            Self::Long(bytes) => bytes,
        }
    }

    /// How many do not stand here.
    fn beyond(&self) -> usize {
        match self {
            Self::Short(..) => 0,
            Self::Long(bytes) => bytes.len(),
        }
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.get())
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Bytes;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("bytes")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes::new(bytes))
            }
        }

        deserializer.deserialize_bytes(Reader)
    }
}

#[cfg(test)]
mod tests {
    use super::Numbered;
    use crate::detect::shard::hash;

    #[test]
    fn numbers_are_given_again_and_bytes_come_back() {
        let long = "long enough to stand elsewhere";
        let mut all = Numbered::default();
        let enter = |all: &mut Numbered, text: &str| {
            let number = all.enter(hash(text.as_bytes()), text.as_bytes());
            all.hold(number);
            number
        };
        let (one, other) = (enter(&mut all, "one"), enter(&mut all, long));
        assert_eq!(enter(&mut all, "one"), one);
        assert_eq!(all.get(other), long.as_bytes());
        all.release(one);
        assert_eq!(all.get(one), b"one");
        all.release(one);
        assert_eq!(all.find(hash(b"one"), b"one"), None);
        assert_eq!(all.count(), 1);

        let stored = postcard::to_stdvec(&all).expect("it can be stored");
        let mut all: Numbered = postcard::from_bytes(&stored).expect("it can be read");
        assert_eq!(
            all.find(hash(long.as_bytes()), long.as_bytes()),
            Some(other)
        );
        assert_eq!(enter(&mut all, "two"), one);
        assert_eq!(size_of::<super::Entry>(), 32);
    }
}
