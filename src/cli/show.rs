//! Text by strangers, made fit for terminals and spreadsheets.

use std::fmt::Write;

/// The text with control characters, and those that turn the direction of writing or are invisible,
/// written as `\u{…}`: names and agents come from whoever is being watched.
pub(super) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hidden(c) {
            // Writing to a string cannot fail.
            let _ = write!(shown, "\\u{{{:x}}}", u32::from(c));
        } else {
            shown.push(c);
        }
    }
    shown
}

fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// Whether a spreadsheet takes the text for a formula.
pub(super) fn is_formula(text: &str) -> bool {
    text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n'])
}

/// The text as a cell of a spreadsheet that takes it for no formula.
pub(super) fn cell(text: &str) -> String {
    if is_formula(text) {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

/// The number with a comma between every three digits.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_the_terminal_as_a_command() {
        assert_eq!(
            printable("a\u{1b}[2Jb\r\u{202e}c\nd"),
            "a\\u{1b}[2Jb\\u{d}\\u{202e}c\\u{a}d"
        );
        assert_eq!(printable("Żółć 日本"), "Żółć 日本");
    }

    #[test]
    fn nothing_reaches_a_spreadsheet_as_a_formula() {
        for text in ["=1+1", "+1", "-1", "@sum", "\tx", "\rx", "\nx"] {
            assert_eq!(cell(text), format!("'{text}"));
        }
        assert_eq!(cell("plain = text"), "plain = text");
    }

    #[test]
    fn large_numbers_are_readable() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1234567, "1,234,567"),
        ] {
            assert_eq!(thousands(number), text);
        }
    }
}
