//! What a rule may say, and most likely does not mean.

mod names;
mod text;
mod unused;

pub use self::names::Named;
pub(super) use self::names::names;
pub(super) use self::text::empty;
pub(super) use self::unused::unused;

use std::ops::ControlFlow;

use arrow::datatypes::DataType;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, UnaryOperator, Value, visit_expressions,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

use crate::event::schema::Column;

/// Calls `visit` with every expression of a query.
fn each(sql: &str, mut visit: impl FnMut(&Expr)) {
    let parsed = Parser::parse_sql(&GenericDialect {}, sql).unwrap_or_default();
    let walked = visit_expressions(&parsed, |part| {
        visit(part);
        ControlFlow::<()>::Continue(())
    });
    debug_assert!(walked.is_continue());
}

/// The first comparison of a column of `events` with a constant of another type, with the remedy.
pub(super) fn mismatch(expression: &Expr) -> Option<String> {
    let mut found = None;
    let walked = visit_expressions(expression, |part| {
        for (column, constant) in compared(part) {
            if let Some(message) = misfit(column, constant) {
                found = Some(message);
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    });
    debug_assert_eq!(walked.is_break(), found.is_some());
    found
}

/// Line and column, from 1, at which a name stands in quotes; the beginning if it does not.
pub(super) fn place_of(name: &str, text: &str) -> (u64, u64) {
    let quoted = format!("'{name}'");
    for (line, content) in (1..).zip(text.lines()) {
        if let Some(at) = content.find(&quoted) {
            return (line, content[..at].chars().count() as u64 + 1);
        }
    }
    (1, 1)
}

/// The columns of `events` that an expression compares with constants, each with one of these.
fn compared(expression: &Expr) -> Vec<(Column, &Expr)> {
    match expression {
        Expr::BinaryOp { left, op, right } if is_comparison(op) => {
            let sides = [(left, right), (right, left)];
            let pairs = sides
                .into_iter()
                .filter(|(_, constant)| is_constant(constant));
            pairs
                .filter_map(|(side, constant)| Some((column(side)?, &**constant)))
                .collect()
        }
        Expr::InList { expr, list, .. } => {
            let constants = list.iter().filter(|item| is_constant(item));
            let column = column(expr).into_iter();
            column
                .flat_map(|column| constants.clone().map(move |constant| (column, constant)))
                .collect()
        }
        _ => Vec::new(),
    }
}

fn is_comparison(op: &BinaryOperator) -> bool {
    use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq)
}

fn column(expression: &Expr) -> Option<Column> {
    match expression {
        Expr::Identifier(name) => Column::by_name(&name.value),
        Expr::Nested(inner) => column(inner),
        _ => None,
    }
}

fn is_constant(expression: &Expr) -> bool {
    match expression {
        Expr::Value(_) => true,
        Expr::UnaryOp { op, expr } => *op == UnaryOperator::Minus && is_constant(expr),
        _ => false,
    }
}

fn text(constant: &Expr) -> Option<&str> {
    match constant {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => Some(text),
            _ => None,
        },
        _ => None,
    }
}

/// Why the column cannot be compared with the constant in earnest.
fn misfit(column: Column, constant: &Expr) -> Option<String> {
    let name = column.name();
    let data_type = column.data_type();
    let is_text = data_type.is_string() || matches!(data_type, DataType::Dictionary(..));
    let is_number = matches!(constant, Expr::UnaryOp { .. })
        || matches!(constant, Expr::Value(value) if matches!(value.value, Value::Number(..)));
    if is_text && is_number {
        return Some(format!(
            "`{name}` is text, and `{constant}` is a number: write '{constant}'"
        ));
    }
    let word = text(constant)?;
    if data_type.is_numeric() && word.parse::<f64>().is_err() {
        return Some(format!("`{name}` is a number, and {constant} is none"));
    }
    if data_type == DataType::Boolean {
        return Some(format!(
            "`{name}` is true or false, and {constant} is text: write {name}, or NOT {name}"
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::expression::parse;
    use super::{mismatch, place_of};

    #[test]
    fn numbers_are_not_compared_with_words() {
        for (text, wanted) in [
            (
                "country = 5",
                Some("`country` is text, and `5` is a number: write '5'"),
            ),
            ("ip IN ('a', -5)", Some("`ip` is text")),
            ("'abc' = asn", Some("`asn` is a number, and 'abc' is none")),
            (
                "action = 'x' AND NOT (asn > 'many')",
                Some("`asn` is a number"),
            ),
            (
                "own_context = 'true'",
                Some("write own_context, or NOT own_context"),
            ),
            ("asn = '64500' OR asn IN (1, 2)", None),
            ("action = 'user_login' AND session_id <> '7'", None),
            ("length(country) = 2", None),
        ] {
            let found = mismatch(&parse(text).expect("an expression"));
            match wanted {
                None => assert_eq!(found, None, "{text}"),
                Some(wanted) => {
                    let found = found.unwrap_or_default();
                    assert!(found.contains(wanted), "{text}: {found}");
                }
            }
        }
    }

    #[test]
    fn names_are_found_where_they_stand() {
        assert_eq!(place_of("user_logn", "a: b\n  c: 'user_logn'"), (2, 6));
        assert_eq!(place_of("x", "a: 'y'"), (1, 1));
    }
}
