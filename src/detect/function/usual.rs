//! `usual(order_time, counts, learn_secs, forget_secs)`: how many events a key has in an hour, as a rule.

use serde_json::Map;

use super::memory::{Layout, Memory};
use super::{Argument, Arguments, Fold, Found, Texts, seconds};
use crate::anomaly::rounded;

/// Gives at every event the mean number of those that count in an hour, as it was at 00:00 UTC of the day:
/// what happens today has no part in it. Weights halve every `learn_secs`; without earlier days it is 0. A
/// key without an event for longer than `forget_secs` begins anew.
#[derive(Debug)]
pub struct Usual;

const LAYOUT: Layout<0> = Layout {
    head: 4,
    widths: [],
};
/// Days are counted from 1970.
const FIRST_DAY: usize = 0;
const DAY: usize = 1;
/// Events before this day, older ones weighing less: a float.
const BEFORE: usize = 2;
const TODAY: usize = 3;

const DAY_SECS: u32 = 86_400;

impl Fold for Usual {
    const NAME: &'static str = "usual";
    const ARGUMENTS: &'static [Argument] = &[
        Argument::Time,
        Argument::Integer,
        Argument::Integer,
        Argument::Integer,
    ];
    const HORIZON: usize = 3;
    type Common = ();

    fn step(
        memory: &mut Memory,
        _: &mut Texts,
        arguments: &Arguments<'_>,
        row: usize,
        (): &(),
    ) -> Option<Found> {
        let second = seconds(arguments.integer(0, row)?);
        let limit = |argument| arguments.integer(argument, row).unwrap_or(i64::MAX);
        let (learn, forget) = (limit(2).max(1), limit(3));
        let day = second / DAY_SECS;
        if let Some(head) = LAYOUT.begin(memory, second, forget, |_| ()) {
            (head[FIRST_DAY], head[DAY]) = (day, day);
        }
        let fading = 0.5_f64.powf(f64::from(DAY_SECS) / learn as f64);
        let faded = |days: u32| fading.powi(days.min(10_000) as i32);
        let head = LAYOUT.head_mut(memory);
        let days = day.saturating_sub(head[DAY]);
        if days > 0 {
            let before = f64::from(f32::from_bits(head[BEFORE])) + f64::from(head[TODAY]);
            head[BEFORE] = ((before * faded(days)) as f32).to_bits();
            head[TODAY] = 0;
            head[DAY] = day;
        }
        if arguments.integer(1, row).is_some_and(|counts| counts > 0) {
            head[TODAY] = head[TODAY].saturating_add(1);
        }
        let known = day - head[FIRST_DAY];
        // All days of the key with their weights, the last one's below 1 as its events' are.
        let weights = fading * (1.0 - faded(known)) / (1.0 - fading);
        let per_hour = match known {
            0 => 0.0,
            _ => f64::from(f32::from_bits(head[BEFORE])) / weights / 24.0,
        };
        let mut evidence = Map::new();
        evidence.insert("per_hour".to_owned(), rounded(per_hour));
        evidence.insert("history_days".to_owned(), known.into());
        Some(Found {
            evidence,
            ..Found::default()
        })
    }

    fn release(_: &Memory, _: &mut Texts) {}
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, TimestampMicrosecondArray};

    use super::{Arguments, Fold, Memory, Texts, Usual};

    #[test]
    fn a_steady_key_has_its_rate_and_today_has_no_part_in_it() {
        let mut times: Vec<i64> = (0..240).map(|half_hour| half_hour * 1800).collect();
        times.extend((0..1000).map(|second| 5 * 86_400 + second));
        let rows = times.len();
        let micros = times.iter().map(|time| time * 1_000_000);
        let of = |number: i64| Arc::new(Int64Array::from(vec![number; rows])) as ArrayRef;
        let arrays = [
            Arc::new(TimestampMicrosecondArray::from_iter_values(micros).with_timezone("UTC"))
                as ArrayRef,
            of(1),
            of(14 * 86_400),
            of(90 * 86_400),
        ];
        let arguments = Arguments::of::<Usual>(&arrays).unwrap();
        let (mut memory, mut texts) = (Memory::default(), Texts::default());
        let rates: Vec<f64> = (0..rows)
            .map(|row| {
                let found = Usual::step(&mut memory, &mut texts, &arguments, row, &());
                found.unwrap().evidence["per_hour"].as_f64().unwrap()
            })
            .collect();
        assert_eq!(rates[47], 0.0);
        assert!(
            rates[48..].iter().all(|rate| (rate - 2.0).abs() < 1e-3),
            "{rates:?}"
        );
    }
}
