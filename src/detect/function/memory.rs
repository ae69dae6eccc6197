//! What a fold remembers of a key: some numbers and lists of records in one piece of memory.
//!
//! There are as many memories as people, each is read at every event of its person, and none of them
//! is in the processor's cache by then. So all of it lies side by side, in words of 32 bits:
//!
//! ```text
//! head │ lengths of the lists but the last, two a word │ first list │ second list │ …
//! ```

use std::ops::Range;
use std::slice::ChunksExact;

use serde::{Deserialize, Serialize};

/// The memory of a key; empty before its first event. A [`Layout`] reads and writes it.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Memory(Box<[u32]>);

impl Memory {
    /// Whether there was no event yet.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
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
    /// Words at the beginning.
    pub head: usize,
    /// Words of a record, by list; a list holds fewer than 2^16 records.
    pub widths: [usize; LISTS],
}

impl<const LISTS: usize> Layout<LISTS> {
    /// Words before the first list.
    const fn start(&self) -> usize {
        self.head + LISTS / 2
    }

    /// The words of the head; none before the first event.
    pub fn head<'a>(&self, memory: &'a Memory) -> &'a [u32] {
        memory.0.get(..self.head).unwrap_or_default()
    }

    /// The words of the head, at first 0.
    pub fn head_mut<'a>(&self, memory: &'a mut Memory) -> &'a mut [u32] {
        if memory.is_empty() {
            memory.0 = vec![0; self.start()].into();
        }
        &mut memory.0[..self.head]
    }

    fn length(&self, memory: &Memory, list: usize) -> usize {
        let pair = memory.0.get(self.head + list / 2).copied().unwrap_or(0);
        self.widths[list] * (pair >> (list % 2 * 16) & 0xffff) as usize
    }

    fn set_length(&self, memory: &mut Memory, list: usize, words: usize) {
        if list + 1 < LISTS {
            let shift = list % 2 * 16;
            let pair = &mut memory.0[self.head + list / 2];
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

    /// Adds a record at the end of a list.
    pub fn push(&self, memory: &mut Memory, list: usize, record: &[u32]) {
        self.head_mut(memory);
        let range = self.range(memory, list);
        let mut words = Vec::with_capacity(memory.0.len() + record.len());
        words.extend_from_slice(&memory.0[..range.end]);
        words.extend_from_slice(record);
        words.extend_from_slice(&memory.0[range.end..]);
        memory.0 = words.into();
        self.set_length(memory, list, range.len() + record.len());
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
                LAYOUT.head_mut(&mut memory)[0] = number;
                for (list, wanted) in lists.iter().enumerate() {
                    let found: Vec<&[u32]> = LAYOUT.list(&memory, list).collect();
                    prop_assert_eq!(&found, wanted);
                }
                prop_assert_eq!(LAYOUT.head(&memory)[0], number);
            }
        }
    }
}
