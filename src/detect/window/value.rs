//! Values on their way through a window: as they come, as they are kept, as they come out.

use std::cmp::Ordering;
use std::hash::BuildHasher;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Float64Builder, Int64Array, Int64Builder,
    StringViewArray, StringViewBuilder, new_null_array,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use arrow::error::ArrowError;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use serde::{Deserialize, Serialize};

use crate::detect::graph::Kind;

/// The values of a call's first argument, row by row.
#[derive(Debug)]
pub(crate) enum Values {
    /// There is no argument.
    None,
    Truth(BooleanArray),
    Integer(Int64Array),
    Float(Float64Array),
    Text(StringViewArray),
}

impl Values {
    /// The array in the form in which it is kept.
    pub fn of(array: &ArrayRef, kind: Kind) -> Result<Self, ArrowError> {
        if let Some(truth) = array.as_boolean_opt() {
            return Ok(Self::Truth(truth.clone()));
        }
        let array = cast(&whole(array)?, &kind.data_type())?;
        Ok(match kind {
            Kind::Integer => Self::Integer(array.as_primitive::<Int64Type>().clone()),
            Kind::Float => Self::Float(array.as_primitive::<Float64Type>().clone()),
            Kind::Text => Self::Text(array.as_string_view().clone()),
        })
    }

    /// The value of a row; texts are entered into `texts`, which must be told when they go.
    #[inline]
    pub fn keep(&self, row: usize, texts: &mut Texts) -> Kept {
        match self {
            Self::None => Kept::Integer(1),
            Self::Truth(values) if values.is_valid(row) => Kept::Integer(values.value(row).into()),
            Self::Integer(values) if values.is_valid(row) => Kept::Integer(values.value(row)),
            Self::Float(values) if values.is_valid(row) => Kept::Float(values.value(row)),
            Self::Text(values) if values.is_valid(row) => {
                Kept::Text(texts.enter(values.value(row)))
            }
            _ => Kept::Null,
        }
    }
}

/// Dates pass through 32 bits on their way to 64.
fn whole(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    match array.data_type() {
        DataType::Date32 => cast(array, &DataType::Int32),
        _ => Ok(Arc::clone(array)),
    }
}

impl Kind {
    fn data_type(self) -> DataType {
        match self {
            Self::Integer => DataType::Int64,
            Self::Float => DataType::Float64,
            Self::Text => DataType::Utf8View,
        }
    }
}

/// A value that a window keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) enum Kept {
    #[default]
    Null,
    Integer(i64),
    Float(f64),
    /// By its number in [`Texts`].
    Text(u32),
}

impl Kept {
    pub fn is_null(self) -> bool {
        matches!(self, Self::Null)
    }

    /// A number that no other value of its kind has.
    pub fn bits(self) -> u64 {
        match self {
            Self::Null => 0,
            Self::Integer(value) => value as u64,
            Self::Float(value) => value.to_bits(),
            Self::Text(number) => number.into(),
        }
    }

    pub fn is_true(self) -> bool {
        matches!(self, Self::Integer(value) if value != 0)
    }
}

/// Texts that are kept, each once for as long as anybody keeps it.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(from = "Entries")]
pub(crate) struct Texts {
    entries: Vec<Entry>,
    #[serde(skip_serializing)]
    numbers: HashTable<u32>,
    #[serde(skip_serializing)]
    free: Vec<u32>,
    /// Of the texts themselves.
    #[serde(skip_serializing)]
    bytes: usize,
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    text: Box<str>,
    holders: u32,
}

/// What is stored of them.
#[derive(Deserialize)]
struct Entries {
    entries: Vec<Entry>,
}

impl From<Entries> for Texts {
    fn from(stored: Entries) -> Self {
        let mut texts = Self {
            entries: stored.entries,
            ..Self::default()
        };
        for (number, entry) in (0..).zip(&texts.entries) {
            if entry.holders == 0 {
                texts.free.push(number);
                continue;
            }
            texts.bytes += entry.text.len();
            let hash = |number: &u32| hash_of(&texts.entries[*number as usize].text);
            texts
                .numbers
                .insert_unique(hash_of(&entry.text), number, hash);
        }
        texts
    }
}

