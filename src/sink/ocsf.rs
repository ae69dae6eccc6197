//! Anomalies as the Open Cybersecurity Schema Framework writes them: as a Detection Finding of its
//! version 1.8.0.
//!
//! The facts are from that schema: the class `detection_finding`, the profile `host`, which adds the
//! actor, and the objects that these use. What a record holds and the schema has no place for stands in
//! `unmapped`; the record as it is stands in `raw_data`. Nobody knows how sure a finding is, so there is no
//! `confidence`.

mod attack;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use self::attack::attack;

const SCHEMA_VERSION: &str = "1.8.0";

/// The finding of an anomaly, as JSON, from its record; `found_at` is in microseconds. An anomaly that
/// is delivered again has the same `metadata.uid`.
pub fn finding(record: &str, found_at: i64) -> String {
    let mut rest = Rest::of(record);
    let found_at = found_at.div_euclid(1000);
    let event_time = rest.take_if("/event_time", |time| milliseconds(time).is_some());
    let event_time = event_time.as_ref().and_then(milliseconds);
    let event_time = event_time.unwrap_or(found_at);
    let id = rest.take("/id").unwrap_or_else(|| json!(""));
    let title = rest.take("/title");
    let (severity_id, severity) = severity(rest.take("/level").as_ref());
    let actor = actor(&mut rest);
    let evidence = evidence(&mut rest, actor.clone());
    let resources = resources(&mut rest);
    let product = json!({
        "name": "gridwatch",
        "vendor_name": "gridwatch",
        "version": env!("CARGO_PKG_VERSION"),
    });
    let information = object([
        ("uid", Some(id.clone())),
        ("title", title.clone()),
        ("desc", description(&rest).map(Value::from)),
        ("types", rest.take_if("/reason", is_filled)),
        ("analytic", analytic(&mut rest)),
        ("attacks", attacks(&mut rest)),
        ("created_time", Some(json!(found_at))),
        ("last_seen_time", Some(json!(event_time))),
        ("related_events", events(&mut rest)),
    ]);
    let finding = object([
        ("activity_id", Some(json!(1))),
        ("activity_name", Some(json!("Create"))),
        ("category_uid", Some(json!(2))),
        ("category_name", Some(json!("Findings"))),
        ("class_uid", Some(json!(2004))),
        ("class_name", Some(json!("Detection Finding"))),
        ("type_uid", Some(json!(200_401))),
        ("type_name", Some(json!("Detection Finding: Create"))),
        ("time", Some(json!(event_time))),
        ("severity_id", Some(json!(severity_id))),
        ("severity", Some(json!(severity))),
        ("status_id", Some(json!(1))),
        ("status", Some(json!("New"))),
        ("is_alert", Some(json!(true))),
        ("message", title),
        (
            "metadata",
            Some(json!({
                "version": SCHEMA_VERSION,
                "uid": id,
                "logged_time": found_at,
                "profiles": ["host"],
                "product": product,
            })),
        ),
        ("finding_info", information),
        ("actor", actor),
        ("evidences", evidence.map(|evidence| json!([evidence]))),
        ("resources", resources),
        ("raw_data", Some(json!(record))),
        ("unmapped", rest.into_unmapped()),
    ]);
    finding.unwrap_or_default().to_string()
}

/// What a record holds that has no place in the finding yet. Places are JSON pointers.
struct Rest(Value);

impl Rest {
    fn of(record: &str) -> Self {
        Self(serde_json::from_str(record).unwrap_or_default())
    }

    fn get(&self, place: &str) -> Option<&Value> {
        self.0.pointer(place).filter(|value| !value.is_null())
    }

    fn take(&mut self, place: &str) -> Option<Value> {
        self.take_if(place, |_| true)
    }

    /// Takes a value that the schema allows; leaves any other.
    fn take_if(&mut self, place: &str, is_allowed: impl Fn(&Value) -> bool) -> Option<Value> {
        let is_taken = self.get(place).is_some_and(is_allowed);
        let value = self.0.pointer_mut(place).filter(|_| is_taken);
        value.map(Value::take)
    }

