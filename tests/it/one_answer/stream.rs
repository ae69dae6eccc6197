//! Random streams of events, and the ways in which they may come.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, StringViewArray,
    TimestampMicrosecondArray,
};
use arrow::compute::cast;
use gridwatch::admit::order_time;
use gridwatch::event::schema::{Column, ColumnSet};
use proptest::prelude::*;

const SECOND: i64 = 1_000_000;

/// An event as it happens.
#[derive(Clone, Debug)]
pub struct Happening {
    /// Seconds since the one before.
    pub gap: i64,
    /// Seconds until it comes.
    pub delay: i64,
    pub actor: Option<u8>,
    pub action: u8,
    pub entity: Option<u8>,
    pub ip: Option<u8>,
    pub session: Option<u8>,
    pub asn: Option<i64>,
    pub latitude: Option<i8>,
    pub own_context: bool,
    pub has_app: bool,
    /// Whether it comes twice.
    pub is_double: bool,
}

prop_compose! {
    fn happening(actors: u8)(
        gap in prop_oneof![6 => Just(0_i64), 6 => 1..5_i64, 3 => 5..900_i64, 1 => 900..90_000_i64],
        delay in prop_oneof![6 => Just(0_i64), 1 => 0..10_i64, 1 => 10..600_i64],
        (actor, entity, ip, session) in (
            prop::option::weighted(0.9, 0..actors),
            prop::option::weighted(0.8, 0..6_u8),
            prop::option::weighted(0.9, 0..4_u8),
            prop::option::weighted(0.7, 0..3_u8),
        ),
        asn in prop::option::weighted(0.8, prop_oneof![
            8 => -5..20_i64, 1 => Just(i64::from(i32::MAX)), 1 => -3_000_000_000..3_000_000_000_i64,
        ]),
        latitude in prop::option::weighted(0.8, -3..4_i8),
        (action, own_context, has_app) in (0..4_u8, any::<bool>(), prop::bool::weighted(0.2)),
        is_double in prop::bool::weighted(0.05),
    ) -> Happening {
        Happening {
            gap, delay, actor, action, entity, ip, session, asn, latitude, own_context, has_app,
            is_double,
        }
    }
}

/// How a stream comes.
#[derive(Clone, Debug)]
pub struct Stream {
    pub happenings: Vec<Happening>,
    /// Where batches end, where the watermark goes on and where the engine is saved and restored:
    /// numbers that are drawn at each event.
    pub dice: Vec<u8>,
    pub threads: usize,
}

pub fn stream(most: usize) -> impl Strategy<Value = Stream> {
    let happenings = prop_oneof![Just(1_u8), Just(3), Just(9)]
        .prop_flat_map(move |actors| prop::collection::vec(happening(actors), 0..most));
    let threads = prop_oneof![Just(1_usize), Just(2), Just(5)];
    (happenings, prop::collection::vec(any::<u8>(), 16), threads).prop_map(
        |(happenings, dice, threads)| Stream {
            happenings,
            dice,
            threads,
        },
    )
}

/// An event as the log has it.
#[derive(Clone, Debug)]
pub struct Admitted {
    number: usize,
    event_time: i64,
    pub order_time: i64,
    happening: Happening,
}

/// What comes to the engine.
#[derive(Clone, Debug)]
pub enum Step {
    Push(Vec<Admitted>),
    Advance(i64),
    SaveAndRestore,
}

