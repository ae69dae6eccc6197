//! Values on their way through a window: as they come, as they are kept, as they come out.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Float64Builder, Int64Array, Int64Builder,
    StringViewArray, StringViewBuilder, new_null_array,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use arrow::error::ArrowError;
use serde::{Deserialize, Serialize};

use super::id::{self, Id};
use super::numbered::Numbered;
use crate::detect::graph::Kind;
use crate::detect::shard::hash;

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
                let text = values.value(row);
                Id::new(text).map_or_else(|| Kept::Text(texts.enter(text)), Kept::Id)
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
    /// A text that needs no place of its own.
    Id(Id),
    /// By its number in [`Texts`].
    Text(u32),
}

impl Kept {
    /// Set where the bits of a text are its number.
    const NUMBERED: u64 = 1 << 63;

    pub fn is_null(self) -> bool {
        matches!(self, Self::Null)
    }

    /// A number that no other value of its kind has; of texts none has 0 but NULL.
    pub fn bits(self) -> u64 {
        match self {
            Self::Null => 0,
            Self::Integer(value) => value as u64,
            Self::Float(value) => value.to_bits(),
            Self::Id(id) => id.0,
            Self::Text(number) => Self::NUMBERED | u64::from(number),
        }
    }

    /// The text, or NULL, of these bits.
    pub fn text(bits: u64) -> Self {
        match bits {
            0 => Self::Null,
            bits if bits & Self::NUMBERED == 0 => Self::Id(Id(bits)),
            bits => Self::Text(bits as u32),
        }
    }

    pub fn is_true(self) -> bool {
        matches!(self, Self::Integer(value) if value != 0)
    }
}

/// Values of one call, in a row.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) enum Column {
    /// Nothing came yet.
    #[default]
    Empty,
    Truth(VecDeque<Option<bool>>),
    /// The bits of texts.
    Text(VecDeque<u64>),
    Number(VecDeque<Kept>),
}

impl Column {
    /// Adds the values of these rows.
    pub fn extend(&mut self, values: &Values, rows: Range<usize>, texts: &mut Texts) {
        if let Self::Empty = self {
            *self = match values {
                Values::Truth(_) => Self::Truth(VecDeque::new()),
                Values::Text(_) => Self::Text(VecDeque::new()),
                _ => Self::Number(VecDeque::new()),
            };
        }
        let mut kept = rows.map(|row| values.keep(row, texts));
        match self {
            Self::Empty => {}
            Self::Truth(column) => {
                column.extend(kept.map(|value| (!value.is_null()).then(|| value.is_true())));
            }
            Self::Text(column) => column.extend(kept.map(Kept::bits)),
            Self::Number(column) => column.extend(&mut kept),
        }
    }

    /// The value at a position; one that is not kept counts as a row does.
    #[inline]
    pub fn get(&self, at: usize) -> Kept {
        match self {
            Self::Empty => Kept::Integer(1),
            Self::Truth(column) => {
                column[at].map_or(Kept::Null, |truth| Kept::Integer(truth.into()))
            }
            Self::Text(column) => Kept::text(column[at]),
            Self::Number(column) => column[at],
        }
    }

    /// The value at a position, which nobody will ask for again: another holds it now.
    pub fn hand_over(&mut self, at: usize) -> Kept {
        let value = self.get(at);
        if let Self::Text(column) = self {
            column[at] = 0;
        }
        value
    }

    /// The oldest so many go.
    pub fn trim(&mut self, count: usize, texts: &mut Texts) {
        match self {
            Self::Empty => {}
            Self::Truth(column) => drop(column.drain(..count)),
            Self::Text(column) => column
                .drain(..count)
                .for_each(|bits| texts.release(Kept::text(bits))),
            Self::Number(column) => drop(column.drain(..count)),
        }
    }

    /// About how much memory it takes.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::Truth(column) => column.capacity() * size_of::<Option<bool>>(),
            Self::Text(column) => column.capacity() * size_of::<u64>(),
            Self::Number(column) => column.capacity() * size_of::<Kept>(),
        }
    }
}

/// Texts that are kept, each once for as long as anybody keeps it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Texts(Numbered);

impl Texts {
    /// The number of the text, which has one more holder.
    pub fn enter(&mut self, text: &str) -> u32 {
        self.enter_bytes(text.as_bytes())
    }

    /// The same for what is no text.
    pub fn enter_bytes(&mut self, bytes: &[u8]) -> u32 {
        let number = self.0.enter(hash(bytes), bytes);
        self.0.hold(number);
        number
    }

    /// The text has one holder more.
    pub fn hold(&mut self, number: u32) {
        self.0.hold(number);
    }

    pub fn get(&self, number: u32) -> &str {
        std::str::from_utf8(self.0.get(number)).unwrap_or_default()
    }

    pub fn get_bytes(&self, number: u32) -> &[u8] {
        self.0.get(number)
    }

    /// The text has one holder less.
    pub fn leave(&mut self, number: u32) {
        self.0.release(number);
    }

    /// The same for a value, if it is a text.
    pub fn release(&mut self, kept: Kept) {
        if let Kept::Text(number) = kept {
            self.leave(number);
        }
    }

    /// The order of two values of one kind; NULL comes first.
    pub fn compare(&self, one: Kept, other: Kept) -> Ordering {
        let room = &mut [0; id::LONGEST];
        match (one, other) {
            (Kept::Integer(one), Kept::Integer(other)) => one.cmp(&other),
            (Kept::Float(one), Kept::Float(other)) => one.total_cmp(&other),
            (Kept::Id(one), Kept::Id(other)) => one.cmp(&other),
            (Kept::Text(one), Kept::Text(other)) => self.0.get(one).cmp(self.0.get(other)),
            (Kept::Id(one), Kept::Text(other)) => one.text(room).as_bytes().cmp(self.0.get(other)),
            (Kept::Text(one), Kept::Id(other)) => self.0.get(one).cmp(other.text(room).as_bytes()),
            (one, other) => one.is_null().cmp(&other.is_null()).reverse(),
        }
    }

    /// About how much memory it takes.
    pub fn bytes(&self) -> usize {
        self.0.bytes()
    }
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
            (Self::Text(values), Kept::Id(id)) => {
                values.append_value(id.text(&mut [0; id::LONGEST]));
            }
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
