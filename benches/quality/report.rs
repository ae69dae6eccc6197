//! The table of what was measured, in plain text, and the same figures as JSON.

use gridwatch::anomaly::Level;
use serde_json::{Value, json};

use super::Measured;
use super::alarms::Rate;
use super::goal::{self, Verdict};
use super::label::{BULK, SMALL_BULK};
use super::recall::{By, quantile};
use super::rules::{DOWNLOAD, TRAVEL};

/// The levels from which on findings are counted, with what they are called.
const LEAST: [(Level, &str); 3] = [
    (Level::Informational, "any level"),
    (Level::Medium, "medium and above"),
    (Level::High, "high and above"),
];

/// 1. What was found of each kind of attack.
pub fn attacks(measured: &Measured) -> Value {
    let recall = &measured.recall;
    println!("\n1. Attacks found by a fitting rule: share (95 %, Wilson), delay from their start");
    println!(
        "{:<22} {:>5}  {:<24} {:<24} {:<24} {:>8} {:>8} {:>10} {:>10}",
        "",
        "",
        "any level",
        "medium and above",
        "high and above",
        "median",
        "90 %",
        "high: med.",
        "90 %"
    );
    let mut rows = Vec::new();
    for row in recall.rows() {
        let [any, medium, high] = LEAST.map(|(level, _)| recall.share(row, By::Fitting, level));
        let delays = |level| {
            let delays = recall.delays(row, By::Fitting, level);
            [0.5, 0.9].map(|share| quantile(&delays, share))
        };
        let (soon, soon_high) = (delays(Level::Informational), delays(Level::High));
        let [median, most] = soon.map(span);
        let [median_high, most_high] = soon_high.map(span);
        println!(
            "{row:<22} {:>5}  {any:<24} {medium:<24} {high:<24} {median:>8} {most:>8} {median_high:>10} \
             {most_high:>10}",
            any.of
        );
        let (unexpected, found) = recall.unexpected(row);
        let found: Vec<(&str, &str, usize)> = found
            .into_iter()
            .map(|((rule, level), count)| (rule, level.as_str(), count))
            .collect();
        if unexpected > 0 {
            let by = found
                .iter()
                .map(|(rule, level, count)| format!("{rule} {level} {count}"));
            let by = by.collect::<Vec<_>>().join(", ");
            let by = if by.is_empty() {
                "nothing"
            } else {
                by.as_str()
            };
            println!("  {unexpected} of {} name no rule; found by: {by}", any.of);
        }
        rows.push(json!({
            "kind": row,
            "number": any.of,
            "any": any.json(),
            "medium": medium.json(),
            "high": high.json(),
            "delay_micros": { "median": soon[0], "p90": soon[1] },
            "delay_high_micros": { "median": soon_high[0], "p90": soon_high[1] },
            "without_rules": { "number": unexpected, "found_by": found },
        }));
    }
    println!("  {BULK}: 5 times as many files as usual, and 30 at least; {SMALL_BULK}: the others");
    Value::Array(rows)
}

/// 2. False alarms by rule and level.
pub fn false_alarms(measured: &Measured, rules: &[String]) -> Value {
    let alarms = &measured.alarms;
    println!(
        "\n2. False alarms for 1,000 people a day (95 %, Poisson), over {:.1} thousand days of people",
        alarms.thousand_days()
    );
    println!("{:<34} {:<18} {:>7}  rate", "", "level", "number");
    let mut figures = Vec::new();
    let mut line = |name: &str, level: &str, rate: Rate| {
        println!("{name:<34} {level:<18} {:>7}  {rate}", rate.count);
        figures.push(json!({ "rules": name, "level": level, "rate": rate.json() }));
    };
    for (rule, level, rate) in alarms.each() {
        line(rule, level.as_str(), rate);
    }
    let is_silent = |rule: &&String| alarms.each().all(|(name, ..)| name != rule.as_str());
    let silent: Vec<&str> = rules.iter().filter(is_silent).map(String::as_str).collect();
    if !silent.is_empty() {
        // The interval is the same for each of them.
        println!("none, {} each: {}", alarms.of(0), silent.join(", "));
    }
    println!("{:-<34}", "");
    let groups: [(&str, IsIn); 4] = [
        ("all", |_| true),
        (TRAVEL, |rule| rule == TRAVEL),
        ("egress_*", |rule| rule.starts_with("egress_")),
        (DOWNLOAD, |rule| rule == DOWNLOAD),
    ];
    for (name, is_of) in groups {
        // Only what was run has a figure.
        if !rules.iter().any(|rule| is_of(rule)) {
            continue;
        }
        for (least, level) in LEAST.into_iter().rev() {
            line(name, level, alarms.rate(least, is_of));
        }
    }
    json!({
        "thousand_days_of_people": alarms.thousand_days(),
        "rates": figures,
        "none": { "rules": silent, "rate": alarms.of(0).json() },
    })
}

