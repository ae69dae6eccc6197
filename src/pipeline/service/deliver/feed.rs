//! Raw events for a sink.

use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;

use super::{MOST, Queue};
use crate::detect::filter::Filter;
use crate::event::schema::{Column, ColumnSet};
use crate::sink::{Delivery, Kind};
use crate::store::{self, FeedBlock, Reader, Refusal, Store, tail};

pub struct Feed {
    store: Arc<Store>,
    reader: Reader,
    sink: String,
    /// Which events are wanted; all if there is none.
    filter: Option<Filter>,
    given: Given,
}

/// What was given last.
#[derive(Debug, Default)]
struct Given {
    /// The block that it is from, and its first row that was not looked at; `None` if there is none.
    seq: i64,
    next: Option<usize>,
    /// Each with its row.
    events: Vec<(usize, String)>,
}

impl Queue for Feed {
    fn first(&mut self) -> Result<Vec<Delivery>, store::Error> {
        // A block of which nothing is wanted is passed over.
        while let Some(block) = self.reader.feed(&self.sink)? {
            let deliveries = self.take(&block)?;
            if !deliveries.is_empty() {
                return Ok(deliveries);
            }
            self.store
                .settle_feed(&self.sink, block.seq, None, &[], 0)?;
        }
        Ok(Vec::new())
    }

    fn settle(
        &mut self,
        settled: usize,
        refused: &[Refusal],
        now: i64,
    ) -> Result<(), store::Error> {
        let events = &self.given.events;
        let refused = refused.iter().filter_map(|(at, reason)| {
            let (_, line) = events.get(*at)?;
            Some((line.clone(), reason.clone()))
        });
        let refused: Vec<_> = refused.collect();
        let unsettled = events.get(settled).map(|(row, _)| *row);
        let Given { seq, next, .. } = self.given;
        let taken = unsettled.or(next);
        self.store
            .settle_feed(&self.sink, seq, taken, &refused, now)
    }

    fn is_short(&self) -> bool {
        false
    }

    fn waiting(&self) -> Result<u64, store::Error> {
        self.reader.feed_waiting(&self.sink)
    }
}

impl Feed {
    pub fn new(store: Arc<Store>, reader: Reader, sink: &str, filter: Option<Filter>) -> Self {
        Self {
            store,
            reader,
            sink: sink.to_owned(),
            filter,
            given: Given::default(),
        }
    }

    /// The first events of a block that are wanted.
    fn take(&mut self, block: &FeedBlock) -> Result<Vec<Delivery>, store::Error> {
        let batch = tail::decode(&block.events, &block.admission, ColumnSet::all())?;
        let wanted = self.filter.as_ref().map(|filter| wanted(filter, &batch));
        let lines = batch[Column::Raw.name()].as_string_view();
        let arrived = batch[Column::ArrivalTime.name()].as_primitive::<TimestampMicrosecondType>();
        let is_wanted = |row: &usize| wanted.as_ref().is_none_or(|wanted| wanted[*row]);
        let rows = (block.taken..batch.num_rows()).filter(is_wanted);
        let rows: Vec<usize> = rows.take(MOST).collect();
        let last = rows.last().filter(|_| rows.len() == MOST);
        let events = rows.iter();
        self.given = Given {
            seq: block.seq,
            next: last
                .map(|row| row + 1)
                .filter(|next| *next < batch.num_rows()),
            events: events
                .map(|row| (*row, lines.value(*row).to_owned()))
                .collect(),
        };
        let deliveries = rows.iter().map(|row| Delivery {
            record: lines.value(*row).to_owned(),
            found_at: arrived.value(*row),
            kind: Kind::Event,
        });
        Ok(deliveries.collect())
    }
}

/// Which rows are wanted. One on which the condition fails is: nobody is to hide an event that way.
fn wanted(filter: &Filter, batch: &RecordBatch) -> Vec<bool> {
    let of = |batch: &RecordBatch| {
        let kept = filter.keep(batch).ok()?;
        Some(
            kept.iter()
                .map(|kept| kept == Some(true))
                .collect::<Vec<_>>(),
        )
    };
    of(batch).unwrap_or_else(|| {
        let rows = 0..batch.num_rows();
        rows.map(|row| of(&batch.slice(row, 1)).is_none_or(|kept| kept[0]))
            .collect()
    })
}
