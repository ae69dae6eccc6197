//! Calls at work: the states of all keys of a shard, and the results in the order of the rows.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::ArrayRef;
use datafusion::error::Result;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::accumulate::Accumulate;
use super::log::Log;
use super::numbered::grow;
use super::value::{Column, Kept, Results, Texts, Values};
use crate::detect::function::volume::{Model, Sums};
use crate::detect::graph::Kind;

/// What a batch brings to a call.
#[derive(Debug)]
pub(crate) struct Input {
    /// The first argument.
    pub values: Values,
    /// All arguments, where the call reads more than one.
    pub arrays: Vec<ArrayRef>,
}

/// Bytes of a snapshot, and what may be wrong with them.
pub(crate) type Stored<T> = std::result::Result<T, postcard::Error>;

/// A call over a frame of time: rows enter with the log, and leave as time goes on.
pub(crate) trait Sliding: Debug + Send + Sync {
    /// Makes room for keys up to this number.
    fn grow(&mut self, keys: usize);

    /// Keeps the values of these rows, which were just appended to the log.
    fn enter(&mut self, input: &Input, rows: Range<usize>);

    /// Computes the results of these rows of the log.
    fn run(&mut self, log: &Log, rows: Range<u64>);

    /// Lets go of what no row from `time` on will see; gives the first row of the log that is still
    /// needed.
    fn settle(&mut self, log: &Log, time: i64) -> u64;

    /// The oldest rows leave the log, up to this one.
    fn trim(&mut self, first: u64);

    /// The key goes.
    fn forget(&mut self, key: u32);

    /// The results since they were taken last.
    fn take(&mut self) -> ArrayRef;

    /// About how much memory it takes.
    fn bytes(&self) -> usize;

    fn save(&self) -> Stored<Vec<u8>>;

    fn load(&mut self, bytes: &[u8]) -> Stored<()>;
}

/// A call over the rows themselves, one after the other.
pub(crate) trait Stepping: Debug + Send + Sync {
    fn grow(&mut self, keys: usize);

    /// Takes these rows, whose keys are given beside them.
    ///
    /// # Errors
    /// When the input is not what the call reads.
    fn run(&mut self, input: &Input, rows: Range<usize>, keys: &[u32]) -> Result<()>;

    /// Whether a key is as one that was never seen, for all rows from `time` on.
    fn is_over(&self, _key: u32, _time: i64) -> bool {
        false
    }

    /// A day begins, of which this is known.
    fn turn(&mut self, _: &Arc<Model>) {}

    /// Adds what its keys bring to the table of the day that begins at this second.
    fn bring(&self, _midnight: i64, _: &mut Sums) {}

    fn forget(&mut self, key: u32);

    fn take(&mut self) -> ArrayRef;

    fn bytes(&self) -> usize;

    fn save(&self) -> Stored<Vec<u8>>;

    fn load(&mut self, bytes: &[u8]) -> Stored<()>;
}

/// An aggregate over a frame of time.
#[derive(Debug)]
pub(crate) struct Frame<A: Accumulate> {
    how: A,
    /// Microseconds from the row's time to the frame's ends.
    start: Option<i64>,
    end: i64,
    /// Whether rows have values worth keeping.
    has_values: bool,
    held: Held<A::State>,
    results: Results,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Held<S> {
    states: Vec<S>,
    texts: Texts,
    /// The values of the log's rows; empty where every row counts as it is.
    values: Column,
    /// The row whose value comes first.
    base: u64,
    /// The first row that is not in the frame yet, and the first that has not left it.
    added: u64,
    left: u64,
}

impl<A: Accumulate> Frame<A> {
    pub fn new(how: A, start: Option<i64>, end: i64, has_values: bool, output: Kind) -> Self {
        Self {
            how,
            start,
            end,
            has_values,
            held: Held {
                states: Vec::new(),
                texts: Texts::default(),
                values: Column::Empty,
                base: 0,
                added: 0,
                left: 0,
            },
            results: Results::new(output),
        }
    }

    /// Moves the frame to that of a row of this time.
    #[inline]
    fn slide(&mut self, log: &Log, time: i64) {
        let held = &mut self.held;
        let last = time.saturating_add(self.end);
        while held.added < log.end() && log.time(held.added) <= last {
            let at = held.added;
            let row = (at - held.base) as usize;
            let value = match self.start {
                // The state holds it from now on.
                None => held.values.hand_over(row),
                Some(_) => held.values.get(row),
            };
            let state = &mut held.states[log.key(at) as usize];
            self.how.add(state, value, at, &mut held.texts);
            held.added += 1;
        }
        let Some(start) = self.start else {
            held.left = held.added;
            return;
        };
        let first = time.saturating_add(start);
        while held.left < held.added && log.time(held.left) < first {
            let at = held.left;
            let value = held.values.get((at - held.base) as usize);
            let state = &mut held.states[log.key(at) as usize];
            self.how.retract(state, value, at);
            held.left += 1;
        }
    }
}

impl<A: Accumulate> Sliding for Frame<A> {
    fn grow(&mut self, keys: usize) {
        grow(&mut self.held.states, keys);
    }

    fn enter(&mut self, input: &Input, rows: Range<usize>) {
        if !self.has_values {
            return;
        }
        let Held { values, texts, .. } = &mut self.held;
        values.extend(&input.values, rows, texts);
    }

