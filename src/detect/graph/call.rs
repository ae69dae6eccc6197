//! Window functions: which there are, over which frames, and what live state they need.

use arrow::datatypes::{DataType, IntervalMonthDayNano};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::{NullTreatment, WindowFunction};
use datafusion::logical_expr::{Case, Expr, WindowFrame, WindowFrameBound, WindowFrameUnits};

use super::relation::Relation;
use super::{ExpressionId, Graph, GroupId};
use crate::detect::aggregate::Moment;
use crate::detect::plan::Planner;
use crate::detect::{Error, column, function};
use crate::event::time::MICROS;

/// A window function over the rows of a group.
#[derive(Debug)]
pub(crate) struct Call {
    pub group: GroupId,
    pub function: Function,
    pub arguments: Vec<ExpressionId>,
    /// How its first argument's values are kept.
    pub kind: Kind,
    pub frame: Frame,
    /// What SQL says it returns.
    pub output: DataType,
    /// The programs that need it.
    pub users: Vec<usize>,
}

/// What a call computes. A FILTER stands in its argument, which is NULL for rows that do not count.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Function {
    /// Rows for which the argument, if there is one, is true.
    Count,
    CountDistinct,
    Moment(Moment),
    Min,
    Max,
    /// Whether the argument holds for all rows, or for any.
    Every,
    Any,
    First {
        ignore_nulls: bool,
    },
    Last {
        ignore_nulls: bool,
    },
    RowNumber,
    Lag {
        offset: usize,
        default: Option<ExpressionId>,
        ignore_nulls: bool,
    },
    /// A keyed function of ours, by its name, with those of its arguments that are constants.
    Fold {
        name: String,
        constants: Vec<Option<ScalarValue>>,
    },
    /// Remembers the latest events of a key; asked only when something was found, so many
    /// microseconds later.
    Recall {
        wait: i64,
    },
}

/// Which of its key's rows a call sees at a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// From `start` to `end` microseconds after the row's `order_time`, both included; from the very
    /// first row without a start.
    Range { start: Option<i64>, end: i64 },
    /// From `start` rows before the row to `end` rows before it.
    Rows { start: Option<usize>, end: usize },
}

impl Function {
    /// By which name it keeps tables of days, if it does.
    pub fn table(&self) -> Option<String> {
        match self {
            Self::Fold { name, constants } => function::table(name, constants),
            _ => None,
        }
    }
}

impl Frame {
    /// How many microseconds it reaches beyond its row.
    pub fn ahead(self) -> i64 {
        match self {
            Self::Range { end, .. } => end.max(0),
            Self::Rows { .. } => 0,
        }
    }

    /// From the first row to this one.
    const WHOLE: Self = Self::Rows {
        start: None,
        end: 0,
    };
}

/// The form in which values are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Whole numbers, truth values, times.
    Integer,
    Float,
    Text,
}

impl Kind {
    fn of(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::Dictionary(_, values) => return Self::of(values),
            DataType::Null | DataType::Boolean => Self::Integer,
            DataType::Timestamp(..) | DataType::Duration(_) => Self::Integer,
            DataType::Date32 | DataType::Date64 => Self::Integer,
            kind if kind.is_integer() => Self::Integer,
            DataType::Float32 | DataType::Float64 => Self::Float,
            kind if kind.is_string() => Self::Text,
            _ => return None,
        })
    }
}

impl Call {
    /// Whether another call does the same.
    pub fn is_same(&self, other: &Self) -> bool {
        self.group == other.group
            && self.function == other.function
            && self.arguments == other.arguments
            && self.frame == other.frame
            && self.output == other.output
    }
}

/// A call before its group is known.
pub(super) struct Draft {
    pub partition: Vec<ExpressionId>,
    /// Which part of the key is a pane of time, and how long it is.
    pub pane: Option<(usize, i64)>,
    pub function: Function,
    pub arguments: Vec<ExpressionId>,
    pub kind: Kind,
    pub frame: Frame,
    pub output: DataType,
}

