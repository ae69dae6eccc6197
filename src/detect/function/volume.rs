//! `volume(count, count, count, order_time, mark, forget_secs, settings)`: a count that is unlikely, given
//! the key's own past and everybody's.
//!
//! Two questions are asked of a clock hour (a hurdle model, after Mullahy, 1986): was it likely that this
//! key is active at all, and if so, how likely is so much? What is learned and tested is the largest sliding
//! count within the hour, for up to three windows.
//!
//! - *Active*: `1 − exp(−a·p)`, `p` the organisation's share of active people in this hour of the week, `a`
//!   the person's rate. Rates are Gamma distributed over people; a person's is the mean of the posterior.
//! - *How much*: the count over the person's scale, a geometric mean of past hours shrunk towards the
//!   organisation's and at least half of the largest one, read off the organisation's own histogram of that
//!   ratio.
//! - *Surprise*: −log₁₀ of the product; of several windows the largest counts.
//!
//! Nothing is learned from an hour in which something was found, and neither rate nor scale rises by more
//! than 3 % a day: whoever stays below the limit day by day moves it slowly. Both fall freely.

mod calendar;
mod organisation;
mod person;
mod ratio;
#[cfg(test)]
mod tests;
mod weight;

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::common::ScalarValue;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use self::calendar::{Calendar, HOUR_SECS};
pub(crate) use self::organisation::{Model, Sums, Table};
use self::person::Person;
use super::memory::Memory;
use super::{Argument, Arguments, Common, Fold, Found, Texts, seconds};
use crate::anomaly::{Because, Level, rounded};
use crate::detect::marked::Told;

/// The most windows of one call.
pub const WINDOWS: usize = 3;
/// A count of this surprise that is half of what must be there counts as unlikely: a *surge* is when many
/// people's are.
const UNLIKELY: f64 = 3.0;

/// Finds unlikely counts.
#[derive(Debug)]
pub struct Volume;

/// What a rule says of its volume: the last argument, as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// By which its tables are known within a rule.
    pub name: String,
    /// The window of each count, in the order of the arguments.
    pub windows: Vec<String>,
    /// Weights of the past halve in half of this time; for so long a key is young.
    pub learn_secs: i64,
    /// The least count that is found.
    pub at_least: u32,
    /// By level, the least surprise.
    pub surprise: BTreeMap<String, f64>,
    /// The organisation's, as IANA calls it.
    pub time_zone: String,
    /// How many active hours must be known before anything is found.
    #[serde(default = "least_hours")]
    pub least_hours: u32,
}

/// With fewer active hours the histogram of ratios says little about its tail.
pub fn least_hours() -> u32 {
    2000
}

/// The same, ready to be used.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    name: String,
    windows: Vec<String>,
    learn_days: i64,
    half_life: f64,
    fading: u64,
    slow_fading: u64,
    forget_secs: i64,
    at_least: u32,
    least_hours: f64,
    /// The lowest first.
    levels: Vec<(f64, Level)>,
    calendar: Calendar,
}

impl Settings {
    fn new(wanted: Wanted, forget_secs: i64) -> Result<Self, String> {
        if !(1..=WINDOWS).contains(&wanted.windows.len()) {
            return Err(format!("volume takes 1 to {WINDOWS} windows"));
        }
        if wanted.learn_secs < 86_400 {
            return Err("volume learns at least a day".to_owned());
        }
        let levels = wanted.surprise.iter().map(|(word, surprise)| {
            let level = word.parse::<Level>().map_err(|error| error.to_string())?;
            Ok((*surprise, level))
        });
        let mut levels: Vec<(f64, Level)> = levels.collect::<Result<_, String>>()?;
        levels.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        let calendar = Calendar::of(&wanted.time_zone);
        let half_life = wanted.learn_secs as f64 / 86_400.0 / 2.0;
        Ok(Self {
            calendar: calendar.ok_or_else(|| format!("`{}` is no time zone", wanted.time_zone))?,
            name: wanted.name,
            windows: wanted.windows,
            learn_days: (wanted.learn_secs + 86_399) / 86_400,
            half_life,
            fading: weight::fading(half_life),
            slow_fading: weight::fading(4.0 * half_life),
            forget_secs,
            at_least: wanted.at_least,
            least_hours: wanted.least_hours.into(),
            levels,
        })
    }
}

/// What all keys of a call share.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    settings: Settings,
    model: Arc<Model>,
}

