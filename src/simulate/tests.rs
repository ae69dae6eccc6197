use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;

use rayon::ThreadPoolBuilder;
use serde_json::Value;

use super::*;

mod normal;

/// What a plan gives.
#[derive(PartialEq)]
struct Written {
    events: String,
    networks: String,
    labels: String,
    totals: Totals,
}

fn run(plan: &Plan) -> Written {
    let [mut events, mut networks, mut labels] = [const { Vec::new() }; 3];
    let mut last = 0;
    let mut progress = |written| last = written;
    let totals = write(plan, &mut events, &mut networks, &mut labels, &mut progress).unwrap();
    assert_eq!(last, totals.events);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Written {
        events: text(events),
        networks: text(networks),
        labels: text(labels),
        totals,
    }
}

/// 60 people for a week.
fn small() -> Plan {
    Plan::new(60, 7, 11)
}

fn lines(text: &str) -> Vec<Value> {
    let line = |line| serde_json::from_str(line).unwrap();
    text.lines().map(line).collect()
}

fn word<'a>(value: &'a Value, path: &str) -> &'a str {
    let found = value.pointer(path).and_then(Value::as_str);
    found.unwrap_or_else(|| panic!("no {path} in {value}"))
}

fn second(event: &Value) -> i64 {
    event["date_create"].as_i64().unwrap()
}

#[test]
fn equal_plans_give_equal_bytes_on_any_number_of_threads() {
    let on = |threads| {
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| run(&small()))
    };
    let one = on(1);
    assert!(one == on(3));
    assert!(
        one.events
            != run(&Plan {
                seed: 12,
                ..small()
            })
            .events
    );
}

#[test]
fn events_have_the_wire_form() {
    let written = run(&small());
    let events = lines(&written.events);
    assert_eq!(events.len() as u64, written.totals.events);
    for event in &events {
        let entity = word(event, "/entity/type");
        assert!(event["entity"][entity]["id"].is_string() || entity == "message");
        assert_eq!(word(event, "/id").len(), 36);
        assert!(word(event, "/actor/user/id").starts_with('U'));
        for path in [
            "/action",
            "/actor/user/name",
            "/actor/user/email",
            "/actor/user/team",
        ] {
            assert!(!word(event, path).is_empty());
        }
        for part in ["type", "id", "name", "domain"] {
            assert!(!word(event, &format!("/context/location/{part}")).is_empty());
        }
        word(event, "/context/ua");
        let session = &event["context"]["session_id"];
        let digits = session
            .as_str()
            .map_or_else(|| session.to_string(), str::to_owned);
        assert!(
            session.is_null() || (11..=14).contains(&digits.len()),
            "{session}"
        );
    }
    let mean = written.events.len() as f64 / events.len() as f64;
    assert!((650.0..850.0).contains(&mean), "{mean}");
}

#[test]
fn time_goes_on_and_ids_are_unique() {
    let plan = small();
    let events = lines(&run(&plan).events);
    assert!(events.is_sorted_by_key(second));
    assert!(second(&events[0]) >= plan.start);
    assert!(second(&events[events.len() - 1]) < plan.start + 7 * calendar::DAY);
    let ids: HashSet<&str> = events.iter().map(|event| word(event, "/id")).collect();
    assert_eq!(ids.len(), events.len());
}

#[test]
fn every_session_is_one_persons() {
    let events = lines(&run(&small()).events);
    let mut owners = HashMap::new();
    for event in &events {
        let session = event["context"]["session_id"].to_string().replace('"', "");
        let invited = event["details"]["type"] == "INVITED";
        let user = word(event, "/actor/user/id");
        if session != "null" && !invited {
            assert_eq!(*owners.entry(session).or_insert(user), user);
        }
    }
}

#[test]
fn every_address_is_in_one_network() {
    let written = run(&small());
    let mut networks: Vec<(u32, u32)> = written.networks.lines().skip(1).map(range).collect();
    networks.sort_unstable();
    assert!(networks.windows(2).all(|pair| pair[0].1 < pair[1].0));
    for event in lines(&written.events) {
        let text = word(&event, "/context/ip_address");
        if !matches!(text, "" | "127.0.0.1") {
            let address = text.parse::<Ipv4Addr>().unwrap().to_bits();
            let after = networks.partition_point(|(first, _)| *first <= address);
            assert!(after > 0 && address <= networks[after - 1].1, "{text}");
        }
    }
}

