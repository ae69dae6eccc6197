//! A log in memory: the rows of each actor stand together, in canonical order.
//!
//! Most rules look at one person at a time. Rows that stand so need no further sorting by them, and
//! a part of the table is a slice of it, not a copy.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, Int32Array, RecordBatch, StringArray, UInt32Array,
    new_empty_array,
};
use arrow::compute::{interleave, take_record_batch};
use arrow::datatypes::{DataType, Int32Type, SchemaRef};
use arrow::error::ArrowError;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use rayon::prelude::*;

use super::keys::{Keys, Place};
use crate::event::schema::Column;

#[derive(Debug)]
pub(super) struct Table {
    /// By actor, those without one last.
    batch: RecordBatch,
    /// Where in `batch` the rows of each actor begin, and where the last end.
    starts: Vec<u32>,
    /// The rows of `batch` in canonical order.
    canonical: Vec<u32>,
}

impl Table {
    /// The rows of the batches that `order` names; it is canonical.
    pub fn new(
        schema: &SchemaRef,
        batches: &[RecordBatch],
        order: &[Place],
    ) -> Result<Self, ArrowError> {
        let (ranks, actors) = ranks(batches, order);
        let mut starts = vec![0_u32; actors + 1];
        for rank in &ranks {
            starts[*rank as usize + 1] += 1;
        }
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        let mut next = starts.clone();
        let mut canonical = Vec::with_capacity(order.len());
        let mut rows = vec![(0, 0); order.len()];
        for (place, rank) in order.iter().zip(&ranks) {
            let row = &mut next[*rank as usize];
            rows[*row as usize] = place.pair();
            canonical.push(*row);
            *row += 1;
        }
        Ok(Self {
            batch: arranged(schema, batches, &rows)?,
            starts,
            canonical,
        })
    }

    /// So many rows in canonical order, from `start` on.
    pub fn canonical(&self, start: usize, rows: usize) -> Result<RecordBatch, ArrowError> {
        let end = self.canonical.len().min(start + rows);
        let rows = UInt32Array::from(self.canonical[start.min(end)..end].to_vec());
        take_record_batch(&self.batch, &rows)
    }

    pub fn rows(&self) -> usize {
        self.batch.num_rows()
    }

    /// The order time of the last event.
    pub fn last(&self) -> Option<i64> {
        let row = self.canonical.last()?;
        Some(Keys::of(&self.batch).at(*row as usize).order_time)
    }

    pub fn slice(&self, rows: Range<usize>) -> RecordBatch {
        self.batch.slice(rows.start, rows.len())
    }

    /// About equal parts, none of which divides an actor.
    pub fn parts(&self, count: usize) -> Vec<Range<usize>> {
        let mut ends: Vec<usize> = (1..count)
            .map(|part| {
                let aim = (self.rows() * part / count) as u32;
                self.starts[self.starts.partition_point(|start| *start < aim)] as usize
            })
            .collect();
        ends.push(self.rows());
        let mut start = 0;
        ends.into_iter()
            .map(|end| std::mem::replace(&mut start, end)..end)
            .collect()
    }

    /// The line of an event.
    pub fn raw(&self, order_time: i64, event_time: i64, id: &str) -> Option<String> {
        let keys = Keys::of(&self.batch);
        let key = |row: &u32| {
            let row = keys.at(*row as usize);
            (row.order_time, row.event_time, row.event_id)
        };
        let wanted = (order_time, event_time, id);
        let at = self.canonical.partition_point(|row| key(row) < wanted);
        let row = self.canonical.get(at).filter(|row| key(row) == wanted)?;
        Some(keys.at(*row as usize).raw.to_owned())
    }
}

/// The rows of the batches in this order, each named by batch and row.
pub fn arranged(
    schema: &SchemaRef,
    batches: &[RecordBatch],
    order: &[(usize, usize)],
) -> Result<RecordBatch, ArrowError> {
    if let [batch] = batches
        && batch.num_rows() == order.len()
        && (0..).zip(order).all(|(at, (_, row))| *row == at)
    {
        return Ok(batch.clone());
    }
    let columns = schema.fields().par_iter().enumerate().map(|(at, field)| {
        let arrays: Vec<&dyn Array> = batches.iter().map(|b| b.column(at).as_ref()).collect();
        match field.data_type() {
            _ if arrays.is_empty() => Ok(new_empty_array(field.data_type())),
            DataType::Dictionary(key, value)
                if **key == DataType::Int32 && **value == DataType::Utf8 =>
            {
                Ok(dictionary(&arrays, order))
            }
            _ => interleave(&arrays, order),
        }
    });
    RecordBatch::try_new(Arc::clone(schema), columns.collect::<Result<_, _>>()?)
}

/// The rows of several dictionaries with one dictionary, each value once.
fn dictionary(arrays: &[&dyn Array], rows: &[(usize, usize)]) -> ArrayRef {
    let mut values: Vec<&str> = Vec::new();
    let mut known: HashMap<&str, i32, _> = HashMap::with_hasher(FixedState::default());
    let translated: Vec<(&Int32Array, Vec<i32>)> = arrays
        .iter()
        .map(|array| {
            let array = array.as_dictionary::<Int32Type>();
            let texts = array.values().as_string::<i32>();
            let codes = texts.iter().map(|text| {
                let text = text.unwrap_or_default();
                *known.entry(text).or_insert_with(|| {
                    values.push(text);
                    values.len() as i32 - 1
                })
            });
            (array.keys(), codes.collect())
        })
        .collect();
    let codes = rows.iter().map(|(batch, row)| {
        let (codes, new) = &translated[*batch];
        codes
            .is_valid(*row)
            .then(|| new[codes.value(*row) as usize])
    });
    let codes: Int32Array = codes.collect();
    match DictionaryArray::try_new(codes, Arc::new(StringArray::from(values))) {
        Ok(array) => Arc::new(array),
        // Every code was given out for a value.
        Err(error) => unreachable!("codes without values: {error}"),
    }
}

/// For each place the rank of its actor among all, by the bytes of the id, and how many ranks there
/// are. No actor comes last; without a column of actors all rows are one's.
fn ranks(batches: &[RecordBatch], order: &[Place]) -> (Vec<u32>, usize) {
    let column = |batch| RecordBatch::column_by_name(batch, Column::ActorId.name());
    let actors: Option<Vec<_>> = batches
        .iter()
        .map(|batch| column(batch)?.as_string_view_opt())
        .collect();
    let Some(actors) = actors else {
        return (vec![0; order.len()], 1);
    };
    let mut seen: HashMap<Option<&str>, u32, _> = HashMap::with_hasher(FixedState::default());
    let ids: Vec<u32> = order
        .iter()
        .map(|place| {
            let (actors, row) = (actors[place.batch()], place.row());
            let actor = actors.is_valid(row).then(|| actors.value(row));
            let next = seen.len() as u32;
            *seen.entry(actor).or_insert(next)
        })
        .collect();
    let mut known: Vec<(Option<&str>, u32)> = seen.into_iter().collect();
    known.sort_unstable_by_key(|(actor, _)| (actor.is_none(), *actor));
    let mut rank_of = vec![0; known.len()];
    for (rank, (_, id)) in (0..).zip(&known) {
        rank_of[*id as usize] = rank;
    }
    let ranks = ids.into_iter().map(|id| rank_of[id as usize]).collect();
    (ranks, known.len().max(1))
}
