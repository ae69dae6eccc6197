//! What the store holds in the end: whether it is what Slack shows, and how soon it came.

use std::path::Path;

use anyhow::{Result, ensure};
use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use gridwatch::event::schema::{Column, ColumnSet};
use gridwatch::store::Reader;
use gridwatch::store::read::Span;

use super::delay::Delays;
use super::{LAG, LATE, LOOK_EVERY, MINUTE, POLL};
use crate::measure::{Spread, grouped, print_line};

/// What the store holds in the end.
#[derive(Default)]
pub struct Kept {
    ids: Vec<String>,
    /// Rows whose order time is not their own.
    delayed: u64,
    late: u64,
    /// Rows whose delay exceeds each of [`LIMITS`].
    beyond: [u64; LIMITS.len()],
    /// By [`CLASSES`], seconds from when it could be seen to when an event was in.
    waits: [Vec<f64>; CLASSES.len()],
}

/// Delays beyond which a row can count as delayed, and must; can count as very late, and must. The watermark
/// stands where the last poll left it, and a look finds what it can within a minute.
const LIMITS: [i64; 4] = [LAG, LAG + POLL, LATE - LOOK_EVERY, LATE + LAG + POLL];

/// The longest delay of each class.
const CLASSES: [(&str, i64); 3] = [
    ("seen within 60 s", MINUTE),
    ("seen within 10 min", 10 * MINUTE),
    ("seen later", i64::MAX),
];

impl Kept {
    /// Reads the archive and the tail.
    pub fn read(store: &Path, delays: &Delays) -> Result<Self> {
        let columns = [
            Column::EventId,
            Column::EventTime,
            Column::OrderTime,
            Column::ArrivalTime,
            Column::Late,
        ];
        let columns: ColumnSet = columns.into_iter().collect();
        let view = Reader::open(store)?.view(Span::All)?;
        let mut kept = Self::default();
        for piece in view.pieces() {
            for batch in view.load(piece, columns)? {
                kept.add(&batch, delays);
            }
        }
        kept.ids.sort_unstable();
        Ok(kept)
    }

    fn add(&mut self, batch: &RecordBatch, delays: &Delays) {
        let times = |column: Column| {
            let column = &batch[column.name()];
            column.as_primitive::<TimestampMicrosecondType>().values()
        };
        let ids = batch[Column::EventId.name()].as_string_view();
        let late = batch[Column::Late.name()].as_boolean();
        let (happened, order) = (times(Column::EventTime), times(Column::OrderTime));
        let arrived = times(Column::ArrivalTime);
        for row in 0..batch.num_rows() {
            let id = ids.value(row);
            let delay = delays.of(id);
            self.delayed += u64::from(order[row] > happened[row]);
            self.late += u64::from(late.value(row));
            for (beyond, limit) in self.beyond.iter_mut().zip(LIMITS) {
                *beyond += u64::from(delay > limit);
            }
            let wait = (arrived[row] - happened[row] - delay) as f64 / 1e6;
            let class = CLASSES.iter().position(|(_, longest)| delay <= *longest);
            self.waits[class.unwrap_or(CLASSES.len() - 1)].push(wait);
            self.ids.push(id.to_owned());
        }
    }

    /// Compares with the sorted ids that Slack shows.
    pub fn compare(&self, shown: &[String]) -> Comparison {
        let absent = |ids: &[String], others: &[String]| {
            let absent = ids.iter().filter(|id| others.binary_search(id).is_err());
            absent.count()
        };
        let pairs = self.ids.windows(2);
        Comparison {
            missing: absent(shown, &self.ids),
            unknown: absent(&self.ids, shown),
            twice: pairs.filter(|pair| pair[0] == pair[1]).count(),
            shown: shown.len(),
        }
    }

    pub fn print(&self) {
        let percent = |rows: u64| rows as f64 * 100.0 / self.ids.len().max(1) as f64;
        let print_share = |name: &str, rows: u64, least: u64, most: u64| {
            print_line(name, format!("{:.3}", percent(rows)));
            let drawn = format!("{:.3} to {:.3}", percent(least), percent(most));
            print_line("  by how late events are seen", drawn);
        };
        let [can_delay, must_delay, can_be_late, must_be_late] = self.beyond;
        // What is very late keeps its own time.
        let (least, most) = (
            must_delay.saturating_sub(can_be_late),
            can_delay.saturating_sub(must_be_late),
        );
        print_share("rows with a later order time, %", self.delayed, least, most);
        print_share(
            "rows too late to be judged live, %",
            self.late,
            must_be_late,
            can_be_late,
        );
        println!("from when it could be seen until it was in, s (median / p99 / most)");
        for ((name, _), waits) in CLASSES.iter().zip(&self.waits) {
            let spread = Spread::of(waits.iter().copied());
            let (median, p99, most) = (spread.median(), spread.at(0.99), spread.most());
            let name = format!("  {name}: {}", grouped(waits.len() as u64));
            print_line(&name, format!("{median:.1} / {p99:.1} / {most:.1}"));
        }
    }
}

/// What is in the store against what Slack shows.
pub struct Comparison {
    shown: usize,
    missing: usize,
    unknown: usize,
    twice: usize,
}

impl Comparison {
    pub fn print(&self) {
        let Self {
            shown,
            missing,
            unknown,
            twice,
        } = self;
        print_line("events that Slack shows", grouped(*shown as u64));
        let amiss = format!("{missing} / {unknown} / {twice}");
        print_line("  missing / not Slack's / there twice", amiss);
    }

    /// Whether each of so many events is there once.
    pub fn check(&self, events: u64) -> Result<()> {
        ensure!(
            self.shown as u64 == events,
            "Slack shows {} events at the end, not {events}",
            self.shown
        );
        ensure!(
            (self.missing, self.unknown, self.twice) == (0, 0, 0),
            "the store does not hold each event of Slack's once"
        );
        Ok(())
    }
}
