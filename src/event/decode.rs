//! Wire-form lines into a `RecordBatch`, column by column, only the columns asked for.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, StringDictionaryBuilder,
    StringViewBuilder, TimestampMicrosecondArray,
};
use arrow::buffer::Buffer;
use arrow::datatypes::Int32Type;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::action::{self, Evidence};
use super::frame::{self, Chunk, Span};
use super::reject::Reject;
use super::schema::{Column, ColumnSet, UTC};
use super::surrogate;
use super::time;
use super::wire::{Event, Text};

/// The deepest nesting of objects and arrays that an event may have.
pub const MAX_DEPTH: usize = 64;

/// What a chunk of input came to: every event is a row or a reject, in the order of the input.
pub struct Decoded {
    /// The decoded columns of the set asked for; those looked up by address or agent come later.
    pub batch: RecordBatch,
    /// The lines that are no event.
    pub rejects: Vec<Reject>,
}

/// Decodes a chunk. Of `columns` it builds those that the wire form holds; the text of a row shares
/// the chunk's memory, which therefore lives as long as the batch.
pub fn decode(mut chunk: Chunk, columns: ColumnSet) -> Decoded {
    let mut rejects: Vec<Reject> = chunk.refused.drain(..).map(Reject::from).collect();
    let spans: Vec<Span> = frame::spans(&chunk).collect();
    let block = Buffer::from_vec(std::mem::take(&mut chunk.bytes));
    let bytes = block.as_slice();

    let mut rows: Vec<Row> = Vec::with_capacity(spans.len());
    let mut mended: Vec<(Span, String)> = Vec::new();
    for span in spans {
        read(bytes, span, true, &mut rows, &mut mended, &mut rejects);
    }
    for (span, text) in &mended {
        match parse(text) {
            Ok((event, micros)) => rows.push(Row {
                event,
                micros,
                span: *span,
            }),
            Err(reason) => rejects.push(Reject::new(bytes, *span, reason)),
        }
    }
    if !mended.is_empty() {
        rows.sort_by_key(|row| row.span.start);
    }
    rejects.sort_by_key(|reject| reject.offset);
    Decoded {
        batch: build(&block, &rows, columns),
        rejects,
    }
}

/// Decodes events as they stand in the column `raw`, in their order.
pub fn decode_raw<'a>(events: impl Iterator<Item = &'a str>, columns: ColumnSet) -> RecordBatch {
    let mut bytes = Vec::new();
    let mut spans = Vec::new();
    for event in events {
        let start = bytes.len();
        bytes.extend_from_slice(event.as_bytes());
        let (end, line, offset) = (bytes.len(), spans.len() as u64 + 1, start as u64);
        spans.push(Span {
            start,
            end,
            line,
            offset,
        });
    }
    let chunk = Chunk {
        bytes,
        layout: frame::Layout::Spans(spans),
        refused: Vec::new(),
    };
    decode(chunk, columns).batch
}

struct Row<'a> {
    event: Event<'a>,
    micros: i64,
    span: Span,
}

/// Reads what stands at `span`: an event or, where that may be, a page of them.
fn read<'a>(
    bytes: &'a [u8],
    span: Span,
    may_be_page: bool,
    rows: &mut Vec<Row<'a>>,
    mended: &mut Vec<(Span, String)>,
    rejects: &mut Vec<Reject>,
) {
    let line = &bytes[span.start..span.end];
    let text = match std::str::from_utf8(line) {
        Ok(text) => text,
        Err(error) => {
            let reason = format!("not UTF-8 at byte {}", error.valid_up_to());
            rejects.push(Reject::new(bytes, span, reason));
            return;
        }
    };
    match parse(text) {
        Ok((event, micros)) => rows.push(Row {
            event,
            micros,
            span,
        }),
        Err(reason) => {
            if let Some(entries) = may_be_page.then(|| entries(text)).flatten() {
                for entry in entries {
                    let start = entry.as_ptr() as usize - bytes.as_ptr() as usize;
                    let inner = Span {
                        start,
                        end: start + entry.len(),
                        line: span.line,
                        offset: span.offset + (start - span.start) as u64,
                    };
                    read(bytes, inner, false, rows, mended, rejects);
                }
            } else if let Some(whole) = surrogate::mend(text) {
                mended.push((span, whole));
            } else {
                rejects.push(Reject::new(bytes, span, reason));
            }
        }
    }
}

