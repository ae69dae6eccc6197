//! What a program's windows most likely do not mean, and how far back they look.

use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, Operator};

use super::expression::reads;
use super::{Call, ExpressionId, Field, Frame, Function, Graph, Source};
use crate::detect::aggregate::Moment;
use crate::detect::{column, function};
use crate::event::time::MICROS;

impl Graph {
    /// Comparisons that tell nothing because the window has the very event that is compared with it, and
    /// windows that decide nothing.
    pub fn doubts(&self) -> Vec<String> {
        let mut doubts = Vec::new();
        for expression in self.conditions() {
            let walked = expression.apply(|part| {
                if let Expr::BinaryExpr(comparison) = part {
                    let sides = [
                        (&comparison.left, comparison.op, &comparison.right),
                        (&comparison.right, swapped(comparison.op), &comparison.left),
                    ];
                    doubts.extend(
                        sides
                            .into_iter()
                            .filter_map(|(l, op, r)| self.doubt(l, op, r)),
                    );
                }
                Ok(TreeNodeRecursion::Continue)
            });
            debug_assert!(walked.is_ok());
        }
        doubts.extend(self.undecided());
        doubts.dedup();
        doubts
    }

    /// The conditions of all filters, in terms of fields.
    fn conditions(&self) -> impl Iterator<Item = &Expr> {
        let filters = self.tables.iter().filter_map(|table| match &table.source {
            Source::Filter(filter) if !table.users.is_empty() => Some(filter),
            _ => None,
        });
        let ids = filters.flat_map(|filter| filter.expressions());
        ids.filter_map(|id| self.logical(id))
    }

    fn logical(&self, id: ExpressionId) -> Option<&Expr> {
        let mut known = self.known_expressions.iter();
        known
            .find(|(_, known)| **known == id)
            .map(|(expression, _)| expression)
    }

    /// What is wrong with a comparison of something with a window.
    fn doubt(&self, value: &Expr, op: Operator, window: &Expr) -> Option<String> {
        let is_comparison = matches!(
            op,
            Operator::Eq
                | Operator::NotEq
                | Operator::Lt
                | Operator::LtEq
                | Operator::Gt
                | Operator::GtEq
        );
        let calls = reads(window).into_iter().filter_map(Field::as_call);
        let mut calls = calls
            .map(|call| &self.calls[call])
            .filter(|call| has_itself(call));
        let remedy = "end its frame before the event: … AND 1 PRECEDING, or AND INTERVAL '1 second' PRECEDING";
        if let Some(number) = number(value).filter(|_| is_comparison && is_bare(window)) {
            let counts = |call: &Call| {
                let all = call.arguments.is_empty();
                (call.function == Function::Count && all) || call.function == Function::RowNumber
            };
            let never = match op {
                Operator::Eq => number < 1,
                Operator::Gt => number <= 1,
                Operator::GtEq => number < 1,
                _ => false,
            };
            return (never && calls.any(counts)).then(|| {
                format!("a window that counts the event itself is never below 1: {remedy}")
            });
        }
        let measures = |call: &Call| {
            let mut arguments = call.arguments.iter().filter_map(|id| self.logical(*id));
            arguments.any(|argument| uncast(argument) == uncast(value))
        };
        let call = calls
            .find(|call| measures(call))
            .filter(|_| is_comparison)?;
        let verdict = match (&call.function, op) {
            (Function::Last { .. }, _) => "its last value is that of the event itself",
            (Function::Max, Operator::Gt) | (Function::Min, Operator::Lt) if is_bare(window) => {
                "nothing lies beyond a window that it is part of"
            }
            (Function::Moment(Moment::Mean | Moment::Stddev), _) => {
                "the event is part of what it is measured by"
            }
            _ => return None,
        };
        let value = shown(value);
        Some(format!(
            "`{value}` is compared with a window of `{value}` that has the event itself, and {verdict}: {remedy}"
        ))
    }

    /// Windows on which no condition and no level depends.
    fn undecided(&self) -> Option<String> {
        let decisive = self.conditions().flat_map(reads);
        let levels = self.outputs.iter().flat_map(|output| &output.columns);
        let levels = levels.filter(|(name, _)| name == column::LEVEL);
        let levels = levels
            .flat_map(|(_, id)| &self.expressions[*id].reads)
            .copied();
        let mut decisive = decisive.chain(levels);
        let has_windows = self.calls.iter().any(|call| {
            !matches!(call.function, Function::Recall { .. }) && !call.users.is_empty()
        });
        let is_decided = decisive.any(|field| field.as_call().is_some());
        (has_windows && !is_decided).then(|| {
            "its windows decide nothing: no WHERE compares what they give, so every event is found"
                .to_owned()
        })
    }

    /// How far back its windows look, one after the other, in microseconds; `None` if one of them looks
    /// back without end.
    pub fn reach(&self) -> Option<i64> {
        let mut reach = 0_i64;
        for level in 0..self.levels() {
            let groups = self.groups.iter().filter(|group| group.level == level);
            let calls = groups.flat_map(|group| &group.calls);
            let reaches = calls.map(|call| self.reach_of(&self.calls[*call]));
            let farthest = reaches.collect::<Option<Vec<i64>>>()?.into_iter().max();
            reach = reach.saturating_add(farthest.unwrap_or(0));
        }
        Some(reach)
    }

    fn reach_of(&self, call: &Call) -> Option<i64> {
        if let Function::Fold { name, .. } = &call.function {
            let horizon = call.arguments.get(function::horizon(name)?)?;
            return self.logical(*horizon).and_then(number)?.checked_mul(MICROS);
        }
        let space = &self.spaces[self.groups[call.group].space];
        if let Some((_, length)) = space.pane {
            return Some(length);
        }
        match call.frame {
            Frame::Range {
                start: Some(start), ..
            } => Some(-start),
            _ => None,
        }
    }
}

/// Whether the call's frame has the row that it is asked for.
fn has_itself(call: &Call) -> bool {
    match call.frame {
        Frame::Range { start, end } => start.is_none_or(|start| start <= 0) && end >= 0,
        Frame::Rows { end, .. } => end == 0,
    }
}

fn uncast(expression: &Expr) -> &Expr {
    match expression {
        Expr::Cast(cast) => uncast(&cast.expr),
        other => other,
    }
}

/// Whether it is what a call gives, and nothing computed from it.
fn is_bare(expression: &Expr) -> bool {
    matches!(uncast(expression), Expr::Column(_))
}

fn number(expression: &Expr) -> Option<i64> {
    match uncast(expression) {
        Expr::Literal(ScalarValue::Int64(number), _) => *number,
        Expr::Literal(ScalarValue::UInt64(Some(number)), _) => i64::try_from(*number).ok(),
        _ => None,
    }
}

fn shown(expression: &Expr) -> String {
    match uncast(expression) {
        Expr::Column(column) => column.name().to_owned(),
        other => other.to_string(),
    }
}

/// The comparison read from the other side.
fn swapped(op: Operator) -> Operator {
    op.swap().unwrap_or(op)
}
