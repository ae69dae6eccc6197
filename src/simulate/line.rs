//! JSON text, written without an intermediate value: at some hundred thousand events a second a
//! tree of values would cost more than everything else together.

/// Text under construction.
pub(super) struct Line(Vec<u8>);

impl Line {
    /// Goes on in `buffer`.
    pub(super) fn new(buffer: Vec<u8>) -> Self {
        Self(buffer)
    }

    pub(super) fn into_buffer(self) -> Vec<u8> {
        self.0
    }

    /// Appends what needs no escaping, or has it.
    pub(super) fn raw(&mut self, text: &str) -> &mut Self {
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    /// Appends `text` as the inside of a JSON string. Slashes are escaped too, as Slack does.
    pub(super) fn escaped(&mut self, text: &str) -> &mut Self {
        let must_escape = |byte: &u8| matches!(byte, 0..0x20 | b'"' | b'\\' | b'/');
        let mut rest = text.as_bytes();
        while let Some(at) = rest.iter().position(must_escape) {
            self.0.extend_from_slice(&rest[..at]);
            match rest[at] {
                b'\n' => self.raw("\\n"),
                b'\t' => self.raw("\\t"),
                byte @ (b'"' | b'\\' | b'/') => {
                    self.0.extend_from_slice(&[b'\\', byte]);
                    &mut *self
                }
                byte => self.raw("\\u00").hex(byte.into(), 2),
            };
            rest = &rest[at + 1..];
        }
        self.0.extend_from_slice(rest);
        self
    }

    /// Appends the number in decimal.
    pub(super) fn number(&mut self, number: u64) -> &mut Self {
        let mut digits = [0; 20];
        let mut start = digits.len();
        let mut left = number;
        loop {
            start -= 1;
            digits[start] = b'0' + (left % 10) as u8;
            left /= 10;
            if left == 0 {
                break;
            }
        }
        self.0.extend_from_slice(&digits[start..]);
        self
    }

    /// Appends the lowest `digits` hexadecimal digits of the number, in lower case.
    pub(super) fn hex(&mut self, number: u64, digits: u32) -> &mut Self {
        let digit = |shift: u32| b"0123456789abcdef"[(number >> (4 * shift)) as usize & 0xf];
        self.0.extend((0..digits).rev().map(digit));
        self
    }

    /// Appends a Slack id: the letter of its kind and ten digits to the base 36, from the number's
    /// lowest 50 bits.
    pub(super) fn id(&mut self, kind: &str, number: u64) -> &mut Self {
        const DIGITS: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
        let mut digits = [0; 10];
        let mut left = number & ((1 << 50) - 1);
        for digit in digits.iter_mut().rev() {
            *digit = DIGITS[(left % 36) as usize];
            left /= 36;
        }
        self.raw(kind).0.extend_from_slice(&digits);
        self
    }

    /// Appends an IPv4 address.
    pub(super) fn address(&mut self, address: u32) -> &mut Self {
        let [a, b, c, d] = address.to_be_bytes().map(u64::from);
        self.number(a).raw(".").number(b).raw(".");
        self.number(c).raw(".").number(d)
    }

    /// Appends the UUID in lower case.
    pub(super) fn uuid(&mut self, uuid: u128) -> &mut Self {
        let (high, low) = ((uuid >> 64) as u64, uuid as u64);
        self.hex(high >> 32, 8).raw("-").hex(high >> 16, 4).raw("-");
        self.hex(high, 4)
            .raw("-")
            .hex(low >> 48, 4)
            .raw("-")
            .hex(low, 12)
    }

    /// Appends the text with everything but ASCII letters and digits made an underscore, in lower
    /// case: how a file's address spells its name.
    pub(super) fn slug(&mut self, text: &str) -> &mut Self {
        let spell = |byte: u8| match byte {
            byte if byte.is_ascii_alphanumeric() => byte.to_ascii_lowercase(),
            _ => b'_',
        };
        self.0
            .extend(text.chars().map(|c| u8::try_from(c).map_or(b'_', spell)));
        self
    }
}
