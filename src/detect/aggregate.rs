//! Sums and moments that are exact, and therefore the same however their rows were added and taken
//! away again: whole numbers inside, one division at the end.
//!
//! They take the place of DataFusion's `sum`, `avg` and `stddev` on history, and the live windows
//! count with the same [`Moments`].

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, Int64Type, i256};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility,
};
use serde::{Deserialize, Serialize};

/// What sums and moments are made of. Values beyond ±2^47 count as that in [`Moments::stddev`],
/// which is exact for up to 2^31 rows; sums are exact for any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Moments {
    count: i64,
    sum: i128,
    squares: i128,
}

impl Moments {
    /// The largest value whose square is summed.
    const LARGEST: i64 = 1 << 47;

    pub fn add(&mut self, value: i64) {
        self.count += 1;
        self.sum += i128::from(value);
        self.squares += Self::square(value);
    }

    /// Takes back a value that was added.
    pub fn retract(&mut self, value: i64) {
        self.count -= 1;
        self.sum -= i128::from(value);
        self.squares -= Self::square(value);
    }

    fn square(value: i64) -> i128 {
        let value = i128::from(value.clamp(-Self::LARGEST, Self::LARGEST));
        value * value
    }

    /// NULL without rows; beyond 64 bits the number nearest to it.
    pub fn sum(&self) -> Option<i64> {
        let sum = self.sum.clamp(i64::MIN.into(), i64::MAX.into());
        (self.count > 0).then_some(sum as i64)
    }

    /// NULL without rows.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum as f64 / self.count as f64)
    }

    /// The standard deviation of a sample; NULL with fewer than two rows.
    pub fn stddev(&self) -> Option<f64> {
        if self.count < 2 {
            return None;
        }
        let count = i128::from(self.count);
        let (squares, sum) = (i256::from_i128(self.squares), i256::from_i128(self.sum));
        let spread = i256::from_i128(count).wrapping_mul(squares) - sum.wrapping_mul(sum);
        let (low, high) = spread.max(i256::ZERO).to_parts();
        let spread = high as f64 * 2_f64.powi(128) + low as f64;
        Some((spread / (count * (count - 1)) as f64).sqrt())
    }
}

/// What is asked of the moments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Moment {
    Sum,
    Mean,
    Stddev,
}

impl Moment {
    /// The name in SQL.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Mean => "avg",
            Self::Stddev => "stddev",
        }
    }

    /// The moment of this name in SQL.
    pub fn by_name(name: &str) -> Option<Self> {
        [Self::Sum, Self::Mean, Self::Stddev]
            .into_iter()
            .find(|moment| moment.name() == name)
    }
}

/// The functions, for the session that plans and runs rules.
pub(super) fn all() -> Vec<Arc<AggregateUDF>> {
    [Moment::Sum, Moment::Mean, Moment::Stddev]
        .into_iter()
        .map(|moment| {
            let signature = Signature::user_defined(Volatility::Immutable);
            Arc::new(AggregateUDF::from(Exact { moment, signature }))
        })
        .collect()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Exact {
    moment: Moment,
    signature: Signature,
}

impl AggregateUDFImpl for Exact {
    fn name(&self) -> &str {
        self.moment.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.moment {
            Moment::Sum => DataType::Int64,
            Moment::Mean | Moment::Stddev => DataType::Float64,
        })
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            [DataType::Null] => Ok(vec![DataType::Int64]),
            [kind] if kind.is_integer() => Ok(vec![DataType::Int64]),
            [kind] => Err(DataFusionError::Plan(format!(
                "{name} of {kind}: only sums of whole numbers are exact, so scale and round it, \
                 {name}(CAST(round(1000 * …) AS BIGINT))",
                name = self.moment.name()
            ))),
            _ => Err(DataFusionError::Plan(format!(
                "{} takes one argument",
                self.moment.name()
            ))),
        }
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Accumulated {
            moment: self.moment,
            moments: Moments::default(),
        }))
    }

    fn state_fields(&self, _: StateFieldsArgs<'_>) -> Result<Vec<arrow::datatypes::FieldRef>> {
        Err(DataFusionError::NotImplemented(format!(
            "{} without OVER",
            self.moment.name()
        )))
    }
}

#[derive(Debug)]
struct Accumulated {
    moment: Moment,
    moments: Moments,
}

impl Accumulated {
    fn each(&mut self, values: &[ArrayRef], change: fn(&mut Moments, i64)) -> Result<()> {
        let values = values[0].as_primitive_opt::<Int64Type>().ok_or_else(|| {
            DataFusionError::Internal(format!("{} of no whole numbers", self.moment.name()))
        })?;
        for value in values.iter().flatten() {
            change(&mut self.moments, value);
        }
        Ok(())
    }
}

impl Accumulator for Accumulated {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.each(values, Moments::add)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.each(values, Moments::retract)
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(match self.moment {
            Moment::Sum => ScalarValue::Int64(self.moments.sum()),
            Moment::Mean => ScalarValue::Float64(self.moments.mean()),
            Moment::Stddev => ScalarValue::Float64(self.moments.stddev()),
        })
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Err(DataFusionError::Internal(
            "windows keep no state".to_owned(),
        ))
    }

    fn merge_batch(&mut self, _: &[ArrayRef]) -> Result<()> {
        Err(DataFusionError::Internal(
            "windows keep no state".to_owned(),
        ))
    }
}
