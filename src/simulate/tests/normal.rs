//! What normal life has that looks like harm.

use super::super::agent::Family;
use super::super::calendar::{DAY, HOUR, MINUTE, Whereabouts, local_day, moment, weekday};
use super::super::event::Action;
use super::super::person::Person;
use super::super::session::Device;
use super::super::stay::Stay;
use super::*;

fn organisation(users: u32, days: u32) -> Organisation {
    Organisation::new(&Plan::new(users, days, 3)).unwrap()
}

fn people(org: &Organisation) -> impl Iterator<Item = Person> {
    (0..org.users).map(move |number| org.person(number))
}

/// All errands of the person, in the order of hours.
fn errands(org: &Organisation, person: &Person) -> Vec<Record> {
    let mut records = Vec::new();
    for hour in 0..org.days * 24 {
        errand::hour(org, person, hour, &mut records);
    }
    records
}

/// Whether the person is at home all the while.
fn is_home(org: &Organisation, person: &Person, time: i64, hours: i64) -> bool {
    (0..=4 * hours).all(|quarter| {
        let then = time + quarter * HOUR / 4;
        matches!(org.whereabouts(person, then), Whereabouts::Home)
    })
}

#[test]
fn a_move_changes_addresses_and_a_surge_adds_downloads_and_nothing_else() {
    let plan = Plan {
        attacks: Attacks::none(),
        ..Plan::new(150, 14, 5)
    };
    let with = run(&plan);
    let without = run(&Plan {
        moves: false,
        surge: false,
        ..plan
    });
    assert!(with.networks == without.networks);
    let is_new = |row: &&str| row.ends_with(",64510,Example Business Internet,unknown");
    let rows = with.networks.lines().filter(is_new);
    let ranges: Vec<(u32, u32)> = rows.map(range).collect();
    assert_eq!(ranges.len(), 3);
    let usual = lines(&without.events);
    let usual: HashMap<&str, &Value> = usual
        .iter()
        .map(|event| (word(event, "/id"), event))
        .collect();
    let events = lines(&with.events);
    let (mut moved, mut added) = (HashSet::new(), 0);
    for event in &events {
        let Some(before) = usual.get(word(event, "/id")) else {
            assert_eq!(event["action"], "file_downloaded");
            added += 1;
            continue;
        };
        if event != *before {
            let address: Ipv4Addr = word(event, "/context/ip_address").parse().unwrap();
            let address = address.to_bits();
            assert!(
                ranges
                    .iter()
                    .any(|(first, last)| (*first..=*last).contains(&address))
            );
            moved.insert(word(event, "/actor/user/id"));
        }
    }
    assert_eq!(events.len(), usual.len() + added);
    assert!(moved.len() >= 15, "{} moved", moved.len());
    assert!(added >= 20, "{added} more");
}

#[test]
fn a_fifth_of_the_people_comes_from_elsewhere_on_the_morning_of_the_move() {
    let org = organisation(1_000, 30);
    let day = org.season.move_day.unwrap();
    let is_there = |person: &Person| {
        let morning = moment(day * DAY + (person.start_minute + 30) * MINUTE, person.city);
        let context = org.context(person, Device::Desktop, false, morning);
        let exit = org.world.gateway(person.city, 0, true);
        context.is_some_and(|context| context.ip >> 5 == exit >> 5)
    };
    let count = people(&org).filter(is_there).count();
    assert!((120..280).contains(&count), "{count}");
}

#[test]
fn who_joins_or_leaves_does_nothing_without_an_account() {
    let org = organisation(20_000, 14);
    let changing: Vec<Person> = people(&org)
        .filter(|person| person.stay != Stay::default())
        .collect();
    let joined = changing.iter().filter(|one| one.stay.joined.is_some());
    let left = changing.iter().filter(|one| one.stay.left.is_some());
    // 0.6 % each in two weeks.
    for count in [joined.count(), left.count()] {
        assert!((75..170).contains(&count), "{count}");
    }
    for person in changing.iter().take(30) {
        let mut records = errands(&org, person);
        for hour in 0..org.days * 24 {
            activity::ordinary(&org, person, hour, &mut records);
        }
        let is_active = |record: &Record| {
            let time = org.start + i64::from(record.time);
            person.stay.is_active(time) || record.action == Action::Anomaly
        };
        assert!(records.iter().all(is_active));
    }
}