    fn run(&mut self, log: &Log, rows: Range<u64>) {
        let mut time = None;
        for row in rows {
            let now = log.time(row);
            if time != Some(now) {
                time = Some(now);
                self.slide(log, now);
            }
            let state = &self.held.states[log.key(row) as usize];
            self.results.push(self.how.result(state), &self.held.texts);
        }
    }

    fn settle(&mut self, log: &Log, time: i64) -> u64 {
        self.slide(log, time);
        self.held.left
    }

    fn trim(&mut self, first: u64) {
        let held = &mut self.held;
        let count = (first - held.base) as usize;
        held.values.trim(count, &mut held.texts);
        held.base = first;
    }

    fn forget(&mut self, key: u32) {
        if let Some(state) = self.held.states.get_mut(key as usize) {
            self.how.release(state, &mut self.held.texts);
            *state = A::State::default();
        }
    }

    fn take(&mut self) -> ArrayRef {
        self.results.take()
    }

    fn bytes(&self) -> usize {
        let held = &self.held;
        let states: usize = held.states.iter().map(|state| self.how.bytes(state)).sum();
        states
            + held.states.capacity() * size_of::<A::State>()
            + held.values.bytes()
            + held.texts.bytes()
    }

    fn save(&self) -> Stored<Vec<u8>> {
        postcard::to_stdvec(&self.held)
    }

    fn load(&mut self, bytes: &[u8]) -> Stored<()> {
        self.held = from_bytes(bytes)?;
        Ok(())
    }
}

/// An aggregate over the latest rows of a key.
#[derive(Debug)]
pub(crate) struct Rows<A: Accumulate> {
    how: A,
    /// Rows before the row to the frame's ends.
    start: Option<usize>,
    end: usize,
    held: RowsHeld<A::State>,
    results: Results,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct RowsHeld<S> {
    keys: Vec<Latest<S>>,
    texts: Texts,
}

/// A key's state, and the values of its rows that have not left the frame.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Latest<S> {
    state: S,
    values: VecDeque<Kept>,
    /// How many rows there were.
    rows: u64,
}

impl<A: Accumulate> Rows<A> {
    pub fn new(how: A, start: Option<usize>, end: usize, output: Kind) -> Self {
        Self {
            how,
            start,
            end,
            held: RowsHeld {
                keys: Vec::new(),
                texts: Texts::default(),
            },
            results: Results::new(output),
        }
    }
}

impl<A: Accumulate> Stepping for Rows<A> {
    fn grow(&mut self, keys: usize) {
        grow(&mut self.held.keys, keys);
    }

    fn run(&mut self, input: &Input, rows: Range<usize>, keys: &[u32]) -> Result<()> {
        let texts = &mut self.held.texts;
        for (row, key) in rows.zip(keys) {
            let latest = &mut self.held.keys[*key as usize];
            let at = latest.rows;
            latest.rows += 1;
            latest.values.push_back(input.values.keep(row, texts));
            match self.start {
                None => {
                    if latest.values.len() > self.end
                        && let Some(value) = latest.values.pop_front()
                    {
                        let entered = at - self.end as u64;
                        self.how.add(&mut latest.state, value, entered, texts);
                    }
                }
                Some(start) => {
                    if let Some(back) = latest.values.len().checked_sub(self.end + 1) {
                        let (value, entered) = (latest.values[back], at - self.end as u64);
                        self.how.add(&mut latest.state, value, entered, texts);
                    }
                    if latest.values.len() > start + 1
                        && let Some(value) = latest.values.pop_front()
                    {
                        let gone = at - start as u64 - 1;
                        self.how.retract(&mut latest.state, value, gone);
                        texts.release(value);
                    }
                }
            }
            self.results.push(self.how.result(&latest.state), texts);
        }
        Ok(())
    }

    fn forget(&mut self, key: u32) {
        if let Some(latest) = self.held.keys.get_mut(key as usize) {
            let texts = &mut self.held.texts;
            self.how.release(&mut latest.state, texts);
            latest
                .values
                .drain(..)
                .for_each(|value| texts.release(value));
            latest.state = A::State::default();
            latest.values.shrink_to_fit();
            latest.rows = 0;
        }
    }

    fn take(&mut self) -> ArrayRef {
        self.results.take()
    }

    fn bytes(&self) -> usize {
        let held = &self.held;
        let of = |latest: &Latest<A::State>| {
            self.how.bytes(&latest.state) + latest.values.capacity() * size_of::<Kept>()
        };
        held.keys.iter().map(of).sum::<usize>()
            + held.keys.capacity() * size_of::<Latest<A::State>>()
            + held.texts.bytes()
    }

    fn save(&self) -> Stored<Vec<u8>> {
        postcard::to_stdvec(&self.held)
    }

    fn load(&mut self, bytes: &[u8]) -> Stored<()> {
        self.held = from_bytes(bytes)?;
        Ok(())
    }
}

/// Reads what was saved; all of the bytes must belong to it.
pub(crate) fn from_bytes<T: DeserializeOwned>(bytes: &[u8]) -> Stored<T> {
    let (value, rest) = postcard::take_from_bytes(bytes)?;
    if rest.is_empty() {
        Ok(value)
    } else {
        Err(postcard::Error::DeserializeBadEncoding)
    }
}
