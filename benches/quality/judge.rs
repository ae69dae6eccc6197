//! Runs rules over an organisation, live, and keeps of each finding what it is compared by.

use std::collections::HashMap;
use std::fs::File;
use std::sync::Arc;

use anyhow::{Result, ensure};
use gridwatch::anomaly::{Anomaly, Level};
use gridwatch::detect::Table;
use gridwatch::detect::history::Resources;
use gridwatch::enrich::Enricher;
use gridwatch::enrich::network::Networks;
use gridwatch::event::schema::ColumnSet;
use gridwatch::list::Lists;
use gridwatch::pipeline::{self, Execution, Input, Job};
use gridwatch::rule::Rule;

use super::label::moment;
use super::organisation::Organisation;

/// What a rule found.
#[derive(Debug)]
pub struct Finding {
    pub rule: String,
    pub level: Level,
    /// When the triggering event happened, in microseconds since 1970.
    pub time: i64,
    /// The ids of the events that formed it, the triggering one among them.
    pub events: Vec<String>,
    pub actor: Option<String>,
    pub key: Option<String>,
}

/// What the rules find, with these networks in place of the organisation's own if they differ.
pub fn findings(
    rules: &[Rule],
    organisation: &Organisation,
    networks_csv: &str,
) -> Result<Vec<Finding>> {
    let mut networks = Networks::new();
    networks.add_csv("networks.csv", networks_csv.as_bytes())?;
    let job = Job {
        rules,
        input: Table::Events,
        lists: Lists::default(),
        enricher: Arc::new(Enricher::new(networks)),
        resources: Resources {
            threads: rayon::current_num_threads(),
            memory_bytes: 1 << 30,
            state_bytes: 4 << 30,
        },
        execution: Execution::Live,
        extra: ColumnSet::default(),
        quiet_micros: 0,
        counted_since: Vec::new(),
        recorded_days: Vec::new(),
    };
    let path = organisation.events.clone();
    let input = Input {
        name: "events.ndjson".to_owned(),
        reader: Box::new(File::open(&path)?),
        again: Some(Box::new(move || Ok(Box::new(File::open(&path)?)))),
    };
    let outcome = pipeline::detect(vec![input], &job, &mut |_| Ok(()))?;
    ensure!(
        outcome.failures.is_empty(),
        "rules failed: {:?}",
        outcome.failures
    );
    ensure!(
        outcome.rejects == 0 && outcome.events == organisation.count,
        "{} of {} events were read, {} rejected",
        outcome.events,
        organisation.count,
        outcome.rejects
    );
    read(&outcome.anomalies)
}

/// A rule over anomalies names anomalies as its events: the events of these stand for them.
fn read(anomalies: &[Anomaly]) -> Result<Vec<Finding>> {
    let by_id: HashMap<&str, &Anomaly> = anomalies
        .iter()
        .map(|anomaly| (anomaly.id.as_str(), anomaly))
        .collect();
    let events = |anomaly: &Anomaly| -> Vec<String> {
        let named = anomaly.events.iter().flat_map(|id| {
            let beneath = by_id.get(id.as_str());
            beneath.map_or(std::slice::from_ref(id), |beneath| {
                beneath.events.as_slice()
            })
        });
        named.cloned().collect()
    };
    let finding = |anomaly: &Anomaly| -> Result<Finding> {
        Ok(Finding {
            rule: anomaly.rule.clone(),
            level: anomaly.level,
            time: moment(&anomaly.event_time)?,
            // The triggering event is the first of them.
            events: events(anomaly),
            actor: anomaly.actor.id.clone(),
            key: anomaly.key.clone(),
        })
    };
    anomalies.iter().map(finding).collect()
}
