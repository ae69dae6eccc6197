//! What a fold remembers of a key: some numbers and lists of records in one piece of memory.
//!
//! There are as many memories as people, each is read at every event of its person, and none of them
//! is in the processor's cache by then. So all of it lies side by side, in words of 32 bits. It begins
//! with the second after which nothing of it holds any more, if no event comes before:
//!
//! ```text
//! until │ head │ lengths of the lists but the last, two a word │ first list │ second list │ …
//! ```

use std::ops::Range;
use std::slice::ChunksExact;

use serde::{Deserialize, Serialize};

/// The memory of a key; empty before its first event. A [`Layout`] reads and writes it.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Memory(Box<[u32]>);

impl Memory {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether nothing of it holds at an event of this second.
    pub fn is_over(&self, second: i64) -> bool {
        self.0
            .first()
            .is_none_or(|until| i64::from(*until) < second)
    }

    /// Holds until `horizon` seconds after this second.
    fn keep(&mut self, second: u32, horizon: i64) {
        let until = i64::from(second).saturating_add(horizon.max(0));
        let until = u32::try_from(until).unwrap_or(u32::MAX);
        if let Some(known) = self.0.first_mut() {
            *known = until.max(*known);
        }
    }

    /// How much memory it takes beyond its own size.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.0)
    }

    /// Brings it near: reads a word at either end. The sum means nothing.
    #[inline]
    pub fn touch(&self) -> u32 {
        let ends = self.0.first().zip(self.0.last());
        ends.map_or(0, |(first, last)| first ^ last)
    }
}

/// Where things are in a memory: `LISTS` lists, of which each has records of one width.
#[derive(Debug)]
pub(crate) struct Layout<const LISTS: usize> {
    /// Words of the head.
    pub head: usize,
    /// Words of a record, by list; a list holds fewer than 2^16 records.
    pub widths: [usize; LISTS],
}

impl<const LISTS: usize> Layout<LISTS> {
    /// Words before the first list.
    const fn start(&self) -> usize {
        1 + self.head + LISTS / 2
    }