impl Common for Shared {
    fn new(constants: &[Option<ScalarValue>]) -> Result<Self, String> {
        let text = constants.get(SETTINGS).cloned().flatten();
        let text = text.as_ref().and_then(|text| text.try_as_str().flatten());
        let text =
            text.ok_or("the last argument of volume is its settings, a text as it stands")?;
        let wanted: Wanted = serde_json::from_str(text)
            .map_err(|error| format!("the settings of volume cannot be read: {error}"))?;
        let forget = match constants.get(FORGET) {
            Some(Some(ScalarValue::Int64(Some(secs)))) => *secs,
            _ => {
                return Err(
                    "volume needs the seconds after which it forgets, as a number".to_owned(),
                );
            }
        };
        Ok(Self {
            settings: Settings::new(wanted, forget)?,
            model: Arc::default(),
        })
    }

    fn name(&self) -> Option<&str> {
        Some(&self.settings.name)
    }

    fn turn(&mut self, model: &Arc<Model>) {
        self.model = Arc::clone(model);
    }

    fn bring(&self, memory: &Memory, midnight: i64, sums: &mut Sums) {
        if memory.is_over(midnight) {
            return;
        }
        let today = u32::try_from(midnight / 86_400 - 1).unwrap_or(0);
        Person::bring(memory, &self.settings, &self.model, today, sums);
    }
}

impl Shared {
    /// How many active hours are known, and how many there must be, if that is too few.
    pub fn lacks(&self) -> Option<(u64, u64)> {
        let (known, least) = (self.model.hours_known(0), self.settings.least_hours);
        (known < least).then_some((known as u64, least as u64))
    }

    /// The table of the day that begins at this second, from what all keys brought.
    pub fn next(&self, midnight: i64, sums: &Sums) -> Table {
        let first = midnight / HOUR_SECS - 24;
        let slots = std::array::from_fn(|hour| self.settings.calendar.slot(first + hour as i64));
        self.model
            .table()
            .next(sums, &slots, self.settings.half_life)
    }
}

const TIME: usize = WINDOWS;
const MARK: usize = WINDOWS + 1;
const FORGET: usize = WINDOWS + 2;
const SETTINGS: usize = WINDOWS + 3;

impl Fold for Volume {
    const NAME: &'static str = "volume";
    const ARGUMENTS: &'static [Argument] = &[
        Argument::Integer,
        Argument::Integer,
        Argument::Integer,
        Argument::Time,
        Argument::Text,
        Argument::Integer,
        Argument::Text,
    ];
    const HORIZON: usize = FORGET;
    const TIME: Option<usize> = Some(TIME);
    type Common = Shared;

    fn step(
        memory: &mut Memory,
        _: &mut Texts,
        arguments: &Arguments<'_>,
        row: usize,
        shared: &Shared,
    ) -> Option<Found> {
        let second = seconds(arguments.integer(TIME, row)?);
        let counts = [0, 1, 2].map(|window| {
            let count = arguments.integer(window, row).unwrap_or(0);
            u32::try_from(count.max(0)).unwrap_or(u32::MAX)
        });
        let Shared { settings, model } = shared;
        let mut person = Person::at(memory, settings, model, second);
        if let Some(marks) = arguments.text(MARK, row) {
            person.heed(Told::all(marks));
        }
        if counts == [0; WINDOWS] {
            return None;
        }
        let hour = second / HOUR_SECS as u32;
        let largest = person.count(hour, counts)?;
        let weighed = Weighed::of(&person, settings, model, hour, largest)?;
        weighed.judge(&mut person, hour, largest)
    }

    fn release(_: &Memory, _: &mut Texts) {}
}

/// The least share of people in an hour of the week: nothing is impossible.
const LEAST_SHARE: f64 = 1e-6;

/// What an hour's counts say of a person.
struct Weighed<'a> {
    settings: &'a Settings,
    model: &'a Model,
    share: f64,
    /// The chance that the person is active in such an hour.
    active: f64,
    /// By window: the surprise.
    surprise: Vec<f64>,
    /// The window that counts.
    window: usize,
}

impl<'a> Weighed<'a> {
    /// `None` as long as too little is known, or if nothing is anywhere near.
    fn of(
        person: &Person<'_>,
        settings: &'a Settings,
        model: &'a Model,
        hour: u32,
        largest: [u32; WINDOWS],
    ) -> Option<Self> {
        if largest
            .iter()
            .all(|count| *count < settings.at_least.div_ceil(2))
        {
            return None;
        }
        let share = model
            .share(settings.calendar.slot(hour.into()))
            .max(LEAST_SHARE);
        let active = 1.0 - (-person.rate() * share).exp();
        let mut weighed = Self {
            settings,
            model,
            share,
            active,
            surprise: Vec::new(),
            window: 0,
        };
        for (window, count) in (0..settings.windows.len()).zip(largest) {
            let surprise = weighed.surprise(person, window, count)?;
            weighed.surprise.push(surprise);
        }
        // Those with enough count first; of equal ones the first.
        let of_window = |window: usize| {
            (
                largest[window] >= settings.at_least,
                weighed.surprise[window],
            )
        };
        let best = (0..weighed.surprise.len()).rev().max_by(|one, other| {
            let (one, other) = (of_window(*one), of_window(*other));
            one.0.cmp(&other.0).then(one.1.total_cmp(&other.1))
        });
        weighed.window = best?;
        Some(weighed)
    }

