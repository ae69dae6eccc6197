//! A quick reader of usual lines. Whatever it does not know to be right it leaves to `serde_json`:
//! escapes in what is read, white space other than blanks, numbers other than short whole ones, deep
//! nesting, bad JSON.

use std::borrow::Cow;

use super::{Event, Fields, Text, Values};

/// Deeper nesting is left alone.
const MAX_DEPTH: usize = 60;

/// The event that the text is; `None` if the line is not a usual one, which says nothing of whether
/// it is right.
pub(super) fn read(text: &str) -> Option<Event<'_>> {
    let mut scanner = Scanner { text, at: 0 };
    let event = scanner.object().ok()?;
    scanner.skip_spaces();
    (scanner.at == text.len()).then_some(event)
}

/// How many bytes stand before the first that ends a string, begins an escape or may not be in one.
fn special(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let (words, rest) = bytes.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        // The lowest set bit is right in each: borrows go upwards only.
        let zeros = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
        let quote = zeros(word ^ (ONES * b'"' as u64));
        let escape = zeros(word ^ (ONES * b'\\' as u64));
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        let found = quote | escape | control;
        if found != 0 {
            return 8 * at + found.trailing_zeros() as usize / 8;
        }
    }
    let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    8 * words.len() + rest.iter().position(is_special).unwrap_or(rest.len())
}

/// The line is not a usual one.
#[derive(Debug)]
struct Odd;

struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    fn peek(&self) -> u8 {
        // No byte of JSON is 0 outside of strings.
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    fn skip_spaces(&mut self) {
        while self.peek() == b' ' {
            self.at += 1;
        }
    }

    /// Whether the byte comes next, after spaces; it is passed then.
    fn passes(&mut self, byte: u8) -> bool {
        self.skip_spaces();
        let is_it = self.peek() == byte;
        self.at += usize::from(is_it);
        is_it
    }

    fn pass(&mut self, byte: u8) -> Result<(), Odd> {
        if self.passes(byte) { Ok(()) } else { Err(Odd) }
    }

    /// The string whose quote comes next, if it holds no escape.
    fn string(&mut self) -> Result<&'a str, Odd> {
        self.pass(b'"')?;
        let start = self.at;
        self.at += special(&self.text.as_bytes()[start..]);
        let text = &self.text[start..self.at];
        if self.peek() != b'"' {
            return Err(Odd);
        }
        self.at += 1;
        Ok(text)
    }

    /// Passes the string whose quote comes next.
    fn pass_string(&mut self) -> Result<(), Odd> {
        self.pass(b'"')?;
        loop {
            self.at += special(&self.text.as_bytes()[self.at..]);
            match self.peek() {
                b'"' => {
                    self.at += 1;
                    return Ok(());
                }
                b'\\' => {
                    self.at += 1;
                    match self.peek() {
                        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 1,
                        // Four digits would have to follow.
                        _ => return Err(Odd),
                    }
                }
                _ => return Err(Odd),
            }
        }
    }

    /// A whole number of at most 18 digits.
    fn number(&mut self) -> Result<&'a str, Odd> {
        let start = self.at;
        self.at += usize::from(self.peek() == b'-');
        let first = self.at;
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
        let digits = &self.text.as_bytes()[first..self.at];
        let is_plain = match digits {
            [b'0'] => start == first,
            [b'1'..=b'9', more @ ..] => more.len() < 18,
            _ => false,
        };
        // A fraction or an exponent would follow.
        if !is_plain || matches!(self.peek(), b'.' | b'e' | b'E') {
            return Err(Odd);
        }
        Ok(&self.text[start..self.at])
    }

    fn word(&mut self, word: &'static str) -> Result<&'static str, Odd> {
        if self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            return Ok(word);
        }
        Err(Odd)
    }

    /// Passes a value of any kind.
    fn value(&mut self, depth: usize) -> Result<(), Odd> {
        self.skip_spaces();
        match self.peek() {
            b'"' => self.pass_string(),
            b'{' | b'[' if depth == MAX_DEPTH => Err(Odd),
            b'{' => self.members(|scanner, _| scanner.value(depth + 1)),
            b'[' => {
                self.at += 1;
                if self.passes(b']') {
                    return Ok(());
                }
                loop {
                    self.value(depth + 1)?;
                    if !self.passes(b',') {
                        return self.pass(b']');
                    }
                }
            }
            b't' => self.word("true").map(drop),
            b'f' => self.word("false").map(drop),
            b'n' => self.word("null").map(drop),
            _ => self.number().map(drop),
        }
    }

    /// The members of the object that comes next, each by its key.
    fn members(
        &mut self,
        mut each: impl FnMut(&mut Self, &'a str) -> Result<(), Odd>,
    ) -> Result<(), Odd> {
        self.pass(b'{')?;
        if self.passes(b'}') {
            return Ok(());
        }
        loop {
            let key = self.string()?;
            self.pass(b':')?;
            each(self, key)?;
            if !self.passes(b',') {
                return self.pass(b'}');
            }
        }
    }
}