/// First and last address of a row, which has no quotes.
fn range(row: &str) -> (u32, u32) {
    let cells: Vec<&str> = row.split(',').collect();
    assert_eq!(cells.len(), 9, "{row}");
    let (first, length) = cells[0].split_once('/').unwrap();
    let first = first.parse::<Ipv4Addr>().unwrap().to_bits();
    let size = 1 << (32 - length.parse::<u32>().unwrap());
    assert_eq!(first % size, 0, "{row}");
    (first, first + size - 1)
}

/// Unix seconds of a moment in a label.
fn moment(label: &Value, path: &str) -> i64 {
    let moment: jiff::Timestamp = word(label, path).parse().unwrap();
    moment.as_second()
}

fn words(value: &Value) -> Vec<&str> {
    let list = value.as_array().into_iter().flatten();
    list.map(|value| value.as_str().unwrap()).collect()
}

#[test]
fn common_kinds_of_attacks_take_place_in_the_last_two_days() {
    let plan = Plan {
        users: 50,
        ..small()
    };
    let written = run(&plan);
    let events = lines(&written.events);
    let by_id: HashMap<&str, &Value> = events
        .iter()
        .map(|event| (word(event, "/id"), event))
        .collect();
    let labels = lines(&written.labels);
    assert_eq!(labels.len() as u64, written.totals.attacks);
    let kinds: HashSet<&str> = labels.iter().map(|label| word(label, "/attack")).collect();
    for kind in [
        "travel_continent",
        "travel_country",
        "travel_far_city",
        "stolen_session",
        "bulk_download",
        "slack_anomaly",
    ] {
        assert!(kinds.contains(kind), "{kind}: {kinds:?}");
    }
    for label in &labels {
        let ids = words(&label["event_ids"]);
        assert!((1..=1_000).contains(&ids.len()));
        let first = by_id[ids[0]];
        assert_eq!(moment(label, "/start"), second(first));
        assert!(moment(label, "/start") >= plan.start + 5 * calendar::DAY);
        assert_eq!(word(label, "/user"), word(first, "/actor/user/id"));
        let is_small = label["about"]["times"]
            .as_f64()
            .is_some_and(|times| times < 5.0);
        assert!(is_small || !words(&label["rules"]).is_empty(), "{label}");
    }
}

#[test]
fn as_many_attacks_as_are_asked_for_take_place_each_on_other_people() {
    let plan = Plan {
        attacks: Attacks::plenty(1),
        ..Plan::new(250, 12, 17)
    };
    let written = run(&plan);
    let events = lines(&written.events);
    let by_id: HashMap<&str, &Value> = events
        .iter()
        .map(|event| (word(event, "/id"), event))
        .collect();
    let labels = lines(&written.labels);
    let kinds: HashSet<&str> = labels.iter().map(|label| word(label, "/attack")).collect();
    assert_eq!((labels.len(), kinds.len()), (28, 28), "{kinds:?}");
    let mut attacked = HashSet::new();
    for label in &labels {
        let mut people = words(&label["about"]["people"]);
        people.push(word(label, "/user"));
        for person in &people {
            assert!(attacked.insert((*person).to_owned()), "{label}");
        }
        let ids = words(&label["event_ids"]);
        let acts: Vec<&Value> = ids.iter().map(|id| by_id[id]).collect();
        assert!(acts.is_sorted_by_key(|event| second(event)));
        assert!(
            acts.iter()
                .all(|event| people.contains(&word(event, "/actor/user/id")))
        );
        assert_eq!(moment(label, "/start"), second(acts[0]));
        assert_eq!(moment(label, "/end"), second(acts[acts.len() - 1]));
        assert!(moment(label, "/start") >= plan.start + 6 * calendar::DAY);
    }
}

