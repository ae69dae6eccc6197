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
mod usual;
pub(crate) mod volume;
mod window;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Float64Array, Int64Array, StringViewArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimestampMicrosecondType};
use datafusion::common::ScalarValue;
use datafusion::error::DataFusionError;
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
use self::usual::Usual;
use self::volume::{Model, Sums, Volume};

macro_rules! folds {
    ($($fold:ty),* $(,)?) => {
        /// The names of all keyed functions.
        pub(super) const NAMES: &[&str] = &[$(<$fold as Fold>::NAME),*];

        /// All keyed functions, for a session of rules; those that ask tables of days ask these.
        pub fn all(days: &Arc<Days>) -> Vec<Arc<WindowUDF>> {
            vec![$(window::function::<$fold>(days)),*]
        }

        /// The argument by which a keyed function says for how many seconds it remembers.
        pub(super) fn horizon(name: &str) -> Option<usize> {
            $(if name == <$fold as Fold>::NAME {
                return Some(<$fold as Fold>::HORIZON);
            })*
            None
        }

        /// Whether a keyed function asks tables of days.
        pub(super) fn is_daily(name: &str) -> bool {
            $(if name == <$fold as Fold>::NAME {
                return <$fold as Fold>::TIME.is_some();
            })*
            false
        }

        /// By which name a keyed function keeps tables of days, if it does.
        pub(super) fn table(name: &str, constants: &[Option<ScalarValue>]) -> Option<String> {
            $(if name == <$fold as Fold>::NAME {
                let common = <<$fold as Fold>::Common as Common>::new(constants);
                return common.ok()?.name().map(str::to_owned);
            })*
            None
        }

        /// What is wrong with the constant arguments of a keyed function.
        pub(super) fn check(name: &str, constants: &[Option<ScalarValue>]) -> Result<(), String> {
            $(if name == <$fold as Fold>::NAME {
                return <<$fold as Fold>::Common as Common>::new(constants).map(drop);
            })*
            Ok(())
        }

        /// The keyed function of this name at work in the live engine; its constants were checked.
        pub(super) fn stepping(name: &str, constants: &[Option<ScalarValue>]) -> Box<dyn Stepping> {
            $(if name == <$fold as Fold>::NAME
                && let Ok(common) = <<$fold as Fold>::Common as Common>::new(constants)
            {
                return Box::new(Folding::<$fold>::new(common));
            })*
            // The session knows these names alone.
            unreachable!("no keyed function is called {name}")
        }
    };
}

folds![FirstSeen, Travel, SessionSplit, Sequence, Usual, Volume];

/// A fold over the events of one key.
pub(crate) trait Fold: Debug + Send + Sync + 'static {
    /// Its name in SQL.
    const NAME: &'static str;
    /// Its arguments in order.
    const ARGUMENTS: &'static [Argument];
    /// The argument that says for how many seconds it remembers.
    const HORIZON: usize;
    /// If it asks a table of the day: the argument that says of which.
    const TIME: Option<usize> = None;
    /// What all keys share: what the constant arguments say, and the table of the day.
    type Common: Common;

    /// Takes the next event of a key: a row of the arguments. What is remembered of the key is bounded
    /// however many events it has; texts in it are held in `texts`, which many keys share.
    fn step(
        memory: &mut Memory,
        texts: &mut Texts,
        arguments: &Arguments<'_>,
        row: usize,
        common: &Self::Common,
    ) -> Option<Found>;

    /// Releases the texts of a memory, which goes.
    fn release(memory: &Memory, texts: &mut Texts);
}

/// What all keys of a fold share.
pub(crate) trait Common: Clone + Debug + Send + Sync + Sized + 'static {
    /// From the arguments that are constants; the others are none.
    ///
    /// # Errors
    /// What is wrong with them.
    fn new(constants: &[Option<ScalarValue>]) -> Result<Self, String>;

    /// By which its tables are known, if it has some.
    fn name(&self) -> Option<&str> {
        None
    }

    /// A day begins.
    fn turn(&mut self, _: &Arc<Model>) {}

    /// What a key brings to the table of the day that begins at this second.
    fn bring(&self, _: &Memory, _midnight: i64, _: &mut Sums) {}
}

impl Common for () {
    fn new(_: &[Option<ScalarValue>]) -> Result<Self, String> {
        Ok(())
    }
}

/// Models of days: by the name of the call, and the day counted from 1970.
pub type Days = BTreeMap<String, BTreeMap<i64, Arc<Model>>>;

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
    pub(super) fn data_type(self) -> DataType {
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
    pub(super) fn of<F: Fold>(arrays: &'a [ArrayRef]) -> Result<Self, DataFusionError> {
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
        Ok(Self(typed.collect::<Result<_, DataFusionError>>()?))
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
