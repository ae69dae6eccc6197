//! `sequence(…)`: steps that follow each other.
//!
//! Of all ways in which the steps so far can have happened, the one that began last and whose last
//! step is the latest is kept for each number of steps. It is the best of them: whatever completes
//! another one within the limits completes this one too. So one is enough, and nothing is missed.

use serde_json::{Map, Value, json};

use super::memory::{Layout, Memory};
use super::packed::EventId;
use super::{Argument, Arguments, Fold, Found, Texts, seconds};
use crate::anomaly::Because;
use crate::event::time::{MICROS, rfc3339};

/// Reads `matched` and `barred`, of which bit `n` says that the event is the step `n` or that it must
/// not stand before it, then order_time, event_time and event_id; and the rule's parameters: the
/// steps as [`Steps`] writes them, and within_secs for all of them together.
///
/// It finds the event that completes the last step. Limits are measured in `order_time`, so that what
/// came late is judged as it came.
#[derive(Debug)]
pub struct Sequence;

/// How many steps there are at most.
pub const MOST_STEPS: usize = 8;
/// How many events they are made of at most.
pub const MOST_EVENTS: u32 = 64;

/// What the steps ask for, as text: for each `times:gap`, how many events it takes and how many seconds
/// after the one before each of them comes at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Steps(Vec<Step>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    pub times: u32,
    pub gap_secs: u32,
}

/// It has no head.
const LAYOUT: Layout<2> = Layout {
    head: 0,
    widths: [3, 7],
};
/// Ways so far: how many events they are made of, the seconds of the first and of the last.
const WAYS: usize = 0;
/// The last event of each step of a way: the way's and the step's number, the second of the event,
/// whether its id is a text, and the id.
const MARKS: usize = 1;

/// A way in which the steps so far have happened.
#[derive(Clone, Debug)]
struct Way {
    /// How many events it is made of.
    events: u32,
    /// Seconds of order time.
    first: u32,
    last: u32,
    /// The last event of each step so far.
    marks: Vec<Mark>,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    step: u32,
    /// Seconds of event time.
    time: u32,
    event: EventId,
}

/// The event at hand.
struct Here {
    matched: i64,
    barred: i64,
    /// Seconds of order time.
    time: u32,
    mark: Mark,
}

impl Fold for Sequence {
    const NAME: &'static str = "sequence";
    const ARGUMENTS: &'static [Argument] = &[
        Argument::Integer,
        Argument::Integer,
        Argument::Time,
        Argument::Time,
        Argument::Text,
        Argument::Text,
        Argument::Integer,
    ];
    const HORIZON: usize = 6;
    type Common = ();

    fn step(
        memory: &mut Memory,
        texts: &mut Texts,
        arguments: &Arguments<'_>,
        row: usize,
        (): &(),
    ) -> Option<Found> {
        let steps = Steps::parse(arguments.text(5, row)?)?;
        let within = arguments.integer(6, row)?;
        let here = Here {
            matched: arguments.integer(0, row).unwrap_or(0),
            barred: arguments.integer(1, row).unwrap_or(0),
            time: seconds(arguments.integer(2, row)?),
            mark: Mark {
                step: 0,
                time: seconds(arguments.integer(3, row)?),
                event: EventId::enter(arguments.text(4, row)?, texts),
            },
        };
        let before = ways(memory);
        let is_open = |way: &&Way| i64::from(here.time) - i64::from(way.first) <= within;
        let open: Vec<Way> = before.iter().filter(is_open).cloned().collect();
        let (after, complete) = steps.follow(open, &here);
        let found = complete.map(|way| steps.found(&way, &here, within, texts));
        if before.is_empty() && after.is_empty() {
            here.mark.event.leave(texts);
            return found;
        }
        // What there was is released below.
        LAYOUT.begin(memory, here.time, within, |_| ());
        write(memory, &after);
        for mark in after.iter().flat_map(|way| &way.marks) {
            mark.event.hold(texts);
        }
        for mark in before.iter().flat_map(|way| &way.marks) {
            mark.event.leave(texts);
        }
        here.mark.event.leave(texts);
        found
    }

    fn release(memory: &Memory, texts: &mut Texts) {
        for record in LAYOUT.list(memory, MARKS) {
            mark(record).event.leave(texts);
        }
    }
}

