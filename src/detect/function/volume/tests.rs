//! What the model promises, tried with people who do not live by its law.

mod calibration;
mod learning;
mod poison;
mod sums;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringViewArray, TimestampMicrosecondArray};
use datafusion::common::ScalarValue;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Gamma, LogNormal, Poisson};

use super::calendar::HOUR_SECS;
use super::person::Person;
use super::{
    Arguments, Common, FORGET, Fold, Found, Memory, Model, SETTINGS, Shared, Sums, Texts, Volume,
    WINDOWS, Wanted, Weighed, least_hours,
};
use crate::event::time::MICROS;

/// 2026-01-05, counted from 1970.
const MONDAY: u32 = 20_458;
const DAY_SECS: u32 = 86_400;
const FORGET_SECS: i64 = 90 * 86_400;

/// From Monday on.
fn weekday(day: u32) -> u32 {
    (day + 3) % 7
}

/// The settings of a rule such as `file_bulk_download`, with one window.
fn wanted() -> Wanted {
    Wanted {
        name: "volume".to_owned(),
        windows: vec!["1h".to_owned()],
        learn_secs: 14 * 86_400,
        at_least: 30,
        surprise: BTreeMap::from([("medium".to_owned(), 3.5), ("high".to_owned(), 4.0)]),
        time_zone: "UTC".to_owned(),
        least_hours: least_hours(),
    }
}

/// The person, the second of the day, and by window the sliding count.
type Row = (usize, u32, [u32; WINDOWS]);

/// A row of an hour with its largest count, which there is a minute after it began.
fn row(person: usize, hour: u32, count: u32) -> Row {
    (person, hour * 3600 + 60, [count, 0, 0])
}

fn sort(rows: &mut [Row]) {
    rows.sort_by_key(|(person, second, _)| (*second, *person));
}

/// Lets some people do so much in an hour of the day, instead of what they do in it.
fn put(rows: &mut Vec<Row>, people: &[usize], hour: u32, count: u32) {
    rows.retain(|(person, second, _)| !people.contains(person) || second / 3600 != hour);
    rows.extend(people.iter().map(|person| row(*person, hour, count)));
    sort(rows);
}

/// All memories of a call and the tables of its days, as the engine keeps them.
struct Organisation {
    shared: Shared,
    /// The last argument.
    settings: String,
    memories: Vec<Memory>,
    /// By person, what was said last of something found, as `mark_of` gives it at every row.
    told: Vec<Option<String>>,
    /// Counted from 1970.
    day: u32,
}

impl Organisation {
    fn new(wanted: &Wanted, people: usize, day: u32) -> Self {
        let settings = serde_json::to_string(wanted).unwrap();
        let mut constants = vec![None; SETTINGS + 1];
        constants[FORGET] = Some(ScalarValue::Int64(Some(FORGET_SECS)));
        constants[SETTINGS] = Some(ScalarValue::Utf8(Some(settings.clone())));
        Self {
            shared: Shared::new(&constants).unwrap(),
            settings,
            memories: vec![Memory::default(); people],
            told: vec![None; people],
            day,
        }
    }

    /// Takes the rows of the day, which are in the order of time, and ends it; gives what was found at a
    /// level, by person and hour of the day.
    fn day(&mut self, rows: &[Row]) -> BTreeMap<(usize, u32), Found> {
        let found = self.take(rows);
        self.close();
        found
    }

    /// The same for a part of the day, which goes on.
    fn take(&mut self, rows: &[Row]) -> BTreeMap<(usize, u32), Found> {
        let count = |window: usize| {
            let counts = rows.iter().map(|(_, _, counts)| i64::from(counts[window]));
            Arc::new(Int64Array::from_iter_values(counts)) as ArrayRef
        };
        let times = rows
            .iter()
            .map(|(_, second, _)| i64::from(self.second(*second)) * MICROS);
        let marks = rows
            .iter()
            .map(|(person, _, _)| self.told[*person].as_deref());
        let arrays: [ArrayRef; SETTINGS + 1] = [
            count(0),
            count(1),
            count(2),
            Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC")),
            Arc::new(marks.collect::<StringViewArray>()),
            Arc::new(Int64Array::from(vec![FORGET_SECS; rows.len()])),
            Arc::new(StringViewArray::from(vec![
                self.settings.as_str();
                rows.len()
            ])),
        ];
        let arguments = Arguments::of::<Volume>(&arrays).unwrap();
        let mut texts = Texts::default();
        let mut all = BTreeMap::new();
        for (at, (person, second, _)) in rows.iter().enumerate() {
            let memory = &mut self.memories[*person];
            let found = Volume::step(memory, &mut texts, &arguments, at, &self.shared);
            if let Some(found) = found.filter(|found| found.level.is_some()) {
                all.insert((*person, second / 3600), found);
            }
        }
        all
    }

    /// Ends the day: as `Daily::close` does.
    fn close(&mut self) {
        self.day += 1;
        let midnight = i64::from(self.second(0));
        let mut sums = Sums::default();
        for memory in &self.memories {
            self.shared.bring(memory, midnight, &mut sums);
        }
        let table = self.shared.next(midnight, &sums);
        self.shared.turn(&Arc::new(Model::of(table)));
    }