    /// Begins with an event of this second, unless the memory holds still; gives the head if it does
    /// begin, after `release` was called with what there was. From now on it holds for another `horizon`
    /// seconds.
    pub fn begin<'a>(
        &self,
        memory: &'a mut Memory,
        second: u32,
        horizon: i64,
        release: impl FnOnce(&Memory),
    ) -> Option<&'a mut [u32]> {
        let begins = memory.is_over(second.into());
        if begins {
            release(memory);
            memory.0 = vec![0; self.start()].into();
        }
        memory.keep(second, horizon);
        begins.then(|| &mut memory.0[1..=self.head])
    }

    /// The words of the head.
    pub fn head<'a>(&self, memory: &'a Memory) -> &'a [u32] {
        memory.0.get(1..=self.head).unwrap_or_default()
    }

    /// The words of the head, to be changed.
    pub fn head_mut<'a>(&self, memory: &'a mut Memory) -> &'a mut [u32] {
        memory.0.get_mut(1..=self.head).unwrap_or_default()
    }

    fn length(&self, memory: &Memory, list: usize) -> usize {
        let pair = memory.0.get(1 + self.head + list / 2).copied().unwrap_or(0);
        self.widths[list] * (pair >> (list % 2 * 16) & 0xffff) as usize
    }

    fn set_length(&self, memory: &mut Memory, list: usize, words: usize) {
        if list + 1 < LISTS {
            let shift = list % 2 * 16;
            let pair = &mut memory.0[1 + self.head + list / 2];
            *pair = *pair & !(0xffff << shift) | ((words / self.widths[list]) as u32) << shift;
        }
    }

    fn range(&self, memory: &Memory, list: usize) -> Range<usize> {
        if memory.is_empty() {
            return 0..0;
        }
        let before = (0..list).map(|before| self.length(memory, before));
        let start = self.start() + before.sum::<usize>();
        let end = if list + 1 < LISTS {
            start + self.length(memory, list)
        } else {
            memory.0.len()
        };
        start..end
    }

    /// The records of a list, the oldest first.
    pub fn list<'a>(&self, memory: &'a Memory, list: usize) -> ChunksExact<'a, u32> {
        memory.0[self.range(memory, list)].chunks_exact(self.widths[list])
    }

    /// A record to be changed where it is.
    pub fn record<'a>(&self, memory: &'a mut Memory, list: usize, at: usize) -> &'a mut [u32] {
        let (width, range) = (self.widths[list], self.range(memory, list));
        &mut memory.0[range][at * width..][..width]
    }

    /// Adds a record at the end of a list of a memory that was begun.
    pub fn push(&self, memory: &mut Memory, list: usize, record: &[u32]) {
        let range = self.range(memory, list);
        let mut words = Vec::with_capacity(memory.0.len() + record.len());
        words.extend_from_slice(&memory.0[..range.end]);
        words.extend_from_slice(record);
        words.extend_from_slice(&memory.0[range.end..]);
        memory.0 = words.into();
        self.set_length(memory, list, range.len() + record.len());
    }

    /// Adds a record at the end of a list of at most `most`, from which the first goes if need be.
    pub fn push_at_most(&self, memory: &mut Memory, list: usize, record: &[u32], most: usize) {
        if self.list(memory, list).len() >= most {
            self.remove(memory, list, 0);
        }
        self.push(memory, list, record);
    }

    /// Puts other records into all lists of a memory that was begun.
    pub fn replace(&self, memory: &mut Memory, lists: [&[u32]; LISTS]) {
        let mut words = memory.0[..self.start()].to_vec();
        lists
            .iter()
            .for_each(|records| words.extend_from_slice(records));
        memory.0 = words.into();
        for (list, records) in lists.iter().enumerate() {
            self.set_length(memory, list, records.len());
        }
    }

    /// Takes out the record at a position.
    pub fn remove(&self, memory: &mut Memory, list: usize, at: usize) {
        let (width, range) = (self.widths[list], self.range(memory, list));
        let first = range.start + at * width;
        let mut words = Vec::with_capacity(memory.0.len() - width);
        words.extend_from_slice(&memory.0[..first]);
        words.extend_from_slice(&memory.0[first + width..]);
        memory.0 = words.into();
        self.set_length(memory, list, range.len() - width);
    }

    /// Puts the record at a position behind all others of its list.
    pub fn move_to_end(&self, memory: &mut Memory, list: usize, at: usize) {
        let (width, range) = (self.widths[list], self.range(memory, list));
        memory.0[range][at * width..].rotate_left(width);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Layout, Memory};

    const LAYOUT: Layout<3> = Layout {
        head: 1,
        widths: [2, 1, 3],
    };

    proptest! {
        #[test]
        fn lists_are_as_if_each_stood_alone(
            acts in prop::collection::vec((0..4_u8, 0..3_usize, any::<u32>()), 0..60),
        ) {
            let mut memory = Memory::default();
            LAYOUT.begin(&mut memory, 5, 10, |_| ()).expect("it is empty")[0] = 7;
            let mut lists: [Vec<Vec<u32>>; 3] = Default::default();
            for (act, list, number) in acts {
                let at = number as usize % lists[list].len().max(1);
                match act {
                    _ if act == 0 || lists[list].is_empty() => {
                        let record = vec![number; LAYOUT.widths[list]];
                        LAYOUT.push(&mut memory, list, &record);
                        lists[list].push(record);
                    }
                    1 => {
                        LAYOUT.remove(&mut memory, list, at);
                        lists[list].remove(at);
                    }
                    2 => {
                        LAYOUT.move_to_end(&mut memory, list, at);
                        lists[list][at..].rotate_left(1);
                    }
                    _ => {
                        LAYOUT.record(&mut memory, list, at)[0] = number;
                        lists[list][at][0] = number;
                    }
                }
                for (list, wanted) in lists.iter().enumerate() {
                    let found: Vec<&[u32]> = LAYOUT.list(&memory, list).collect();
                    prop_assert_eq!(&found, wanted);
                }
                prop_assert_eq!(LAYOUT.head(&memory)[0], 7);
            }
        }
    }

    #[test]
    fn a_memory_is_over_when_its_horizon_is() {
        let mut memory = Memory::default();
        assert!(memory.is_over(0));
        for (second, begins) in [(5, true), (15, false), (10, false), (25, false), (36, true)] {
            let is_over = memory.is_over(second.into());
            assert_eq!(
                LAYOUT.begin(&mut memory, second, 10, |_| ()).is_some(),
                begins
            );
            assert_eq!(is_over, begins);
        }
    }
}
