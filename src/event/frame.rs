//! Framing: from a byte stream to chunks of whole events, without reading what they say.
//!
//! Two ways lead there. *Lines* (NDJSON) are found with `memchr` and handed on as they stand.
//! *Documents* (pages, arrays, anything pretty-printed) go through a small state machine that knows
//! strings and brackets. The first line decides: one that begins an array or a page, or that is not
//! one whole object, makes the input documents. In lines, a line that begins an array or a page is
//! a document, too. A broken event costs itself, seldom its neighbours.

mod block;
mod document;
mod scan;
#[cfg(test)]
mod tests;

use memchr::{memchr, memchr_iter};

use block::{Block, Place, content, lines};
use document::Document;

/// The longest event; lines and elements beyond it are refused and never held in memory.
pub const MAX_EVENT_BYTES: usize = 1 << 20;

/// The most that is kept of what is refused.
const KEPT_BYTES: usize = 4 << 10;

/// The most that is looked at in one go; what a chunk may exceed its target by.
const STEP_BYTES: usize = 64 << 10;

/// Where an event stands in its chunk and in its input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    /// Where it begins in the bytes of its chunk.
    pub start: usize,
    /// Where it ends there.
    pub end: usize,
    /// The line of the input on which it begins, from 1.
    pub line: u64,
    /// Where it begins in the (decompressed) input, in bytes from 0.
    pub offset: u64,
}

/// A piece of input holding whole events.
#[derive(Debug)]
pub struct Chunk {
    /// The events, one after the other.
    pub bytes: Vec<u8>,
    /// Where in `bytes` they stand; [`spans`] reads it.
    pub layout: Layout,
    /// What was refused since the chunk before, in the order of the input.
    pub refused: Vec<Refused>,
}

/// How events stand in a chunk.
#[derive(Debug)]
pub enum Layout {
    /// Every line is one event or blank.
    Lines {
        /// The line of the input that stands first, from 1.
        line: u64,
        /// Where it begins in the input, in bytes from 0.
        offset: u64,
    },
    /// They stand where the spans say, in this order.
    Spans(Vec<Span>),
}

/// What cannot be an event: too long, unbalanced, cut off.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    /// The line of the input on which it begins, from 1.
    pub line: u64,
    /// Where it begins in the (decompressed) input, in bytes from 0.
    pub offset: u64,
    /// Its whole length; 0 where something is missing.
    pub bytes: u64,
    /// Why it is no event.
    pub reason: String,
    /// At most the first 4 KiB of it; a character of UTF-8 is not cut apart.
    pub text: Vec<u8>,
}

impl Refused {
    fn new(place: Place, bytes: u64, reason: impl Into<String>, beginning: &[u8]) -> Self {
        let kept = &beginning[..beginning.len().min(KEPT_BYTES)];
        let whole = match std::str::from_utf8(kept) {
            Err(error) if bytes > kept.len() as u64 && error.error_len().is_none() => {
                error.valid_up_to()
            }
            _ => kept.len(),
        };
        Self {
            line: place.line,
            offset: place.offset,
            bytes,
            reason: reason.into(),
            text: kept[..whole].to_vec(),
        }
    }
}

/// Iterates over the events of a chunk in the order of the input. Lines come without the white
/// space around them, blank ones not at all.
pub fn spans(chunk: &Chunk) -> impl Iterator<Item = Span> + '_ {
    let (first, listed) = match &chunk.layout {
        Layout::Lines { line, offset } => (Some((*line, *offset)), &[][..]),
        Layout::Spans(spans) => (None, &spans[..]),
    };
    first
        .map(|(line, offset)| lines(&chunk.bytes, 0, Place { line, offset }))
        .into_iter()
        .flatten()
        .chain(listed.iter().copied())
}

/// Cuts a byte stream into events: takes pieces of any size and gives chunks. Where one piece ends
/// and the next begins never shows in the events. Holds one chunk, one event and 64 KiB at most.
pub struct Framer {
    step: usize,
    block: Block,
    mode: Mode,
    /// Where the next byte stands, or the line of `carry` begins.
    place: Place,
    /// A line that is not complete yet; empty but in [`Mode::Lines`].
    carry: Vec<u8>,
    /// Whether a line was seen that is not blank.
    has_begun: bool,
}

enum Mode {
    /// At the beginning of a line, or inside the one in `carry`.
    Lines,
    /// Inside a line that is refused for its length.
    LongLine(LongLine),
    Document {
        document: Document,
        /// Whether lines follow its last line, not further documents.
        then_lines: bool,
    },
}

/// What a line is to the framing.
#[derive(Clone, Copy)]
enum Verdict {
    /// An event, or blank.
    Plain,
    TooLong,
    /// The beginning of documents: of one, or of all there is.
    Document {
        then_lines: bool,
    },
}

impl Framer {
    /// A framer at the beginning of an input, for chunks of about `target` bytes.
    pub fn new(target: usize) -> Self {
        Self {
            step: target.clamp(64, STEP_BYTES),
            block: Block::new(target),
            mode: Mode::Lines,
            place: Place::FIRST,
            carry: Vec::new(),
            has_begun: false,
        }
    }

