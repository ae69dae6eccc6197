//! Ids as numbers: Slack's ids of people, files and channels are short words of capitals and digits,
//! of which twelve fit into 63 bits.

use serde::{Deserialize, Serialize};

/// A word of one to twelve capitals and digits. Its order is that of the word's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Id(pub(super) u64);

/// Capitals, digits, and the end.
const LETTERS: u64 = 37;
/// The most letters.
pub(super) const LONGEST: usize = 12;

impl Id {
    /// The word as a number; `None` if it is not such a word.
    #[inline]
    pub fn new(word: &str) -> Option<Self> {
        let word = word.as_bytes();
        if word.is_empty() || word.len() > LONGEST {
            return None;
        }
        let mut number = 0;
        for at in 0..LONGEST {
            let letter = match word.get(at) {
                None => 0,
                Some(digit @ b'0'..=b'9') => digit - b'0' + 1,
                Some(capital @ b'A'..=b'Z') => capital - b'A' + 11,
                Some(_) => return None,
            };
            number = number * LETTERS + u64::from(letter);
        }
        Some(Self(number))
    }

    /// The word.
    pub fn text(self, room: &mut [u8; LONGEST]) -> &str {
        let mut number = self.0;
        let mut length = LONGEST;
        for (at, byte) in room.iter_mut().enumerate().rev() {
            match (number % LETTERS) as u8 {
                0 => length = at,
                letter @ 1..=10 => *byte = b'0' + letter - 1,
                letter => *byte = b'A' + letter - 11,
            }
            number /= LETTERS;
        }
        std::str::from_utf8(&room[..length]).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Id;

    proptest! {
        #[test]
        fn words_come_back_and_keep_their_order(one in "[A-Z0-9]{1,12}", other in "[0A-BYZ9]{1,3}") {
            let id = |word: &str| Id::new(word).expect("it is short");
            let mut room = [0; 12];
            prop_assert_eq!(id(&one).text(&mut room), one.as_str());
            prop_assert_eq!(id(&one).cmp(&id(&other)), one.cmp(&other));
            prop_assert!(id(&one).0 >> 63 == 0 && id(&one).0 > 0);
        }

        #[test]
        fn all_else_is_none(word in "[A-Z0-9]{13}|[A-Z]{0,3}[a-z_. é][A-Z]{0,3}|") {
            prop_assert!(Id::new(&word).is_none());
        }
    }
}