#[test]
fn somebody_new_signs_in_and_joins_10_to_25_channels() {
    let org = organisation(10_000, 14);
    let mut seen = 0;
    for person in people(&org) {
        let Some(joined) = person.stay.joined else {
            continue;
        };
        let is_within = joined.time > org.start && joined.time + HOUR < org.end();
        if !is_within || !is_home(&org, &person, joined.time, 1) {
            continue;
        }
        seen += 1;
        let signed_in = org.sign_in(&person, Device::Desktop, joined.day);
        assert_eq!(signed_in, Some(joined.time));
        let records = errands(&org, &person);
        let joins = records
            .iter()
            .filter(|record| record.action == Action::ChannelJoin);
        let channels: HashSet<u64> = joins.map(|record| record.object).collect();
        assert!((10..=25).contains(&channels.len()), "{}", channels.len());
    }
    assert!(seen >= 20, "{seen}");
}

#[test]
fn who_leaves_is_deactivated_by_an_administrator() {
    let org = organisation(5_000, 14);
    let mut seen = 0;
    for person in people(&org) {
        let Some(left) = person.stay.left.filter(|left| *left < org.end()) else {
            continue;
        };
        let hour = ((left - org.start) / HOUR) as u32;
        let mut records = Vec::new();
        administration::hour(&org, &person, hour, &mut records);
        for record in records {
            assert_eq!(record.object, u64::from(person.number));
            assert!(org.person(record.key.person()).is_admin);
            seen += u32::from(record.action == Action::UserDeactivated);
        }
    }
    assert!(seen >= 10, "{seen}");
}

#[test]
fn reports_are_made_of_30_to_60_files_on_mondays() {
    let org = organisation(4_000, 7);
    let mut seen = 0;
    for person in people(&org).filter(|person| person.habits.reports) {
        let monday = local_day(org.start + 12 * HOUR, person.city);
        assert_eq!(weekday(monday), 0);
        let midnight = moment(monday * DAY, person.city);
        let does_more = person.habits.script.is_some() || person.stay != Stay::default();
        let is_usual = org.day(&person, monday).works && is_home(&org, &person, midnight, 24);
        // In the east the morning begins before the plan.
        if does_more || !is_usual || midnight + 7 * HOUR <= org.start {
            continue;
        }
        seen += 1;
        let records = errands(&org, &person);
        let files = records
            .iter()
            .filter(|record| record.action == Action::FileDownloaded);
        let count = files.count();
        assert!((30..=60).contains(&count), "{count}");
    }
    assert!(seen >= 10, "{seen}");
}

#[test]
fn programs_have_a_session_of_their_own() {
    let org = organisation(1_000, 14);
    let mut seen = 0;
    for person in people(&org).filter(|person| person.habits.script.is_some()) {
        let is_by_program =
            |record: &&Record| matches!(record.agent.family, Family::Curl | Family::PythonRequests);
        let records = errands(&org, &person);
        for record in records.iter().filter(is_by_program) {
            let time = org.start + i64::from(record.time);
            assert_eq!(record.session, org.token(person.number));
            for device in Device::OWN {
                assert_ne!(record.session, org.session(&person, device, time));
            }
            seen += 1;
        }
    }
    assert!(seen >= 20, "{seen}");
}

#[test]
fn who_downloads_much_does_so_every_day() {
    let org = organisation(3_000, 7);
    let first = org.start / DAY;
    let mut means = Vec::new();
    for much in [true, false] {
        let volumes: Vec<f64> = people(&org)
            .filter(|person| person.habits.downloads_much == much)
            .flat_map(|person| [0, 1, 2, 3].map(|day| org.volume(&person, first + day).downloads))
            .collect();
        assert!(!much || volumes.iter().all(|volume| *volume > 5.0));
        means.push(volumes.iter().sum::<f64>() / volumes.len() as f64);
    }
    let times = means[0] / means[1];
    assert!((6.0..10.0).contains(&times), "{times}");
}
