//! How much somebody does on a day.

use super::Organisation;
use super::dice::{Dice, Purpose};
use super::person::Person;

/// On 60 % of the days somebody downloads nothing; on the others this many on average, negative
/// binomial with k = 0.4, of which the spread between people is a part.
const DOWNLOADS: f64 = 15.0;
const DOWNLOAD_DAYS: f64 = 0.4;
const DOWNLOAD_SHAPE: f64 = 0.5;
/// Factor on the mean for those who download much; they do so on all days.
const MUCH: f64 = 8.0;

pub(super) struct Volume {
    /// Factor on all but downloads and sign-ins; 1 on average.
    pub(super) factor: f64,
    /// Mean of downloads on a day that is worked as usual, without a surge.
    pub(super) downloads: f64,
}

impl Organisation {
    /// What the person's local day is like.
    pub(super) fn volume(&self, person: &Person, day: i64) -> Volume {
        let mut dice = Dice::new(self.seed, Purpose::Volume, person.number.into(), day as u64);
        let factor = dice.gamma(4.0);
        let downloads = if person.habits.downloads_much {
            MUCH * DOWNLOADS * DOWNLOAD_DAYS * dice.gamma(8.0)
        } else if dice.chance(DOWNLOAD_DAYS) {
            DOWNLOADS * person.downloads * dice.gamma(DOWNLOAD_SHAPE)
        } else {
            0.0
        };
        Volume { factor, downloads }
    }
}
