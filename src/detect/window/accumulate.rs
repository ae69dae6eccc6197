//! What is counted over the rows of a frame, one state a key.
//!
//! Rows of a key enter its frame in order and leave it in the same order. States hold no more than
//! their result needs, and come out the same whichever rows went through them before.
//!
//! Where rows leave their frame, whoever keeps the rows holds their texts. Where none leaves, a row
//! is handed over with its text: the state holds what it names and releases the rest.

use std::cmp::Ordering;
use std::collections::{HashMap, VecDeque};
use std::fmt::Debug;

use foldhash::fast::FixedState;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::value::{Kept, Texts};
use crate::detect::aggregate::{Moment, Moments};
use crate::detect::graph::Kind;

/// How the rows of a frame come to one value.
pub(crate) trait Accumulate: Debug + Send + Sync + 'static {
    type State: Default + Debug + Send + Sync + Serialize + DeserializeOwned;

    /// A row enters the frame; `at` numbers the rows, ascending.
    fn add(&self, state: &mut Self::State, value: Kept, at: u64, texts: &mut Texts);

    /// The oldest row leaves the frame.
    fn retract(&self, state: &mut Self::State, value: Kept, at: u64);

    fn result(&self, state: &Self::State) -> Kept;

    /// Releases the texts that the state holds; it is not used again.
    fn release(&self, _state: &mut Self::State, _texts: &mut Texts) {}

    /// Memory beyond the state itself.
    fn bytes(&self, _state: &Self::State) -> usize {
        0
    }
}

/// `count`: rows whose value is true.
#[derive(Debug)]
pub(crate) struct Count;

impl Accumulate for Count {
    type State = i64;

    fn add(&self, state: &mut i64, value: Kept, _: u64, _: &mut Texts) {
        *state += i64::from(value.is_true());
    }

    fn retract(&self, state: &mut i64, value: Kept, _: u64) {
        *state -= i64::from(value.is_true());
    }

    fn result(&self, state: &i64) -> Kept {
        Kept::Integer(*state)
    }
}

impl Accumulate for Moment {
    type State = Moments;

    fn add(&self, state: &mut Moments, value: Kept, _: u64, _: &mut Texts) {
        if let Kept::Integer(value) = value {
            state.add(value);
        }
    }

    fn retract(&self, state: &mut Moments, value: Kept, _: u64) {
        if let Kept::Integer(value) = value {
            state.retract(value);
        }
    }

    fn result(&self, state: &Moments) -> Kept {
        match self {
            Self::Sum => state.sum().map_or(Kept::Null, Kept::Integer),
            Self::Mean => state.mean().map_or(Kept::Null, Kept::Float),
            Self::Stddev => state.stddev().map_or(Kept::Null, Kept::Float),
        }
    }
}

/// `bool_and` and `bool_or`.
#[derive(Debug)]
pub(crate) struct Truth {
    pub every: bool,
}

impl Accumulate for Truth {
    /// Rows that are true, and rows that are false.
    type State = (u64, u64);

    fn add(&self, state: &mut Self::State, value: Kept, _: u64, _: &mut Texts) {
        state.0 += u64::from(value.is_true());
        state.1 += u64::from(!value.is_true() && !value.is_null());
    }

    fn retract(&self, state: &mut Self::State, value: Kept, _: u64) {
        state.0 -= u64::from(value.is_true());
        state.1 -= u64::from(!value.is_true() && !value.is_null());
    }

    fn result(&self, (holds, fails): &Self::State) -> Kept {
        match (holds, fails) {
            (0, 0) => Kept::Null,
            _ if self.every => Kept::Integer((*fails == 0).into()),
            _ => Kept::Integer((*holds > 0).into()),
        }
    }
}

/// `count(DISTINCT …)`.
#[derive(Debug)]
pub(crate) struct Distinct {
    pub slides: bool,
    pub kind: Kind,
}

/// The bits of each value of a frame with the number of its rows.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Multiset {
    Few(Vec<(u64, u32)>),
    #[expect(
        clippy::box_collection,
        reason = "few keys have many values, and all have the room"
    )]
    Many(Box<HashMap<u64, u32, FixedState>>),
}

impl Default for Multiset {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl Multiset {
    /// From so many on they are looked up by hash.
    const MANY: usize = 24;

    /// Adds a row of the value; whether it is the first.
    fn add(&mut self, value: u64) -> bool {
        if let Self::Few(list) = self {
            if let Some((_, rows)) = list.iter_mut().find(|(known, _)| *known == value) {
                *rows += 1;
                return false;
            }
            if list.len() < Self::MANY {
                list.push((value, 1));
                return true;
            }
            *self = Self::Many(Box::new(list.drain(..).collect()));
        }
        let Self::Many(many) = self else {
            return false;
        };
        let rows = many.entry(value).or_insert(0);
        *rows += 1;
        *rows == 1
    }

