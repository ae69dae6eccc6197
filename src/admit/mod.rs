//! Admission: what becomes of an event when it comes, decided once and written down.
//!
//! Everything that depends on a clock is decided here: whether an event lies in the future, where in
//! the order of the log it stands, and whether it is too late to be judged live. Nothing here reads a
//! clock or does I/O, so whatever was decided can be decided again.
//!
//! ```text
//! decoded rows ─► future? ─► known already? ─► order time, late? ─► rows of the log
//!                 (reject)      (dropped)            ▲
//!                                       watermark of all sources
//! ```

pub mod known;
#[cfg(test)]
mod tests;
pub mod watermark;

use std::collections::HashSet;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use foldhash::fast::FixedState;

use self::known::{Key, Known};
use crate::event::schema::Column;
use crate::event::time::MICROS;

/// The limits of admission; all in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// An event dated further ahead of the clock is none.
    pub future: i64,
    /// An event further behind the watermark is kept and not judged live.
    pub late: i64,
    /// A source that made no progress for so long holds nothing back.
    pub stall: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            future: 120 * MICROS,
            late: 600 * MICROS,
            stall: 60 * MICROS,
        }
    }
}

/// What becomes of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It joins the log at this order time, in microseconds.
    Admitted { order_time: i64, late: bool },
    /// The log holds it already.
    Duplicate,
    /// It is dated too far ahead of the clock.
    Future,
}

/// Events that were decided about and are not on disk yet, by event time.
pub type Together = HashSet<(i64, Key), FixedState>;

/// Events of a request or a page, in the order in which they came, as they are known.
#[derive(Debug)]
pub struct Arrivals<'a> {
    times: &'a [i64],
    keys: Vec<Key>,
}

impl<'a> Arrivals<'a> {
    /// The rows of a decoded batch.
    pub fn of(batch: &'a RecordBatch) -> Self {
        let times = batch[Column::EventTime.name()].as_primitive::<TimestampMicrosecondType>();
        let ids = batch[Column::EventId.name()].as_string_view();
        Self {
            times: times.values(),
            keys: ids
                .iter()
                .map(|id| Key::of(id.unwrap_or_default()))
                .collect(),
        }
    }

    /// A row's event time in microseconds, and its id.
    pub fn at(&self, row: usize) -> (i64, &Key) {
        (self.times[row], &self.keys[row])
    }

    /// The rows that nobody can tell from memory whether the log holds them.
    pub fn unsure(&self, known: &Known) -> Vec<usize> {
        let rows = self.times.iter().enumerate();
        let unsure = rows.filter(|(_, time)| **time < known.floor());
        unsure.map(|(row, _)| row).collect()
    }

    /// Decides about each row. `held` are the rows that the log was found to hold, `others` the events that
    /// are to be written together with these, and `own` those of the same request, which it adds to.
    pub fn decide(
        &self,
        moment: &Moment,
        known: &Known,
        held: &HashSet<usize>,
        others: &Together,
        own: &mut Together,
    ) -> Vec<Fate> {
        let rows = self.times.iter().zip(&self.keys).enumerate();
        rows.map(|(row, (time, key))| {
            if *time > moment.latest() {
                return Fate::Future;
            }
            let event = (*time, key.clone());
            let is_held = held.contains(&row) || known.holds(*time, key);
            if is_held || others.contains(&event) || !own.insert(event) {
                return Fate::Duplicate;
            }
            moment.place(*time)
        })
        .collect()
    }
}

/// When something comes: by the clock, and by the log.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The clock, in microseconds.
    pub now: i64,
    /// Every event dated before it is in, as far as is known; microseconds.
    pub watermark: i64,
    pub limits: Limits,
}

impl Moment {
    /// The latest time that an event may have.
    pub fn latest(&self) -> i64 {
        self.now.saturating_add(self.limits.future)
    }