/// The most rows that a frame of rows, or `lag`, reaches back.
pub(crate) const MOST_ROWS: usize = 1000;

impl Graph {
    /// What the live engine makes of a window function, which was checked for what rules may use.
    pub(super) fn draft(
        &mut self,
        planner: &Planner,
        input: &Relation,
        window: &WindowFunction,
        output: DataType,
    ) -> Result<Draft, Error> {
        let params = &window.params;
        let name = window.fun.name();
        let order = [column::ORDER_TIME, column::EVENT_TIME, column::EVENT_ID];
        for (sort, own) in params.order_by.iter().zip(order) {
            if !input.is_own(&sort.expr, own)? {
                return Err(Error::Refused(format!(
                    "a rule may not use `{name}` in the order of a column that is called `{own}` and \
                     is not the event's own"
                )));
            }
        }
        let mut partition = Vec::new();
        let mut pane = None;
        for part in &params.partition_by {
            let part = input.resolve(part.clone())?;
            let length = pane_micros(&part);
            let id = self.expression(planner, part)?;
            if let Some(length) = length.filter(|_| pane.is_none()) {
                pane = Some((partition.len(), length));
            }
            partition.push(id);
        }
        let mut arguments = Vec::new();
        for argument in &params.args {
            arguments.push(input.resolve(argument.clone())?);
        }
        let filter = params
            .filter
            .as_ref()
            .map(|filter| input.resolve(*filter.clone()));
        let filter = filter.transpose()?;
        let ignore_nulls = params.null_treatment == Some(NullTreatment::IgnoreNulls);
        let mut frame = frame(&params.window_frame, params.order_by.len() == 1)?;
        let mut offset = 1;
        let mut default = None;
        let function = match name {
            "count" if params.distinct => Function::CountDistinct,
            "count" => {
                arguments = counted(&arguments, filter.as_ref());
                Function::Count
            }
            "min" => Function::Min,
            "max" => Function::Max,
            "bool_and" => Function::Every,
            "bool_or" => Function::Any,
            "first_value" => Function::First { ignore_nulls },
            "last_value" => Function::Last { ignore_nulls },
            "row_number" => {
                frame = Frame::WHOLE;
                Function::RowNumber
            }
            "lag" => {
                frame = Frame::WHOLE;
                if let Some(rows) = arguments.get(1) {
                    offset = rows_back(rows)?;
                }
                if arguments.len() > 2 {
                    default = Some(self.expression(planner, arguments[2].clone())?);
                }
                arguments.truncate(1);
                Function::Lag {
                    offset,
                    default,
                    ignore_nulls,
                }
            }
            _ => match Moment::by_name(name) {
                Some(moment) => Function::Moment(moment),
                None => {
                    frame = Frame::WHOLE;
                    fold(name, &arguments, input.wait, pane)?
                }
            },
        };
        if params.distinct
            && !matches!(
                function,
                Function::CountDistinct | Function::Min | Function::Max
            )
        {
            return Err(Error::Refused(format!(
                "a rule may not use {name}(DISTINCT …): count(DISTINCT …) alone is"
            )));
        }
        if let Some(filter) = filter.filter(|_| function != Function::Count) {
            arguments = arguments
                .into_iter()
                .map(|a| only_where(&filter, a))
                .collect();
        }
        let has_start = !matches!(
            frame,
            Frame::Range { start: None, .. } | Frame::Rows { start: None, .. }
        );
        if function == Function::CountDistinct && !has_start && pane.is_none() {
            return Err(Error::Refused(
                "a rule may not use count(DISTINCT …) over all that ever was: give it a frame, or a \
                 date_bin(…, order_time) in PARTITION BY"
                    .to_owned(),
            ));
        }
        let mut ids = Vec::new();
        for argument in arguments {
            ids.push(self.expression(planner, argument)?);
        }
        let kept = ids.first().map(|id| &self.expressions[*id].data_type);
        let kind = match kept {
            Some(data_type) => Kind::of(data_type).ok_or_else(|| {
                Error::Refused(format!(
                    "a rule may not use `{name}` of {data_type}: windows keep whole numbers, \
                     floating numbers, truth values, times and text"
                ))
            })?,
            None => Kind::Integer,
        };
        Ok(Draft {
            partition,
            pane,
            function,
            arguments: ids,
            kind,
            frame,
            output,
        })
    }
}

