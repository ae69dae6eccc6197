//! How often rules fire where nothing happens: on a simulated day without attacks.

use std::io::{self, Cursor};
use std::sync::Arc;

use super::{Failure, detect};
use crate::anomaly::Level;
use crate::detect::Table;
use crate::enrich::Enricher;
use crate::enrich::network::Networks;
use crate::event::schema::ColumnSet;
use crate::list::Lists;
use crate::pipeline::{self, Execution, Input, Job};
use crate::rule::{Problem, Rule};
use crate::simulate::{self, Attacks, Plan};

/// A Monday of so many people.
const PEOPLE: u32 = 60;
/// Findings a day that nobody looks through, for 1,000 people.
const MOST: usize = 300;

/// The rules that fire so often that nobody will look, informational ones apart.
///
/// # Errors
/// When the rules cannot be run.
pub(super) fn noisy(rules: &[Rule], lists: &Lists) -> Result<Vec<Problem>, Failure> {
    if rules.is_empty() {
        return Ok(Vec::new());
    }
    let plan = Plan {
        attacks: Attacks::none(),
        ..Plan::new(PEOPLE, 1, 1)
    };
    let (mut events, mut csv) = (Vec::new(), Vec::new());
    simulate::write(&plan, &mut events, &mut csv, &mut io::sink(), &mut |_| ())
        .map_err(Failure::internal)?;
    let mut networks = Networks::new();
    networks
        .add_csv("networks", csv.as_slice())
        .map_err(Failure::internal)?;
    let job = Job {
        rules,
        input: Table::Events,
        lists: lists.clone(),
        enricher: Arc::new(Enricher::new(networks)),
        resources: detect::resources(1024, 1024),
        execution: Execution::Live,
        extra: ColumnSet::default(),
        quiet_micros: 0,
        counted_since: Vec::new(),
        recorded_days: Vec::new(),
    };
    let input = Input {
        name: "a simulated day".to_owned(),
        reader: Box::new(Cursor::new(events)),
        again: None,
    };
    let outcome = pipeline::detect(vec![input], &job, &mut |_| Ok(())).map_err(detect::failure)?;
    let noisy = rules.iter().filter_map(|rule| {
        let found = outcome.anomalies.iter().filter(|anomaly| anomaly.rule == rule.name);
        let per_thousand = found.count() * 1000 / PEOPLE as usize;
        let is_noisy = per_thousand > MOST && rule.level > Level::Informational;
        is_noisy.then(|| Problem {
            file: rule.file.clone(),
            line: 1,
            column: 1,
            message: format!(
                "the rule fires {per_thousand} times a day for 1,000 people in a simulated organisation \
                 without attacks: narrow it, or say level: informational"
            ),
        })
    });
    Ok(noisy.collect())
}
