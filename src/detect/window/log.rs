//! The rows of a group in one shard that some frame still needs, in canonical order.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Times and keys of the rows; rows are numbered from the first there ever was.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Log {
    base: u64,
    times: VecDeque<i64>,
    keys: VecDeque<u32>,
}

impl Log {
    /// The first row that is still here.
    pub fn start(&self) -> u64 {
        self.base
    }

    /// One after the last row.
    pub fn end(&self) -> u64 {
        self.base + self.times.len() as u64
    }

    /// Microseconds; ascending.
    #[inline]
    pub fn time(&self, row: u64) -> i64 {
        self.times[(row - self.base) as usize]
    }

    /// The number of the row's key.
    #[inline]
    pub fn key(&self, row: u64) -> u32 {
        self.keys[(row - self.base) as usize]
    }

    /// The first row of this time or a later one.
    pub fn first_from(&self, time: i64) -> u64 {
        self.base + self.times.partition_point(|at| *at < time) as u64
    }

    pub fn push(&mut self, time: i64, key: u32) {
        self.times.push_back(time);
        self.keys.push_back(key);
    }

    /// Takes out the oldest row; gives its key.
    pub fn pop(&mut self) -> Option<u32> {
        self.times.pop_front()?;
        self.base += 1;
        self.keys.pop_front()
    }

    /// About how much memory it takes.
    pub fn bytes(&self) -> usize {
        self.times.capacity() * size_of::<i64>() + self.keys.capacity() * size_of::<u32>()
    }
}