    fn into_unmapped(self) -> Option<Value> {
        pruned(self.0)
    }
}

/// A value without the fields that hold nothing.
fn pruned(value: Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Object(fields) => {
            let fields = fields.into_iter();
            let fields = fields.filter_map(|(name, value)| Some((name, pruned(value)?)));
            let fields: Map<String, Value> = fields.collect();
            (!fields.is_empty()).then_some(Value::Object(fields))
        }
        Value::Array(values) if values.is_empty() => None,
        other => Some(other),
    }
}

/// An object of those fields that are known; `None` if none is.
fn object<const N: usize>(fields: [(&str, Option<Value>); N]) -> Option<Value> {
    let known = fields.into_iter();
    let known = known.filter_map(|(name, value)| Some((name.to_owned(), value?)));
    let known: Map<String, Value> = known.collect();
    (!known.is_empty()).then_some(Value::Object(known))
}

/// `severity_id`, and its caption.
fn severity(level: Option<&Value>) -> (u8, &'static str) {
    match level.and_then(Value::as_str) {
        Some("informational") => (1, "Informational"),
        Some("low") => (2, "Low"),
        Some("medium") => (3, "Medium"),
        Some("high") => (4, "High"),
        Some("critical") => (5, "Critical"),
        _ => (0, "Unknown"),
    }
}

/// Who acted, in which session and by which app.
fn actor(rest: &mut Rest) -> Option<Value> {
    object([
        ("user", user(rest)),
        (
            "session",
            object([("uid", rest.take("/context/session_id"))]),
        ),
        ("app_uid", rest.take("/context/app_id")),
        ("app_name", rest.take("/context/app_name")),
    ])
}

/// A user has an id or a name; without, what else is known of it stays.
fn user(rest: &mut Rest) -> Option<Value> {
    let uid = rest.take("/actor/id");
    let name = rest.take("/actor/name");
    uid.as_ref().or(name.as_ref())?;
    let (type_id, kind) = match rest.take("/actor/type") {
        Some(kind) if kind == "user" => (Some(json!(1)), Some(json!("User"))),
        Some(kind) => (Some(json!(99)), Some(kind)),
        None => (None, None),
    };
    object([
        ("uid", uid),
        ("name", name),
        ("email_addr", rest.take_if("/actor/email", is_email)),
        ("type_id", type_id),
        ("type", kind),
        ("org", object([("uid", rest.take("/actor/team"))])),
    ])
}

/// The triggering event, and what the rule saw.
fn evidence(rest: &mut Rest, actor: Option<Value>) -> Option<Value> {
    let operation = rest.take("/context/action");
    let api =
        operation.map(|operation| json!({"operation": operation, "service": {"name": "Slack"}}));
    let user_agent = rest.take("/context/user_agent");
    object([
        ("uid", rest.take("/event_id")),
        ("actor", actor),
        ("api", api),
        ("http_request", object([("user_agent", user_agent)])),
        ("src_endpoint", endpoint(rest)),
        ("data", rest.take("/evidence")),
    ])
}

fn endpoint(rest: &mut Rest) -> Option<Value> {
    let ip = rest.take_if("/context/ip", is_address)?;
    let system = object([
        ("number", rest.take("/context/asn")),
        ("name", rest.take("/context/as_org")),
    ]);
    object([
        ("ip", Some(ip)),
        ("location", location(rest)),
        ("autonomous_system", system),
    ])
}

/// A location has a country or a city; coordinates alone stay.
fn location(rest: &mut Rest) -> Option<Value> {
    let country = rest.take_if("/context/country", is_country);
    let city = rest.take("/context/city");
    country.as_ref().or(city.as_ref())?;
    object([
        ("country", country),
        ("city", city),
        ("lat", rest.take("/context/latitude")),
        ("long", rest.take("/context/longitude")),
    ])
}

