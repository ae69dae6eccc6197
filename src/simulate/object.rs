//! The files and channels that people share.

use super::Organisation;
use super::calendar::HOUR;
use super::dice::{Purpose, hash};

impl Organisation {
    /// The number of channels at the plan's start.
    pub(super) fn channels(&self) -> u64 {
        u64::from(self.users) / 3 + 40
    }

    /// The team's file with that age, in files: a team has some 25 new ones a day.
    pub(super) fn file(&self, team: u32, time: i64, age: u64) -> u64 {
        const NEW_PER_DAY: i64 = 25;
        let newest = (time.div_euclid(HOUR) * NEW_PER_DAY / 24) as u64;
        hash(
            self.seed,
            Purpose::Object,
            team.into(),
            newest.wrapping_sub(age),
        )
    }
}
