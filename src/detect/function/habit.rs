//! Habits: pairs of autonomous systems between which a person comes and goes, home and a tunnel most
//! likely. A pair is one once it was seen on enough distinct days, [`DAYS`] as a rule.

use super::memory::{Layout, Memory};

/// On so many days a pair makes a habit.
pub(super) const DAYS: u32 = 3;
/// The most pairs of a person; the one used longest ago goes first.
const MOST: usize = 16;

/// Words of a record: both systems in the order of their numbers, the last day, and how many days.
pub(super) const WORDS: usize = 4;

/// The two systems in the order of their numbers.
pub(super) fn pair(one: u32, other: u32) -> [u32; 2] {
    [one.min(other), one.max(other)]
}

/// Whether the pair of this record was seen on so many days.
pub(super) fn is_formed(record: &[u32], days: u32) -> bool {
    record[3] >= days
}

/// The person was in both systems on the day of this second.
pub(super) fn learn<const LISTS: usize>(
    layout: &Layout<LISTS>,
    memory: &mut Memory,
    list: usize,
    pair: [u32; 2],
    second: u32,
) {
    let day = second / 86_400;
    let known = layout
        .list(memory, list)
        .position(|record| record[..2] == pair);
    let Some(at) = known else {
        return layout.push_at_most(memory, list, &[pair[0], pair[1], day, 1], MOST);
    };
    let record = layout.record(memory, list, at);
    if record[2] != day {
        record[2] = day;
        record[3] = record[3].saturating_add(1);
    }
    layout.move_to_end(memory, list, at);
}
