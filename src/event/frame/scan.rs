//! One value of a document, byte by byte outside strings, in leaps inside them; resumable anywhere.

use memchr::memchr3;

/// How deep the kinds of brackets are told apart; deeper values are only counted.
const CHECKED_DEPTH: usize = 128;

/// What stopped a scan.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Stop {
    /// The piece is used up.
    More,
    /// The value is complete.
    Closed,
    /// The value is a page: its array of entries was just opened.
    Entries,
    /// A string meets the end of its line, which is not taken.
    OpenString,
    /// A line begins with a bracket that cannot follow what came before; it is not taken.
    Restart,
    /// A bracket closes one of the other kind.
    Mismatch,
}

/// Where in a value the scan stands; by default at its first byte.
#[derive(Default)]
pub(super) struct Scan {
    depth: usize,
    /// Whether the bracket at each depth opens an array, the innermost in the lowest bit.
    arrays: u128,
    /// Whether `arrays` forgot brackets.
    is_deep: bool,
    is_in_string: bool,
    is_escaped: bool,
    /// The byte before, white space left out; 0 at the beginning of a value.
    before: u8,
    /// Whether only white space came since the line began.
    is_line_fresh: bool,
    key: Key,
    /// Whether the outermost object has an action: an event, whatever else it holds.
    is_event: bool,
}

impl Scan {
    /// Behind the entries of a page, inside its object.
    pub fn behind_entries() -> Self {
        Self {
            depth: 1,
            before: b']',
            ..Self::default()
        }
    }

    /// Whether the outermost object has an action, as far as it was read.
    pub fn is_event(&self) -> bool {
        self.is_event
    }

    /// Scans on; returns how many bytes it took and why it stopped. Adds the lines passed.
    pub fn run(&mut self, piece: &[u8], line: &mut u64) -> (usize, Stop) {
        let mut at = 0;
        while at < piece.len() {
            if self.is_in_string {
                let (taken, stop) = self.string(&piece[at..]);
                at += taken;
                if stop != Stop::More {
                    return (at, stop);
                }
                continue;
            }
            let byte = piece[at];
            match byte {
                b' ' | b'\t' | b'\r' => {}
                b'\n' if self.depth == 0 => return (at, Stop::Closed),
                b'\n' => {
                    *line += 1;
                    self.is_line_fresh = true;
                }
                _ => {
                    let stop = self.token(byte);
                    match stop {
                        Some((stop, taken)) => return (at + taken, stop),
                        None => {
                            self.before = byte;
                            self.is_line_fresh = false;
                        }
                    }
                }
            }
            at += 1;
        }
        (at, Stop::More)
    }

    /// The inside of a string up to its end or its next escape.
    fn string(&mut self, piece: &[u8]) -> (usize, Stop) {
        if self.is_escaped && piece[0] != b'\n' {
            self.is_escaped = false;
            return (1, Stop::More);
        }
        let end = memchr3(b'"', b'\\', b'\n', piece);
        self.key.add(&piece[..end.unwrap_or(piece.len())]);
        match end.map(|end| (end, piece[end])) {
            None => (piece.len(), Stop::More),
            Some((end, b'"')) => {
                self.is_in_string = false;
                let is_all = self.depth == 0;
                (end + 1, if is_all { Stop::Closed } else { Stop::More })
            }
            Some((end, b'\\')) => {
                self.is_escaped = true;
                self.key.add(b"\\");
                (end + 1, Stop::More)
            }
            Some((end, _)) => (end, Stop::OpenString),
        }
    }

    /// A byte outside strings; where it stops the scan, whether it is taken (1) or not (0).
    fn token(&mut self, byte: u8) -> Option<(Stop, usize)> {
        // Beside brackets only bare words and numbers stand at depth 0, and these end it.
        let ends_word = matches!(byte, b'{' | b'[' | b'}' | b']' | b',' | b'"');
        if self.depth == 0 && self.before != 0 && ends_word {
            return Some((Stop::Closed, 0));
        }
        match byte {
            b'"' => {
                self.is_in_string = true;
                let is_key = self.depth == 1 && matches!(self.before, b'{' | b',');
                self.key.begin(is_key && !self.is_in_array());
                None
            }
            b'{' | b'[' => self.open(byte == b'['),
            b'}' | b']' => self.close(byte == b']'),
            b':' => {
                self.is_event |= self.depth == 1 && self.key.is(b"action");
                None
            }
            _ => None,
        }
    }

    fn open(&mut self, is_array: bool) -> Option<(Stop, usize)> {
        let may_stand = match self.before {
            0 | b':' => true,
            b'[' | b',' => self.is_in_array() || self.is_deep,
            _ => false,
        };
        if self.is_line_fresh && !may_stand {
            return Some((Stop::Restart, 0));
        }
        if is_array
            && self.depth == 1
            && self.before == b':'
            && self.key.is(b"entries")
            && !self.is_event
        {
            return Some((Stop::Entries, 1));
        }
        self.depth += 1;
        self.arrays = self.arrays << 1 | u128::from(is_array);
        self.is_deep |= self.depth > CHECKED_DEPTH;
        None
    }

    fn close(&mut self, is_array: bool) -> Option<(Stop, usize)> {
        if self.depth == 0 {
            return None;
        }
        if is_array != self.is_in_array() && !self.is_deep {
            return Some((Stop::Mismatch, 1));
        }
        self.depth -= 1;
        self.arrays >>= 1;
        (self.depth == 0).then_some((Stop::Closed, 1))
    }

    fn is_in_array(&self) -> bool {
        self.arrays & 1 == 1
    }
}

/// The last key of the outermost object, as far as it can be `entries`.
#[derive(Default)]
struct Key {
    /// Whether the string that is read, or was last, is such a key.
    is_one: bool,
    bytes: [u8; 8],
    length: usize,
}

impl Key {
    fn begin(&mut self, is_one: bool) {
        self.is_one = is_one;
        self.length = 0;
    }

    fn add(&mut self, more: &[u8]) {
        if !self.is_one {
            return;
        }
        let room = &mut self.bytes[self.length..];
        let n = more.len().min(room.len());
        room[..n].copy_from_slice(&more[..n]);
        self.length += n;
    }

    fn is(&self, name: &[u8]) -> bool {
        self.is_one && &self.bytes[..self.length] == name
    }
}