    fn remove(&mut self, value: u64) {
        match self {
            Self::Few(list) => {
                if let Some(at) = list.iter().position(|(known, _)| *known == value) {
                    list[at].1 -= 1;
                    if list[at].1 == 0 {
                        list.swap_remove(at);
                    }
                }
            }
            Self::Many(many) => {
                if let Some(rows) = many.get_mut(&value) {
                    *rows -= 1;
                    if *rows == 0 {
                        many.remove(&value);
                    }
                }
                if many.is_empty() {
                    *self = Self::default();
                }
            }
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Few(list) => list.len(),
            Self::Many(many) => many.len(),
        }
    }
}

impl Accumulate for Distinct {
    type State = Multiset;

    fn add(&self, state: &mut Multiset, value: Kept, _: u64, texts: &mut Texts) {
        let is_new = !value.is_null() && state.add(value.bits());
        if !self.slides && !is_new {
            texts.release(value);
        }
    }

    fn retract(&self, state: &mut Multiset, value: Kept, _: u64) {
        if !value.is_null() {
            state.remove(value.bits());
        }
    }

    fn result(&self, state: &Multiset) -> Kept {
        Kept::Integer(state.len() as i64)
    }

    fn release(&self, state: &mut Multiset, texts: &mut Texts) {
        let state = std::mem::take(state);
        if self.slides || self.kind != Kind::Text {
            return;
        }
        let mut release = |bits: u64| texts.release(Kept::text(bits));
        match state {
            Multiset::Few(list) => list.iter().for_each(|(bits, _)| release(*bits)),
            Multiset::Many(many) => many.keys().for_each(|bits| release(*bits)),
        }
    }

    fn bytes(&self, state: &Multiset) -> usize {
        match state {
            Multiset::Few(list) => list.capacity() * size_of::<(u64, u32)>(),
            Multiset::Many(many) => many.capacity() * 8 / 7 * (size_of::<(u64, u32)>() + 1),
        }
    }
}

/// `min`, `max` and `first_value`: the values that may come to be the result, the present one first.
#[derive(Debug)]
pub(crate) struct Candidates {
    pub wanted: Wanted,
    /// Whether rows leave the frame; if not, one candidate is enough.
    pub slides: bool,
}

/// Which value of a frame is wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wanted {
    Min,
    Max,
    First { ignore_nulls: bool },
}

impl Wanted {
    /// Whether the value counts at all.
    fn counts(self, value: Kept) -> bool {
        let ignores_nulls = !matches!(
            self,
            Self::First {
                ignore_nulls: false
            }
        );
        !(ignores_nulls && value.is_null())
    }

    /// Whether a value is never the result once another came after it.
    fn is_beaten(self, held: Kept, by: Kept, texts: &Texts) -> bool {
        // Of equal ones the later stays longer.
        match self {
            Self::Min => texts.compare(held, by) != Ordering::Less,
            Self::Max => texts.compare(held, by) != Ordering::Greater,
            Self::First { .. } => false,
        }
    }
}

impl Accumulate for Candidates {
    type State = VecDeque<(u64, Kept)>;

    fn add(&self, state: &mut Self::State, value: Kept, at: u64, texts: &mut Texts) {
        if !self.wanted.counts(value) {
            return;
        }
        while let Some((at, held)) = state.pop_back() {
            if !self.wanted.is_beaten(held, value, texts) {
                state.push_back((at, held));
                break;
            }
            if !self.slides {
                texts.release(held);
            }
        }
        if self.slides || state.is_empty() {
            state.push_back((at, value));
        } else {
            texts.release(value);
        }
    }

    fn retract(&self, state: &mut Self::State, _: Kept, at: u64) {
        if state.front().is_some_and(|(first, _)| *first == at) {
            state.pop_front();
        }
    }

    fn result(&self, state: &Self::State) -> Kept {
        state.front().map_or(Kept::Null, |(_, value)| *value)
    }

    fn release(&self, state: &mut Self::State, texts: &mut Texts) {
        if !self.slides {
            state.drain(..).for_each(|(_, value)| texts.release(value));
        }
    }

    fn bytes(&self, state: &Self::State) -> usize {
        state.capacity() * size_of::<(u64, Kept)>()
    }
}

/// `last_value`.
#[derive(Debug)]
pub(crate) struct Last {
    pub ignore_nulls: bool,
    pub slides: bool,
}

impl Accumulate for Last {
    type State = Option<(u64, Kept)>;

    fn add(&self, state: &mut Self::State, value: Kept, at: u64, texts: &mut Texts) {
        if self.ignore_nulls && value.is_null() {
            return;
        }
        let last = state.replace((at, value));
        if let Some((_, last)) = last.filter(|_| !self.slides) {
            texts.release(last);
        }
    }

    fn retract(&self, state: &mut Self::State, _: Kept, at: u64) {
        if state.is_some_and(|(last, _)| last == at) {
            *state = None;
        }
    }

    fn result(&self, state: &Self::State) -> Kept {
        state.map_or(Kept::Null, |(_, value)| value)
    }

    fn release(&self, state: &mut Self::State, texts: &mut Texts) {
        if let Some((_, value)) = state.take().filter(|_| !self.slides) {
            texts.release(value);
        }
    }
}