/// A keyed function over rows that come so long after their time, by keys that may hold a pane of time.
fn fold(
    name: &str,
    arguments: &[Expr],
    wait: i64,
    pane: Option<(usize, i64)>,
) -> Result<Function, Error> {
    if function::is_daily(name) && pane.is_some() {
        return Err(Error::Refused(format!(
            "a rule may not use {name}(…) by a part of order_time: its keys must live longer than a day; \
             leave that out of PARTITION BY"
        )));
    }
    if function::is_daily(name) && wait > 0 {
        return Err(Error::Refused(format!(
            "a rule may not use {name}(…) above a window that looks ahead: a day's table is made when the \
             day is over"
        )));
    }
    let constants: Vec<_> = arguments.iter().map(constant).collect();
    function::check(name, &constants).map_err(Error::Refused)?;
    let name = name.to_owned();
    Ok(Function::Fold { name, constants })
}

/// The value of an expression that is one.
pub(crate) fn constant(expression: &Expr) -> Option<ScalarValue> {
    match expression {
        Expr::Literal(value, _) => Some(value.clone()),
        Expr::Cast(cast) => constant(&cast.expr)?.cast_to(cast.field.data_type()).ok(),
        _ => None,
    }
}

/// The condition under which a row counts; none for `count(*)`.
fn counted(arguments: &[Expr], filter: Option<&Expr>) -> Vec<Expr> {
    let is_there = arguments
        .iter()
        .filter(|argument| !matches!(argument, Expr::Literal(value, _) if !value.is_null()))
        .map(|argument| argument.clone().is_not_null());
    let conditions = filter.cloned().into_iter().chain(is_there);
    conditions.reduce(Expr::and).into_iter().collect()
}

/// `CASE WHEN filter THEN value END`.
fn only_where(filter: &Expr, value: Expr) -> Expr {
    let when = (Box::new(filter.clone()), Box::new(value));
    Expr::Case(Case::new(None, vec![when], None))
}

fn rows_back(offset: &Expr) -> Result<usize, Error> {
    let value = match offset {
        Expr::Cast(cast) => return rows_back(&cast.expr),
        Expr::Literal(value, _) => value.clone(),
        _ => ScalarValue::Null,
    };
    let rows = match value {
        ScalarValue::Int64(Some(rows)) => usize::try_from(rows).ok(),
        ScalarValue::UInt64(Some(rows)) => usize::try_from(rows).ok(),
        _ => None,
    };
    rows.filter(|rows| (1..=MOST_ROWS).contains(rows))
        .ok_or_else(|| {
            Error::Refused(format!(
                "`lag` goes back 1 to {MOST_ROWS} rows, not {offset}"
            ))
        })
}

