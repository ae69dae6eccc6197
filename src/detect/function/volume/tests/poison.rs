//! Whoever wants to be allowed more: by doing far too much, or a little less than would be found.

use super::{MONDAY, Office, put};

/// Ten times too much, day by day, is found each time, and teaches nothing: a twin who did nothing of that
/// has the same limits.
#[test]
fn what_is_found_moves_no_limit() {
    const EVENING: u32 = 20;
    let mut office = Office::new(300, 2, 11);
    office.pass(21);
    for day in 0..14 {
        let limit = office.organisation.limit(0, EVENING);
        let mut rows = office.draw();
        put(&mut rows, &[0], EVENING, limit.saturating_mul(10));
        let found = office.organisation.day(&rows);
        assert!(found.contains_key(&(0, EVENING)), "day {day}, {limit}");
    }
    for hour in [10, 12, 15] {
        let limits = [0, 1].map(|person| office.organisation.limit(person, hour));
        let [moved, kept] = limits.map(f64::from);
        println!("at {hour}: {moved} after 14 attacks, {kept} without");
        assert!(
            (moved / kept - 1.0).abs() <= 0.05,
            "at {hour}: {moved}, {kept}"
        );
    }
}

/// Somebody does one less than would be found, in the hour of the day in which most is allowed, on each of
/// 14 days after so many days of the organisation, of which he was there for `known`. Gives by which factor
/// his limit rises.
fn creep(days: u32, known: u32, seed: u64) -> f64 {
    let mut office = Office::new(300, 1, seed);
    office.since = MONDAY + days - known;
    office.pass(days);
    let busiest = |office: &Office| {
        let limits = (0..24).map(|hour| (office.organisation.limit(0, hour), hour));
        let (limit, hour) = limits.max().unwrap();
        assert!(limit < u32::MAX, "too little is known");
        (hour, limit)
    };
    let (hour, before) = busiest(&office);
    for day in 0..14 {
        let (hour, limit) = busiest(&office);
        let mut rows = office.draw();
        put(&mut rows, &[0], hour, limit - 1);
        let found = office.organisation.day(&rows);
        let of_him: Vec<_> = found.keys().filter(|(person, _)| *person == 0).collect();
        assert!(of_him.is_empty(), "day {day}, {limit}: {of_him:?}");
    }
    let after = office.organisation.limit(0, hour);
    println!("known for {known} days: at {hour} from {before} to {after} within 14 days");
    f64::from(after) / f64::from(before)
}

#[test]
fn whoever_stays_below_the_limit_moves_it_slowly() {
    let factor = creep(28, 28, 12);
    assert!(factor <= 2.0, "{factor}");
}

/// The same for somebody who has just been there long enough for limits to be held.
#[test]
fn somebody_new_moves_it_slowly_too() {
    let factor = creep(42, 14, 13);
    assert!(factor <= 2.0, "{factor}");
}
