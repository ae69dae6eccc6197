//! What is remembered of one key, usually a person: how often active, how much then, and today's hours.

use super::organisation::{Model, Sums};
use super::weight::{FIXED, faded};
use super::{Settings, WINDOWS};
use crate::detect::function::memory::{Layout, Memory};
use crate::detect::marked::Told;

/// The first list holds today's hours, the second the last ones in which something was found; a record is
/// an hour, counted from 1970, and for each window the largest sliding count within it.
const LAYOUT: Layout<2> = Layout {
    head: HEAD,
    widths: [1 + WINDOWS, 1 + WINDOWS],
};
const TODAY: usize = 0;
const FOUND: usize = 1;

/// Words of the head.
const HEAD: usize = 8 + 3 * WINDOWS;
/// Days are counted from 1970, in UTC.
const FIRST_DAY: usize = 0;
const DAY: usize = 1;
/// As of this day's morning: active hours, and how much of the organisation's exposure does not count;
/// fixed point.
const HOURS: usize = 2;
const UNEXPOSED: usize = 3;
/// The rate that holds today, a float.
const RATE: usize = 4;
/// Which of the last days something was found on, today's the lowest bit.
const DAYS_FOUND: usize = 5;
/// Today's hours in which something was found, and flags of today.
const HOURS_FOUND: usize = 6;
/// The second of the last mark that was heeded.
const MARK: usize = 7;
/// By window: the sum of logarithms as of this morning, a signed number in fixed point; and the usual
/// count that holds today, as a logarithm, a float.
const LOGS: usize = 8;
const SCALES: usize = LOGS + WINDOWS;
/// By window: the largest count of the past, which goes down with time; in 256ths.
const LARGEST: usize = SCALES + WINDOWS;

/// In [`HOURS_FOUND`]: a count of today was unlikely; that the baseline is outdated was told today.
const IS_UNLIKELY: u32 = 1 << 24;
const IS_TOLD: u32 = 1 << 25;

/// How many hours are kept in which something was found, until somebody says that they were benign.
const MOST_FOUND: usize = 24;
/// No faster does a rate or scale rise from one day to the next, once a key has been known for `learn`; and
/// before, but for its first days, in which nothing is known.
const RISE: f64 = 1.03;
const YOUNG_RISE: f64 = 1.25;
const FIRST_DAYS: u32 = 3;
/// A count so many times the usual one is learned as if it were no larger.
const MOST_LEARNED: f64 = 32.0;
/// What was once reached is not new: the usual count is at least this part of the largest one.
const REACHED: f64 = 0.5;
/// Days of the last seven on which something must have been found for a baseline to be outdated.
pub(super) const OUTDATED_DAYS: u32 = 5;
const WEEK: u32 = 0x7f;

const DAY_HOURS: u32 = 24;

/// A key's memory, read and written.
pub(super) struct Person<'a> {
    memory: &'a mut Memory,
    settings: &'a Settings,
    model: &'a Model,
}

impl<'a> Person<'a> {
    /// The key at this second, of a day whose model is given.
    pub fn at(
        memory: &'a mut Memory,
        settings: &'a Settings,
        model: &'a Model,
        second: u32,
    ) -> Self {
        let day = second / 86_400;
        let begun = LAYOUT.begin(memory, second, settings.forget_secs, |_| ());
        if let Some(head) = begun {
            head[FIRST_DAY] = day;
            head[DAY] = day;
            head[UNEXPOSED] = model.table.exposure.min(u32::MAX.into()) as u32;
            let mut person = Self {
                memory,
                settings,
                model,
            };
            person.hold(None);
            return person;
        }
        let mut person = Self {
            memory,
            settings,
            model,
        };
        person.turn(day);
        person
    }

    fn word(&self, at: usize) -> u32 {
        LAYOUT.head(self.memory).get(at).copied().unwrap_or(0)
    }

    fn set(&mut self, at: usize, word: u32) {
        if let Some(place) = LAYOUT.head_mut(self.memory).get_mut(at) {
            *place = word;
        }
    }

