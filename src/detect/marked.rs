//! `mark_of(rule, key)`: what people said last of anomalies of that rule and key, at the time of the event,
//! which [`session`](super::session) adds as a third argument.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, AsArray, StringViewArray, new_null_array};
use arrow::datatypes::{DataType, TimestampMicrosecondType};
use datafusion::common::plan_err;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::event::schema::Column;
use crate::event::time::MICROS;
use crate::list::mark::{Mark, Marks, Verdict};

/// Its name in SQL.
pub(super) const NAME: &str = "mark_of";

/// The function that asks these marks: NULL, or the last ones, each with the second from which it counts and
/// that of the marked anomaly, as in `attack 1772434800 1772420000;benign 1772438400 1772434800`.
pub(super) fn function(marks: &Marks) -> Arc<ScalarUDF> {
    let types = vec![
        DataType::Utf8View,
        DataType::Utf8View,
        Column::OrderTime.data_type(),
    ];
    Arc::new(ScalarUDF::from(Marked {
        marks: marks.clone(),
        signature: Signature::exact(types, Volatility::Immutable),
    }))
}

/// The most marks that it gives.
const MOST: usize = 16;

/// A mark in that form.
pub(super) struct Told {
    pub is_benign: bool,
    /// Seconds.
    pub from: u32,
    pub about: u32,
}

impl Told {
    /// The marks that the function gave, in the order in which they count.
    pub fn all(text: &str) -> impl Iterator<Item = Self> {
        text.split(';').filter_map(Self::read)
    }

    fn read(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let is_benign = words.next()? == Verdict::Benign.as_str();
        let mut second = || words.next()?.parse().ok();
        Some(Self {
            is_benign,
            from: second()?,
            about: second()?,
        })
    }
}

#[derive(Debug)]
struct Marked {
    marks: Marks,
    signature: Signature,
}

impl PartialEq for Marked {
    fn eq(&self, other: &Self) -> bool {
        self.signature == other.signature
    }
}

impl Eq for Marked {}

impl Hash for Marked {
    fn hash<H: Hasher>(&self, state: &mut H) {
        NAME.hash(state);
    }
}

impl ScalarUDFImpl for Marked {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        if types.len() != 3 {
            return plan_err!(
                "{NAME} takes the name of a rule and a key: {NAME}('my_rule', actor_id)"
            );
        }
        Ok(DataType::Utf8View)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = arguments.number_rows;
        let rules = arguments.args[0].to_array(rows)?;
        let rules = rules.as_string_view();
        // Mostly nobody said anything.
        if rows > 0 && rules.is_valid(0) && self.marks.is_empty(rules.value(0)) {
            return Ok(ColumnarValue::Array(new_null_array(
                &DataType::Utf8View,
                rows,
            )));
        }
        let keys = arguments.args[1].to_array(rows)?;
        let times = arguments.args[2].to_array(rows)?;
        let (keys, times) = (
            keys.as_string_view(),
            times.as_primitive::<TimestampMicrosecondType>(),
        );
        let answers = (0..rows).map(|row| {
            let is_there = rules.is_valid(row) && keys.is_valid(row) && times.is_valid(row);
            if !is_there {
                return None;
            }
            let (rule, key) = (rules.value(row), keys.value(row));
            let marks = self.marks.until(rule, key, times.value(row));
            let last = marks[marks.len().saturating_sub(MOST)..].iter();
            (!marks.is_empty()).then(|| last.map(written).collect::<Vec<_>>().join(";"))
        });
        Ok(ColumnarValue::Array(Arc::new(
            answers.collect::<StringViewArray>(),
        )))
    }
}

fn written(mark: &Mark) -> String {
    let second = |micros: i64| micros.div_euclid(MICROS);
    format!(
        "{} {} {}",
        mark.verdict,
        second(mark.from),
        second(mark.about)
    )
}