impl Steps {
    /// At most [`MOST_STEPS`] steps of at most [`MOST_EVENTS`] events in all.
    pub fn new(steps: Vec<Step>) -> Option<Self> {
        let events = steps.iter().map(|step| u64::from(step.times)).sum::<u64>();
        let is_right = (1..=MOST_STEPS).contains(&steps.len())
            && events <= MOST_EVENTS.into()
            && steps.iter().all(|step| step.times > 0);
        is_right.then_some(Self(steps))
    }

    /// From the form that [`Steps`] has in SQL.
    fn parse(text: &str) -> Option<Self> {
        let steps = text.split(' ').map(|step| {
            let (times, gap) = step.split_once(':')?;
            Some(Step {
                times: times.parse().ok()?,
                gap_secs: gap.parse().ok()?,
            })
        });
        Self::new(steps.collect::<Option<_>>()?)
    }

    /// The step of each event of a whole way.
    fn events(&self) -> impl DoubleEndedIterator<Item = (usize, Step)> {
        let steps = self.0.iter().enumerate();
        steps.flat_map(|(at, step)| std::iter::repeat_n((at, *step), step.times as usize))
    }

    /// The ways after an event, and the one that it completes.
    fn follow(&self, ways: Vec<Way>, here: &Here) -> (Vec<Way>, Option<Way>) {
        let events: Vec<(usize, Step)> = self.events().collect();
        // By the number of their events, from 1.
        let mut known: Vec<Option<Way>> = vec![None; events.len()];
        for way in ways {
            if let Some(room) = known.get_mut(way.events as usize - 1) {
                *room = Some(way);
            }
        }
        let mut complete = None;
        // From the last one on, so that no event counts twice.
        for (at, (step, limits)) in events.iter().enumerate().rev() {
            if here.matched >> step & 1 == 1 {
                let next = match at.checked_sub(1) {
                    None => Some(Way::begin(here)),
                    Some(before) => known[before]
                        .as_ref()
                        .filter(|way| here.time.saturating_sub(way.last) <= limits.gap_secs)
                        .map(|way| way.followed_by(here, *step)),
                };
                if at + 1 == events.len() {
                    complete = next;
                } else if next.is_some() {
                    known[at] = next;
                }
            }
            if let Some(before) = at.checked_sub(1).filter(|_| here.barred >> step & 1 == 1) {
                known[before] = None;
            }
        }
        (known.into_iter().flatten().collect(), complete)
    }

    fn found(&self, way: &Way, here: &Here, within: i64, texts: &Texts) -> Found {
        let elapsed = here.time.saturating_sub(way.first);
        let steps = way.marks.iter().map(|mark| {
            json!({
                "step": mark.step + 1,
                "times": self.0[mark.step as usize].times,
                "event_id": mark.event.text(texts),
                "event_time": rfc3339(i64::from(mark.time) * MICROS),
            })
        });
        let steps: Vec<Value> = steps.collect();
        let because = vec![
            Because::new("steps in order", steps.len(), self.0.len()),
            Because::new("elapsed_secs <= limit", elapsed, within),
        ];
        let mut evidence = Map::new();
        evidence.insert("elapsed_secs".to_owned(), elapsed.into());
        evidence.insert("steps".to_owned(), steps.into());
        let events = way.marks.iter().rev().skip(1);
        Found {
            evidence,
            because,
            events: events
                .map(|mark| mark.event.text(texts).into_owned())
                .collect(),
            ..Found::default()
        }
    }
}

impl std::fmt::Display for Steps {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            let space = if at > 0 { " " } else { "" };
            write!(out, "{space}{}:{}", step.times, step.gap_secs)?;
        }
        Ok(())
    }
}

impl Way {
    fn begin(here: &Here) -> Self {
        Self {
            events: 1,
            first: here.time,
            last: here.time,
            marks: vec![here.mark],
        }
    }

    /// The way, with the event as the next one of a step.
    fn followed_by(&self, here: &Here, step: usize) -> Self {
        let step = step as u32;
        let mut marks = self.marks.clone();
        marks.retain(|mark| mark.step != step);
        marks.push(Mark { step, ..here.mark });
        Self {
            events: self.events + 1,
            first: self.first,
            last: here.time,
            marks,
        }
    }
}