    /// The surprise of a count within a window; `None` as long as too little is known.
    fn surprise(&self, person: &Person<'_>, window: usize, count: u32) -> Option<f64> {
        let chances = self.model.chances(window)?;
        if self.model.hours_known(window) < self.settings.least_hours {
            return None;
        }
        let ratio = f64::from(count) / person.scale(window).exp();
        let chance = self.active * chances.of_at_least(ratio);
        Some(-chance.max(f64::MIN_POSITIVE).log10())
    }

    /// What is found, if anything is, and whether the hour is learned.
    fn judge(&self, person: &mut Person<'_>, hour: u32, largest: [u32; WINDOWS]) -> Option<Found> {
        let (surprise, count) = (self.surprise[self.window], largest[self.window]);
        let level = self.settings.levels.iter().rev();
        let level =
            level.filter(|(least, _)| surprise >= *least && count >= self.settings.at_least);
        let level = level.map(|(_, level)| *level).next();
        let is_unlikely = surprise >= UNLIKELY && count >= self.settings.at_least.div_ceil(2);
        if !is_unlikely && level.is_none() {
            return None;
        }
        if is_unlikely {
            person.is_unlikely();
        }
        let mut outdated = None;
        if level.is_some() {
            person.find(hour, largest, self.share);
            outdated = person.outdated();
        }
        Some(self.found(person, (hour, count), level, outdated))
    }

    fn found(
        &self,
        person: &Person<'_>,
        (hour, count): (u32, u32),
        level: Option<Level>,
        outdated: Option<u32>,
    ) -> Found {
        let (window, surprise) = (self.window, self.surprise[self.window]);
        let per = &self.settings.windows[window];
        let scale = person.scale(window).exp();
        let of_ratio = |exceeded_by: f64| {
            let chances = self.model.chances(window);
            rounded(chances.map_or(0.0, |chances| scale * chances.quantile(exceeded_by)))
        };
        let (rates, borrowed) = self.model.rate_interval(person.hours(), person.exposure());
        let a_day = |rate: f64| rounded(rate * self.model.day());
        let mut evidence = Map::new();
        let mut show = |name: &str, value: Value| {
            evidence.insert(name.to_owned(), value);
        };
        show("window", per.clone().into());
        show("count", count.into());
        show("expected", of_ratio(0.5));
        show(
            "expected_interval",
            json!([of_ratio(0.975), of_ratio(0.025)]),
        );
        show("active_hours_a_day", a_day(person.rate()));
        show("active_hours_interval", json!(rates.map(a_day)));
        show("chance_active", rounded(self.active));
        show("surprise", rounded(surprise));
        show("one_in", rounded(10_f64.powf(surprise.min(300.0))));
        show("history_days", person.days().into());
        show("history_active_hours", rounded(person.hours()));
        let shrinkage = organisation::SHRINKAGE;
        show(
            "scale_from_others",
            rounded(shrinkage / (person.hours() + shrinkage)),
        );
        show("rate_from_others", rounded(borrowed));
        let slot = self.settings.calendar.slot(hour.into());
        show(
            "usually_unlikely",
            rounded(self.model.usually_unlikely(slot)),
        );
        if let Some(days) = outdated {
            show("days_found_of_seven", days.into());
        }
        let least = self
            .settings
            .levels
            .iter()
            .filter(|(_, other)| Some(*other) == level);
        let least = least.map(|(least, _)| *least).next().unwrap_or(UNLIKELY);
        let because = vec![
            Because::new(
                format!("count within {per} >= at_least"),
                count,
                self.settings.at_least,
            ),
            Because::new(
                format!("count within {per} >= limit"),
                count,
                self.limit(person, window, least),
            ),
            Because::new(
                "surprise >= surprise of the level",
                rounded(surprise),
                rounded(least),
            ),
        ];
        Found {
            level: level.map(|level| level.to_string()),
            evidence,
            because,
            ..Found::default()
        }
    }

    /// The smallest count of this surprise.
    fn limit(&self, person: &Person<'_>, window: usize, least: f64) -> u32 {
        let is_enough = |count: u32| {
            let surprise = self.surprise(person, window, count);
            count >= self.settings.at_least && surprise.is_some_and(|surprise| surprise >= least)
        };
        let (mut below, mut limit) = (0, u32::MAX);
        while limit - below > 1 {
            let middle = below + (limit - below) / 2;
            if is_enough(middle) {
                limit = middle;
            } else {
                below = middle;
            }
        }
        limit
    }
}
