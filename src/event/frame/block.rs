//! The chunk in the making.

use std::ops::Range;

use memchr::memchr;

use super::{Chunk, Layout, Refused, STEP_BYTES, Span};

/// What some editors and exports put before UTF-8.
pub(super) const BYTE_ORDER_MARK: [u8; 3] = [0xef, 0xbb, 0xbf];

/// A place in the input.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// From 1.
    pub line: u64,
    /// In bytes, from 0.
    pub offset: u64,
}

impl Place {
    pub const FIRST: Self = Self { line: 1, offset: 0 };

    pub fn pass_line(&mut self, bytes: usize) {
        self.line += 1;
        self.offset += bytes as u64;
    }
}

/// Collects whole events until there are enough of them for a chunk. Lines that stand side by side
/// in the input stay lines; anything else makes the block one of spans.
pub(super) struct Block {
    target: usize,
    bytes: Vec<u8>,
    /// Where the first line stands, as long as there are only lines.
    first: Place,
    spans: Option<Vec<Span>>,
    refused: Vec<Refused>,
    /// What `refused` holds in memory.
    refused_bytes: usize,
}

impl Block {
    pub fn new(target: usize) -> Self {
        Self {
            target,
            bytes: Vec::new(),
            first: Place::FIRST,
            spans: None,
            refused: Vec::new(),
            refused_bytes: 0,
        }
    }

    /// Adds whole lines, the first of which stands at `place`.
    pub fn add_lines(&mut self, text: &[u8], place: Place) {
        let start = self.bytes.len();
        if start == 0 && self.spans.is_none() {
            self.first = place;
        }
        let is_gapless = self.first.offset + start as u64 == place.offset;
        if text.is_empty() {
            return;
        }
        if self.spans.is_none() && is_gapless {
            self.bytes.extend_from_slice(text);
        } else {
            self.as_spans().extend(lines(text, start, place));
            self.bytes.extend_from_slice(text);
        }
    }

    /// Adds an event that stands at `place`.
    pub fn add_event(&mut self, text: &[u8], place: Place) {
        let start = self.bytes.len();
        self.as_spans().push(Span {
            start,
            end: start + text.len(),
            line: place.line,
            offset: place.offset,
        });
        self.bytes.extend_from_slice(text);
    }

    /// Adds what is no event.
    pub fn refuse(&mut self, refused: Refused) {
        self.refused_bytes += size_of::<Refused>() + refused.text.len() + refused.reason.len();
        self.refused.push(refused);
    }

    fn as_spans(&mut self) -> &mut Vec<Span> {
        self.spans
            .get_or_insert_with(|| lines(&self.bytes, 0, self.first).collect())
    }

    /// Gives a chunk when it holds enough, refused pieces and spans counted in.
    pub fn give_if_full(&mut self, out: &mut Vec<Chunk>) {
        let spans = self.spans.as_ref().map_or(0, Vec::len) * size_of::<Span>();
        if self.bytes.len() + spans + self.refused_bytes >= self.target {
            self.give(out);
            self.bytes.reserve_exact(self.target + STEP_BYTES);
        }
    }

    /// Gives a chunk of what there is.
    pub fn give(&mut self, out: &mut Vec<Chunk>) {
        if self.bytes.is_empty() && self.refused.is_empty() {
            return;
        }
        let layout = match self.spans.take() {
            Some(spans) => Layout::Spans(spans),
            None => Layout::Lines {
                line: self.first.line,
                offset: self.first.offset,
            },
        };
        out.push(Chunk {
            bytes: std::mem::take(&mut self.bytes),
            layout,
            refused: std::mem::take(&mut self.refused),
        });
        self.refused_bytes = 0;
    }

    /// Where in the input the events and the refused pieces begin, and how long they are.
    pub fn extents(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let events = self.spans.iter().flatten();
        let events = events.map(|span| (span.offset, (span.end - span.start) as u64));
        let refused = self.refused.iter();
        events.chain(refused.map(|refused| (refused.offset, refused.bytes)))
    }
}

/// The lines of `text` that are not blank. `start` is where it stands in its chunk, `place` where
/// in the input.
pub(super) fn lines(
    text: &[u8],
    start: usize,
    mut place: Place,
) -> impl Iterator<Item = Span> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < text.len() {
            let rest = &text[at..];
            let end = memchr(b'\n', rest);
            let event = content(&rest[..end.unwrap_or(rest.len())]);
            let span = Span {
                start: start + at + event.start,
                end: start + at + event.end,
                line: place.line,
                offset: place.offset + event.start as u64,
            };
            let taken = end.map_or(rest.len(), |end| end + 1);
            at += taken;
            place.pass_line(taken);
            if !event.is_empty() {
                return Some(span);
            }
        }
        None
    })
}

/// What stands in a line without the white space around it, and without a byte-order mark.
pub(super) fn content(line: &[u8]) -> Range<usize> {
    let is_solid = |byte: &u8| !matches!(byte, b' ' | b'\t' | b'\r');
    let marked = if line.starts_with(&BYTE_ORDER_MARK) {
        BYTE_ORDER_MARK.len()
    } else {
        0
    };
    let end = line.iter().rposition(is_solid).map_or(0, |last| last + 1);
    let start = line.iter().skip(marked).position(is_solid);
    match start.map(|start| start + marked) {
        Some(start) if start < end => start..end,
        _ => 0..0,
    }
}
