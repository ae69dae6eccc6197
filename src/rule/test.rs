//! The tests that a rule carries: timed events, and the anomalies that they must and must not give.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::duration;
use crate::anomaly::{Anomaly, Level};
use crate::event::time::{MICROS, rfc3339};

/// When every test begins: Monday, 2026-03-02, 08:00 UTC, in Unix seconds.
pub const START: i64 = 1_772_438_400;

/// The most events of one test.
const MOST_EVENTS: usize = 100_000;

/// A stream of events with the anomalies that it gives.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Test {
    pub name: String,
    /// Network data as CSV, for the columns that are looked up by address.
    #[serde(default)]
    pub networks: String,
    /// Fields that every event has unless it says otherwise.
    #[serde(default)]
    pub base: Fields,
    pub events: Vec<Step>,
    /// All anomalies, in the order of time; an empty list says that there are none.
    pub anomalies: Vec<Expected>,
}

/// One event, or several like it.
#[derive(Clone, Debug, Deserialize)]
pub struct Step {
    /// When, counted from the start: `20m`, or several durations as in `8d 30m`.
    pub at: String,
    /// How often it happens, once by default.
    pub times: Option<u32>,
    /// How long after one the next follows, `1s` by default.
    pub every: Option<String>,
    #[serde(flatten)]
    pub fields: Fields,
}

/// Fields of an event by the names of their columns, or of an anomaly where the rule reads these. In
/// texts, `{n}` stands for the number of the repetition, from 1.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct Fields(pub std::collections::BTreeMap<String, Value>);

/// An anomaly that must be there; what is not stated does not matter.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// The time of the triggering event, as in [`Step::at`].
    pub at: String,
    pub level: Option<String>,
    pub key: Option<String>,
    pub reason: Option<Vec<String>>,
}

impl Test {
    /// Whether times and fields can be read.
    ///
    /// # Errors
    /// What is wrong, with the value.
    pub fn check(&self) -> Result<(), String> {
        self.lines().map(drop)?;
        for expected in &self.anomalies {
            offset(&expected.at)?;
            if let Some(level) = &expected.level {
                level.parse::<Level>().map_err(|error| error.to_string())?;
            }
        }
        Ok(())
    }

    /// The events in wire form, one a line.
    ///
    /// # Errors
    /// What is wrong with a step, with the value.
    pub fn lines(&self) -> Result<String, String> {
        let mut lines = String::new();
        let mut number = 0;
        for step in &self.events {
            let at = offset(&step.at)?;
            let every = step.every.as_deref().map_or(Ok(1), offset)?;
            for repetition in 0..i64::from(step.times.unwrap_or(1)) {
                number += 1;
                if number > MOST_EVENTS {
                    return Err(format!("more than {MOST_EVENTS} events"));
                }
                let time = START + at + repetition * every;
                let event = self.event(step, number, repetition + 1, time)?;
                lines.push_str(&event.to_string());
                lines.push('\n');
            }
        }
        Ok(lines)
    }

    fn event(
        &self,
        step: &Step,
        number: usize,
        repetition: i64,
        time: i64,
    ) -> Result<Value, String> {
        let mut event = json!({
            "id": format!("00000000-0000-4000-8000-{number:012}"),
            "date_create": time,
        });
        let mut fields = self.base.0.clone();
        fields.extend(step.fields.0.clone());
        fields
            .entry("actor_type".to_owned())
            .or_insert_with(|| "user".into());
        if fields.contains_key("rule") {
            fields
                .entry("action".to_owned())
                .or_insert_with(|| "anomaly".into());
        }
        if !fields.contains_key("action") {
            return Err(format!("the event at `{}` has no `action`", step.at));
        }
        let kind = |name: &str, fallback: &str| {
            fields
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or(fallback)
                .to_owned()
        };
        let (actor, entity) = (kind("actor_type", "user"), kind("entity_type", "file"));
        for (name, value) in &fields {
            let path = path(name, &actor, &entity)
                .ok_or_else(|| format!("`{name}` is not a field of an event"))?;
            put(&mut event, &path, numbered(value, repetition));
        }
        let has_entity = fields.keys().any(|name| name.starts_with("entity_"));
        if has_entity && !fields.contains_key("entity_type") {
            put(&mut event, &["entity", "type"], entity.clone().into());
        }
        Ok(event)
    }

