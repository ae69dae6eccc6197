//! Event ids in little room: most are UUIDs in their usual form.

/// The number of a UUID, in the order of its text.
pub type Uuid = [u8; 16];

/// Stands for no UUID.
pub const NIL: Uuid = [0; 16];

/// The number of a UUID in its usual form, in lower case; `None` for all else, and for nil.
pub fn uuid(text: &str) -> Option<Uuid> {
    let text = text.as_bytes();
    if text.len() != 36 {
        return None;
    }
    let mut digits = 0;
    let mut bytes = NIL;
    for (at, byte) in text.iter().enumerate() {
        if matches!(at, 8 | 13 | 18 | 23) {
            if *byte != b'-' {
                return None;
            }
            continue;
        }
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return None,
        };
        bytes[digits / 2] = bytes[digits / 2] << 4 | digit;
        digits += 1;
    }
    (bytes != NIL).then_some(bytes)
}

/// The text of a UUID.
pub fn text(uuid: Uuid) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(36);
    for (at, byte) in uuid.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from(DIGITS[usize::from(digit)]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{text, uuid};

    #[test]
    fn ids_come_back_as_they_were() {
        for (id, is_uuid) in [
            ("0f8fad5b-d9cb-469f-a165-70867728950e", true),
            ("0F8FAD5B-D9CB-469F-A165-70867728950E", false),
            ("0f8fad5b-d9cb-469f-a165-70867728950", false),
            ("0f8fad5bxd9cb-469f-a165-70867728950e", false),
            ("00000000-0000-0000-0000-000000000000", false),
            ("", false),
            ("event 1", false),
        ] {
            let number = uuid(id);
            assert_eq!(number.is_some(), is_uuid, "{id}");
            assert!(number.is_none_or(|number| text(number) == id), "{id}");
        }
    }
}
