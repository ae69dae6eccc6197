//! The quality of the rules: which attacks they find, how soon, and how often they are wrong.
//!
//! `cargo bench --bench quality -- [options]` generates organisations with many attacks of every kind,
//! each in a temporary folder, runs the embedded rules over them and compares what they find with the
//! labels. `--ablations` runs them again with one part taken away each; `--only NAMES` takes some rules
//! only, for a quick look; `--json FILE` writes all figures. Figures of several seeds are summed.

#![expect(clippy::disallowed_methods, reason = "a bench measures time")]
#![expect(clippy::print_stdout, reason = "its figures are for people")]
#![expect(clippy::print_stderr, reason = "and so is how far it has come")]

mod ablation;
mod alarms;
mod goal;
mod interval;
mod judge;
mod label;
mod matching;
mod organisation;
mod recall;
mod report;
mod rules;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use gridwatch::detect::plan::Planner;
use gridwatch::rule::Rule;
use gridwatch::simulate::{Attacks, Plan};
use serde_json::json;

use self::ablation::Variant;
use self::alarms::Alarms;
use self::matching::Truth;
use self::organisation::Organisation;
use self::recall::Recall;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// For so many days there is nothing but history: no attack, and no false alarm that counts.
const WARM_UP_DAYS: u32 = 14;

/// What was asked for on the command line.
#[derive(Debug, Parser)]
#[command(
    name = "quality",
    about = "Measures what the rules find: cargo bench --bench quality -- [options]"
)]
struct Asked {
    /// People of an organisation
    #[arg(long, value_name = "N", default_value_t = 2000)]
    users: u32,
    /// Days that are simulated, of which the first 14 are history
    #[arg(long, value_name = "N", default_value_t = 35)]
    days: u32,
    /// Organisations, with seeds from 1 on
    #[arg(long, value_name = "N", default_value_t = 2)]
    seeds: u64,
    /// Attacks of each kind on each organisation
    #[arg(long, value_name = "N", default_value_t = 8)]
    attacks: u32,
    /// Names of the rules to run, separated by commas; all by default
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    only: Vec<String>,
    /// Run once more without each part of the detection
    #[arg(long)]
    ablations: bool,
    /// Write all figures to this file as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Cargo says it to every bench.
    #[arg(long = "bench", hide = true)]
    _bench: bool,
}

/// What rules came to over all organisations.
#[derive(Debug, Default)]
struct Measured {
    recall: Recall,
    alarms: Alarms,
}

impl Measured {
    fn add(
        &mut self,
        rules: &[Rule],
        organisation: &Organisation,
        plan: &Plan,
        csv: &str,
    ) -> Result<()> {
        const DAY_SECS: i64 = 86_400;
        let findings = judge::findings(rules, organisation, csv)?;
        let truth = Truth::new(&organisation.labels);
        self.recall.add(&truth, &findings);
        let since = (plan.start + i64::from(WARM_UP_DAYS) * DAY_SECS) * 1_000_000;
        let days = f64::from(plan.days - WARM_UP_DAYS);
        let thousand_days = f64::from(plan.users) / 1e3 * days;
        self.alarms.add(&truth, &findings, since, thousand_days);
        Ok(())
    }
}

fn main() -> Result<()> {
    let asked = Asked::parse();
    ensure!(
        asked.days > WARM_UP_DAYS && asked.users > 0 && asked.seeds > 0,
        "there must be people, a seed, and more than {WARM_UP_DAYS} days"
    );
    let begun = Instant::now();
    // What cannot be written is told before anything takes long.
    let json_file = asked
        .json
        .as_ref()
        .map(|path| File::create(path).with_context(|| format!("cannot write {}", path.display())));
    let json_file = json_file.transpose()?;
    let planner = Planner::new()?;
    let rules = rules::load(&planner, &asked.only)?;
    let (variants, left_out) = match asked.ablations {
        true => Variant::all(&planner, &rules)?,
        false => (Vec::new(), Vec::new()),
    };
    let mut whole = Measured::default();
    let mut without: Vec<Measured> = variants.iter().map(|_| Measured::default()).collect();
    for seed in 1..=asked.seeds {
        measure(
            &asked,
            seed,
            &rules,
            &mut whole,
            variants.iter().zip(&mut without),
        )?;
    }
    println!(
        "{} organisations of {} people, {} days, {} rules; {} threads",
        asked.seeds,
        asked.users,
        asked.days,
        rules.len(),
        rayon::current_num_threads()
    );
    let names: Vec<String> = rules.iter().map(|rule| rule.name.clone()).collect();
    let attacks = report::attacks(&whole);
    let false_alarms = report::false_alarms(&whole, &names);
    let goals = report::goals(&whole, &names, asked.only.is_empty());
    let ablations = asked.ablations.then(|| {
        let mut all = vec![("whole", 0, &whole)];
        let variants = variants.iter().zip(&without);
        all.extend(
            variants.map(|(variant, measured)| (variant.name, variant.changed_rules, measured)),
        );
        report::ablations(&all, &names, &left_out)
    });
    let seconds = begun.elapsed().as_secs_f64();
    println!("\n{seconds:.0} s in all");
    if let Some(file) = json_file {
        let figures = json!({
            "users": asked.users,
            "days": asked.days,
            "warm_up_days": WARM_UP_DAYS,
            "seeds": asked.seeds,
            "attacks_per_kind": asked.attacks,
            "rules": names,
            "attacks": attacks,
            "false_alarms": false_alarms,
            "goals": goals,
            "ablations": ablations,
            "seconds": seconds,
        });
        let mut out = BufWriter::new(file);
        serde_json::to_writer_pretty(&mut out, &figures)?;
        out.flush()?;
    }
    Ok(())
}

/// Generates the organisation of a seed, and adds what is found in it by all and without each part.
fn measure<'a>(
    asked: &Asked,
    seed: u64,
    rules: &[Rule],
    whole: &mut Measured,
    variants: impl Iterator<Item = (&'a Variant, &'a mut Measured)>,
) -> Result<()> {
    let plan = Plan {
        attacks: Attacks {
            first_day: WARM_UP_DAYS,
            ..Attacks::plenty(asked.attacks)
        },
        ..Plan::new(asked.users, asked.days, seed)
    };
    let watch = Instant::now();
    let organisation = Organisation::generate(&plan)?;
    eprintln!(
        "seed {seed}: {} events and {} attacks in {:.0} s",
        organisation.count,
        organisation.labels.len(),
        watch.elapsed().as_secs_f64()
    );
    // An ablation that changes nothing is told before anything is judged.
    let mut judged = Vec::new();
    for (variant, measured) in variants {
        let csv = variant.networks(&organisation.networks)?;
        judged.push((variant.name, variant.rules.as_slice(), csv, measured));
    }
    let csv = organisation.networks.clone();
    judged.insert(0, ("whole", rules, csv, whole));
    for (name, rules, csv, measured) in judged {
        let watch = Instant::now();
        measured.add(rules, &organisation, &plan, &csv)?;
        eprintln!(
            "seed {seed}: {name} in {:.0} s",
            watch.elapsed().as_secs_f64()
        );
    }
    Ok(())
}
