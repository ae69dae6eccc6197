//! A surprise of 3 is one in a thousand hours: of people who are active in bursts, rarely, at night or once
//! a week.

use super::super::Calendar;
use super::{Dice, MONDAY, Organisation, Wanted, row, sort, wanted, weekday};

const PEOPLE: usize = 800;
/// Days before the first one that is measured, and those that are.
const LEARNED: u32 = 21;
const MEASURED: u32 = 24;
const LEAST: [f64; 3] = [2.0, 3.0, 4.0];

/// Everything is learned and nothing is found.
fn all(time_zone: &str) -> Wanted {
    Wanted {
        at_least: 1,
        time_zone: time_zone.to_owned(),
        ..wanted()
    }
}

/// Lets people live by a law, which says of a person and a day of the week what is done in which hours. Of
/// all hours, also idle ones, about 10^-s must have a surprise of at least s.
fn check(name: &str, mut law: impl FnMut(usize, u32) -> Vec<(u32, u32)>) {
    let mut organisation = Organisation::new(&all("UTC"), PEOPLE, MONDAY);
    let mut seen = [0_u32; LEAST.len()];
    for day in 0..LEARNED + MEASURED {
        let weekday = weekday(organisation.day);
        let mut rows = Vec::new();
        for person in 0..PEOPLE {
            let hours = law(person, weekday).into_iter();
            let hours = hours.filter(|(_, count)| *count > 0);
            rows.extend(hours.map(|(hour, count)| row(person, hour, count)));
        }
        sort(&mut rows);
        for row in rows {
            let surprise = organisation.surprise(row).unwrap_or(0.0);
            for (seen, least) in seen.iter_mut().zip(LEAST) {
                *seen += u32::from(day >= LEARNED && surprise >= least);
            }
        }
        organisation.close();
    }
    let hours = f64::from(24 * MEASURED) * PEOPLE as f64;
    let ratio = |(seen, least): (u32, f64)| f64::from(seen) / hours * 10_f64.powf(least);
    let ratios: Vec<f64> = seen.into_iter().zip(LEAST).map(ratio).collect();
    println!("{name}: hours of a surprise of at least {LEAST:?}: {ratios:.2?} of those promised");
    assert!(
        ratios.iter().all(|ratio| (1.0 / 3.0..=3.0).contains(ratio)),
        "{name}: {ratios:?}"
    );
}

/// Most days nothing at all, and then a negative binomial count.
#[test]
fn it_holds_for_people_who_mostly_do_nothing() {
    let mut dice = Dice::new(1);
    let people = dice.people(PEOPLE, 1.0, 0.7);
    check("zero-inflated", |person, weekday| {
        let (rate, scale) = people[person];
        if dice.unit() >= 0.3 {
            return Vec::new();
        }
        let rate = if weekday >= 5 { 0.5 * rate } else { rate };
        let often = |hour: u32| match hour {
            8..18 => 0.35 * rate,
            _ => 0.06 * rate,
        };
        let hours = dice.hours(often).into_iter();
        hours
            .map(|hour| (hour, dice.count(5.0 * scale, 0.7)))
            .collect()
    });
}

/// Whole days are multiplied by a factor with a heavy tail.
#[test]
fn it_holds_for_people_with_busy_days() {
    let mut dice = Dice::new(2);
    let people = dice.people(PEOPLE, 2.0, 0.5);
    check("bursty", |person, weekday| {
        let (rate, scale) = people[person];
        let scale = scale * dice.lognormal(1.0);
        let rate = if weekday >= 5 { 0.4 * rate } else { rate };
        let often = |hour: u32| match hour {
            8..18 => 0.2 * rate,
            _ => 0.03 * rate,
        };
        let hours = dice.hours(often).into_iter();
        hours
            .map(|hour| (hour, dice.count(6.0 * scale, 2.0)))
            .collect()
    });
}

/// When people work.
enum Work {
    /// In this hour of the week.
    Once(u32),
    PartTime,
    Nights,
    Days,
}

/// Some people have one busy hour a week, some come on three mornings or at night, and weekends are quiet.
#[test]
fn it_holds_for_people_with_weeks_of_their_own() {
    let mut dice = Dice::new(3);
    let people = dice.people(PEOPLE, 2.0, 0.7);
    let work = |_| match dice.unit() {
        ..0.15 => Work::Once((dice.unit() * 120.0) as u32),
        ..0.35 => Work::PartTime,
        ..0.5 => Work::Nights,
        _ => Work::Days,
    };
    let works: Vec<Work> = (0..PEOPLE).map(work).collect();
    check("weekly", |person, weekday| {
        let ((rate, scale), work) = (people[person], &works[person]);
        let is_weekend = weekday >= 5;
        let often = |hour: u32| match work {
            Work::Once(slot) if weekday * 24 + hour == *slot => 2.3,
            Work::PartTime if (1..4).contains(&weekday) && (8..14).contains(&hour) => 0.3 * rate,
            Work::Once(_) | Work::PartTime => 0.01,
            Work::Nights if !(6..22).contains(&hour) => rate * if is_weekend { 0.08 } else { 0.2 },
            Work::Nights => 0.005,
            Work::Days => {
                let rate = if is_weekend { 0.15 * rate } else { rate };
                rate * if (8..18).contains(&hour) { 0.25 } else { 0.02 }
            }
        };
        let mean = match work {
            Work::Once(_) => 8.0 * scale,
            _ => 6.0 * scale,
        };
        let hours = dice.hours(often).into_iter();
        hours.map(|hour| (hour, dice.count(mean, 1.0))).collect()
    });
}

/// 2026-02-23, a Monday: five weeks later clocks have been put forward in Berlin.
const FEBRUARY: u32 = 20_507;

/// People work 9 to 17 on the clock of Berlin. Which share of their active hours has a surprise of at least
/// 2: in the week that ends with the change of the clock, and in the next one.
fn shares(time_zone: &str) -> [f64; 2] {
    let berlin = Calendar::of("Europe/Berlin").unwrap();
    let mut dice = Dice::new(4);
    let people = dice.people(200, 4.0, 0.5);
    let mut organisation = Organisation::new(&all(time_zone), people.len(), FEBRUARY);
    let mut weeks = [(0_u32, 0_u32); 6];
    for day in 0..42 {
        let (large, active) = &mut weeks[day / 7];
        for hour in 0..24 {
            let local = berlin.slot(i64::from(organisation.day * 24 + hour)) % 24;
            let of_hour = if (9..17).contains(&local) { 0.5 } else { 0.005 };
            let often = if day % 7 >= 5 { 0.1 * of_hour } else { of_hour };
            for (person, (rate, scale)) in people.iter().enumerate() {
                let count = match dice.comes(often * rate) {
                    true => dice.count(10.0 * scale, 1.0),
                    false => 0,
                };
                if count > 0 {
                    let surprise = organisation.surprise(row(person, hour, count));
                    *active += 1;
                    *large += u32::from(surprise.is_some_and(|surprise| surprise >= 2.0));
                }
            }
        }
        organisation.close();
    }
    [4, 5].map(|week: usize| f64::from(weeks[week].0) / f64::from(weeks[week].1))
}

#[test]
fn nobody_is_unlikely_because_clocks_are_put_forward() {
    let [before, after] = shares("Europe/Berlin");
    let [utc_before, utc_after] = shares("UTC");
    println!("Berlin: {before:.3}, then {after:.3}; UTC: {utc_before:.3}, then {utc_after:.3}");
    assert!(after <= 2.0 * before, "{before}, then {after}");
    assert!(utc_after > 1.5 * after, "{utc_after} is not much worse");
}