    /// Begins a day, if it is another one.
    fn turn(&mut self, day: u32) {
        let days = day.saturating_sub(self.word(DAY));
        if days == 0 {
            return;
        }
        self.learn_today();
        let factor = self.settings.fading;
        for at in [HOURS, UNEXPOSED] {
            let weight = faded(self.word(at).into(), factor, days);
            self.set(at, weight as u32);
        }
        for window in 0..WINDOWS {
            let logs = i64::from(self.word(LOGS + window) as i32);
            // Rounded towards zero on either side.
            let size = faded(logs.unsigned_abs(), factor, days) as i64;
            self.set(LOGS + window, (size * logs.signum()) as i32 as u32);
            let largest = faded(
                self.word(LARGEST + window).into(),
                self.settings.slow_fading,
                days,
            );
            self.set(LARGEST + window, largest as u32);
        }
        let found = self.word(DAYS_FOUND).checked_shl(days).unwrap_or(0);
        self.set(DAYS_FOUND, found);
        self.set(HOURS_FOUND, 0);
        self.set(DAY, day);
        let age = day - self.word(FIRST_DAY);
        let rise = match age {
            _ if age < FIRST_DAYS => None,
            _ if i64::from(age) < self.settings.learn_days => Some(YOUNG_RISE),
            _ => Some(RISE),
        };
        self.hold(rise.map(|rise| rise.powi(days.min(1000) as i32)));
    }

    /// Adds today's hours but for those in which something was found.
    fn learn_today(&mut self) {
        let most = std::array::from_fn(|window| self.scale(window).exp() * MOST_LEARNED);
        let (mut hours, mut logs, mut largest) = (0, [0; WINDOWS], [0; WINDOWS]);
        for record in LAYOUT.list(self.memory, TODAY) {
            if !self.is_found(record[0]) {
                hours += FIXED as u32;
                for (window, count) in record[1..].iter().enumerate() {
                    let most: [f64; WINDOWS] = most;
                    let count = (*count).min(most[window] as u32);
                    logs[window] += logarithm(count);
                    largest[window] = largest[window].max(count);
                }
            }
        }
        self.add(hours, logs);
        self.reach(largest);
        let found = LAYOUT
            .list(self.memory, FOUND)
            .flatten()
            .copied()
            .collect::<Vec<_>>();
        LAYOUT.replace(self.memory, [&[], &found]);
    }

    fn add(&mut self, hours: u32, logs: [i32; WINDOWS]) {
        self.set(HOURS, self.word(HOURS).saturating_add(hours));
        for (window, sum) in logs.into_iter().enumerate() {
            let known = self.word(LOGS + window) as i32;
            self.set(LOGS + window, known.saturating_add(sum) as u32);
        }
    }

    /// Notes the largest counts of some hours.
    fn reach(&mut self, counts: [u32; WINDOWS]) {
        for (window, count) in counts.into_iter().enumerate() {
            let known = self.word(LARGEST + window);
            self.set(LARGEST + window, known.max(count.saturating_mul(256)));
        }
    }

    /// Settles which rate and scales hold today: at most so many times those that held before, if there is
    /// a bound.
    fn hold(&mut self, bound: Option<f64>) {
        let rate = self.model.rate(self.hours(), self.exposure());
        let held = f64::from(f32::from_bits(self.word(RATE)));
        let rate = bound.map_or(rate, |bound| rate.min(held * bound));
        self.set(RATE, (rate as f32).to_bits());
        for window in 0..WINDOWS {
            let scale = self.model.scale(window, self.logs(window), self.hours());
            let reached = f64::from(self.word(LARGEST + window)) / 256.0 * REACHED;
            let scale = scale.max(reached.max(1.0).ln());
            let held = self.scale(window);
            let scale = bound.map_or(scale, |bound| scale.min(held + bound.ln()));
            self.set(SCALES + window, (scale as f32).to_bits());
        }
    }

    /// Active hours of the past; older ones weigh less.
    pub fn hours(&self) -> f64 {
        f64::from(self.word(HOURS)) / FIXED as f64
    }

