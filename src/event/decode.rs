//! Wire-form lines into a `RecordBatch`, column by column, only the columns asked for.

mod rows;

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use self::rows::Rows;
use super::action::{self, Evidence};
use super::frame::{self, Chunk, Span};
use super::reject::Reject;
use super::schema::{Column, ColumnSet};
use super::surrogate;
use super::time;
use super::wire::{self, Event, Text};

#[cfg(test)]
mod tests;

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
    let mut rows = Rows::new(&block, spans.len(), columns);
    for span in spans {
        read(block.as_slice(), span, true, &mut rows, &mut rejects);
    }
    rejects.sort_by_key(|reject| reject.offset);
    Decoded {
        batch: rows.finish(),
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

/// Reads what stands at `span`: an event or, where that may be, a page of them.
fn read(
    bytes: &[u8],
    span: Span,
    may_be_page: bool,
    rows: &mut Rows<'_>,
    rejects: &mut Vec<Reject>,
) {
    let line = &bytes[span.start..span.end];
    let Ok(text) = simdutf8::basic::from_utf8(line) else {
        let valid = std::str::from_utf8(line).map_or_else(|error| error.valid_up_to(), str::len);
        rejects.push(Reject::new(
            bytes,
            span,
            format!("not UTF-8 at byte {valid}"),
        ));
        return;
    };
    let reason = match parse(text) {
        Ok((event, micros)) => return rows.push(&event, micros, span),
        Err(reason) => reason,
    };
    if let Some(entries) = may_be_page.then(|| entries(text)).flatten() {
        for entry in entries {
            let start = entry.as_ptr() as usize - bytes.as_ptr() as usize;
            let inner = Span {
                start,
                end: start + entry.len(),
                line: span.line,
                offset: span.offset + (start - span.start) as u64,
            };
            read(bytes, inner, false, rows, rejects);
        }
        return;
    }
    let mended = surrogate::mend(text);
    match mended.as_deref().map(parse) {
        Some(Ok((event, micros))) => rows.push(&event, micros, span),
        Some(Err(reason)) => rejects.push(Reject::new(bytes, span, reason)),
        None => rejects.push(Reject::new(bytes, span, reason)),
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
    let event = wire::read(text).map_err(|error| error.to_string())?;
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
    // The two opening brackets differ in this bit alone. Sums of bytes are counted many at a time.
    let opened = |part: &[u8]| {
        part.iter()
            .map(|byte| u8::from(byte | 0x20 == b'{'))
            .sum::<u8>()
    };
    let brackets: usize = text.chunks(255).map(|part| usize::from(opened(part))).sum();
    if brackets <= MAX_DEPTH {
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

/// Whether the event proves that its actor held a session and that the context is his.
pub fn own_context(event: &Event<'_>) -> bool {
    action::own_context(
        event.action.get().and_then(action::find),
        &Evidence {
            actor_type: event.actor.kind_of_body(),
            actor_id: event.actor.body.id.get(),
            actor_email: event.actor.body.email.get(),
            is_by_app: event.context.is_by_app,
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