/// The events of a page whose first key is not `entries`, which the framing takes for an event. What
/// has an action is an event, whatever else it holds.
fn entries(text: &str) -> Option<Vec<&str>> {
    #[derive(Deserialize)]
    struct Page<'a> {
        #[serde(borrow)]
        entries: Vec<&'a RawValue>,
        action: Option<IgnoredAny>,
    }
    text.contains("\"entries\"")
        .then(|| serde_json::from_str::<Page>(text).ok())?
        .filter(|page| page.action.is_none())
        .map(|page| page.entries.into_iter().map(RawValue::get).collect())
}

/// Decodes the text and checks what every event must have; returns its time in microseconds too.
fn parse(text: &str) -> Result<(Event<'_>, i64), String> {
    if too_deep(text.as_bytes()) {
        return Err(format!("nested deeper than {MAX_DEPTH} levels"));
    }
    if !text.starts_with('{') {
        return Err("not a JSON object".to_owned());
    }
    let event: Event = serde_json::from_str(text).map_err(|error| error.to_string())?;
    for (name, value) in [
        ("id", &event.id),
        ("date_create", &event.date_create),
        ("action", &event.action),
    ] {
        if value.filled().is_none() {
            return Err(if event.is_page {
                "a page of entries, not an event".to_owned()
            } else {
                format!("`{name}` is missing")
            });
        }
    }
    let written = event.date_create.get().unwrap_or_default();
    let micros = time::parse(written).ok_or_else(|| {
        format!("`date_create` is `{written}`, not Unix seconds of the years 1970 to 2261")
    })?;
    Ok((event, micros))
}

/// Whether objects and arrays nest too deep. Most lines hold fewer brackets than levels allowed and
/// are not looked at twice.
fn too_deep(text: &[u8]) -> bool {
    let open = |byte: &u8| matches!(byte, b'{' | b'[');
    if text.iter().filter(|byte| open(byte)).count() <= MAX_DEPTH {
        return false;
    }
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest > MAX_DEPTH
}

/// Builds the columns of the rows.
fn build(block: &Buffer, rows: &[Row<'_>], columns: ColumnSet) -> RecordBatch {
    let wire: ColumnSet = columns.iter().filter(|column| !column.enriched()).collect();
    let arrays: Vec<ArrayRef> = wire
        .iter()
        .map(|column| array(block, rows, column))
        .collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    match RecordBatch::try_new_with_options(wire.schema(), arrays, &options) {
        Ok(batch) => batch,
        // The arrays are built from the schema's own types, one value a row.
        Err(error) => unreachable!("columns do not fit their schema: {error}"),
    }
}

fn array(block: &Buffer, rows: &[Row<'_>], column: Column) -> ArrayRef {
    match column {
        Column::EventTime | Column::OrderTime => Arc::new(
            TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| row.micros))
                .with_timezone(UTC),
        ),
        Column::Action => {
            let mut builder = StringDictionaryBuilder::<Int32Type>::new();
            for row in rows {
                builder.append_value(row.event.action.get().unwrap_or_default());
            }
            Arc::new(builder.finish())
        }
        Column::OwnContext => Arc::new(BooleanArray::from_iter(
            rows.iter().map(|row| Some(own_context(&row.event))),
        )),
        Column::Raw => {
            let mut texts = Texts::new(block, rows.len());
            for row in rows {
                texts.append_range(row.span.start, row.span.end - row.span.start);
            }
            texts.finish()
        }
        Column::Details => {
            let mut texts = Texts::new(block, rows.len());
            for row in rows {
                // Whatever reads JSON in SQL gives up at a lone surrogate.
                let mended = row.event.details.and_then(surrogate::mend);
                texts.append(mended.as_deref().or(row.event.details));
            }
            texts.finish()
        }
        _ => {
            let mut texts = Texts::new(block, rows.len());
            for row in rows {
                texts.append(text(&row.event, column));
            }
            texts.finish()
        }
    }
}