fn frame(frame: &WindowFrame, is_by_time: bool) -> Result<Frame, Error> {
    let unbounded = |bound: &ScalarValue| bound.is_null();
    let refused = || Error::Refused(format!("a rule may not use the frame {frame}"));
    if frame.units == WindowFrameUnits::Range && is_by_time {
        let start = match &frame.start_bound {
            WindowFrameBound::Preceding(back) if unbounded(back) => None,
            bound => Some(micros(bound).ok_or_else(refused)?),
        };
        let end = micros(&frame.end_bound).ok_or_else(refused)?;
        if start.is_some_and(|start| start > end) {
            return Err(Error::Refused(format!(
                "a rule may not use the frame {frame}, which ends before it begins"
            )));
        }
        return Ok(Frame::Range { start, end });
    }
    // In an order without ties RANGE is the row itself, or all before it too.
    let is_range = frame.units == WindowFrameUnits::Range;
    let rows = |bound: &WindowFrameBound| match bound {
        WindowFrameBound::CurrentRow => Some(0),
        WindowFrameBound::Preceding(ScalarValue::UInt64(Some(rows))) if !is_range => {
            usize::try_from(*rows).ok()
        }
        _ => None,
    };
    let start = match &frame.start_bound {
        WindowFrameBound::Preceding(back) if unbounded(back) => None,
        bound => Some(rows(bound).ok_or_else(refused)?),
    };
    let end = rows(&frame.end_bound).ok_or_else(refused)?;
    if start.is_some_and(|start| start < end) {
        return Err(Error::Refused(format!(
            "a rule may not use the frame {frame}, which ends before it begins"
        )));
    }
    if start.is_some_and(|start| start > MOST_ROWS) || end > MOST_ROWS {
        return Err(Error::Refused(format!(
            "a rule may not use a frame of more than {MOST_ROWS} rows: use RANGE with an interval"
        )));
    }
    Ok(Frame::Rows { start, end })
}

/// Where the bound lies, in microseconds after its row.
fn micros(bound: &WindowFrameBound) -> Option<i64> {
    let length = |value: &ScalarValue| interval_micros(value).filter(|length| *length >= 0);
    match bound {
        WindowFrameBound::CurrentRow => Some(0),
        WindowFrameBound::Preceding(back) => Some(-length(back)?),
        WindowFrameBound::Following(ahead) => length(ahead),
    }
}

/// Microseconds of an interval; `None` if it has months, or parts of a microsecond.
pub(crate) fn interval_micros(value: &ScalarValue) -> Option<i64> {
    const DAY: i64 = 86_400 * MICROS;
    match value {
        ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano {
            months: 0,
            days,
            nanoseconds,
        })) => {
            let days = i64::from(*days).checked_mul(DAY)?;
            let micros = days.checked_add(nanoseconds / 1000)?;
            (nanoseconds % 1000 == 0).then_some(micros)
        }
        ScalarValue::IntervalDayTime(Some(interval)) => {
            let days = i64::from(interval.days).checked_mul(DAY)?;
            days.checked_add(i64::from(interval.milliseconds) * 1000)
        }
        _ => None,
    }
}

/// The length of a pane of time in microseconds, if the expression is the time at which the pane of
/// an event's `order_time` begins.
fn pane_micros(expression: &Expr) -> Option<i64> {
    const MINUTE: i64 = 60 * MICROS;
    match expression {
        Expr::Cast(cast) if is_time(cast.field.data_type()) => pane_micros(&cast.expr),
        Expr::ScalarFunction(call) => match (call.name(), call.args.as_slice()) {
            ("date_bin", [Expr::Literal(length, _), time, origin @ ..])
                if is_order_time(time) && origin.iter().all(|o| matches!(o, Expr::Literal(..))) =>
            {
                interval_micros(length).filter(|length| *length > 0)
            }
            ("date_trunc", [Expr::Literal(unit, _), time]) if is_order_time(time) => {
                match unit.try_as_str().flatten()?.to_ascii_lowercase().as_str() {
                    "second" => Some(MICROS),
                    "minute" => Some(MINUTE),
                    "hour" => Some(60 * MINUTE),
                    "day" => Some(24 * 60 * MINUTE),
                    "week" => Some(7 * 24 * 60 * MINUTE),
                    _ => None,
                }
            }
            _ => None,
        },
        _ => None,
    }
}

fn is_order_time(expression: &Expr) -> bool {
    match expression {
        Expr::Cast(cast) if is_time(cast.field.data_type()) => is_order_time(&cast.expr),
        Expr::Column(name) => name.name() == column::ORDER_TIME,
        _ => false,
    }
}

fn is_time(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Timestamp(..))
}
