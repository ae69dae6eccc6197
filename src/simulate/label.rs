//! What really happened: one JSON object for each attack.

use std::io::{self, Write};

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::Organisation;
use super::attack::{Attack, Kind, SLOW_DAYS};
use super::event::Record;
use super::line::Line;
use super::render::user_id;

/// Ids of so many events at most stand in a label, the first ones: all of most attacks.
const MOST_IDS: usize = 1_000;

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
    /// Names of the rules that are expected to find it; none where none is.
    rules: Vec<&'a str>,
    about: About,
}

/// What else is known of an attack.
#[derive(Serialize)]
struct About {
    /// Whose place, program and session it shows: `own` ones of the user, or `foreign` ones.
    context: &'static str,
    /// Whoever else is attacked along, the administrator, or the accomplice.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    people: Vec<String>,
    /// Of downloads: the most distinct files that the user fetched within an hour in the two weeks
    /// before, at least 6.
    #[serde(skip_serializing_if = "Option::is_none")]
    usual: Option<u32>,
    /// How many distinct files are fetched within an hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<u32>,
    /// How many times as many as usual, to a tenth.
    #[serde(skip_serializing_if = "Option::is_none")]
    times: Option<f64>,
    /// On how many days, if on several.
    #[serde(skip_serializing_if = "Option::is_none")]
    days: Option<i64>,
}

impl About {
    fn new(org: &Organisation, attack: &Attack) -> Self {
        let id = |person: &u32| text(|line| user_id(org, *person, line));
        let is_slow = attack.kind == Kind::SlowDownload;
        Self {
            context: if attack.is_insider { "own" } else { "foreign" },
            people: attack.others.iter().map(id).collect(),
            usual: attack.haul.map(|haul| haul.usual),
            files: attack.haul.map(|haul| haul.files),
            times: attack.haul.map(|haul| (haul.times() * 10.0).round() / 10.0),
            days: is_slow.then_some(SLOW_DAYS),
        }
    }
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
        rules: attack.rules(org, records),
        about: About::new(org, attack),
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
