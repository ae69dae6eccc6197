//! What everybody's past says, as of a morning: when people are active, how rates and scales are spread
//! over people, and how an hour compares with its person's usual one.
//!
//! A *table* holds whole numbers alone, so that sums over shards come out alike in any order; it is fixed
//! at 00:00 UTC for the day that begins, and written to the log. A *model* is what is computed from it.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, Gamma};

use super::WINDOWS;
use super::calendar::{CLASSES, SLOTS, class, is_weekend};
use super::ratio::{Chances, Histogram};
use super::weight::{FIXED, faded, fading};

/// What all keys bring to the table of the next morning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    /// By hour of the day that ends: how many were active, and how many there were.
    pub active: [u64; 24],
    pub people: u64,
    /// Active hours and the hours to be expected of somebody of rate 1, with their products; in 256ths.
    pub hours: i64,
    pub exposure: i64,
    pub hours_squared: i64,
    pub hours_exposure: i64,
    pub exposure_squared: i64,
    /// By window: sums of the logarithms of active hours' counts, fixed point.
    pub logs: [i64; WINDOWS],
    /// By window: the ratios of the day that ends.
    pub ratios: [Histogram; WINDOWS],
    /// How many people's counts were unlikely on that day.
    pub unlikely: u64,
}

impl Sums {
    pub fn add(&mut self, other: &Self) {
        for (mine, its) in self.active.iter_mut().zip(&other.active) {
            *mine += its;
        }
        self.people += other.people;
        self.hours += other.hours;
        self.exposure += other.exposure;
        self.hours_squared += other.hours_squared;
        self.hours_exposure += other.hours_exposure;
        self.exposure_squared += other.exposure_squared;
        for (mine, its) in self.logs.iter_mut().zip(&other.logs) {
            *mine += its;
        }
        for (mine, its) in self.ratios.iter_mut().zip(&other.ratios) {
            mine.add(its);
        }
        self.unlikely += other.unlikely;
    }
}

/// What is known at 00:00 UTC of a day: whole numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// By hour of the week: hours in which people were active, and hours in which they could have been;
    /// fixed point, older ones weigh less.
    active: Vec<u64>,
    possible: Vec<u64>,
    /// The hours to be expected of somebody of rate 1 who was always there, fixed point.
    pub(super) exposure: u64,
    people: u64,
    hours: i64,
    exposures: i64,
    hours_squared: i64,
    hours_exposure: i64,
    exposure_squared: i64,
    logs: [i64; WINDOWS],
    ratios: [Histogram; WINDOWS],
    /// On workdays, and at weekends: how many people's counts were unlikely on a day, and of how many days
    /// that is the sum; fixed point.
    unlikely: [u64; 2],
    days: [u64; 2],
}

/// The shape of a week is learned from twice as long a time as people are, since each of its hours comes
/// once a week.
const SHAPE_DAYS: f64 = 2.0;
/// So that the weights of the histogram's days add up to as many days as are learned: 2 ln 2.
const RATIO_DAYS: f64 = 2.0 * std::f64::consts::LN_2;
/// Weight of the hours that are alike, and of all hours, in the share of one hour: in people's hours.
const SMOOTHING: f64 = 50.0;
/// Bounds of the prior's shape: how unlike people may be.
const SHAPES: (f64, f64) = (0.2, 50.0);

impl Table {
    /// The table of the next morning. `slots` are the hours of the week of the day that ends, and weights
    /// halve in `half_life` days.
    pub(super) fn next(&self, sums: &Sums, slots: &[usize; 24], half_life: f64) -> Self {
        let mut next = self.clone();
        if next.active.is_empty() {
            next.active = vec![0; SLOTS];
            next.possible = vec![0; SLOTS];
        }
        let factor = fading(half_life);
        let slow = fading(half_life * SHAPE_DAYS);
        for weight in next.active.iter_mut().chain(&mut next.possible) {
            *weight = faded(*weight, slow, 1);
        }
        for (slot, active) in slots.iter().zip(&sums.active) {
            next.active[*slot] += active * FIXED;
            next.possible[*slot] += sums.people * FIXED;
        }
        let shares = next.shares();
        let today: f64 = slots.iter().map(|slot| shares[*slot]).sum();
        let today = (today * FIXED as f64).round() as u64;
        next.exposure = faded(self.exposure + today, factor, 1);
        next.people = sums.people;
        next.hours = sums.hours;
        next.exposures = sums.exposure;
        next.hours_squared = sums.hours_squared;
        next.hours_exposure = sums.hours_exposure;
        next.exposure_squared = sums.exposure_squared;
        next.logs = sums.logs;
        for (known, seen) in next.ratios.iter_mut().zip(&sums.ratios) {
            known.add(seen);
            known.fade(fading(half_life * RATIO_DAYS));
        }
        let kind = usize::from(is_weekend(slots[12]));
        next.unlikely[kind] = faded(self.unlikely[kind] + sums.unlikely * FIXED, factor, 1);
        next.days[kind] = faded(self.days[kind] + FIXED, factor, 1);
        next
    }