/// Whether the event proves that its actor held a session and that the context is his.
pub fn own_context(event: &Event<'_>) -> bool {
    action::own_context(
        event.action.get().and_then(action::find),
        &Evidence {
            actor_type: event.actor.kind.get(),
            actor_id: event.actor.body.id.get(),
            actor_email: event.actor.body.email.get(),
            is_by_app: event
                .context
                .app
                .id
                .filled()
                .or(event.context.app.name.filled())
                .is_some(),
            ip: event.context.ip.get(),
            is_by_agent: event.is_by_agent || event.context.is_by_agent,
            details: event.details,
        },
    )
}

/// The value of a text column; the empty string counts as absent, but in the location.
pub fn text<'e>(event: &'e Event<'_>, column: Column) -> Option<&'e str> {
    let context = &event.context;
    match column {
        Column::EventId => event.id.get(),
        Column::Action => event.action.get(),
        Column::ActorType => event.actor.kind.filled(),
        Column::ActorId => event.actor.body.id.filled(),
        Column::ActorName => event.actor.body.name.filled(),
        Column::ActorEmail => event.actor.body.email.filled(),
        Column::ActorTeam => event.actor.body.team.filled(),
        Column::EntityType => event.entity.kind.filled(),
        Column::EntityId => event.entity.body.id.filled(),
        Column::EntityName => title(&event.entity.body.name, &event.entity.body.title),
        Column::LocationType => context.location.kind.get(),
        Column::LocationId => context.location.id.get(),
        Column::LocationName => context.location.name.get(),
        Column::LocationDomain => context.location.domain.get(),
        Column::Ip => context.ip.filled(),
        Column::UserAgent => context.user_agent.filled(),
        Column::SessionId => context.session_id.filled(),
        Column::AppId => context.app.id.filled(),
        Column::AppName => context.app.name.filled(),
        Column::Details => event.details,
        _ => None,
    }
}

/// Canvases have a title and no name.
fn title<'e>(name: &'e Text<'_>, title: &'e Text<'_>) -> Option<&'e str> {
    name.filled().or(title.filled())
}

/// A text column whose values are views into the chunk where they stand there, else copies.
struct Texts<'a> {
    builder: StringViewBuilder,
    bytes: &'a [u8],
    block: u32,
}

impl<'a> Texts<'a> {
    fn new(block: &'a Buffer, rows: usize) -> Self {
        let mut builder = StringViewBuilder::with_capacity(rows);
        let id = builder.append_block(block.clone());
        Self {
            builder,
            bytes: block.as_slice(),
            block: id,
        }
    }

    fn append(&mut self, text: Option<&str>) {
        let Some(text) = text else {
            self.builder.append_null();
            return;
        };
        let base = self.bytes.as_ptr() as usize;
        match (text.as_ptr() as usize).checked_sub(base) {
            Some(start) if start + text.len() <= self.bytes.len() => {
                self.append_range(start, text.len());
            }
            _ => self.builder.append_value(text),
        }
    }

    fn append_range(&mut self, start: usize, len: usize) {
        // Views count in 32 bits; a chunk is far smaller, but a huge page might not be.
        let view = u32::try_from(start).ok().zip(u32::try_from(len).ok());
        let shared = view.is_some_and(|(start, len)| {
            self.builder.try_append_view(self.block, start, len).is_ok()
        });
        if !shared {
            let text: Cow<'_, str> = String::from_utf8_lossy(&self.bytes[start..start + len]);
            self.builder.append_value(text);
        }
    }

    fn finish(mut self) -> ArrayRef {
        Arc::new(self.builder.finish())
    }
}
