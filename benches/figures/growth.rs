//! How cost grows with actors, with the length of windows, and with rules that are not hit.

use std::error::Error;

use gridwatch::detect::live::Live;
use gridwatch::detect::plan::Planner;
use gridwatch::rule::Rule;

use super::measure::{Took, measured};
use super::synthetic::Synthetic;
use super::{Asked, rules};

/// Events that are judged together.
const BATCH: u64 = 1 << 15;

/// CPU microseconds an event: over the first `warm` events, and over as many as `count` after them.
fn cost(
    planner: &Planner,
    rules: &[Rule],
    actors: u64,
    rate: u64,
    (warm, count): (u64, u64),
) -> Result<(f64, f64), Box<dyn Error>> {
    let programs: Vec<_> = rules.iter().map(|rule| &rule.program).collect();
    let mut live = Live::new(planner, &programs).map_err(|(_, error)| error)?;
    let mut events = Synthetic::new(actors, rate, live.columns());
    let mut phase = |events_wanted: u64| -> Result<f64, Box<dyn Error>> {
        let mut took = Took::default();
        for _ in 0..events_wanted.div_ceil(BATCH) {
            let (batch, watermark) = events.next(BATCH);
            let (found, this) =
                measured(|| live.push(&batch).and_then(|()| live.advance(watermark)))?;
            found?;
            took.add(this);
        }
        Ok(took.cpu_seconds * 1e6 / events_wanted as f64)
    };
    Ok((phase(warm)?, phase(count)?))
}

pub fn run(asked: &Asked) -> Result<(), Box<dyn Error>> {
    let planner = Planner::new()?;
    let million = asked.value("--growth-events", 1_000_000_u64);
    let (four, many) = (rules::shipped(&planner), rules::variants(&planner, 42));
    println!(
        "\nCPU µs an event, the engine alone; the first {million} events, and as many after them"
    );
    if million < 1_000_000 {
        println!(
            "too few to see a million actors, or to fill a day, before it counts: no figures to quote"
        );
    }
    println!("{:<36} {:>10} {:>10}", "", "at first", "after it");
    let line = |name: String, rules: &[Rule], actors, rate| -> Result<f64, Box<dyn Error>> {
        let (first, after) = cost(&planner, rules, actors, rate, (million, million))?;
        println!("{name:<36} {first:>10.2} {after:>10.2}");
        Ok(after)
    };
    for (name, rules) in [("four", &four), ("42", &many)] {
        let mut after = Vec::new();
        for actors in [1000, 10_000, 100_000, 1_000_000] {
            after.push(line(
                format!("{name} rules, {actors} actors"),
                rules,
                actors,
                1000,
            )?);
        }
        println!(
            "  from 1,000 to 1,000,000 actors: +{:.2}",
            after[3] - after[0]
        );
    }
    // Of one rate, so slow that a million events fill the longer window.
    let window = |per: &str| {
        let detect = format!(
            "  kind: threshold\n  where: action = 'file_downloaded'\n  key: actor_id\n  measure: \
             count(distinct entity_id)\n  per: {per}\n  at_least: 1000\n"
        );
        vec![rules::made(&planner, 1, &detect)]
    };
    let hour = line(
        "count distinct over 1 h".to_owned(),
        &window("1h"),
        20_000,
        10,
    )?;
    let day = line(
        "count distinct over 24 h".to_owned(),
        &window("24h"),
        20_000,
        10,
    )?;
    println!("  from 1 h to 24 h: +{:.2}", day - hour);
    let hit = |number: usize| {
        let detect = format!(
            "  kind: threshold\n  where: action = 'file_downloaded' AND asn > {number}\n  key: actor_id\n  \
             measure: count(*)\n  per: 1h\n  at_least: 1000\n"
        );
        rules::made(&planner, number, &detect)
    };
    let idle = |number: usize| {
        let detect = format!(
            "  kind: threshold\n  where: action = 'made_up_{number}'\n  key: actor_id\n  measure: \
             count(*)\n  per: 1h\n  at_least: 1000\n"
        );
        rules::made(&planner, number, &detect)
    };
    let of =
        |count: usize| -> Vec<Rule> { (1..=10).map(hit).chain((11..=count).map(idle)).collect() };
    let forty = line("40 rules, 10 of them hit".to_owned(), &of(40), 20_000, 1000)?;
    let hundreds = line(
        "400 rules, 10 of them hit".to_owned(),
        &of(400),
        20_000,
        1000,
    )?;
    println!("  400 rules : 40 rules = {:.2}", hundreds / forty);
    Ok(())
}