    /// A second of this day, counted from 1970.
    fn second(&self, of_day: u32) -> u32 {
        self.day * DAY_SECS + of_day
    }

    /// Takes a row of which nothing is found, however unlikely it is; gives the surprise of its hour once
    /// enough is known.
    fn surprise(&mut self, (person, second, counts): Row) -> Option<f64> {
        let second = self.second(second);
        let hour = second / HOUR_SECS as u32;
        let Shared { settings, model } = &self.shared;
        let mut person = Person::at(&mut self.memories[person], settings, model, second);
        let largest = person.count(hour, counts)?;
        let weighed = Weighed::of(&person, settings, model, hour, largest)?;
        Some(weighed.surprise[weighed.window])
    }

    /// The smallest count that is found in an hour of this day, as long as the person did nothing in it;
    /// the largest number as long as too little is known.
    fn limit(&self, person: usize, hour: u32) -> u32 {
        let second = self.second(hour * 3600);
        let hour = second / HOUR_SECS as u32;
        let Shared { settings, model } = &self.shared;
        let mut memory = self.memories[person].clone();
        let person = Person::at(&mut memory, settings, model, second);
        let weighed = Weighed::of(&person, settings, model, hour, [settings.at_least; WINDOWS]);
        let (least, _) = settings.levels[0];
        weighed.map_or(u32::MAX, |weighed| weighed.limit(&person, 0, least))
    }

    /// Says of what this person did at a second of this day whether it was `benign` or an `attack`, a
    /// quarter of an hour later.
    fn tell(&mut self, person: usize, verdict: &str, second: u32) {
        let about = self.second(second);
        self.told[person] = Some(format!("{verdict} {} {about}", about + 900));
    }
}

/// Random numbers with a fixed seed.
struct Dice(Xoshiro256PlusPlus);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    /// In [0, 1).
    fn unit(&mut self) -> f64 {
        self.0.random()
    }

    /// Whether something comes at all that comes so many times on average.
    fn comes(&mut self, often: f64) -> bool {
        self.unit() < 1.0 - (-often).exp()
    }

    /// The hours of a day in which something comes.
    fn hours(&mut self, often: impl Fn(u32) -> f64) -> Vec<u32> {
        (0..24).filter(|hour| self.comes(often(*hour))).collect()
    }

    fn poisson(&mut self, mean: f64) -> u32 {
        Poisson::new(mean).map_or(0, |law| law.sample(&mut self.0) as u32)
    }

    /// With mean 1; the smaller the shape, the heavier the tail.
    fn gamma(&mut self, shape: f64) -> f64 {
        Gamma::new(shape, 1.0 / shape).unwrap().sample(&mut self.0)
    }

    /// With median 1.
    fn lognormal(&mut self, sigma: f64) -> f64 {
        LogNormal::new(0.0, sigma).unwrap().sample(&mut self.0)
    }

    /// A count of the negative binomial law.
    fn count(&mut self, mean: f64, shape: f64) -> u32 {
        let factor = self.gamma(shape);
        self.poisson(mean * factor)
    }

    /// By person how often, and how much then, compared with others: Gamma and log-normal.
    fn people(&mut self, number: usize, shape: f64, sigma: f64) -> Vec<(f64, f64)> {
        let person = |_| (self.gamma(shape), self.lognormal(sigma));
        (0..number).map(person).collect()
    }
}

/// People in an office. The first ones, the *subjects*, do the same at the same time, and never much at
/// once: what becomes of them is up to the test.
struct Office {
    organisation: Organisation,
    dice: Dice,
    /// As of [`Dice::people`].
    people: Vec<(f64, f64)>,
    subjects: usize,
    /// The day from which on there are subjects.
    since: u32,
}

impl Office {
    fn new(people: usize, subjects: usize, seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        Self {
            organisation: Organisation::new(&wanted(), people, MONDAY),
            people: dice.people(people, 2.0, 0.7),
            dice,
            subjects,
            since: MONDAY,
        }
    }

    /// Lets ordinary days pass.
    fn pass(&mut self, days: u32) {
        for _ in 0..days {
            let rows = self.draw();
            self.organisation.day(&rows);
        }
    }

    /// What people do on an ordinary day: 8 to 18 and mostly on workdays, 30 at a time.
    fn draw(&mut self) -> Vec<Row> {
        let day = self.organisation.day;
        let is_weekend = weekday(day) >= 5;
        let mut rows = Vec::new();
        for hour in 0..24 {
            let is_their_time = !is_weekend && (9..17).contains(&hour) && day >= self.since;
            if is_their_time && self.dice.unit() < 0.5 {
                let count = self.dice.poisson(30.0);
                rows.extend((0..self.subjects).map(|person| row(person, hour, count)));
            }
            let of_hour = if (8..18).contains(&hour) { 0.25 } else { 0.01 };
            let often = if is_weekend { 0.15 * of_hour } else { of_hour };
            let others = self.people.iter().enumerate().skip(self.subjects);
            for (person, (rate, scale)) in others {
                if self.dice.comes(often * rate) {
                    rows.push(row(person, hour, self.dice.count(30.0 * scale, 1.0)));
                }
            }
        }
        rows.retain(|(_, _, counts)| counts[0] > 0);
        rows
    }
}
