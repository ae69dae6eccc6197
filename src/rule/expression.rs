//! Pieces of SQL that a rule is made of, each one expression.

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, UnaryOperator, Value as SqlValue};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Token;
use serde_json::Value;

/// The longest expression; planning costs more than in proportion to its length.
const MOST_BYTES: usize = 64 << 10;
const MOST_WORDS: usize = 2000;

/// The text as one whole expression: what follows it, or a comment, would change the query that it
/// is put into.
///
/// # Errors
/// Why it is not one.
pub(super) fn parse(text: &str) -> Result<Expr, String> {
    if text.len() > MOST_BYTES || text.split_whitespace().count() > MOST_WORDS {
        return Err("too long for one expression: write IN (…)".to_owned());
    }
    let parser = Parser::new(&GenericDialect {}).try_with_sql(text);
    let mut parser = parser.map_err(|error| shorten(&error.to_string()))?;
    let expression = parser
        .parse_expr()
        .map_err(|error| shorten(&error.to_string()))?;
    match parser.peek_token().token {
        Token::EOF => Ok(expression),
        rest => Err(format!("one expression is wanted, and `{rest}` follows it")),
    }
}

fn shorten(error: &str) -> String {
    error
        .strip_prefix("sql parser error: ")
        .unwrap_or(error)
        .to_owned()
}

/// The parts that AND joins, in their order.
pub(super) fn conjuncts(expression: &Expr) -> Vec<&Expr> {
    match expression {
        Expr::Nested(inner) => conjuncts(inner),
        Expr::BinaryOp {
            left,
            op: BinaryOperator::And,
            right,
        } => [conjuncts(left), conjuncts(right)].concat(),
        other => vec![other],
    }
}

/// The constant that a comparison compares with; `true` for any other condition.
pub(super) fn limit(condition: &Expr) -> Value {
    match condition {
        Expr::BinaryOp { right, .. } => constant(right).unwrap_or(Value::Bool(true)),
        Expr::IsNull(_) => Value::Null,
        _ => Value::Bool(true),
    }
}

fn constant(expression: &Expr) -> Option<Value> {
    match expression {
        Expr::Value(value) => match &value.value {
            SqlValue::Number(number, _) => serde_json::from_str(&number.to_string()).ok(),
            SqlValue::SingleQuotedString(text) => Some(text.clone().into()),
            SqlValue::Boolean(truth) => Some((*truth).into()),
            _ => None,
        },
        Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr,
        } => serde_json::from_str(&format!("-{}", constant(expr)?)).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_whole_expression_or_none() {
        for text in ["a = 1", "a IN ('x', 'y') AND NOT b", "lower(a) LIKE '%--%'"] {
            assert!(parse(text).is_ok(), "{text}");
        }
        for text in [
            "",
            "a = 1)",
            "a = 1 FROM events",
            "a; DROP TABLE events",
            "a = 'open",
            "SELECT 1",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        // A comment is not part of the expression.
        assert_eq!(
            parse("a = 1 -- and more").map(|e| e.to_string()),
            Ok("a = 1".to_owned())
        );
    }

    #[test]
    fn conditions_tell_their_limits() {
        let expression =
            parse("a > 5 AND (b = 'x' AND c IS NULL) AND (d OR e) AND f < -2.5").unwrap();
        let found: Vec<(String, Value)> = conjuncts(&expression)
            .iter()
            .map(|part| (part.to_string(), limit(part)))
            .collect();
        let wanted = [
            ("a > 5", json!(5)),
            ("b = 'x'", json!("x")),
            ("c IS NULL", Value::Null),
            ("d OR e", json!(true)),
            ("f < -2.5", json!(-2.5)),
        ];
        assert_eq!(found, wanted.map(|(text, limit)| (text.to_owned(), limit)));
    }
}
