//! `row_number` and `lag`: what came before, row by row.

use std::collections::VecDeque;
use std::ops::Range;

use arrow::array::ArrayRef;
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::error::Result;
use serde::{Deserialize, Serialize};

use super::numbered::grow;
use super::slot::{Input, Stepping, Stored, from_bytes};
use super::value::{Kept, Results, Texts, Values};
use crate::detect::graph::Kind;

/// `row_number`.
#[derive(Debug)]
pub(crate) struct RowNumber {
    rows: Vec<u64>,
    results: Results,
}

impl RowNumber {
    pub fn new() -> Self {
        Self {
            rows: Vec::new(),
            results: Results::new(Kind::Integer),
        }
    }
}

impl Stepping for RowNumber {
    fn grow(&mut self, keys: usize) {
        grow(&mut self.rows, keys);
    }

    fn run(&mut self, _: &Input, _: Range<usize>, keys: &[u32]) -> Result<()> {
        let texts = Texts::default();
        for key in keys {
            let rows = &mut self.rows[*key as usize];
            *rows += 1;
            self.results.push(Kept::Integer(*rows as i64), &texts);
        }
        Ok(())
    }

    fn forget(&mut self, key: u32) {
        if let Some(rows) = self.rows.get_mut(key as usize) {
            *rows = 0;
        }
    }

    fn take(&mut self) -> ArrayRef {
        self.results.take()
    }

    fn bytes(&self) -> usize {
        self.rows.capacity() * size_of::<u64>()
    }

    fn save(&self) -> Stored<Vec<u8>> {
        postcard::to_stdvec(&self.rows)
    }

    fn load(&mut self, bytes: &[u8]) -> Stored<()> {
        self.rows = from_bytes(bytes)?;
        Ok(())
    }
}

/// `lag(value, offset, default)`.
#[derive(Debug)]
pub(crate) struct Lag {
    offset: usize,
    ignore_nulls: bool,
    held: Held,
    results: Results,
    kind: Kind,
    /// What SQL says it returns.
    output: DataType,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Held {
    keys: Vec<Past>,
    texts: Texts,
}

/// The latest values of a key, as many as `offset` asks for; most rules ask for one.
#[derive(Debug, Default, Serialize, Deserialize)]
enum Past {
    #[default]
    None,
    One(Kept),
    #[expect(
        clippy::box_collection,
        reason = "few rules ask for several, and all keys have the room"
    )]
    Several(Box<VecDeque<Kept>>),
}

impl Lag {
    pub fn new(offset: usize, ignore_nulls: bool, kind: Kind, output: DataType) -> Self {
        Self {
            offset,
            ignore_nulls,
            held: Held::default(),
            results: Results::new(kind),
            kind,
            output,
        }
    }
}

impl Past {
    /// The value `offset` rows back, if there were so many.
    fn get(&self, offset: usize) -> Option<Kept> {
        match self {
            Self::None => None,
            Self::One(value) => Some(*value),
            Self::Several(values) => values.get(values.len().checked_sub(offset)?).copied(),
        }
    }

    /// Adds a value; gives the one that nobody will ask for any more.
    fn push(&mut self, value: Kept, offset: usize) -> Kept {
        if offset == 1 {
            return match std::mem::replace(self, Self::One(value)) {
                Self::One(before) => before,
                _ => Kept::Null,
            };
        }
        match self {
            Self::Several(values) => {
                values.push_back(value);
                let gone = (values.len() > offset).then(|| values.pop_front());
                gone.flatten().unwrap_or_default()
            }
            _ => {
                *self = Self::Several(Box::new(VecDeque::from([value])));
                Kept::Null
            }
        }
    }
}

impl Stepping for Lag {
    fn grow(&mut self, keys: usize) {
        grow(&mut self.held.keys, keys);
    }

    fn run(&mut self, input: &Input, rows: Range<usize>, keys: &[u32]) -> Result<()> {
        let texts = &mut self.held.texts;
        let default = match input.arrays.get(1) {
            Some(array) => Values::of(&cast(array, &self.output)?, self.kind)?,
            None => Values::None,
        };
        let has_default = !matches!(default, Values::None);
        for (row, key) in rows.zip(keys) {
            let past = &mut self.held.keys[*key as usize];
            match past.get(self.offset) {
                Some(value) => self.results.push(value, texts),
                None if has_default => {
                    let value = default.keep(row, texts);
                    self.results.push(value, texts);
                    texts.release(value);
                }
                None => self.results.push(Kept::Null, texts),
            }
            let value = input.values.keep(row, texts);
            if !(self.ignore_nulls && value.is_null()) {
                let gone = past.push(value, self.offset);
                texts.release(gone);
            }
        }
        Ok(())
    }

    fn forget(&mut self, key: u32) {
        let Some(past) = self.held.keys.get_mut(key as usize) else {
            return;
        };
        match std::mem::take(past) {
            Past::None => {}
            Past::One(value) => self.held.texts.release(value),
            Past::Several(values) => {
                for value in *values {
                    self.held.texts.release(value);
                }
            }
        }
    }

    fn take(&mut self) -> ArrayRef {
        self.results.take()
    }

    fn bytes(&self) -> usize {
        let of = |past: &Past| match past {
            Past::Several(values) => values.capacity() * size_of::<Kept>(),
            _ => 0,
        };
        self.held.keys.iter().map(of).sum::<usize>()
            + self.held.keys.capacity() * size_of::<Past>()
            + self.held.texts.bytes()
    }

    fn save(&self) -> Stored<Vec<u8>> {
        postcard::to_stdvec(&self.held)
    }

    fn load(&mut self, bytes: &[u8]) -> Stored<()> {
        self.held = from_bytes(bytes)?;
        Ok(())
    }
}