    /// How many of them were to be expected of somebody of rate 1.
    pub fn exposure(&self) -> f64 {
        let all = self.model.table.exposure;
        all.saturating_sub(self.word(UNEXPOSED).into()) as f64 / FIXED as f64
    }

    fn logs(&self, window: usize) -> f64 {
        f64::from(self.word(LOGS + window) as i32) / FIXED as f64
    }

    /// How often active compared with the organisation, as it holds today.
    pub fn rate(&self) -> f64 {
        f32::from_bits(self.word(RATE)).into()
    }

    /// The usual count of an active hour as a logarithm, as it holds today.
    pub fn scale(&self, window: usize) -> f64 {
        f32::from_bits(self.word(SCALES + window)).into()
    }

    /// For how many days the key has been known.
    pub fn days(&self) -> u32 {
        self.word(DAY) - self.word(FIRST_DAY)
    }

    /// Whether something was found in this hour, which is one of today's.
    fn is_found(&self, hour: u32) -> bool {
        self.word(HOURS_FOUND) & 1 << (hour % DAY_HOURS) != 0
    }

    /// Takes the counts at a moment of this hour; gives the largest ones of the hour if one of them is
    /// larger than before.
    pub fn count(&mut self, hour: u32, counts: [u32; WINDOWS]) -> Option<[u32; WINDOWS]> {
        let records = LAYOUT.list(self.memory, TODAY);
        let Some(at) = records.len().checked_sub(1).filter(|_| {
            let last = LAYOUT.list(self.memory, TODAY).next_back();
            last.is_some_and(|record| record[0] == hour)
        }) else {
            let mut record = [0; 1 + WINDOWS];
            record[0] = hour;
            record[1..].copy_from_slice(&counts);
            LAYOUT.push(self.memory, TODAY, &record);
            return Some(counts);
        };
        let record = LAYOUT.record(self.memory, TODAY, at);
        let mut has_grown = false;
        for (largest, count) in record[1..].iter_mut().zip(counts) {
            has_grown |= count > *largest;
            *largest = count.max(*largest);
        }
        let mut largest = [0; WINDOWS];
        largest.copy_from_slice(&record[1..]);
        has_grown.then_some(largest)
    }

    /// Something is found in this hour: it will not be learned, unless somebody says that it was benign.
    /// `share` is the share of people that are active in it.
    pub fn find(&mut self, hour: u32, counts: [u32; WINDOWS], share: f64) {
        let mut record = [0; 1 + WINDOWS];
        record[0] = hour;
        record[1..].copy_from_slice(&counts);
        let mut found = LAYOUT.list(self.memory, FOUND);
        match found.rposition(|of| of[0] == hour) {
            Some(at) => {
                let known = LAYOUT.record(self.memory, FOUND, at);
                known.copy_from_slice(&record);
            }
            // Also if what was found of the hour before was marked, and learned.
            None => LAYOUT.push_at_most(self.memory, FOUND, &record, MOST_FOUND),
        }
        if self.is_found(hour) {
            return;
        }
        let missed = (share * FIXED as f64).round() as u32;
        self.set(UNEXPOSED, self.word(UNEXPOSED).saturating_add(missed));
        self.set(
            HOURS_FOUND,
            self.word(HOURS_FOUND) | 1 << (hour % DAY_HOURS),
        );
        self.set(DAYS_FOUND, self.word(DAYS_FOUND) | 1);
    }

    /// Notes that a count of today was unlikely.
    pub fn is_unlikely(&mut self) {
        self.set(HOURS_FOUND, self.word(HOURS_FOUND) | IS_UNLIKELY);
    }

    /// On how many of the last seven days something was found, if that is too many and was not told today.
    pub fn outdated(&mut self) -> Option<u32> {
        let days = (self.word(DAYS_FOUND) & WEEK).count_ones();
        let is_news = days >= OUTDATED_DAYS && self.word(HOURS_FOUND) & IS_TOLD == 0;
        if is_news {
            self.set(HOURS_FOUND, self.word(HOURS_FOUND) | IS_TOLD);
        }
        is_news.then_some(days)
    }

