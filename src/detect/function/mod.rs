//! Keyed functions: what window frames cannot say, each one fold over a key's events.
//!
//! A fold sees the events of one key in canonical order and may find something at each. The same
//! fold runs here as a DataFusion window function over history, and event by event elsewhere. A new
//! one is one file, and a word in `folds!`.

mod first_seen;
mod habit;
mod memory;
mod packed;
pub mod sequence;
mod session_split;
mod travel;
mod window;

use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Float64Array, Int64Array, StringViewArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimestampMicrosecondType};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::WindowUDF;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::window::{Folding, Stepping, Texts};
use crate::anomaly::Because;
use crate::event::schema::Column;
use crate::event::time::MICROS;

use self::first_seen::FirstSeen;
pub(crate) use self::memory::Memory;
use self::sequence::Sequence;
use self::session_split::SessionSplit;
use self::travel::Travel;

macro_rules! folds {
    ($($fold:ty),* $(,)?) => {
        /// The names of all keyed functions.
        pub(super) const NAMES: &[&str] = &[$(<$fold as Fold>::NAME),*];

        /// All keyed functions, for the session that plans rules.
        pub fn all() -> Vec<Arc<WindowUDF>> {
            vec![$(window::function::<$fold>()),*]
        }

        /// The argument by which a keyed function says for how many seconds it remembers.
        pub(super) fn horizon(name: &str) -> Option<usize> {
            $(if name == <$fold as Fold>::NAME {
                return Some(<$fold as Fold>::HORIZON);
            })*
            None
        }

        /// The keyed function of this name at work in the live engine.
        pub(super) fn stepping(name: &str) -> Box<dyn Stepping> {
            $(if name == <$fold as Fold>::NAME {
                return Box::new(Folding::<$fold>::new());
            })*
            // The session knows these names alone.
            unreachable!("no keyed function is called {name}")
        }
    };
}

folds![FirstSeen, Travel, SessionSplit, Sequence];

/// A fold over the events of one key.
pub(crate) trait Fold: Debug + Send + Sync + 'static {
    /// Its name in SQL.
    const NAME: &'static str;
    /// Its arguments in order.
    const ARGUMENTS: &'static [Argument];
    /// The argument that says for how many seconds it remembers.
    const HORIZON: usize;

    /// Takes the next event of a key: a row of the arguments. What is remembered of the key is bounded
    /// however many events it has; texts in it are held in `texts`, which many keys share.
    fn step(
        memory: &mut Memory,
        texts: &mut Texts,
        arguments: &Arguments<'_>,
        row: usize,
    ) -> Option<Found>;

    /// Releases the texts of a memory, which goes.
    fn release(memory: &Memory, texts: &mut Texts);
}

/// Whole seconds of a time in microseconds, as folds remember it: from 1970 to 2106.
fn seconds(micros: i64) -> u32 {
    let seconds = micros.div_euclid(MICROS);
    u32::try_from(seconds.max(0)).unwrap_or(u32::MAX)
}

/// What a fold found: the value of its column in SQL, as JSON text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Found {
    /// Set where the function itself weighs what it found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    pub evidence: Map<String, Value>,
    pub because: Vec<Because>,
    /// Ids of the events it rests on, besides the triggering one.
    pub events: Vec<String>,
}

/// The type of an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    Text,
    Integer,
    Float,
    /// Microseconds in UTC.
    Time,
}

impl Argument {
    fn data_type(self) -> DataType {
        match self {
            Self::Text => DataType::Utf8View,
            Self::Integer => DataType::Int64,
            Self::Float => DataType::Float64,
            Self::Time => Column::EventTime.data_type(),
        }
    }
}

/// Some events of one key, as the arguments of a fold.
pub struct Arguments<'a>(Vec<Values<'a>>);

enum Values<'a> {
    Text(&'a StringViewArray),
    Integer(&'a Int64Array),
    Float(&'a Float64Array),
    Time(&'a TimestampMicrosecondArray),
}

impl<'a> Arguments<'a> {
    /// The arguments of `F` in these arrays.
    pub(super) fn of<F: Fold>(arrays: &'a [ArrayRef]) -> Result<Self> {
        let typed = F::ARGUMENTS.iter().zip(arrays).map(|(argument, array)| {
            let values = match argument {
                Argument::Text => array.as_string_view_opt().map(Values::Text),
                Argument::Integer => array.as_primitive_opt::<Int64Type>().map(Values::Integer),
                Argument::Float => array.as_primitive_opt::<Float64Type>().map(Values::Float),
                Argument::Time => array
                    .as_primitive_opt::<TimestampMicrosecondType>()
                    .map(Values::Time),
            };
            values.ok_or_else(|| {
                let (name, found) = (F::NAME, array.data_type());
                DataFusionError::Internal(format!("{name}: {argument:?} is of type {found}"))
            })
        });
        Ok(Self(typed.collect::<Result<_>>()?))
    }

    /// A text; `None` if it is NULL.
    #[inline]
    pub fn text(&self, argument: usize, row: usize) -> Option<&'a str> {
        match self.0[argument] {
            Values::Text(values) => values.is_valid(row).then(|| values.value(row)),
            _ => None,
        }
    }

    /// A whole number, or a time in microseconds; `None` if it is NULL.
    #[inline]
    pub fn integer(&self, argument: usize, row: usize) -> Option<i64> {
        match self.0[argument] {
            Values::Integer(values) => values.is_valid(row).then(|| values.value(row)),
            Values::Time(values) => values.is_valid(row).then(|| values.value(row)),
            _ => None,
        }
    }

    /// A number; `None` if it is NULL.
    #[inline]
    pub fn float(&self, argument: usize, row: usize) -> Option<f64> {
        match self.0[argument] {
            Values::Float(values) => values.is_valid(row).then(|| values.value(row)),
            _ => None,
        }
    }
}
