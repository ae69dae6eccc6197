//! What a window may be: it looks back, not ahead, and in one order.

use arrow::datatypes::IntervalMonthDayNano;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::{Sort, WindowFunction};
use datafusion::logical_expr::{Expr, WindowFrameBound, WindowFrameUnits};

use super::column;

/// How far back an exact sliding window reaches.
const LONGEST_NANOS: i128 = 48 * 3600 * 1_000_000_000;

/// Functions whose result depends on which of two events of one second comes first.
const ORDERED: [&str; 6] = [
    "lag",
    "row_number",
    "first_value",
    "last_value",
    "first_seen",
    "travel",
];

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
    let is_ordered = ORDERED.contains(&name) || frame.units == WindowFrameUnits::Rows;
    let order = [column::ORDER_TIME, column::EVENT_TIME, column::EVENT_ID].map(Some);
    if is_ordered && columns != order {
        return Some(format!(
            "`{name}` in an order that leaves ties: write ORDER BY order_time, event_time, event_id"
        ));
    }
    if name == "lag" && !params.args.get(1).is_none_or(is_positive) {
        return Some("`lag` by anything but a positive number".to_owned());
    }
    let is_framed = frame.units == WindowFrameUnits::Rows || !ORDERED.contains(&name);
    if is_framed && matches!(frame.end_bound, WindowFrameBound::Following(_)) {
        return Some("a frame that ends after its row: end it at CURRENT ROW".to_owned());
    }
    let is_long =
        matches!(&frame.start_bound, WindowFrameBound::Preceding(back) if is_too_long(back));
    (is_framed && is_long).then(|| {
        "a frame of more than 48 hours, or of months: count whole hours or days with date_bin"
            .to_owned()
    })
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

fn is_too_long(back: &ScalarValue) -> bool {
    match back {
        ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano {
            months,
            days,
            nanoseconds,
        })) => {
            let nanos = i128::from(*days) * 86_400_000_000_000 + i128::from(*nanoseconds);
            *months != 0 || nanos > LONGEST_NANOS
        }
        ScalarValue::IntervalYearMonth(Some(_)) => true,
        ScalarValue::IntervalDayTime(Some(interval)) => {
            let millis = i128::from(interval.days) * 86_400_000 + i128::from(interval.milliseconds);
            millis * 1_000_000 > LONGEST_NANOS
        }
        _ => false,
    }
}
