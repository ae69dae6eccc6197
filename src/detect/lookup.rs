//! `in_list(name, value)` and `group_of(name, value)`: what lists say of a value at the time of the
//! event. [`session`](super::session) adds that time as a third argument.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, StringViewArray};
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type, TimestampMicrosecondType};
use datafusion::common::{ScalarValue, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use crate::config::yaml::nearest;
use crate::event::schema::Column;
use crate::list::{List, Lists};

/// Names of the functions in SQL.
pub(super) const NAMES: [&str; 2] = [IN_LIST, GROUP_OF];
const IN_LIST: &str = "in_list";
const GROUP_OF: &str = "group_of";

/// The functions that ask these lists.
pub(super) fn all(lists: &Lists) -> Vec<Arc<ScalarUDF>> {
    let of = |name| {
        Arc::new(ScalarUDF::from(Lookup {
            name,
            lists: lists.clone(),
            signature: Signature::user_defined(Volatility::Immutable),
        }))
    };
    NAMES.into_iter().map(of).collect()
}

#[derive(Debug)]
struct Lookup {
    name: &'static str,
    lists: Lists,
    signature: Signature,
}

impl PartialEq for Lookup {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.lists.is(&other.lists)
    }
}

impl Eq for Lookup {}

impl Hash for Lookup {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl Lookup {
    fn list(&self, name: Option<&ScalarValue>) -> Result<&List> {
        let function = self.name;
        let Some(Some(Some(name))) = name.map(ScalarValue::try_as_str) else {
            return plan_err!("{function} needs the name of a list in quotes, such as 'vpn_exits'");
        };
        if let Some(list) = self.lists.get(name) {
            return Ok(list);
        }
        match nearest(name, self.lists.names()) {
            Some(near) => plan_err!("there is no list `{name}`; did you mean `{near}`?"),
            None => plan_err!(
                "there is no list `{name}`: name its file in `lists` of the configuration"
            ),
        }
    }
}

impl ScalarUDFImpl for Lookup {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.name {
            IN_LIST => DataType::Boolean,
            _ => DataType::Utf8View,
        })
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.list(arguments.scalar_arguments.first().copied().flatten())?;
        let data_type = self.return_type(&[])?;
        Ok(Arc::new(Field::new(self.name, data_type, true)))
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        // The name stays as it is written, so that it is seen to be one.
        let [list, value, _] = types else {
            let name = self.name;
            return plan_err!(
                "{name} takes the name of a list and a value: {name}('vpn_exits', ip)"
            );
        };
        let value = match value {
            integer if integer.is_integer() => DataType::Int64,
            _ => DataType::Utf8View,
        };
        Ok(vec![list.clone(), value, Column::OrderTime.data_type()])
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = arguments.number_rows;
        let name = match &arguments.args[0] {
            ColumnarValue::Scalar(name) => Some(name),
            ColumnarValue::Array(_) => None,
        };
        let list = self.list(name)?;
        let values = arguments.args[1].to_array(rows)?;
        let times = arguments.args[2].to_array(rows)?;
        let times = times.as_primitive::<TimestampMicrosecondType>();
        let ask = |row: usize| -> Option<(Text<'_>, i64)> {
            let is_there = values.is_valid(row) && times.is_valid(row);
            is_there.then(|| (Text::of(&values, row), times.value(row)))
        };
        let answer: ArrayRef = if self.name == IN_LIST {
            // NULL is in no list.
            let answers = (0..rows).map(|row| {
                let asked = ask(row);
                Some(asked.is_some_and(|(value, time)| list.contains(value.as_str(), time)))
            });
            Arc::new(answers.collect::<BooleanArray>())
        } else {
            let answers = (0..rows).map(|row| {
                let (value, time) = ask(row)?;
                list.group(value.as_str(), time)
            });
            Arc::new(answers.collect::<StringViewArray>())
        };
        Ok(ColumnarValue::Array(answer))
    }
}

/// A value as lists know it.
enum Text<'a> {
    Is(&'a str),
    Made(String),
}

impl<'a> Text<'a> {
    fn of(values: &'a ArrayRef, row: usize) -> Self {
        match values.as_string_view_opt() {
            Some(texts) => Self::Is(texts.value(row)),
            None => Self::Made(values.as_primitive::<Int64Type>().value(row).to_string()),
        }
    }

    fn as_str(&self) -> &str {
        match self {
            Self::Is(text) => text,
            Self::Made(text) => text,
        }
    }
}