    /// Heeds marks, those that count first before the others: what was found before was looked at.
    pub fn heed(&mut self, marks: impl Iterator<Item = Told>) {
        let heeded = self.word(MARK);
        for mark in marks.filter(|mark| mark.from > heeded) {
            self.set(MARK, mark.from);
            self.set(DAYS_FOUND, 0);
            self.learn_marked(&mark);
        }
    }

    /// If what was marked was benign, that is how much the key does from now on.
    fn learn_marked(&mut self, mark: &Told) {
        let hour = mark.about / 3600;
        let found = LAYOUT
            .list(self.memory, FOUND)
            .filter(|record| record[0] == hour);
        let (mut number, mut sums, mut largest) = (0, [0_i64; WINDOWS], [0; WINDOWS]);
        for record in found {
            number += 1;
            for (window, count) in record[1..].iter().enumerate() {
                sums[window] += i64::from(logarithm(*count));
                largest[window] = largest[window].max(*count);
            }
        }
        if !mark.is_benign || number == 0 {
            return;
        }
        // The usual count becomes at least that of the marked hours, whatever was usual before.
        let hours = self.word(HOURS).saturating_add(number * FIXED as u32);
        for (window, sum) in sums.into_iter().enumerate() {
            let mean = sum / i64::from(number);
            let wanted = mean.saturating_mul(hours.into()) / FIXED as i64;
            let known = i64::from(self.word(LOGS + window) as i32);
            let logs = known.max(wanted).min(i32::MAX.into());
            self.set(LOGS + window, logs as i32 as u32);
        }
        self.set(HOURS, hours);
        // As much again is usual from now on, and not only half of it.
        self.reach(largest.map(|count| (f64::from(count) / REACHED) as u32));
        let today = LAYOUT
            .list(self.memory, TODAY)
            .flatten()
            .copied()
            .collect::<Vec<_>>();
        let found = LAYOUT
            .list(self.memory, FOUND)
            .filter(|record| record[0] != hour);
        let found = found.flatten().copied().collect::<Vec<_>>();
        LAYOUT.replace(self.memory, [&today, &found]);
        self.hold(None);
    }

    /// What a key brings to the table of the next morning, `today` being the day that ends: its hours of
    /// that day, and what was known of it when that day began.
    pub fn bring(memory: &Memory, settings: &Settings, model: &Model, today: u32, sums: &mut Sums) {
        let mut memory = memory.clone();
        let mut person = Person {
            memory: &mut memory,
            settings,
            model,
        };
        person.turn(today);
        person.bring_past(sums);
        person.bring_today(sums);
    }

    fn bring_today(&self, sums: &mut Sums) {
        sums.people += 1;
        for record in LAYOUT.list(self.memory, TODAY) {
            if self.is_found(record[0]) {
                continue;
            }
            sums.active[(record[0] % DAY_HOURS) as usize] += 1;
            if !self.model.knows_scales() {
                continue;
            }
            for window in 0..self.settings.windows.len() {
                let count = f64::from(record[1 + window].max(1));
                sums.ratios[window].see(count / self.scale(window).exp());
            }
        }
        sums.unlikely += u64::from(self.word(HOURS_FOUND) & IS_UNLIKELY != 0);
    }

    fn bring_past(&self, sums: &mut Sums) {
        // 256ths, so that sums of products have room.
        let unit = |words: u64| (words >> 8) as i64;
        let hours = unit(self.word(HOURS).into());
        let unexposed = self.word(UNEXPOSED).into();
        let exposure = unit(self.model.table.exposure.saturating_sub(unexposed));
        sums.hours += hours;
        sums.exposure += exposure;
        sums.hours_squared += hours * hours;
        sums.hours_exposure += hours * exposure;
        sums.exposure_squared += exposure * exposure;
        for (window, sum) in sums.logs.iter_mut().enumerate() {
            *sum += i64::from(self.word(LOGS + window) as i32);
        }
    }
}

/// Of a count, in fixed point.
fn logarithm(count: u32) -> i32 {
    (f64::from(count.max(1)).ln() * FIXED as f64).round() as i32
}
