//! The keys that a group has something of: few of its space's, where it reads few of its rows.

use serde::{Deserialize, Serialize};

use super::numbered::{grow, push};

/// Members by number; numbers of those that went are given again. States stand by these numbers.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Members {
    /// By key: its member's number and one, or 0.
    by_key: Vec<u32>,
    members: Vec<Member>,
    free: Vec<u32>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Member {
    key: u32,
    /// How many rows are kept, and one more while the state lasts.
    reasons: u32,
}

impl Members {
    /// The member that is this key.
    #[inline]
    pub fn find(&self, key: u32) -> Option<u32> {
        self.by_key.get(key as usize)?.checked_sub(1)
    }

    /// The same; a key that is none becomes one, which must be held next, and `added` is called.
    pub fn enter(&mut self, key: u32, added: impl FnOnce()) -> u32 {
        if let Some(member) = self.find(key) {
            return member;
        }
        added();
        let new = Member { key, reasons: 0 };
        let number = match self.free.pop() {
            Some(number) => {
                self.members[number as usize] = new;
                number
            }
            None => {
                push(&mut self.members, new);
                self.members.len() as u32 - 1
            }
        };
        grow(&mut self.by_key, key as usize + 1);
        self.by_key[key as usize] = number + 1;
        number
    }

    pub fn is_empty(&self) -> bool {
        self.members.len() == self.free.len()
    }

    /// How many reasons there are to keep it.
    pub fn reasons(&self, member: u32) -> u32 {
        self.members[member as usize].reasons
    }

    /// There is one reason more.
    pub fn hold(&mut self, member: u32) {
        self.members[member as usize].reasons += 1;
    }

    /// There is one reason less; with the last one it is none any more, and its key is given.
    pub fn release(&mut self, number: u32) -> Option<u32> {
        let member = &mut self.members[number as usize];
        member.reasons -= 1;
        if member.reasons > 0 {
            return None;
        }
        self.by_key[member.key as usize] = 0;
        self.free.push(number);
        Some(member.key)
    }

    /// The keys of all members.
    pub fn keys(&self) -> impl Iterator<Item = u32> {
        let held = self.members.iter().filter(|member| member.reasons > 0);
        held.map(|member| member.key)
    }

    /// One more than the largest number there is.
    pub fn bound(&self) -> usize {
        self.members.len()
    }

    /// About how much memory it takes.
    pub fn bytes(&self) -> usize {
        self.by_key.capacity() * size_of::<u32>()
            + self.members.capacity() * size_of::<Member>()
            + self.free.capacity() * size_of::<u32>()
    }
}
