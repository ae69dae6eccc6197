//! Ids in words of 32 bits, as folds remember them.

use std::borrow::Cow;

use super::Texts;
use crate::detect::shard::hash;
use crate::event::id as event_id;

/// The id of an event: a UUID by its bits, any other by its number among the texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EventId {
    words: [u32; 4],
    is_text: bool,
}

impl EventId {
    /// The id, which is held among the texts once more if it is no UUID.
    pub fn enter(id: &str, texts: &mut Texts) -> Self {
        match event_id::uuid(id) {
            Some(uuid) => {
                let number = u128::from_be_bytes(uuid);
                Self {
                    words: [0, 1, 2, 3].map(|at| (number >> (32 * at)) as u32),
                    is_text: false,
                }
            }
            None => Self {
                words: [texts.enter(id), 0, 0, 0],
                is_text: true,
            },
        }
    }

    /// From four words that are remembered, and what is remembered beside them.
    pub fn from_words(words: &[u32], is_text: bool) -> Self {
        Self {
            words: [words[0], words[1], words[2], words[3]],
            is_text,
        }
    }

    pub fn words(self) -> [u32; 4] {
        self.words
    }

    pub fn is_text(self) -> bool {
        self.is_text
    }

    pub fn text(self, texts: &Texts) -> Cow<'_, str> {
        if self.is_text {
            return texts.get(self.words[0]).into();
        }
        let words = self.words.iter().rev();
        let number = words.fold(0, |all: u128, word| all << 32 | u128::from(*word));
        event_id::text(number.to_be_bytes()).into()
    }

    /// Holds it among the texts once more.
    pub fn hold(self, texts: &mut Texts) {
        if self.is_text {
            texts.hold(self.words[0]);
        }
    }

    /// Releases it.
    pub fn leave(self, texts: &mut Texts) {
        if self.is_text {
            texts.leave(self.words[0]);
        }
    }
}

/// A session's id as a number: Slack's are numbers themselves, of any other the hash stands for it.
pub(super) fn session(id: &str) -> [u32; 2] {
    // Only what would be written in the same way.
    let is_number = id.len() <= 18 && !id.starts_with(['0', '+']);
    let number = match id.parse::<u64>() {
        Ok(number) if is_number => number,
        _ => hash(id.as_bytes()) | 1 << 63,
    };
    [number as u32, (number >> 32) as u32]
}
