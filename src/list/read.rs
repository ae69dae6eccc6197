//! Lists from files: YAML, or CSV with a header.
//!
//! ```yaml
//! type: cidr                  # cidr, asn, user, group or value, which is the default
//! owner: network team         # of entries that name none
//! reason: company VPN
//! entries:
//!   - 203.0.113.0/24
//!   - {value: 198.51.100.7, reason: lab, from: 2026-01-01, until: 2026-07-01, group: berlin}
//! ```

use std::fmt;

use csv::ReaderBuilder;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_saphyr::{Location, Spanned};

use super::{Entry, List, Type};
use crate::config::yaml::{self, Problem};
use crate::event::time;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(rename = "type")]
    kind: Option<Spanned<String>>,
    owner: Option<String>,
    reason: Option<String>,
    entries: Option<Vec<Spanned<Item>>>,
}

/// An entry, or its value alone.
#[derive(Debug)]
struct Item(Fields);

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Item;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a value, or an entry with `value`")
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<Item, E> {
                Ok(Item(Fields {
                    value: Some(value.to_owned()),
                    ..Fields::default()
                }))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Item, A::Error> {
                Fields::deserialize(MapAccessDeserializer::new(map)).map(Item)
            }
        }

        deserializer.deserialize_any(Reader)
    }
}

/// An entry as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    value: Option<String>,
    group: Option<String>,
    owner: Option<String>,
    reason: Option<String>,
    from: Option<String>,
    until: Option<String>,
}

/// The list in this YAML text.
///
/// # Errors
/// All that is wrong with it, each with its place.
pub fn yaml(file: &str, text: &str) -> Result<List, Vec<Problem>> {
    let (document, problems) = yaml::read::<Document>(file, text);
    let mut making = Making::new(file, problems);
    let Some(document) = document else {
        return Err(making.problems);
    };
    if let Some(kind) = &document.kind {
        making.kind(place(kind.referenced), &kind.value);
    }
    let Some(entries) = document.entries else {
        making.problem(START, "the list has no `entries`");
        return Err(making.problems);
    };
    for item in entries {
        let Item(fields) = item.value;
        making.entry(
            place(item.referenced),
            Fields {
                owner: fields.owner.or_else(|| document.owner.clone()),
                reason: fields.reason.or_else(|| document.reason.clone()),
                ..fields
            },
        );
    }
    making.finish()
}

/// The list in this CSV text; its header names the columns `value`, `owner`, `reason`, and any of
/// `group`, `from` and `until`. What its values are is said elsewhere.
///
/// # Errors
/// All that is wrong with it, each with its line.
pub fn csv(file: &str, text: &str, kind: Type) -> Result<List, Vec<Problem>> {
    let mut making = Making::new(file, Vec::new());
    making.list = List::new(kind);
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = ReaderBuilder::new()
        .trim(csv::Trim::All)
        .comment(Some(b'#'))
        .from_reader(text.as_bytes());
    let header = match reader.headers() {
        Ok(header) => header.clone(),
        Err(error) => {
            making.problem(START, error.to_string());
            return making.finish();
        }
    };
    for row in reader.records() {
        let row = match row {
            Ok(row) => row,
            Err(error) => {
                let line = error.position().map_or(1, csv::Position::line);
                making.problem((line, 1), error.to_string());
                continue;
            }
        };
        let place = (row.position().map_or(1, csv::Position::line), 1);
        match row.deserialize::<Fields>(Some(&header)) {
            Ok(fields) => making.entry(place, fields),
            Err(error) => making.problem(place, error.to_string()),
        }
    }
    making.finish()
}

/// Line and column, from 1.
type Place = (u64, u64);

const START: Place = (1, 1);

fn place(location: Location) -> Place {
    (location.line().max(1), location.column().max(1))
}

/// A list in the making, and what is wrong with it.
struct Making<'a> {
    file: &'a str,
    list: List,
    problems: Vec<Problem>,
}

impl<'a> Making<'a> {
    fn new(file: &'a str, problems: Vec<Problem>) -> Self {
        Self {
            file,
            list: List::default(),
            problems,
        }
    }

    fn problem(&mut self, place: Place, message: impl Into<String>) {
        self.problems.push(Problem {
            file: self.file.to_owned(),
            line: place.0,
            column: place.1,
            message: message.into(),
        });
    }

    fn kind(&mut self, place: Place, word: &str) {
        match word.parse() {
            Ok(kind) => self.list = List::new(kind),
            Err(message) => self.problem(place, message),
        }
    }

    fn entry(&mut self, place: Place, fields: Fields) {
        let filled = |field: Option<String>| field.filter(|text| !text.trim().is_empty());
        let [value, owner, reason] = [fields.value, fields.owner, fields.reason].map(filled);
        let (Some(value), Some(owner), Some(reason)) = (value, owner, reason) else {
            let message = "an entry needs `value`, `owner` and `reason`; the last two may stand once \
                           for the whole list";
            return self.problem(place, message);
        };
        let mut time = |name: &str, text: Option<String>| {
            let text = filled(text)?;
            let time = time::parse(&text);
            if time.is_none() {
                let message = format!("`{name}` is `{text}`: write a date such as 2026-03-02");
                self.problem(place, message);
            }
            time
        };
        let entry = Entry {
            from: time("from", fields.from),
            until: time("until", fields.until),
            group: filled(fields.group),
            value,
            owner,
            reason,
        };
        if let Err(message) = self.list.add(entry) {
            self.problem(place, message);
        }
    }

    fn finish(self) -> Result<List, Vec<Problem>> {
        if self.problems.is_empty() {
            Ok(self.list)
        } else {
            Err(self.problems)
        }
    }
}
