//! Documents: pages, arrays of events, single events, one after the other, however they are printed.

use super::block::{BYTE_ORDER_MARK, Block, Place};
use super::scan::{Scan, Stop};
use super::{KEPT_BYTES, MAX_EVENT_BYTES, Refused};

/// Stands between, or inside, the documents of an input. Elements need no commas between them; what
/// is broken is refused to the end of its line, and the next line is tried.
#[derive(Default)]
pub(super) struct Document {
    state: State,
    /// Inside an array that is a document.
    in_array: bool,
    /// Inside the `entries` of a page, which may itself be an element of that array.
    in_page: bool,
    /// See [`Document::is_at_line`].
    is_at_line: bool,
    /// How much of a byte-order mark was seen.
    mark: usize,
    value: Value,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum State {
    #[default]
    Between,
    Inside,
    /// The rest of a line belongs to a value that is refused for the reason given.
    Refusing(&'static str),
}

/// What is being read, from its first byte on.
struct Value {
    kind: Kind,
    place: Place,
    scan: Scan,
    bytes: usize,
    /// How many of these without white space at the end.
    solid: usize,
    /// All of an event, else at most `KEPT_BYTES`.
    text: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// An object: an event, unless it turns out to be a page.
    Event,
    /// What follows the entries of a page.
    PageEnd,
    /// Anything else.
    Other,
}

impl Document {
    /// Whether the text, a line, is one object and no more, or so broken that nothing that follows
    /// it can belong to it.
    pub fn is_one_object(text: &[u8]) -> bool {
        let mut document = Self::default();
        let mut block = Block::new(usize::MAX);
        let mut place = Place::FIRST;
        for piece in [text, b"\n"] {
            let mut at = 0;
            while at < piece.len() {
                at += document.take(&piece[at..], &mut place, &mut block);
            }
        }
        document.is_between() && block.extents().eq([(0, text.len() as u64)])
    }

    /// Whether no document is open.
    pub fn is_between(&self) -> bool {
        self.state == State::Between && !self.in_array && !self.in_page
    }

    /// Whether the last take ended where a line begins and no document is open.
    pub fn is_at_line(&self) -> bool {
        self.is_at_line
    }

    /// Takes bytes from the beginning of `piece`, which stands at `place`; returns how many. Stops
    /// where a line begins and no document is open; there only it may take none, once.
    pub fn take(&mut self, piece: &[u8], place: &mut Place, block: &mut Block) -> usize {
        self.is_at_line = false;
        let mut at = 0;
        while at < piece.len() && !self.is_at_line {
            let rest = &piece[at..];
            at += match self.state {
                State::Between => self.pass_between(rest, place),
                State::Inside => self.pass_value(rest, place, block),
                State::Refusing(reason) => self.pass_refused(rest, place, block, reason),
            };
        }
        at
    }

    /// The input ends at `place`.
    pub fn finish(&mut self, place: Place, block: &mut Block) {
        if self.mark > 0 {
            self.begin(Kind::Other, place);
            self.refuse("neither an event nor a page", block);
        }
        let inside = match self.value.kind {
            _ if self.state == State::Between && self.in_page => "a page",
            _ if self.state == State::Between => "an array",
            Kind::Event => "an object",
            Kind::PageEnd => "a page",
            Kind::Other => "an array",
        };
        let reason = format!("the input ends inside {inside}");
        match self.state {
            State::Between if self.is_between() => {}
            State::Between => block.refuse(Refused::new(place, 0, reason, &[])),
            State::Inside => self.refuse(&reason, block),
            State::Refusing(reason) => self.refuse(reason, block),
        }
    }

    /// White space, commas and brackets up to the next value, or to the end of a line.
    fn pass_between(&mut self, piece: &[u8], place: &mut Place) -> usize {
        for (at, &byte) in piece.iter().enumerate() {
            let is_outside = self.is_between();
            if self.mark > 0 && byte != BYTE_ORDER_MARK[self.mark] {
                self.refuse_line(*place);
                return at;
            }
            match byte {
                b' ' | b'\t' | b'\r' | b',' => {}
                b'\n' => place.line += 1,
                b'[' if is_outside => self.in_array = true,
                b']' if self.in_page => {
                    place.offset += 1;
                    self.in_page = false;
                    self.begin(Kind::PageEnd, *place);
                    return at + 1;
                }
                b']' if self.in_array => self.in_array = false,
                b'{' => {
                    self.begin(Kind::Event, *place);
                    return at;
                }
                _ if is_outside && byte == BYTE_ORDER_MARK[self.mark] => {
                    self.mark = (self.mark + 1) % BYTE_ORDER_MARK.len();
                }
                _ if is_outside => {
                    self.refuse_line(*place);
                    return at;
                }
                _ => {
                    self.begin(Kind::Other, *place);
                    return at;
                }
            }
            place.offset += 1;
            if byte == b'\n' && is_outside {
                self.is_at_line = true;
                return at + 1;
            }
        }
        piece.len()
    }

    fn pass_value(&mut self, piece: &[u8], place: &mut Place, block: &mut Block) -> usize {
        let (taken, stop) = self.value.scan.run(piece, &mut place.line);
        self.value.keep(&piece[..taken]);
        place.offset += taken as u64;
        match stop {
            Stop::More => {}
            Stop::Closed => self.close(block),
            Stop::Entries => {
                self.in_page = true;
                self.state = State::Between;
            }
            Stop::OpenString => self.refuse("a string does not end on its line", block),
            Stop::Restart => {
                self.refuse("the object does not end before the next begins", block);
                self.is_at_line = self.is_between();
            }
            Stop::Mismatch => self.state = State::Refusing("brackets that do not match"),
        }
        taken
    }

    /// The rest of the line, whose end is left to what comes next.
    fn pass_refused(
        &mut self,
        piece: &[u8],
        place: &mut Place,
        block: &mut Block,
        reason: &'static str,
    ) -> usize {
        let end = memchr::memchr(b'\n', piece);
        let taken = end.unwrap_or(piece.len());
        self.value.keep(&piece[..taken]);
        place.offset += taken as u64;
        if end.is_some() {
            self.refuse(reason, block);
        }
        taken
    }

    /// Begins a value at `place`, or as far before it as a byte-order mark was seen.
    fn begin(&mut self, kind: Kind, mut place: Place) {
        let mark = &BYTE_ORDER_MARK[..std::mem::take(&mut self.mark)];
        place.offset -= mark.len() as u64;
        let scan = match kind {
            Kind::PageEnd => Scan::behind_entries(),
            Kind::Event | Kind::Other => Scan::default(),
        };
        self.value.begin(kind, place, scan);
        self.value.keep(mark);
        self.state = State::Inside;
    }

    fn refuse_line(&mut self, place: Place) {
        self.begin(Kind::Other, place);
        self.state = State::Refusing("neither an event nor a page");
    }

    /// The value is complete.
    fn close(&mut self, block: &mut Block) {
        let bytes = self.value.bytes;
        match self.value.kind {
            Kind::Event if bytes > MAX_EVENT_BYTES => {
                let reason =
                    format!("the event has {bytes} bytes, more than the {MAX_EVENT_BYTES} allowed");
                self.refuse(&reason, block);
            }
            Kind::Event => block.add_event(&self.value.text, self.value.place),
            Kind::PageEnd if self.value.scan.is_event() => {
                self.refuse("an object with entries and an action", block);
            }
            Kind::PageEnd => {}
            Kind::Other => self.refuse("an element that is not an object", block),
        }
        self.state = State::Between;
    }

    fn refuse(&mut self, reason: &str, block: &mut Block) {
        let Value { place, solid, .. } = self.value;
        let text = &self.value.text[..self.value.text.len().min(solid)];
        block.refuse(Refused::new(place, solid as u64, reason, text));
        self.state = State::Between;
    }
}

impl Default for Value {
    fn default() -> Self {
        Self {
            kind: Kind::Other,
            place: Place::FIRST,
            scan: Scan::default(),
            bytes: 0,
            solid: 0,
            text: Vec::new(),
        }
    }
}

impl Value {
    /// Begins another value in the same memory.
    fn begin(&mut self, kind: Kind, place: Place, scan: Scan) {
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        *self = Self {
            kind,
            place,
            scan,
            bytes: 0,
            solid: 0,
            text,
        };
    }

    fn keep(&mut self, more: &[u8]) {
        let is_solid = |byte: &u8| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        if let Some(last) = more.iter().rposition(is_solid) {
            self.solid = self.bytes + last + 1;
        }
        self.bytes += more.len();
        if self.kind == Kind::Event && self.bytes <= MAX_EVENT_BYTES {
            self.text.extend_from_slice(more);
        } else {
            let room = KEPT_BYTES.saturating_sub(self.text.len());
            self.text.extend_from_slice(&more[..more.len().min(room)]);
            self.text.truncate(KEPT_BYTES);
        }
    }
}
