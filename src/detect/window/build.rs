//! Which state a call needs.

use super::Slot;
use super::accumulate::{Accumulate, Candidates, Count, Distinct, Last, Truth, Wanted};
use super::recall::Recall;
use super::slot;
use super::step::{Lag, RowNumber};
use crate::detect::aggregate::Moment;
use crate::detect::function;
use crate::detect::graph::{Call, Frame, Function, Kind};

/// The state of the call, empty.
pub(super) fn slot(call: &Call) -> Slot {
    let slides = match call.frame {
        Frame::Range { start, .. } => start.is_some(),
        Frame::Rows { start, .. } => start.is_some(),
    };
    match &call.function {
        Function::Count => framed(call, Count, Kind::Integer),
        Function::CountDistinct => {
            let kind = call.kind;
            framed(call, Distinct { slides, kind }, Kind::Integer)
        }
        Function::Moment(Moment::Sum) => framed(call, Moment::Sum, Kind::Integer),
        Function::Moment(moment) => framed(call, *moment, Kind::Float),
        Function::Every => framed(call, Truth { every: true }, Kind::Integer),
        Function::Any => framed(call, Truth { every: false }, Kind::Integer),
        Function::Min => candidates(call, Wanted::Min, slides),
        Function::Max => candidates(call, Wanted::Max, slides),
        Function::First { ignore_nulls } => {
            let ignore_nulls = *ignore_nulls;
            candidates(call, Wanted::First { ignore_nulls }, slides)
        }
        Function::Last { ignore_nulls } => {
            let ignore_nulls = *ignore_nulls;
            framed(
                call,
                Last {
                    ignore_nulls,
                    slides,
                },
                call.kind,
            )
        }
        Function::RowNumber => Slot::Stepping(Box::new(RowNumber::new())),
        Function::Lag {
            offset,
            ignore_nulls,
            ..
        } => {
            let output = call.output.clone();
            Slot::Stepping(Box::new(Lag::new(
                *offset,
                *ignore_nulls,
                call.kind,
                output,
            )))
        }
        Function::Fold { name, constants } => Slot::Stepping(function::stepping(name, constants)),
        Function::Recall { wait } => {
            let span = match call.frame {
                Frame::Range {
                    start: Some(start), ..
                } => -start,
                _ => 0,
            };
            Slot::Recall(Recall::new(span, *wait))
        }
    }
}

fn candidates(call: &Call, wanted: Wanted, slides: bool) -> Slot {
    framed(call, Candidates { wanted, slides }, call.kind)
}

fn framed<A: Accumulate>(call: &Call, how: A, output: Kind) -> Slot {
    match call.frame {
        Frame::Range { start, end } => {
            let has_values = !call.arguments.is_empty();
            Slot::Sliding(Box::new(slot::Frame::new(
                how, start, end, has_values, output,
            )))
        }
        Frame::Rows { start, end } => {
            Slot::Stepping(Box::new(slot::Rows::new(how, start, end, output)))
        }
    }
}

/// Whether what the call keeps of a key outlives the key's rows.
pub(super) fn is_lasting(call: &Call) -> bool {
    match (&call.function, call.frame) {
        (Function::Recall { .. }, _) => false,
        (_, Frame::Range { start, .. }) => start.is_none(),
        (_, Frame::Rows { .. }) => true,
    }
}
