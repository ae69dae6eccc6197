//! What could not be decoded: kept, counted and shown, never a reason to stop.

use serde::Serialize;

use super::frame::{Refused, Span};

/// The most that is kept of a rejected line.
pub const KEPT_BYTES: usize = 1 << 20;

/// A piece of input that is no event, with the reason.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reject {
    /// The input it came from, as named by whoever gave it; empty until then.
    pub input: String,
    /// The line in the input, from 1; 0 where it is not known.
    pub line: u64,
    /// Where it begins in the (decompressed) input, in bytes from 0.
    pub offset: u64,
    /// Why it is no event.
    pub reason: String,
    /// Its whole length in bytes; what is kept of it may be shorter.
    pub bytes: u64,
    /// The line, if it is UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The line in base64, if it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base64: Option<String>,
}

impl Reject {
    /// What stands at `span` of `bytes` is no event.
    pub fn new(bytes: &[u8], span: Span, reason: String) -> Self {
        let line = &bytes[span.start..span.end];
        Self::of(span.line, span.offset, line.len() as u64, reason, line)
    }

    /// An event that cannot be taken, whatever its form. Where it stood in the input is not known, which
    /// line 0 says.
    pub fn of_event(text: &str, reason: String) -> Self {
        Self::of(0, 0, text.len() as u64, reason, text.as_bytes())
    }

    fn of(line: u64, offset: u64, bytes: u64, reason: String, kept: &[u8]) -> Self {
        use base64::Engine;
        let kept = &kept[..kept.len().min(KEPT_BYTES)];
        let text = std::str::from_utf8(kept).ok().map(str::to_owned);
        let base64 = text
            .is_none()
            .then(|| base64::engine::general_purpose::STANDARD.encode(kept));
        Self {
            input: String::new(),
            line,
            offset,
            reason,
            bytes,
            text,
            base64,
        }
    }
}

impl From<Refused> for Reject {
    fn from(refused: Refused) -> Self {
        Self::of(
            refused.line,
            refused.offset,
            refused.bytes,
            refused.reason,
            &refused.text,
        )
    }
}
