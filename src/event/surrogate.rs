//! Lone surrogates: `\ud83d` without its other half.
//!
//! JSON allows the escape, no Unicode text can hold it, and a decoder that refuses it lets whoever
//! names a file choose which of his events are seen. So it becomes U+FFFD in the columns; the
//! column `raw` keeps what Slack wrote.

/// The text with every lone surrogate escape replaced by `\ufffd`; `None` if it holds none.
pub fn mend(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut lone = Vec::new();
    let mut at = 0;
    while let Some(found) = text[at..].find('\\').map(|offset| at + offset) {
        let Some(unit) = escape(bytes, found) else {
            // Another escape: pass over it and the (one-byte) character that it escapes.
            at = (found + 2).min(bytes.len());
            while !text.is_char_boundary(at) {
                at += 1;
            }
            continue;
        };
        let paired = is_high(unit) && escape(bytes, found + 6).is_some_and(is_low);
        if !paired && (is_high(unit) || is_low(unit)) {
            lone.push(found);
        }
        at = found + if paired { 12 } else { 6 };
    }
    if lone.is_empty() {
        return None;
    }
    let mut mended = String::with_capacity(text.len());
    let mut from = 0;
    for start in lone {
        mended.push_str(&text[from..start]);
        mended.push_str("\\ufffd");
        from = start + 6;
    }
    mended.push_str(&text[from..]);
    Some(mended)
}

/// The code unit of the escape `\uXXXX` at this place.
fn escape(bytes: &[u8], at: usize) -> Option<u16> {
    let hex = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
    let hex = std::str::from_utf8(hex).ok()?;
    hex.bytes()
        .all(|byte| byte.is_ascii_hexdigit())
        .then(|| u16::from_str_radix(hex, 16).ok())?
}

fn is_high(unit: u16) -> bool {
    (0xd800..0xdc00).contains(&unit)
}

fn is_low(unit: u16) -> bool {
    (0xdc00..0xe000).contains(&unit)
}

#[cfg(test)]
mod tests {
    use super::mend;

    #[test]
    fn only_lone_halves_are_replaced() {
        for (text, expected) in [
            (r#""plain""#, None),
            (r#""\ud83d\ude00""#, None),
            (r#""\\ud83d""#, None),
            (r#""\ud83d""#, Some(r#""\ufffd""#)),
            (r#""a\ude00b""#, Some(r#""a\ufffdb""#)),
            (r#""\ud83d\ud83d\ude00""#, Some(r#""\ufffd\ud83d\ude00""#)),
            (r#""\é\ud83d"#, Some(r#""\é\ufffd"#)),
            (r"\", None),
            (r"\ud8", None),
        ] {
            assert_eq!(mend(text).as_deref(), expected, "{text}");
        }
    }
}