    /// Takes the next piece of the input and gives the chunks that became complete.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<Chunk>) {
        for part in piece.chunks(self.step) {
            self.take_all(part);
            self.block.give_if_full(out);
        }
    }

    /// Ends the input and gives what is left. The framer then stands at the beginning of another.
    pub fn finish(&mut self, out: &mut Vec<Chunk>) {
        if !self.carry.is_empty() {
            self.judge_carry();
        }
        match std::mem::replace(&mut self.mode, Mode::Lines) {
            Mode::Lines => {}
            Mode::LongLine(line) => self.block.refuse(line.refuse()),
            Mode::Document { mut document, .. } => document.finish(self.place, &mut self.block),
        }
        self.place = Place::FIRST;
        self.has_begun = false;
        self.block.give(out);
    }

    fn take_all(&mut self, mut part: &[u8]) {
        while !part.is_empty() {
            let taken = self.take(part);
            part = &part[taken..];
        }
    }

    /// Takes bytes from the beginning of `part`; returns how many, none only where the mode changes
    /// or will.
    fn take(&mut self, part: &[u8]) -> usize {
        match &mut self.mode {
            Mode::Lines if self.carry.is_empty() => self.take_lines(part),
            Mode::Lines => self.take_rest_of_line(part),
            Mode::LongLine(line) => {
                let end = memchr(b'\n', part);
                let taken = end.map_or(part.len(), |end| end + 1);
                line.skip(&part[..end.unwrap_or(taken)]);
                self.place.offset += taken as u64;
                if end.is_some() {
                    self.place.line += 1;
                    let refused = line.refuse();
                    self.block.refuse(refused);
                    self.mode = Mode::Lines;
                }
                taken
            }
            Mode::Document {
                document,
                then_lines,
            } => {
                let taken = document.take(part, &mut self.place, &mut self.block);
                if *then_lines && document.is_at_line() {
                    self.mode = Mode::Lines;
                }
                taken
            }
        }
    }

    /// Lines from the first byte of `part`. The one copy of the data is made here, of many lines at
    /// once.
    fn take_lines(&mut self, part: &[u8]) -> usize {
        let mut start = 0;
        let mut next = self.place;
        let mut verdict = Verdict::Plain;
        for end in memchr_iter(b'\n', part) {
            verdict = self.judge(&part[start..end]);
            if !matches!(verdict, Verdict::Plain) {
                break;
            }
            next.pass_line(end + 1 - start);
            start = end + 1;
        }
        self.block.add_lines(&part[..start], self.place);
        self.place = next;
        if self.obey(verdict) {
            self.carry.extend_from_slice(&part[start..]);
            start = part.len();
        }
        start
    }

    /// More of a line that began in an earlier part.
    fn take_rest_of_line(&mut self, part: &[u8]) -> usize {
        let end = memchr(b'\n', part);
        let taken = end.map_or(part.len(), |end| end + 1);
        self.carry.extend_from_slice(&part[..taken]);
        if end.is_some() || self.carry.len() > MAX_EVENT_BYTES {
            self.judge_carry();
        }
        taken
    }

    /// The line in `carry` is complete, or too long to wait for its end.
    fn judge_carry(&mut self) {
        let line = std::mem::take(&mut self.carry);
        let verdict = self.judge(line.strip_suffix(b"\n").unwrap_or(&line));
        if self.obey(verdict) {
            self.block.add_lines(&line, self.place);
            self.place.pass_line(line.len());
        } else {
            self.take_all(&line);
        }
    }

    /// Judges a line by its first `MAX_EVENT_BYTES` + 1 bytes, so that the verdict is the same
    /// however much of a longer one is known.
    fn judge(&mut self, line: &[u8]) -> Verdict {
        let is_too_long = line.len() > MAX_EVENT_BYTES;
        let known = &line[..line.len().min(MAX_EVENT_BYTES + 1)];
        let text = &known[content(known)];
        let is_first = !self.has_begun && !text.is_empty();
        self.has_begun |= is_first;
        let is_open = || is_too_long || !Document::is_one_object(text);
        let is_document = begins_document(text) || is_first && text.starts_with(b"{") && is_open();
        if is_document {
            Verdict::Document {
                then_lines: !is_first,
            }
        } else if is_too_long {
            Verdict::TooLong
        } else {
            Verdict::Plain
        }
    }

    /// Changes the mode as the verdict wants it; returns whether lines go on.
    fn obey(&mut self, verdict: Verdict) -> bool {
        self.mode = match verdict {
            Verdict::Plain => return true,
            Verdict::TooLong => Mode::LongLine(LongLine::new(self.place)),
            Verdict::Document { then_lines } => Mode::Document {
                document: Document::default(),
                then_lines,
            },
        };
        false
    }
}

/// Whether an array or a page begins here, however long it is.
fn begins_document(text: &[u8]) -> bool {
    match text.strip_prefix(b"{") {
        Some(inside) => inside.trim_ascii_start().starts_with(b"\"entries\""),
        None => text.starts_with(b"["),
    }
}

/// A line that is skipped.
struct LongLine {
    place: Place,
    bytes: u64,
    beginning: Vec<u8>,
}

impl LongLine {
    fn new(place: Place) -> Self {
        Self {
            place,
            bytes: 0,
            beginning: Vec::new(),
        }
    }

    fn skip(&mut self, more: &[u8]) {
        let room = KEPT_BYTES - self.beginning.len();
        self.beginning
            .extend_from_slice(&more[..more.len().min(room)]);
        self.bytes += more.len() as u64;
    }

    fn refuse(&self) -> Refused {
        let bytes = self.bytes;
        let reason = format!("the line has {bytes} bytes, more than the {MAX_EVENT_BYTES} allowed");
        Refused::new(self.place, bytes, reason, &self.beginning)
    }
}
