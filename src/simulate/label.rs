//! What really happened: one JSON object for each attack.

use std::io::{self, Write};

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::Organisation;
use super::attack::Attack;
use super::event::Record;
use super::line::Line;
use super::render::user_id;

/// Ids of so many events at most stand in a label, the first ones.
const MOST_IDS: usize = 50;

#[derive(Serialize)]
struct Label<'a> {
    attack: &'a str,
    user: String,
    /// Of the first and the last event, as RFC 3339.
    #[serde(serialize_with = "display")]
    start: Timestamp,
    #[serde(serialize_with = "display")]
    end: Timestamp,
    session_id: Option<String>,
    event_ids: Vec<String>,
    rules: Vec<&'a str>,
}

/// Writes the label of an attack with its events, which are in the order of time.
pub(super) fn write(
    org: &Organisation,
    attack: &Attack,
    records: &[Record],
    out: &mut dyn Write,
) -> io::Result<()> {
    let time = |record: Option<&Record>| {
        let second = record.map_or(attack.start, |record| org.start + i64::from(record.time));
        Timestamp::from_second(second).map_err(io::Error::other)
    };
    let session = attack.source.session;
    let label = Label {
        attack: attack.kind.name(),
        user: text(|line| user_id(org, attack.victim, line)),
        start: time(records.first())?,
        end: time(records.last())?,
        session_id: (session != 0).then(|| session.to_string()),
        event_ids: records
            .iter()
            .take(MOST_IDS)
            .map(|record| event_id(org, record))
            .collect(),
        rules: attack.rules(),
    };
    serde_json::to_writer(&mut *out, &label)?;
    out.write_all(b"\n")
}

fn event_id(org: &Organisation, record: &Record) -> String {
    text(|line| {
        line.uuid(record.key.uuid(org.seed));
    })
}

fn text(write: impl FnOnce(&mut Line)) -> String {
    let mut line = Line::new(Vec::new());
    write(&mut line);
    String::from_utf8_lossy(&line.into_buffer()).into_owned()
}

fn display<S: Serializer>(moment: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(moment)
}