impl Stream {
    /// The steps in which the events come, each event once.
    pub fn steps(&self) -> Vec<Step> {
        let mut time = 1_700_000_000;
        let mut coming: Vec<(i64, usize, i64)> = Vec::new();
        for (number, happening) in self.happenings.iter().enumerate() {
            time += happening.gap;
            coming.push((time + happening.delay, number, time));
            if happening.is_double {
                coming.push((time + happening.delay + 1, number, time));
            }
        }
        coming.sort();
        let (mut steps, mut batch, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
        let mut watermark = i64::MIN;
        for (at, (arrival, number, time)) in coming.into_iter().enumerate() {
            let dice = self.dice[at % self.dice.len()].wrapping_add((at as u8).wrapping_mul(37));
            if dice.is_multiple_of(3) && !batch.is_empty() {
                steps.push(Step::Push(std::mem::take(&mut batch)));
            }
            if dice.is_multiple_of(7) {
                steps.push(Step::Push(std::mem::take(&mut batch)));
                // As a source would have it: a little behind what comes.
                watermark = watermark.max((arrival - i64::from(dice % 4)) * SECOND);
                steps.push(Step::Advance(watermark));
                if dice.is_multiple_of(4) {
                    steps.push(Step::SaveAndRestore);
                }
            }
            if seen.insert(number) {
                batch.push(Admitted {
                    number,
                    event_time: time * SECOND,
                    order_time: order_time(time * SECOND, watermark),
                    happening: self.happenings[number].clone(),
                });
            }
        }
        steps.push(Step::Push(batch));
        steps
    }
}

/// The events as a batch with these columns.
pub fn batch(events: &[Admitted], columns: ColumnSet) -> RecordBatch {
    let schema = columns.schema();
    let text = |of: &dyn Fn(&Admitted) -> Option<String>| -> ArrayRef {
        Arc::new(events.iter().map(of).collect::<StringViewArray>())
    };
    // One of these, so that texts of every form in which they are kept stand beside each other.
    let named = |names: &[&str], of: &dyn Fn(&Happening) -> Option<u8>| {
        let name = |number: u8| names[usize::from(number) % names.len()];
        text(&|event| {
            Some(format!(
                "{}{}",
                name(of(&event.happening)?),
                of(&event.happening)?
            ))
        })
    };
    // Ids whose order is not that of the numbers, some of them UUIDs.
    let id = |event: &Admitted| {
        let (first, number) = (event.number as u16 ^ 0x5a5, event.number);
        match number % 3 {
            0 => format!("{first:04x}-{number}"),
            _ => format!("{first:04x}0000-0000-4000-8000-{number:012x}"),
        }
    };
    let columns = schema.fields().iter().map(|field| {
        let times = |of: fn(&Admitted) -> i64| -> ArrayRef {
            Arc::new(
                events
                    .iter()
                    .map(|e| Some(of(e)))
                    .collect::<TimestampMicrosecondArray>(),
            )
        };
        let column = Column::by_name(field.name()).unwrap();
        let array: ArrayRef = match column {
            Column::EventId => text(&|event| Some(id(event))),
            Column::Raw => text(&|event| Some(format!("{{\"n\":{}}}", event.number))),
            Column::EventTime => times(|event| event.event_time),
            Column::OrderTime => times(|event| event.order_time),
            Column::Action => {
                let actions = events
                    .iter()
                    .map(|e| Some(format!("act_{}", e.happening.action)));
                Arc::new(actions.collect::<StringArray>())
            }
            Column::ActorId => named(&["U"], &|h| h.actor),
            Column::EntityId => named(
                &["F", "a name in lower case ", "F0123456789", "F01234567890A"],
                &|h| h.entity,
            ),
            Column::Ip => named(&["10.0.0.", "2001:db8::", "10.0.00."], &|h| h.ip),
            Column::Country => named(&["country of some length "], &|h| h.ip.map(|ip| ip / 2)),
            Column::SessionId => named(&["", "session "], &|h| h.session),
            Column::AppId => text(&|e| e.happening.has_app.then(|| "A1".to_owned())),
            Column::OwnContext => {
                let flags = events.iter().map(|e| Some(e.happening.own_context));
                Arc::new(flags.collect::<BooleanArray>())
            }
            Column::Asn => Arc::new(
                events
                    .iter()
                    .map(|e| e.happening.asn)
                    .collect::<Int64Array>(),
            ),
            Column::Latitude | Column::Longitude => {
                let values = events
                    .iter()
                    .map(|e| e.happening.latitude.map(|l| f64::from(l) * 20.5));
                Arc::new(values.collect::<Float64Array>())
            }
            Column::AccuracyKm => {
                Arc::new(events.iter().map(|_| Some(10.0)).collect::<Float64Array>())
            }
            _ => text(&|_| None),
        };
        cast(&array, field.data_type()).unwrap()
    });
    RecordBatch::try_new(Arc::clone(&schema), columns.collect()).unwrap()
}