#[test]
fn what_is_expected_to_find_attacks_is_shipped() {
    let plan = Plan {
        attacks: Attacks::plenty(2),
        ..Plan::new(400, 12, 19)
    };
    let shipped: HashSet<&str> = crate::rule::embedded::RULES
        .iter()
        .flat_map(|(_, text)| text.lines())
        .filter_map(|line| line.strip_prefix("name: "))
        .collect();
    let org = Organisation::new(&plan).unwrap();
    for attack in attack::place(&org, &plan.attacks) {
        for rule in attack.rules(&org, &attack.records(&org)) {
            assert!(shipped.contains(rule), "{rule}");
        }
    }
}

#[test]
fn attacks_change_nothing_else() {
    let with = run(&small());
    let without = run(&Plan {
        attacks: Attacks::none(),
        ..small()
    });
    assert_eq!(without.totals.attacks, 0);
    assert!(without.labels.is_empty());
    let lines: HashSet<&str> = with.events.lines().collect();
    assert!(without.events.lines().all(|line| lines.contains(line)));
}

#[test]
fn a_bulk_download_is_of_several_times_as_many_files_as_usual_in_50_minutes() {
    let attacks = Attacks {
        bulk_downloads: 2_000.0,
        ..Attacks::none()
    };
    let written = run(&Plan {
        attacks,
        ..Plan::new(20, 9, 5)
    });
    let events = lines(&written.events);
    let labels = lines(&written.labels);
    assert!(!labels.is_empty());
    for label in labels {
        let (start, end) = (moment(&label, "/start"), moment(&label, "/end"));
        assert!(end - start <= 50 * calendar::MINUTE);
        let is_part = |event: &&Value| {
            (start..=end).contains(&second(event))
                && event["action"] == "file_downloaded"
                && word(event, "/actor/user/id") == word(&label, "/user")
        };
        let parts = events.iter().filter(is_part);
        let files: HashSet<&str> = parts.map(|event| word(event, "/entity/file/id")).collect();
        let about = |name: &str| label["about"][name].as_u64().unwrap();
        let (usual, fetched) = (about("usual"), about("files"));
        assert!(files.len() as u64 >= fetched, "{} {label}", files.len());
        assert!((30..=600).contains(&fetched) && usual >= 6, "{label}");
        assert!(fetched >= (3 * usual).min(600), "{label}");
        let is_expected = words(&label["rules"]).contains(&"file_bulk_download");
        assert_eq!(is_expected, fetched >= 5 * usual, "{label}");
    }
}

#[test]
fn volumes_are_those_of_working_people() {
    let plan = Plan {
        attacks: Attacks::none(),
        ..Plan::new(400, 5, 3)
    };
    let events = lines(&run(&plan).events);
    let share = |part: fn(&&Value) -> bool, of: fn(&&Value) -> bool| {
        let count = |is: fn(&&Value) -> bool| events.iter().filter(is).count() as f64;
        count(part) / count(of)
    };
    let mean = events.len() as f64 / 400.0 / 5.0;
    assert!((30.0..50.0).contains(&mean), "{mean}");
    let failed = share(
        |event| event["action"] == "user_login_failed",
        |event| word(event, "/action").starts_with("user_login"),
    );
    // A tenth: who forgot a password fails several times.
    assert!((0.04..0.18).contains(&failed), "{failed}");
    let server_side = share(
        |event| event["context"]["ip_address"] == "127.0.0.1",
        |event| word(event, "/action").starts_with("file_"),
    );
    assert!((0.10..0.16).contains(&server_side), "{server_side}");
}

#[test]
fn a_plan_out_of_bounds_is_refused() {
    for plan in [
        Plan::new(0, 1, 1),
        Plan::new(1, u32::MAX, 1),
        Plan {
            start: -1,
            ..small()
        },
    ] {
        let [mut events, mut networks, mut labels] = [const { Vec::new() }; 3];
        let written = write(&plan, &mut events, &mut networks, &mut labels, &mut |_| {});
        assert!(written.is_err());
    }
}

#[test]
fn text_is_escaped_as_json() {
    let text = "a\"b\\c/d\ne\tf\u{1}g – é 👍";
    let mut line = Line::new(Vec::new());
    line.raw("\"").escaped(text).raw("\"");
    let json = line.into_buffer();
    assert_eq!(serde_json::from_slice::<String>(&json).unwrap(), text);
}