/// The ways that are remembered.
fn ways(memory: &Memory) -> Vec<Way> {
    let marks = |way: u32| {
        let records = LAYOUT.list(memory, MARKS);
        let records = records.filter(move |record| record[0] >> 8 == way);
        records.map(mark).collect()
    };
    let ways = LAYOUT.list(memory, WAYS);
    ways.map(|record| Way {
        events: record[0],
        first: record[1],
        last: record[2],
        marks: marks(record[0]),
    })
    .collect()
}

fn mark(record: &[u32]) -> Mark {
    Mark {
        step: record[0] & 0xff,
        time: record[1],
        event: EventId::from_words(&record[3..], record[2] > 0),
    }
}

/// Remembers these ways, and no others.
fn write(memory: &mut Memory, ways: &[Way]) {
    let (mut records, mut marks) = (Vec::new(), Vec::new());
    for way in ways {
        records.extend([way.events, way.first, way.last]);
        for mark in &way.marks {
            let event = mark.event;
            marks.extend([
                way.events << 8 | mark.step,
                mark.time,
                event.is_text().into(),
            ]);
            marks.extend(event.words());
        }
    }
    LAYOUT.replace(memory, [&records, &marks]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Here, Mark, Step, Steps, Way};
    use crate::detect::function::Texts;
    use crate::detect::function::packed::EventId;

    /// Whether some way among the events completes the steps at the last event: all are tried.
    fn is_complete(steps: &Steps, events: &[(u32, u8, u8)], within: u32) -> bool {
        let shape: Vec<(usize, Step)> = steps.events().collect();
        let Some((last, before)) = events.split_last() else {
            return false;
        };
        // From the last event backwards: the position in the shape, and the event that takes it.
        fn back(
            shape: &[(usize, Step)],
            events: &[(u32, u8, u8)],
            at: (u32, u8, u8),
            end: u32,
            within: u32,
        ) -> bool {
            let Some(((step, limits), rest)) = shape.split_last() else {
                return false;
            };
            if at.1 >> step & 1 == 0 {
                return false;
            }
            if rest.is_empty() {
                return end - at.0 <= within;
            }
            for (position, before) in events.iter().enumerate().rev() {
                let is_near = at.0 - before.0 <= limits.gap_secs;
                if is_near && back(rest, &events[..position], *before, end, within) {
                    return true;
                }
                // What stands between bars all that come before it.
                if before.2 >> step & 1 == 1 {
                    return false;
                }
            }
            false
        }
        back(&shape, before, *last, last.0, within)
    }

    proptest! {
        #[test]
        fn one_way_for_each_number_of_events_is_enough(
            steps in prop::collection::vec((1..3_u32, 1..12_u32), 1..4),
            events in prop::collection::vec((0..6_u32, 0..8_u8, prop_oneof![3 => Just(0), 1 => 0..8_u8]), 1..14),
            within in 1..30_u32,
        ) {
            let steps = steps.into_iter().map(|(times, gap_secs)| Step { times, gap_secs });
            let steps = Steps::new(steps.collect()).expect("few steps");
            prop_assert_eq!(Steps::parse(&steps.to_string()), Some(steps.clone()));
            let mut time = 1000;
            let events: Vec<(u32, u8, u8)> = events
                .into_iter()
                .map(|(gap, matched, barred)| {
                    time += gap;
                    (time, matched, barred)
                })
                .collect();
            let mut texts = Texts::default();
            let mut ways: Vec<Way> = Vec::new();
            for (at, (time, matched, barred)) in events.iter().copied().enumerate() {
                let here = Here {
                    matched: matched.into(),
                    barred: barred.into(),
                    time,
                    mark: Mark {
                        step: 0,
                        time,
                        event: EventId::enter(&at.to_string(), &mut texts),
                    },
                };
                ways.retain(|way| time - way.first <= within);
                let (after, complete) = steps.follow(ways, &here);
                ways = after;
                let wanted = is_complete(&steps, &events[..=at], within);
                prop_assert_eq!(complete.is_some(), wanted, "at event {}", at);
            }
        }
    }
}