/// What was acted upon, and the workspace in which that was.
fn resources(rest: &mut Rest) -> Option<Value> {
    let target = resource(rest, "/entity", (1, "Target"));
    let place = resource(rest, "/context/location", (4, "Related"));
    let known: Vec<Value> = target.into_iter().chain(place).collect();
    (!known.is_empty()).then_some(Value::Array(known))
}

/// A resource has an id or a name.
fn resource(rest: &mut Rest, place: &str, (role_id, role): (u8, &str)) -> Option<Value> {
    let uid = rest.take(&format!("{place}/id"));
    let name = rest.take(&format!("{place}/name"));
    uid.as_ref().or(name.as_ref())?;
    object([
        ("uid", uid),
        ("name", name),
        ("type", rest.take(&format!("{place}/type"))),
        ("role_id", Some(json!(role_id))),
        ("role", Some(json!(role))),
    ])
}

fn analytic(rest: &mut Rest) -> Option<Value> {
    let rule = rest.take("/rule")?;
    object([
        ("uid", Some(rule.clone())),
        ("name", Some(rule)),
        ("type_id", Some(json!(1))),
        ("type", Some(json!("Rule"))),
        ("version", rest.take("/rule_version")),
    ])
}

/// The conditions that held, in a sentence; they stay.
fn description(rest: &Rest) -> Option<String> {
    let conditions = rest.get("/because")?.as_array()?.iter();
    let sentences: Vec<String> = conditions
        .map(|held| {
            let (condition, observed) = (words(&held["condition"]), words(&held["observed"]));
            match &held["limit"] {
                Value::Null => format!("{condition}: {observed}"),
                limit => format!("{condition}: {observed}, limit {}", words(limit)),
            }
        })
        .collect();
    (!sentences.is_empty()).then(|| sentences.join("; "))
}

/// A text as it is, all else as JSON.
fn words(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// What the tags say of MITRE ATT&CK, each in an object of its own: which technique serves which tactic
/// is not in them. Other tags stay.
fn attacks(rest: &mut Rest) -> Option<Value> {
    let mut attacks = Vec::new();
    let tags = rest.0.get_mut("tags").and_then(Value::as_array_mut)?;
    tags.retain(|tag| match tag.as_str().and_then(attack) {
        Some(found) => {
            attacks.push(found);
            false
        }
        None => true,
    });
    (!attacks.is_empty()).then_some(Value::Array(attacks))
}

/// The events that formed the anomaly, the trigger first.
fn events(rest: &mut Rest) -> Option<Value> {
    let events = rest.take_if("/events", is_filled)?;
    let events = events.as_array()?.iter();
    let events = events.map(|id| json!({"uid": id, "type": "Slack audit log event"}));
    Some(events.collect())
}

fn milliseconds(time: &Value) -> Option<i64> {
    let time: Timestamp = time.as_str()?.parse().ok()?;
    Some(time.as_millisecond())
}

fn is_filled(value: &Value) -> bool {
    value.as_array().is_some_and(|values| !values.is_empty())
}

/// Whether the schema's `ip_t` allows it: it has 40 characters at most.
fn is_address(value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    text.len() <= 40 && text.parse::<IpAddr>().is_ok()
}

/// Whether it is a code of ISO 3166-1, as far as that can be seen.
fn is_country(value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// Whether the schema's `email_t` allows it.
fn is_email(value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    let Some((local, domain)) = text.split_once('@') else {
        return false;
    };
    let Some((first, others)) = domain.split_once('.') else {
        return false;
    };
    let is_local = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+,-./=?^_`{|}~".contains(c);
    let is_label = |c: char| c.is_ascii_alphanumeric() || c == '-';
    !local.is_empty()
        && local.chars().all(is_local)
        && !first.is_empty()
        && first.chars().all(is_label)
        && !others.is_empty()
        && others.chars().all(|c| is_label(c) || c == '.')
}
