//! The columns in the making, row by row: an event is looked at while it is at hand, then forgotten.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, RecordBatch, RecordBatchOptions, StringDictionaryBuilder,
    StringViewBuilder, TimestampMicrosecondBuilder,
};
use arrow::buffer::Buffer;
use arrow::datatypes::Int32Type;

use super::{own_context, text};
use crate::event::frame::Span;
use crate::event::schema::{Column, ColumnSet, UTC};
use crate::event::surrogate;
use crate::event::wire::Event;

/// Rows whose texts are views into the block where they stand there, else copies.
pub(super) struct Rows<'a> {
    bytes: &'a [u8],
    columns: ColumnSet,
    builders: Vec<Builder>,
    count: usize,
}

enum Builder {
    Time(TimestampMicrosecondBuilder),
    Action(StringDictionaryBuilder<Int32Type>),
    OwnContext(BooleanBuilder),
    Late(BooleanBuilder),
    Arrival(TimestampMicrosecondBuilder),
    Raw(Texts),
    Details(Texts),
    Text(Column, Texts),
}

impl<'a> Rows<'a> {
    /// No rows yet, of those columns that the wire form holds.
    pub fn new(block: &'a Buffer, capacity: usize, columns: ColumnSet) -> Self {
        let columns: ColumnSet = columns.iter().filter(|column| !column.enriched()).collect();
        let texts = || Texts::new(block, capacity);
        let builder = |column| match column {
            Column::EventTime | Column::OrderTime => Builder::Time(
                TimestampMicrosecondBuilder::with_capacity(capacity).with_timezone(UTC),
            ),
            Column::Action => Builder::Action(StringDictionaryBuilder::new()),
            Column::OwnContext => Builder::OwnContext(BooleanBuilder::with_capacity(capacity)),
            Column::Late => Builder::Late(BooleanBuilder::with_capacity(capacity)),
            Column::ArrivalTime => {
                Builder::Arrival(TimestampMicrosecondBuilder::new().with_timezone(UTC))
            }
            Column::Raw => Builder::Raw(texts()),
            Column::Details => Builder::Details(texts()),
            column => Builder::Text(column, texts()),
        };
        Self {
            bytes: block.as_slice(),
            columns,
            builders: columns.iter().map(builder).collect(),
            count: 0,
        }
    }

    /// Adds an event that stands at `span` and happened at `micros`.
    pub fn push(&mut self, event: &Event<'_>, micros: i64, span: Span) {
        let bytes = self.bytes;
        for builder in &mut self.builders {
            match builder {
                Builder::Time(times) => times.append_value(micros),
                Builder::Action(actions) => {
                    actions.append_value(event.action.get().unwrap_or_default());
                }
                Builder::OwnContext(flags) => flags.append_value(own_context(event)),
                Builder::Late(flags) => flags.append_value(false),
                Builder::Arrival(times) => times.append_null(),
                Builder::Raw(texts) => texts.append_range(bytes, span.start, span.end - span.start),
                Builder::Details(texts) => {
                    // Whatever reads JSON in SQL gives up at a lone surrogate.
                    let mended = event.details.and_then(surrogate::mend);
                    texts.append(bytes, mended.as_deref().or(event.details));
                }
                Builder::Text(column, texts) => texts.append(bytes, text(event, *column)),
            }
        }
        self.count += 1;
    }

    /// The batch of all rows.
    pub fn finish(self) -> RecordBatch {
        let arrays: Vec<ArrayRef> = self.builders.into_iter().map(Builder::finish).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(self.count));
        match RecordBatch::try_new_with_options(self.columns.schema(), arrays, &options) {
            Ok(batch) => batch,
            // The arrays are built from the schema's own types, one value a row.
            Err(error) => unreachable!("columns do not fit their schema: {error}"),
        }
    }
}

impl Builder {
    fn finish(self) -> ArrayRef {
        match self {
            Self::Time(mut times) | Self::Arrival(mut times) => {
                Arc::new(times.finish().with_timezone(UTC))
            }
            Self::Action(mut actions) => Arc::new(actions.finish()),
            Self::OwnContext(mut flags) | Self::Late(mut flags) => Arc::new(flags.finish()),
            Self::Raw(mut texts) | Self::Details(mut texts) | Self::Text(_, mut texts) => {
                Arc::new(texts.builder.finish())
            }
        }
    }
}

struct Texts {
    builder: StringViewBuilder,
    block: u32,
}

impl Texts {
    fn new(block: &Buffer, capacity: usize) -> Self {
        let mut builder = StringViewBuilder::with_capacity(capacity);
        let block = builder.append_block(block.clone());
        Self { builder, block }
    }

    fn append(&mut self, bytes: &[u8], text: Option<&str>) {
        let Some(text) = text else {
            self.builder.append_null();
            return;
        };
        match (text.as_ptr() as usize).checked_sub(bytes.as_ptr() as usize) {
            Some(start) if start + text.len() <= bytes.len() => {
                self.append_range(bytes, start, text.len());
            }
            _ => self.builder.append_value(text),
        }
    }

    fn append_range(&mut self, bytes: &[u8], start: usize, len: usize) {
        // Views count in 32 bits; a chunk is far smaller, but a huge page might not be.
        let view = u32::try_from(start).ok().zip(u32::try_from(len).ok());
        let shared = view.is_some_and(|(start, len)| {
            self.builder.try_append_view(self.block, start, len).is_ok()
        });
        if !shared {
            self.builder
                .append_value(String::from_utf8_lossy(&bytes[start..start + len]));
        }
    }
}
