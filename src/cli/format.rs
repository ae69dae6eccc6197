//! Anomalies in the forms that people and programs want.

use std::io::{self, Write};

use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;

use super::show::{cell, printable};
use crate::anomaly::Anomaly;

/// The form of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// One JSON object a line
    Ndjson,
    /// One JSON array
    Json,
    /// For people
    Table,
    /// With a header, the nested fields as JSON
    Csv,
}

impl Format {
    /// A table on a terminal, NDJSON for programs.
    pub fn default_for(is_terminal: bool) -> Self {
        if is_terminal {
            Self::Table
        } else {
            Self::Ndjson
        }
    }
}

/// Writes the anomalies.
///
/// # Errors
/// When the writer fails.
pub(super) fn write(anomalies: &[Anomaly], format: Format, out: &mut dyn Write) -> io::Result<()> {
    match format {
        Format::Ndjson => {
            for anomaly in anomalies {
                serde_json::to_writer(&mut *out, anomaly)?;
                out.write_all(b"\n")?;
            }
        }
        Format::Json => {
            serde_json::to_writer_pretty(&mut *out, anomalies)?;
            out.write_all(b"\n")?;
        }
        Format::Table if anomalies.is_empty() => {}
        Format::Table => writeln!(out, "{}", table(anomalies))?,
        Format::Csv => csv(anomalies, out)?,
    }
    out.flush()
}

fn table(anomalies: &[Anomaly]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["time", "level", "rule", "who", "where", "why"]);
    for anomaly in anomalies {
        let row = [
            anomaly.event_time.replace(['T', 'Z'], " "),
            anomaly.level.to_string(),
            rule(anomaly),
            who(anomaly),
            place(anomaly),
            why(anomaly),
        ];
        table.add_row(row.map(|text| text.trim().to_owned()));
    }
    table
}

/// The anomaly in one line.
pub(super) fn line(anomaly: &Anomaly) -> String {
    let time = anomaly.event_time.replace(['T', 'Z'], " ");
    let parts = [
        who(anomaly),
        place(anomaly),
        why(anomaly).replace('\n', "; "),
    ];
    let parts = parts.into_iter().filter(|part| !part.is_empty());
    format!(
        "{} {:<8} {}  {}",
        time.trim(),
        anomaly.level,
        rule(anomaly),
        parts.collect::<Vec<_>>().join("  ")
    )
}

/// The rule, and whether it is only tried out.
fn rule(anomaly: &Anomaly) -> String {
    let mark = if anomaly.shadow { " (shadow)" } else { "" };
    format!("{}{mark}", anomaly.rule)
}

fn who(anomaly: &Anomaly) -> String {
    let actor = &anomaly.actor;
    let name = actor
        .email
        .as_ref()
        .or(actor.name.as_ref())
        .or(actor.id.as_ref());
    printable(name.or(anomaly.key.as_ref()).map_or("", String::as_str))
}

fn place(anomaly: &Anomaly) -> String {
    let context = &anomaly.context;
    let parts = [&context.ip, &context.city, &context.country];
    let parts = parts.into_iter().flatten().map(String::as_str);
    printable(&parts.collect::<Vec<_>>().join(", "))
}

/// Each condition with what was observed.
fn why(anomaly: &Anomaly) -> String {
    let lines = anomaly.because.iter().map(|part| {
        let limit = match &part.limit {
            Value::Null | Value::Bool(true) => String::new(),
            limit => format!(" (limit {})", plain(limit)),
        };
        printable(&format!(
            "{}: {}{limit}",
            part.condition,
            plain(&part.observed)
        ))
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn csv(anomalies: &[Anomaly], out: &mut dyn Write) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([
        "id",
        "rule",
        "rule_version",
        "title",
        "level",
        "reason",
        "event_time",
        "event_id",
        "key",
        "actor_id",
        "actor_name",
        "actor_email",
        "entity_type",
        "entity_id",
        "entity_name",
        "action",
        "ip",
        "user_agent",
        "session_id",
        "country",
        "city",
        "asn",
        "as_org",
        "network_kind",
        "agent_family",
        "agent_os",
        "evidence",
        "because",
        "events",
        "tags",
    ])?;
    for anomaly in anomalies {
        let json = |value: Result<String, serde_json::Error>| value.map_err(io::Error::other);
        let optional = |text: &Option<String>| text.clone().unwrap_or_default();
        let (actor, entity, context) = (&anomaly.actor, &anomaly.entity, &anomaly.context);
        let row = [
            anomaly.id.clone(),
            anomaly.rule.clone(),
            anomaly.rule_version.clone(),
            anomaly.title.clone(),
            anomaly.level.to_string(),
            anomaly.reason.join(" "),
            anomaly.event_time.clone(),
            anomaly.event_id.clone(),
            optional(&anomaly.key),
            optional(&actor.id),
            optional(&actor.name),
            optional(&actor.email),
            optional(&entity.kind),
            optional(&entity.id),
            optional(&entity.name),
            optional(&context.action),
            optional(&context.ip),
            optional(&context.user_agent),
            optional(&context.session_id),
            optional(&context.country),
            optional(&context.city),
            context.asn.map(|asn| asn.to_string()).unwrap_or_default(),
            optional(&context.as_org),
            optional(&context.network_kind),
            optional(&context.agent_family),
            optional(&context.agent_os),
            json(serde_json::to_string(&anomaly.evidence))?,
            json(serde_json::to_string(&anomaly.because))?,
            anomaly.events.join(" "),
            anomaly.tags.join(" "),
        ];
        writer.write_record(row.iter().map(|text| printable(&cell(text))))?;
    }
    // In memory first: the writer of CSV hides why its output failed.
    let text = writer
        .into_inner()
        .map_err(|error| io::Error::other(error.to_string()))?;
    out.write_all(&text)
}