    /// Compares what was found with what was expected.
    ///
    /// # Errors
    /// The difference, for people.
    pub fn compare(&self, found: &[Anomaly]) -> Result<(), String> {
        let wanted: Vec<String> = self
            .anomalies
            .iter()
            .map(|expected| expected.describe(None))
            .collect();
        let seen: Vec<String> = found
            .iter()
            .enumerate()
            .map(|(at, anomaly)| match self.anomalies.get(at) {
                Some(expected) => expected.describe(Some(anomaly)),
                None => format!("{} {}", anomaly.event_time, anomaly.level),
            })
            .collect();
        if wanted == seen {
            return Ok(());
        }
        let list = |lines: &[String]| match lines {
            [] => "none".to_owned(),
            lines => lines.join("; "),
        };
        Err(format!("expected {}, found {}", list(&wanted), list(&seen)))
    }
}

impl Expected {
    /// The parts that it states, of itself or of an anomaly.
    fn describe(&self, anomaly: Option<&Anomaly>) -> String {
        let time = match anomaly {
            Some(anomaly) => anomaly.event_time.clone(),
            None => rfc3339((START + offset(&self.at).unwrap_or_default()) * MICROS),
        };
        let level = self.level.as_ref().map(|level| match anomaly {
            Some(anomaly) => anomaly.level.to_string(),
            None => level.clone(),
        });
        let key = self.key.as_ref().map(|key| match anomaly {
            Some(anomaly) => anomaly.key.clone().unwrap_or_default(),
            None => key.clone(),
        });
        let reason = self.reason.as_ref().map(|reason| match anomaly {
            Some(anomaly) => anomaly.reason.join(","),
            None => reason.join(","),
        });
        let parts = [Some(time), level, key, reason];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }
}

/// Seconds of one duration, or of several that are added up.
fn offset(text: &str) -> Result<i64, String> {
    let parts = text.split_whitespace().map(duration::parse);
    let sum = parts
        .sum::<Option<i64>>()
        .filter(|_| !text.trim().is_empty());
    sum.ok_or_else(|| format!("`{text}` is not a time: write 20m, or 8d 30m"))
}

/// Where a column stands in the wire form.
fn path<'a>(column: &'a str, actor: &'a str, entity: &'a str) -> Option<Vec<&'a str>> {
    Some(match column {
        "event_id" => vec!["id"],
        "action" | "details" => vec![column],
        "actor_type" => vec!["actor", "type"],
        "actor_id" | "actor_name" | "actor_email" | "actor_team" => {
            vec!["actor", actor, &column["actor_".len()..]]
        }
        "entity_type" => vec!["entity", "type"],
        "entity_id" | "entity_name" => vec!["entity", entity, &column["entity_".len()..]],
        "location_type" | "location_id" | "location_name" | "location_domain" => {
            vec!["context", "location", &column["location_".len()..]]
        }
        // Of anomalies.
        "rule" => vec!["details", "rule"],
        "anomaly_level" => vec!["details", "level"],
        "anomaly_key" => vec!["details", "key"],
        "reasons" => vec!["details", "reason"],
        "ip" => vec!["context", "ip_address"],
        "user_agent" => vec!["context", "ua"],
        "session_id" => vec!["context", "session_id"],
        "app_id" | "app_name" => vec!["context", "app", &column["app_".len()..]],
        _ => return None,
    })
}

fn put(event: &mut Value, path: &[&str], value: Value) {
    let Some((last, parents)) = path.split_last() else {
        return;
    };
    let mut at = event;
    for part in parents {
        let Value::Object(fields) = at else { return };
        at = fields
            .entry(*part)
            .or_insert_with(|| Value::Object(Map::new()));
    }
    if let Value::Object(fields) = at {
        fields.insert((*last).to_owned(), value);
    }
}

/// The value with `{n}` replaced in its texts.
fn numbered(value: &Value, n: i64) -> Value {
    match value {
        Value::String(text) => text.replace("{n}", &n.to_string()).into(),
        Value::Array(values) => values.iter().map(|value| numbered(value, n)).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), numbered(value, n)))
            .collect(),
        other => other.clone(),
    }
}