impl Texts {
    /// The number of the text, which has one more holder.
    pub fn enter(&mut self, text: &str) -> u32 {
        let hash = hash_of(text);
        let known = self
            .numbers
            .find(hash, |number| *self.entries[*number as usize].text == *text);
        if let Some(number) = known {
            self.entries[*number as usize].holders += 1;
            return *number;
        }
        let entry = Entry {
            text: text.into(),
            holders: 1,
        };
        self.bytes += text.len();
        let number = match self.free.pop() {
            Some(number) => {
                self.entries[number as usize] = entry;
                number
            }
            None => {
                self.entries.push(entry);
                self.entries.len() as u32 - 1
            }
        };
        self.numbers.insert_unique(hash, number, |number| {
            hash_of(&self.entries[*number as usize].text)
        });
        number
    }

    pub fn get(&self, number: u32) -> &str {
        &self.entries[number as usize].text
    }

    /// The value has one holder less.
    pub fn release(&mut self, kept: Kept) {
        let Kept::Text(number) = kept else { return };
        let entry = &mut self.entries[number as usize];
        entry.holders -= 1;
        if entry.holders > 0 {
            return;
        }
        let text = std::mem::take(&mut entry.text);
        self.bytes -= text.len();
        if let Ok(known) = self
            .numbers
            .find_entry(hash_of(&text), |known| *known == number)
        {
            known.remove();
        }
        self.free.push(number);
    }

    /// The order of two values of one kind; NULL comes first.
    pub fn compare(&self, one: Kept, other: Kept) -> Ordering {
        match (one, other) {
            (Kept::Integer(one), Kept::Integer(other)) => one.cmp(&other),
            (Kept::Float(one), Kept::Float(other)) => one.total_cmp(&other),
            (Kept::Text(one), Kept::Text(other)) => self.get(one).cmp(self.get(other)),
            (one, other) => one.is_null().cmp(&other.is_null()).reverse(),
        }
    }

    /// About how much memory it takes.
    pub fn bytes(&self) -> usize {
        self.bytes + self.entries.capacity() * size_of::<Entry>() + self.numbers.capacity() * 5
    }
}

fn hash_of(text: &str) -> u64 {
    FixedState::default().hash_one(text)
}

/// The results of a call, row by row.
#[derive(Debug)]
pub(crate) enum Results {
    Integer(Int64Builder),
    Float(Float64Builder),
    Text(StringViewBuilder),
}

impl Results {
    pub fn new(kind: Kind) -> Self {
        match kind {
            Kind::Integer => Self::Integer(Int64Builder::new()),
            Kind::Float => Self::Float(Float64Builder::new()),
            Kind::Text => Self::Text(StringViewBuilder::new()),
        }
    }

    #[inline]
    pub fn push(&mut self, value: Kept, texts: &Texts) {
        match (self, value) {
            (Self::Integer(values), Kept::Integer(value)) => values.append_value(value),
            (Self::Integer(values), _) => values.append_null(),
            (Self::Float(values), Kept::Float(value)) => values.append_value(value),
            (Self::Float(values), _) => values.append_null(),
            (Self::Text(values), Kept::Text(number)) => values.append_value(texts.get(number)),
            (Self::Text(values), _) => values.append_null(),
        }
    }

    /// All results so far.
    pub fn take(&mut self) -> ArrayRef {
        match self {
            Self::Integer(values) => Arc::new(values.finish()),
            Self::Float(values) => Arc::new(values.finish()),
            Self::Text(values) => Arc::new(values.finish()),
        }
    }
}

/// The results in the type that SQL gives them.
pub(crate) fn returned(results: &ArrayRef, output: &DataType) -> Result<ArrayRef, ArrowError> {
    match output {
        DataType::Null => Ok(new_null_array(output, results.len())),
        DataType::Date32 => cast(&cast(results, &DataType::Int32)?, output),
        output => cast(results, output),
    }
}