    /// Where an event of this time stands: at its own time or, if that lies behind it, at the
    /// watermark. One that is very late keeps its own, so that whoever judges it does so where it
    /// belongs.
    fn place(&self, event_time: i64) -> Fate {
        let late = event_time < self.watermark.saturating_sub(self.limits.late);
        let order_time = if late {
            event_time
        } else {
            order_time(event_time, self.watermark)
        };
        Fate::Admitted { order_time, late }
    }
}

/// The order time of an event: its own time or, if that lies behind it, the watermark at its
/// admission; all in microseconds. Detection reads it from the column and never computes it.
pub fn order_time(event_time: i64, watermark: i64) -> i64 {
    event_time.max(watermark)
}

#[cfg(test)]
mod examples {
    use std::sync::Arc;

    use arrow::array::{StringViewArray, TimestampMicrosecondArray};
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;
    use crate::event::schema::UTC;

    fn batch(events: &[(i64, &str)]) -> RecordBatch {
        let times = events.iter().map(|(second, _)| second * MICROS);
        let times = TimestampMicrosecondArray::from_iter_values(times).with_timezone(UTC);
        let ids: StringViewArray = events.iter().map(|(_, id)| Some(*id)).collect();
        let schema = Schema::new(vec![
            Field::new("event_time", Column::EventTime.data_type(), false),
            Field::new("event_id", DataType::Utf8View, false),
        ]);
        RecordBatch::try_new(Arc::new(schema), vec![Arc::new(times), Arc::new(ids)]).unwrap()
    }

    fn moment(now: i64, watermark: i64) -> Moment {
        Moment {
            now: now * MICROS,
            watermark: watermark * MICROS,
            limits: Limits::default(),
        }
    }

    fn admitted(second: i64, late: bool) -> Fate {
        let order_time = second * MICROS;
        Fate::Admitted { order_time, late }
    }

    #[test]
    fn each_row_has_its_fate() {
        let mut known = Known::new(10);
        known.insert(999 * MICROS, Key::of("seen"));
        let events = [
            (1_005, "new"),
            (1_000, "new"),
            (990, "behind"),
            (400, "still judged"),
            (399, "too late"),
            (1_005, "new"),
            (1_127, "tomorrow"),
            (1_126, "almost"),
            (999, "seen"),
            (998, "seen"),
        ];
        let batch = batch(&events);
        let arrivals = Arrivals::of(&batch);
        let now = moment(1_006, 1_000);
        let fates = arrivals.decide(
            &now,
            &known,
            &HashSet::new(),
            &Together::default(),
            &mut Together::default(),
        );
        let expected = [
            admitted(1_005, false),
            admitted(1_000, false),
            admitted(1_000, false),
            admitted(1_000, false),
            admitted(399, true),
            Fate::Duplicate,
            Fate::Future,
            admitted(1_126, false),
            Fate::Duplicate,
            admitted(1_000, false),
        ];
        assert_eq!(fates, expected);
    }

    #[test]
    fn what_memory_does_not_cover_is_asked_for() {
        let mut known = Known::new(2);
        for (second, id) in [(1, "a"), (2, "b"), (3, "c")] {
            known.insert(second * MICROS, Key::of(id));
        }
        let batch = batch(&[(1, "a"), (2, "x"), (3, "c")]);
        let arrivals = Arrivals::of(&batch);
        assert_eq!(arrivals.unsure(&known), [0]);
        let held = HashSet::from([0]);
        let fates = arrivals.decide(
            &moment(4, 3),
            &known,
            &held,
            &Together::default(),
            &mut Together::default(),
        );
        let expected = [Fate::Duplicate, admitted(3, false), Fate::Duplicate];
        assert_eq!(fates, expected);
    }

    #[test]
    fn requests_that_are_written_together_know_of_each_other() {
        let batch = batch(&[(1, "a")]);
        let (known, mut together) = (Known::new(2), Together::default());
        let arrivals = Arrivals::of(&batch);
        let mut decide = || {
            arrivals.decide(
                &moment(2, 0),
                &known,
                &HashSet::new(),
                &Together::default(),
                &mut together,
            )
        };
        assert_eq!(decide(), [admitted(1, false)]);
        assert_eq!(decide(), [Fate::Duplicate]);
    }
}
