//! What marks teach, when a baseline is outdated, and how limits fall.

use serde_json::Value;

use super::{Found, Office, put, row};

const NOON: u32 = 12;

/// A count that is found at noon of this day.
fn too_much(office: &Office) -> u32 {
    let limit = office.organisation.limit(0, NOON);
    assert!(limit < u32::MAX, "too little is known");
    3 * limit
}

/// The first is told to be benign, the second an attack, and of the third nothing is said.
#[test]
fn a_benign_mark_is_learned_at_once() {
    let mut office = Office::new(300, 3, 21);
    office.pass(28);
    let count = too_much(&office);
    let (mut rows, people) = (office.draw(), [0, 1, 2]);
    put(&mut rows, &people, NOON, count);
    let found = office.organisation.take(&rows);
    assert!(people.iter().all(|at| found.contains_key(&(*at, NOON))));
    for (person, verdict) in [(0, "benign"), (1, "attack")] {
        office.organisation.tell(person, verdict, NOON * 3600 + 60);
    }
    office.organisation.close();

    let mut rows = office.draw();
    put(&mut rows, &people, NOON, count);
    let found = office.organisation.day(&rows);
    let is_found = people.map(|person| found.contains_key(&(person, NOON)));
    assert_eq!(is_found, [false, true, true]);
}

/// A mark may come before its hour is over: if far more comes yet, that is found too, and may be marked in
/// turn.
#[test]
fn an_hour_that_was_marked_is_found_again_if_it_grows() {
    for earlier in [None, Some(NOON - 2)] {
        let mut office = Office::new(300, 1, 22);
        office.pass(28);
        let count = too_much(&office);
        for hour in earlier.into_iter().chain([NOON]) {
            let found = office.organisation.take(&[row(0, hour, count)]);
            assert!(found.contains_key(&(0, hour)));
        }
        office.organisation.tell(0, "benign", NOON * 3600 + 60);
        let more = (0, NOON * 3600 + 1800, [100 * count, 0, 0]);
        let found = office.organisation.take(&[more]);
        assert!(found.contains_key(&(0, NOON)));

        office.organisation.tell(0, "benign", NOON * 3600 + 1800);
        office.organisation.close();
        let found = office.organisation.day(&[row(0, NOON, 100 * count)]);
        assert!(found.is_empty(), "{found:?}");
    }
}

/// Something is found in two hours of a day, and the second is marked and grows: the first is still there to
/// be marked.
#[test]
fn an_hour_that_grows_after_its_mark_leaves_others_to_be_marked() {
    let mut office = Office::new(300, 1, 23);
    office.pass(28);
    let (small, large) = (too_much(&office), 20 * too_much(&office));
    let earlier = NOON - 2;
    for (hour, count) in [(earlier, large), (NOON, small)] {
        let found = office.organisation.take(&[row(0, hour, count)]);
        assert!(found.contains_key(&(0, hour)));
    }
    office.organisation.tell(0, "benign", NOON * 3600 + 60);
    let grown = (0, NOON * 3600 + 1800, [100 * small, 0, 0]);
    let found = office.organisation.take(&[grown]);
    assert!(found.contains_key(&(0, NOON)));
    // Later than the other mark, of what was found before.
    let about = office.organisation.second(earlier * 3600 + 60);
    let from = office.organisation.second(NOON * 3600 + 3000);
    office.organisation.told[0] = Some(format!("benign {from} {about}"));
    office.organisation.close();
    let found = office.organisation.day(&[row(0, NOON, large)]);
    assert!(found.is_empty(), "{found:?}");
}

/// Something is found on five of seven days: from then on that is said, once a day, until there is a mark.
#[test]
fn five_days_of_seven_say_that_a_baseline_is_outdated() {
    let mut office = Office::new(300, 1, 24);
    office.pass(28);
    let told = |found: &Found| {
        let days = found.evidence.get("days_found_of_seven");
        days.and_then(Value::as_u64)
    };
    let days = [
        (true, None),
        (true, None),
        (false, None),
        (true, None),
        (false, None),
        (true, None),
        (true, Some(5)),
        (true, Some(5)),
        (true, Some(5)),
    ];
    for (day, (attacks, wanted)) in days.into_iter().enumerate() {
        let mut rows = office.draw();
        let hours = [NOON, 20];
        if attacks {
            let count = 10 * too_much(&office);
            for hour in hours {
                put(&mut rows, &[0], hour, count);
            }
        }
        let found = office.organisation.day(&rows);
        let [first, second] = hours.map(|hour| found.get(&(0, hour)));
        assert_eq!([first, second].map(|found| found.is_some()), [attacks; 2]);
        assert_eq!(first.and_then(told), wanted, "day {day}");
        assert_eq!(second.and_then(told), None, "day {day}");
    }

    office.organisation.tell(0, "attack", 0);
    let mut rows = office.draw();
    let count = 10 * too_much(&office);
    put(&mut rows, &[0], NOON, count);
    let found = office.organisation.day(&rows);
    assert_eq!(found.get(&(0, NOON)).map(told), Some(None));
}

/// Somebody who does more than others, and more often, stops for eight weeks: whoever uses his account then
/// is not allowed more than he was.
#[test]
fn whoever_stops_is_allowed_less() {
    let mut office = Office::new(200, 0, 25);
    office.people[0] = (2.0, 2.0);
    office.pass(28);
    let before = office.organisation.limit(0, NOON);
    for _ in 0..56 {
        let mut rows = office.draw();
        rows.retain(|(person, _, _)| *person != 0);
        office.organisation.day(&rows);
    }
    let after = office.organisation.limit(0, NOON);
    println!("from {before} to {after} within eight weeks");
    assert!(after <= before && before < u32::MAX, "{before}, {after}");
}
