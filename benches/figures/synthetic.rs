//! Events made in memory, as fast as the engine takes them: as many actors as wanted, each as likely
//! as the next.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, DictionaryArray, Float64Array, Int32Array, Int64Array, RecordBatch,
    StringArray, StringViewArray, TimestampMicrosecondArray, new_null_array,
};
use arrow::datatypes::Int32Type;
use gridwatch::event::schema::{Column, ColumnSet, UTC};

const START: i64 = 1_772_409_600_000_000;

/// An endless stream of events in order of time.
pub struct Synthetic {
    actors: u64,
    /// Events a second.
    rate: u64,
    columns: ColumnSet,
    made: u64,
}

impl Synthetic {
    pub fn new(actors: u64, rate: u64, columns: ColumnSet) -> Self {
        Self {
            actors,
            rate,
            columns,
            made: 0,
        }
    }

    /// The next events, and the watermark that stands before the second of the last one.
    pub fn next(&mut self, rows: u64) -> (RecordBatch, i64) {
        let numbers: Vec<u64> = (self.made..self.made + rows).collect();
        self.made += rows;
        let time = |number: u64| START + (number / self.rate) as i64 * 1_000_000;
        // SplitMix64 (Steele, Lea and Flood, 2014), so that neighbours have nothing in common.
        let dice = |number: u64, salt: u64| {
            let mut z = number
                .wrapping_add(salt)
                .wrapping_mul(0x9e37_79b9_7f4a_7c15);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        };
        // The first so many events name every actor once.
        let actor = |number: u64| {
            if number < self.actors {
                number
            } else {
                dice(number, 1) % self.actors
            }
        };
        let text = |of: &dyn Fn(u64) -> String| -> ArrayRef {
            let texts = numbers.iter().map(|number| Some(of(*number)));
            Arc::new(texts.collect::<StringViewArray>())
        };
        let schema = self.columns.schema();
        let columns = schema.fields().iter().map(|field| -> ArrayRef {
            match Column::by_name(field.name()) {
                Some(Column::EventTime | Column::OrderTime) => {
                    let times = numbers.iter().map(|number| Some(time(*number)));
                    let times: TimestampMicrosecondArray = times.collect();
                    Arc::new(times.with_timezone(UTC))
                }
                Some(Column::Action) => {
                    let codes = numbers
                        .iter()
                        .map(|number| Some(i32::from(dice(*number, 2) % 4 == 0)));
                    let codes: Int32Array = codes.collect();
                    let values = Arc::new(StringArray::from(vec!["user_login", "file_downloaded"]));
                    let actions = DictionaryArray::<Int32Type>::try_new(codes, values);
                    Arc::new(actions.expect("two actions"))
                }
                Some(Column::EventId) => text(&|number| {
                    let (a, b) = (dice(number, 3), dice(number, 4));
                    format!(
                        "{:08x}-{:04x}-4000-8000-{:012x}",
                        a as u32, b as u16, number
                    )
                }),
                Some(Column::ActorId) => text(&|number| format!("W{:010}", actor(number))),
                Some(Column::EntityId) => {
                    text(&|number| format!("F{:08}", dice(number, 5) % 100_000))
                }
                Some(Column::Ip) => text(&|number| format!("10.0.{}.7", actor(number) % 250)),
                Some(Column::SessionId) => text(&|number| format!("{}", actor(number) * 1000)),
                Some(Column::AgentFamily) => text(&|_| "Chrome".to_owned()),
                Some(Column::AgentOs) => text(&|_| "macOS".to_owned()),
                Some(Column::AgentKind) => text(&|_| "browser".to_owned()),
                Some(Column::ActorType) => text(&|_| "user".to_owned()),
                Some(Column::Country) => text(&|_| "DE".to_owned()),
                Some(Column::City) => text(&|_| "Berlin".to_owned()),
                Some(Column::NetworkKind) => text(&|_| "residential".to_owned()),
                Some(Column::OwnContext) => Arc::new(BooleanArray::from(vec![true; numbers.len()])),
                Some(Column::Latitude) => Arc::new(Float64Array::from(vec![52.5; numbers.len()])),
                Some(Column::Longitude) => Arc::new(Float64Array::from(vec![13.4; numbers.len()])),
                Some(Column::AccuracyKm) => Arc::new(Float64Array::from(vec![20.0; numbers.len()])),
                Some(Column::Asn) => Arc::new(Int64Array::from(vec![64_500; numbers.len()])),
                _ => new_null_array(field.data_type(), numbers.len()),
            }
        });
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns.collect());
        let last = time(self.made.saturating_sub(1));
        (batch.expect("columns of the schema"), last)
    }
}
