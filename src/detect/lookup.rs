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
use crate::list::dynamic::{self, Members};
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

/// A list that is asked.
enum Asked<'a> {
    File(&'a List),
    /// One of Slack's; `None` if it is not known yet.
    Slack(Option<Arc<Members>>),
}

impl Asked<'_> {
    fn contains(&self, value: &str, time: i64) -> bool {
        match self {
            Self::File(list) => list.contains(value, time),
            Self::Slack(members) => {
                let members = members.as_ref();
                members.is_some_and(|members| members.contains(value, time))
            }
        }
    }

    /// Slack's lists have no groups.
    fn group(&self, value: &str, time: i64) -> Option<&str> {
        match self {
            Self::File(list) => list.group(value, time),
            Self::Slack(_) => None,
        }
    }
}

impl Lookup {
    fn list(&self, name: Option<&ScalarValue>) -> Result<Asked<'_>> {
        let function = self.name;
        let Some(Some(Some(name))) = name.map(ScalarValue::try_as_str) else {
            return plan_err!("{function} needs the name of a list in quotes, such as 'vpn_exits'");
        };
        if dynamic::is_reserved(name) {
            return match dynamic::check(name) {
                Ok(()) => Ok(Asked::Slack(self.lists.dynamic().members(name))),
                Err(message) => plan_err!("{message}"),
            };
        }
        if let Some(list) = self.lists.get(name) {
            return Ok(Asked::File(list));
        }
        match nearest(name, self.lists.names().chain(dynamic::NAMES)) {
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

#[cfg(test)]
mod tests {
    use arrow::array::TimestampMicrosecondArray;
    use datafusion::config::ConfigOptions;

    use super::*;
    use crate::detect::plan::Planner;
    use crate::list::dynamic::{Change, OWNERS};

    /// What a function says of a value in this list at this time.
    fn ask(lists: &Lists, function: &str, list: &str, value: &str, time: i64) -> ArrayRef {
        let function = all(lists).into_iter().find(|of| of.name() == function);
        let function = function.expect("a function of that name");
        let name = ScalarValue::from(list);
        let args = vec![
            ColumnarValue::Scalar(name.clone()),
            ColumnarValue::Array(Arc::new(StringViewArray::from(vec![value]))),
            ColumnarValue::Array(Arc::new(TimestampMicrosecondArray::from(vec![time]))),
        ];
        let fields = args
            .iter()
            .map(|arg| Arc::new(Field::new("argument", arg.data_type(), true)));
        let arg_fields: Vec<FieldRef> = fields.collect();
        let return_field = function.return_field_from_args(ReturnFieldArgs {
            arg_fields: &arg_fields,
            scalar_arguments: &[Some(&name), None, None],
        });
        let answer = function.invoke_with_args(ScalarFunctionArgs {
            args,
            arg_fields,
            number_rows: 1,
            return_field: return_field.expect("a list of that name"),
            config_options: Arc::new(ConfigOptions::default()),
        });
        let answer = answer.expect("an answer");
        answer.into_array(1).expect("an array")
    }

    #[test]
    fn lists_of_slack_answer_as_of_the_time_of_the_event() {
        let lists = Lists::default();
        let is_in = |value, time| {
            let answer = ask(&lists, IN_LIST, OWNERS, value, time);
            answer.as_boolean().value(0)
        };
        assert!(!is_in("U1", 100), "the list is not known yet");
        let change = Change {
            added: ["U1".to_owned()].into(),
            ..Change::default()
        };
        lists.dynamic().apply(OWNERS, &change, 100);
        assert!(!is_in("U1", 99) && is_in("U1", 100) && !is_in("U2", 100));
        let group = ask(&lists, GROUP_OF, OWNERS, "U1", 100);
        assert!(group.as_string_view().is_null(0));
    }

    #[test]
    fn lists_of_slack_plan_before_they_are_known() {
        let planner = Planner::new().expect("a planner");
        for (list, wanted) in [
            ("slack_owners", None),
            ("slack_group_oncall", None),
            ("slack_admin", Some("did you mean `slack_admins`?")),
            ("slak_bots", Some("did you mean `slack_bots`?")),
            ("slack_everybody", Some("Slack has no list")),
            ("vpn_exits", Some("name its file")),
        ] {
            for function in NAMES {
                let planned = planner.output(&format!(
                    "SELECT {function}('{list}', actor_id) FROM events"
                ));
                let message = planned.err().map(|error| error.to_string());
                match (message, wanted) {
                    (None, None) => {}
                    (Some(message), Some(wanted)) if message.contains(wanted) => {}
                    (message, _) => panic!("{function} of {list}: {message:?}"),
                }
            }
        }
    }
}
