//! What a window may be: it looks back, or a little ahead, and in one order.

use arrow::datatypes::IntervalMonthDayNano;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::{Sort, WindowFunction};
use datafusion::logical_expr::{Expr, WindowFrame, WindowFrameBound, WindowFrameUnits};

use super::column;
use crate::detect::function;

/// How far back an exact sliding window reaches.
const LONGEST_NANOS: i128 = 48 * 3600 * 1_000_000_000;

/// Whether the function is one whose result depends on which of two events of one second comes first.
fn is_ordered(name: &str) -> bool {
    ["lag", "row_number", "first_value", "last_value"].contains(&name)
        || function::NAMES.contains(&name)
}

/// How far ahead a window may look.
const LONGEST_WAIT_NANOS: i128 = 3600 * 1_000_000_000;

/// Why the window is not allowed, with the remedy.
pub(super) fn offence(window: &WindowFunction) -> Option<String> {
    let params = &window.params;
    let name = window.fun.name();
    let columns: Vec<Option<&str>> = params.order_by.iter().map(ascending).collect();
    if columns.first() != Some(&Some(column::ORDER_TIME)) {
        return Some(format!(
            "`{name}` without an order: write OVER (… ORDER BY order_time …)"
        ));
    }
    let frame = &params.window_frame;
    if frame.units == WindowFrameUnits::Groups {
        return Some("GROUPS frames: write RANGE or ROWS".to_owned());
    }
    let of_order = is_ordered(name);
    let is_ordered = of_order || frame.units == WindowFrameUnits::Rows;
    let order = [column::ORDER_TIME, column::EVENT_TIME, column::EVENT_ID].map(Some);
    if is_ordered && columns != order {
        return Some(format!(
            "`{name}` in an order that leaves ties: write ORDER BY order_time, event_time, event_id"
        ));
    }
    if columns.len() > 1 && columns != order {
        return Some(format!(
            "`{name}` in an order of its own: write ORDER BY order_time, or ORDER BY order_time, \
             event_time, event_id"
        ));
    }
    if name == "lag" && !params.args.get(1).is_none_or(is_positive) {
        return Some("`lag` by anything but a positive number".to_owned());
    }
    let is_framed = frame.units == WindowFrameUnits::Rows || !of_order;
    is_framed.then(|| frame_offence(frame)).flatten()
}

fn frame_offence(frame: &WindowFrame) -> Option<String> {
    let looks_ahead = |bound: &WindowFrameBound| matches!(bound, WindowFrameBound::Following(_));
    let rows_ahead = looks_ahead(&frame.start_bound) || looks_ahead(&frame.end_bound);
    if frame.units == WindowFrameUnits::Rows && rows_ahead {
        return Some(
            "a frame of rows to come: write RANGE … FOLLOWING, which ends at a time".to_owned(),
        );
    }
    for bound in [&frame.start_bound, &frame.end_bound] {
        match bound {
            WindowFrameBound::Following(ahead)
                if ahead.is_null() || is_longer(ahead, LONGEST_WAIT_NANOS) =>
            {
                return Some("a frame that ends more than 1 hour after its row".to_owned());
            }
            WindowFrameBound::Preceding(back) if is_longer(back, LONGEST_NANOS) => {
                return Some(
                    "a frame of more than 48 hours, or of months: count whole hours or days with \
                     date_bin"
                        .to_owned(),
                );
            }
            _ => {}
        }
    }
    None
}

/// The column by which rows ascend.
fn ascending(sort: &Sort) -> Option<&str> {
    match &sort.expr {
        Expr::Column(column) if sort.asc => Some(column.name()),
        _ => None,
    }
}

fn is_positive(expression: &Expr) -> bool {
    match expression {
        Expr::Literal(ScalarValue::Int64(Some(offset)), _) => *offset > 0,
        Expr::Literal(ScalarValue::UInt64(Some(offset)), _) => *offset > 0,
        Expr::Cast(cast) => is_positive(&cast.expr),
        _ => false,
    }
}

/// Whether the interval has months, or is longer.
fn is_longer(interval: &ScalarValue, most_nanos: i128) -> bool {
    match interval {
        ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano {
            months,
            days,
            nanoseconds,
        })) => {
            let nanos = i128::from(*days) * 86_400_000_000_000 + i128::from(*nanoseconds);
            *months != 0 || nanos > most_nanos
        }
        ScalarValue::IntervalYearMonth(Some(_)) => true,
        ScalarValue::IntervalDayTime(Some(span)) => {
            let millis = i128::from(span.days) * 86_400_000 + i128::from(span.milliseconds);
            millis * 1_000_000 > most_nanos
        }
        _ => false,
    }
}