impl<'a> Values<'a> for Scanner<'a> {
    type Error = Odd;

    fn text(&mut self) -> Result<Text<'a>, Odd> {
        self.skip_spaces();
        let text = match self.peek() {
            b'"' => self.string()?,
            b't' => self.word("true")?,
            b'f' => self.word("false")?,
            b'n' => {
                self.word("null")?;
                return Ok(Text(None));
            }
            b'{' | b'[' => {
                self.value(0)?;
                return Ok(Text(None));
            }
            _ => self.number()?,
        };
        Ok(Text(Some(Cow::Borrowed(text))))
    }

    fn object<T: Fields<'a>>(&mut self) -> Result<T, Odd> {
        self.skip_spaces();
        let mut object = T::default();
        if self.peek() == b'{' {
            self.members(|scanner, key| object.take(key, scanner))?;
        } else {
            self.value(0)?;
        }
        Ok(object)
    }

    fn raw(&mut self) -> Result<&'a str, Odd> {
        self.skip_spaces();
        let start = self.at;
        self.value(0)?;
        Ok(&self.text[start..self.at])
    }

    fn skip(&mut self) -> Result<(), Odd> {
        self.value(0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Parts of lines, so that random ones are often nearly right.
    const PARTS: &[&str] = &[
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        " ",
        "\"",
        "\\",
        "\\n",
        "\t",
        "null",
        "true",
        "false",
        "0",
        "-0",
        "12",
        "-3",
        "1.5",
        "1e3",
        "01",
        "123456789012345678901",
        "\"id\"",
        "\"date_create\"",
        "\"action\"",
        "\"actor\"",
        "\"type\"",
        "\"user\"",
        "\"details\"",
        "\"context\"",
        "\"app\"",
        "\"location\"",
        "\"acting_agent\"",
        "\"entries\"",
        "\"name\"",
        "{\"type\":\"user\",\"user\":",
        "{\"id\":\"W1\"}",
        "ä",
        "\u{0}",
        "{}",
        "[]",
        "[1,2]",
        "\"x\":{\"y\":[{}]},",
    ];

    fn check(text: &str) -> Result<(), TestCaseError> {
        if let Some(scanned) = read(text) {
            let parsed = serde_json::from_str::<Event>(text);
            prop_assert!(parsed.is_ok(), "{}", text);
            prop_assert_eq!(scanned, parsed.unwrap(), "{}", text);
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn says_what_serde_says(parts in prop::collection::vec(prop::sample::select(PARTS), 0..24)) {
            check(&parts.concat())?;
        }

        #[test]
        fn changed_lines_are_read_alike(at in 0..LINE.len(), part in prop::sample::select(PARTS), cut in 0..4_usize) {
            let end = (at + cut).min(LINE.len());
            check(&[&LINE[..at], part, &LINE[end..]].concat())?;
        }
    }

    #[test]
    fn what_is_special_is_found_wherever_it_stands() {
        for length in 0..40 {
            for special_byte in [b'"', b'\\', 0, 0x1f, b'\n'] {
                let mut bytes = [b'a', 0x7f, 0x80, b'!', b'#', b'[', b']', 0xff].repeat(5);
                bytes.truncate(length);
                assert_eq!(special(&bytes), length);
                for at in 0..length {
                    let mut bytes = bytes.clone();
                    bytes[at] = special_byte;
                    assert_eq!(special(&bytes), at, "{bytes:?}");
                }
            }
        }
    }

    const LINE: &str = r#"{"id":"0123","date_create":1521214343,"action":"user_login","actor":{"type":"user","user":{"id":"W123","name":"Charlie","email":"bird@slack.com","team":"T1"}},"entity":{"type":"user","user":{"id":"W123","name":null}},"context":{"location":{"type":"enterprise","id":"E1","name":"Birdland","domain":"birdland"},"ua":"Mozilla/5.0","ip_address":"1.23.45.678","session_id":847288190092,"app":{"id":"A1","scopes":["a","b"]}},"details":{"x":[1,2,{"y":false}]}}"#;

    #[test]
    fn a_usual_line_is_read_here() {
        let event = read(LINE).unwrap();
        assert_eq!(event, serde_json::from_str(LINE).unwrap());
        assert_eq!(event.context.session_id.get(), Some("847288190092"));
        assert_eq!(event.details, Some(r#"{"x":[1,2,{"y":false}]}"#));
    }
}