    /// By hour of the week, the share of people that are active: smoothed by the hours that are alike, and
    /// these by all.
    fn shares(&self) -> Vec<f64> {
        let fixed = FIXED as f64;
        let mut classes = [(0.0, 0.0); CLASSES];
        let mut all = (0.0, 0.0);
        for (slot, (active, possible)) in self.active.iter().zip(&self.possible).enumerate() {
            let seen = (*active as f64 / fixed, *possible as f64 / fixed);
            let of_class = &mut classes[class(slot)];
            *of_class = (of_class.0 + seen.0, of_class.1 + seen.1);
            all = (all.0 + seen.0, all.1 + seen.1);
        }
        let smoothed = |(active, possible): (f64, f64), prior: f64| {
            (active + SMOOTHING * prior) / (possible + SMOOTHING)
        };
        let mean = if all.1 > 0.0 { all.0 / all.1 } else { 0.0 };
        let slots = self.active.iter().zip(&self.possible).enumerate();
        let share = slots.map(|(slot, (active, possible))| {
            let seen = (*active as f64 / fixed, *possible as f64 / fixed);
            smoothed(seen, smoothed(classes[class(slot)], mean))
        });
        share.collect()
    }
}

/// What is computed from a table once a day.
#[derive(Clone, Debug)]
pub struct Model {
    pub(super) table: Table,
    /// By hour of the week; empty before anything is known.
    shares: Vec<f64>,
    /// Of the Gamma law of people's rates: its shape, and its rate parameter.
    prior: (f64, f64),
    /// By window, the logarithm of the organisation's usual count.
    scales: [f64; WINDOWS],
    chances: [Option<Chances>; WINDOWS],
}

impl Default for Model {
    fn default() -> Self {
        Self::of(Table::default())
    }
}

impl Model {
    pub fn of(table: Table) -> Self {
        let hours = table.hours as f64 / 256.0;
        let fixed = FIXED as f64;
        let scales = table.logs.map(|logs| match hours > 0.0 {
            true => logs as f64 / fixed / hours,
            false => 0.0,
        });
        Self {
            shares: table.shares(),
            prior: table.prior(),
            scales,
            chances: [0, 1, 2].map(|window| Chances::of(&table.ratios[window])),
            table,
        }
    }

    pub fn table(&self) -> &Table {
        &self.table
    }

    /// The active hours that a window's histogram holds, by their weight.
    pub fn hours_known(&self, window: usize) -> f64 {
        self.table.ratios[window].hours()
    }

    /// The share of people that are active in an hour of the week.
    pub(super) fn share(&self, slot: usize) -> f64 {
        self.shares.get(slot).copied().unwrap_or(0.0)
    }

    /// Whether usual counts of people are known at all.
    pub(super) fn knows_scales(&self) -> bool {
        self.table.hours > 0
    }

    /// All shares of a week together, by day: the active hours to be expected of somebody of rate 1.
    pub(super) fn day(&self) -> f64 {
        self.shares.iter().sum::<f64>() / 7.0
    }

    pub(super) fn chances(&self, window: usize) -> Option<&Chances> {
        self.chances[window].as_ref()
    }

    /// The rate of somebody who was active in so many hours of so many to be expected.
    pub(super) fn rate(&self, hours: f64, exposure: f64) -> f64 {
        (self.prior.0 + hours) / (self.prior.1 + exposure)
    }

    /// Between which bounds that rate lies with a chance of 95 %, and how much of it is everybody's.
    pub(super) fn rate_interval(&self, hours: f64, exposure: f64) -> ([f64; 2], f64) {
        let (shape, rate) = (self.prior.0 + hours, self.prior.1 + exposure);
        let bounds =
            Gamma::new(shape, rate).map(|law| [0.025, 0.975].map(|at| law.inverse_cdf(at)));
        let mean = shape / rate;
        (bounds.unwrap_or([mean, mean]), self.prior.1 / rate)
    }

    /// The usual count of somebody, as a logarithm, from the sum of the logarithms of so many active hours.
    pub(super) fn scale(&self, window: usize, logs: f64, hours: f64) -> f64 {
        (logs + SHRINKAGE * self.scales[window]) / (hours + SHRINKAGE)
    }

    /// How many people's counts are unlikely in 24 hours that end like this hour of the week, as a rule:
    /// these are part of two days, and what is usual on either is usual.
    pub(super) fn usually_unlikely(&self, slot: usize) -> f64 {
        let on = |slot: usize| {
            let kind = usize::from(is_weekend(slot));
            match self.table.days[kind] {
                0 => 0.0,
                days => self.table.unlikely[kind] as f64 / days as f64,
            }
        };
        on(slot).max(on((slot + SLOTS - 24) % SLOTS))
    }
}

/// The weight of the organisation's usual count in a person's, in active hours.
pub(super) const SHRINKAGE: f64 = 8.0;

impl Table {
    /// The Gamma law from which people's rates seem to be drawn, by its moments: what their active hours
    /// vary beyond chance.
    fn prior(&self) -> (f64, f64) {
        let unit = 256.0;
        let (hours, exposure) = (self.hours as f64 / unit, self.exposures as f64 / unit);
        let squared = unit * unit;
        let exposure_squared = self.exposure_squared as f64 / squared;
        if self.people < 2 || exposure <= 0.0 || hours <= 0.0 || exposure_squared <= 0.0 {
            return (1.0, 1.0);
        }
        let mean = hours / exposure;
        let spread = self.hours_squared as f64 / squared
            - 2.0 * mean * self.hours_exposure as f64 / squared
            + mean * mean * exposure_squared;
        let variance = (spread - mean * exposure) / exposure_squared;
        let shape = match variance > 0.0 {
            true => (mean * mean / variance).clamp(SHAPES.0, SHAPES.1),
            false => SHAPES.1,
        };
        (shape, shape / mean)
    }
}