/// 3. The goals.
pub fn goals(measured: &Measured, rules: &[String], are_all_rules: bool) -> Value {
    let lines = goal::judged(measured, rules, are_all_rules);
    println!("\n3. Goals");
    for line in &lines {
        println!(
            "{:<64} {:<26} {:>8}  {}",
            line.goal, line.reached, line.limit, line.verdict
        );
    }
    let number = |verdict| lines.iter().filter(|line| line.verdict == verdict).count();
    println!(
        "{} of {} reached, {} not measured",
        number(Verdict::Pass),
        lines.len(),
        number(Verdict::NotMeasured)
    );
    lines.iter().map(goal::Line::json).collect()
}

/// 4. The whole and what is left without each part.
pub fn ablations(all: &[(&str, usize, &Measured)], rules: &[String], left_out: &[&str]) -> Value {
    /// Kinds of attacks, each with the rule by whose findings at high and above it is found.
    const FOUND: [(&str, &str); 4] = [
        ("travel_continent", TRAVEL),
        ("travel_country", TRAVEL),
        ("travel_far_city", TRAVEL),
        (BULK, DOWNLOAD),
    ];
    let is_run = |rule: &str| rules.iter().any(|name| name == rule);
    println!(
        "\n4. Ablations: found at high and above by {TRAVEL} ({BULK}: {DOWNLOAD}), and false alarms for \
         1,000 people a day"
    );
    print!("{:<16} {:>5}", "", "rules");
    for (kind, _) in FOUND {
        print!("  {kind:<24}");
    }
    for (rule, level) in [
        (TRAVEL, "high"),
        (TRAVEL, "medium"),
        (DOWNLOAD, "high"),
        (DOWNLOAD, "medium"),
    ] {
        let title = format!("{rule} {level}+");
        print!("  {title:<26}");
    }
    println!();
    let mut figures = Vec::new();
    for (name, changed_rules, measured) in all {
        print!("{name:<16} {changed_rules:>5}");
        let (mut found, mut wrong) = (Vec::new(), Vec::new());
        for (kind, rule) in FOUND {
            let share = measured.recall.share(kind, By::Rule(rule), Level::High);
            let shown = if is_run(rule) {
                share.to_string()
            } else {
                "-".to_owned()
            };
            print!("  {shown:<24}");
            found.push(
                json!({ "kind": kind, "by": rule, "share": is_run(rule).then(|| share.json()) }),
            );
        }
        for rule in [TRAVEL, DOWNLOAD] {
            for level in [Level::High, Level::Medium] {
                let rate = measured.alarms.rate(level, |name| name == rule);
                let shown = if is_run(rule) {
                    rate.to_string()
                } else {
                    "-".to_owned()
                };
                print!("  {shown:<26}");
                let rate = is_run(rule).then(|| rate.json());
                wrong.push(json!({ "rule": rule, "least_level": level.as_str(), "rate": rate }));
            }
        }
        println!();
        figures.push(json!({
            "name": name,
            "changed_rules": changed_rules,
            "found": found,
            "false_alarms": wrong,
        }));
    }
    for name in left_out {
        println!("{name}: not measured, since the rule that it is about is not run");
    }
    json!({ "variants": figures, "not_measured": left_out })
}

/// A delay in microseconds, in the unit that suits it.
fn span(micros: Option<i64>) -> String {
    let Some(micros) = micros else {
        return "-".to_owned();
    };
    let seconds = micros as f64 / 1e6;
    match seconds {
        _ if seconds < 120.0 => format!("{seconds:.0} s"),
        _ if seconds < 7200.0 => format!("{:.0} min", seconds / 60.0),
        _ => format!("{:.1} h", seconds / 3600.0),
    }
}

/// Whether a rule belongs to a group.
type IsIn = fn(&str) -> bool;
