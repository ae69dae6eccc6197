//! Reading a block of settings. The default and the bounds of each stand where it is asked for, and all
//! that is wrong in a block is named at once, even if it stands on one line.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use reqwest::Url;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_saphyr::{Location, Spanned};

use super::endpoint::{self, Endpoint};
use super::secret::Secret;
use super::yaml::{Problem, nearest};

/// Names of lists, sources and sinks have at most so many characters.
const MOST_NAME: usize = 64;

/// A block as it is written: settings by name, in their order.
#[derive(Debug, Default)]
pub(super) struct Block(Vec<(Spanned<String>, Spanned<Value>)>);

/// Blocks by a name that the operator chose. One without settings is `None`.
pub(super) type Blocks = BTreeMap<String, Spanned<Option<Block>>>;

impl<'de> Deserialize<'de> for Block {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Block;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("settings by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Block, A::Error> {
                let mut settings = Vec::new();
                while let Some(setting) = map.next_entry()? {
                    settings.push(setting);
                }
                Ok(Block(settings))
            }
        }

        deserializer.deserialize_map(Reader)
    }
}

/// What is wrong in a file.
pub(super) struct Check {
    file: String,
    pub problems: Vec<Problem>,
    /// Whether all of the file could be read: what could not is not missing.
    is_whole: bool,
}

impl Check {
    /// A check of this file, in which reading found these problems.
    pub fn new(file: &str, problems: Vec<Problem>) -> Self {
        Self {
            file: file.to_owned(),
            is_whole: problems.is_empty(),
            problems,
        }
    }

    pub fn problem(&mut self, place: Location, message: String) {
        self.problems.push(Problem::at(&self.file, place, message));
    }

    /// That a thing, such as a source, may be called so.
    pub fn name(&mut self, thing: &str, name: &str, place: Location) {
        let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if name.is_empty() || name.len() > MOST_NAME || !name.chars().all(is_word) {
            let message = format!(
                "a {thing} cannot be called `{name}`: use lower-case letters, digits and _, at most \
                 {MOST_NAME} of them"
            );
            self.problem(place, message);
        }
    }

    /// The settings of a block that stands here; without a block all have their defaults.
    pub fn open(&mut self, block: Option<Block>, place: Location) -> Settings<'_> {
        Settings {
            check: self,
            place,
            left: block.unwrap_or_default().0,
            known: Vec::new(),
        }
    }
}

/// A block that is being read. Each setting is taken out when it is asked for.
pub(super) struct Settings<'a> {
    check: &'a mut Check,
    /// Where the block stands.
    place: Location,
    left: Vec<(Spanned<String>, Spanned<Value>)>,
    /// What was asked for.
    known: Vec<&'static str>,
}

impl Settings<'_> {
    /// `None` if it is not written, or has no value.
    fn take(&mut self, name: &'static str) -> Option<Spanned<Value>> {
        self.known.push(name);
        let at = self.left.iter().position(|(key, _)| key.value == name)?;
        let (_, value) = self.left.swap_remove(at);
        (!value.value.is_null()).then_some(value)
    }

    /// A whole number within bounds.
    pub fn number(&mut self, name: &'static str, bounds: RangeInclusive<u32>, default: u32) -> u32 {
        let (least, most) = bounds.into_inner();
        let Some(written) = self.take(name) else {
            return default;
        };
        let number: Option<u32> = match &written.value {
            Value::String(text) => text.trim().parse().ok(),
            value => value.as_u64().and_then(|number| number.try_into().ok()),
        };
        let number = number.filter(|number| (least..=most).contains(number));
        number.unwrap_or_else(|| {
            let value = shown(&written.value);
            let message =
                format!("`{name}` is {value}: write a whole number from {least} to {most}");
            self.check.problem(written.referenced, message);
            default
        })
    }

    /// A text with its place; `None` if it is not written.
    pub fn text(&mut self, name: &'static str) -> Option<Spanned<String>> {
        let written = self.take(name)?;
        match written.value {
            Value::String(text) if !text.is_empty() => {
                Some(Spanned::new(text, written.referenced, written.defined))
            }
            value => {
                let message = format!(
                    "`{name}` is {}: write a text, in quotes if it looks like a number or a yes",
                    shown(&value)
                );
                self.check.problem(written.referenced, message);
                None
            }
        }
    }

    /// A text that must be there; `what` says what it is.
    pub fn required(&mut self, name: &'static str, what: &str) -> Option<Spanned<String>> {
        if !self.is_written(name) {
            self.missing(name, what);
        }
        self.text(name)
    }

    fn is_written(&self, name: &str) -> bool {
        self.left
            .iter()
            .any(|(key, value)| key.value == name && !value.value.is_null())
    }

    fn missing(&mut self, name: &str, what: &str) {
        if self.check.is_whole {
            let message = format!("`{name}` is missing: write {what}");
            self.check.problem(self.place, message);
        }
    }

    /// Texts, one or several of them; none if it is not written.
    pub fn texts(&mut self, name: &'static str) -> Vec<Spanned<String>> {
        let Some(written) = self.take(name) else {
            return Vec::new();
        };
        let (referenced, defined) = (written.referenced, written.defined);
        let values = match written.value {
            Value::Array(values) => values,
            value => vec![value],
        };
        let texts = values.iter().map(|value| {
            let text = value.as_str().filter(|text| !text.is_empty());
            text.map(|text| Spanned::new(text.to_owned(), referenced, defined))
        });
        let texts: Option<Vec<_>> = texts.collect();
        texts.unwrap_or_else(|| {
            let message = format!("`{name}` wants texts: [A, B]");
            self.check.problem(referenced, message);
            Vec::new()
        })
    }

    /// Yes or no.
    pub fn flag(&mut self, name: &'static str, default: bool) -> bool {
        let Some(written) = self.take(name) else {
            return default;
        };
        match &written.value {
            Value::Bool(flag) => *flag,
            value => {
                let message = format!("`{name}` is {}: write true or false", shown(value));
                self.check.problem(written.referenced, message);
                default
            }
        }
    }

    /// A share above 0 and up to 1, in per cent.
    pub fn share(&mut self, name: &'static str, default_percent: u32) -> u32 {
        let Some(written) = self.take(name) else {
            return default_percent;
        };
        let share = written.value.as_f64();
        match share.filter(|share| (0.01..=1.0).contains(share)) {
            Some(share) => (share * 100.0).round() as u32,
            None => {
                let value = shown(&written.value);
                let message = format!("`{name}` is {value}: write a number from 0.01 to 1");
                self.check.problem(written.referenced, message);
                default_percent
            }
        }
    }

    /// Where a secret is. What is wrong is told without what is written there.
    pub fn secret(&mut self, name: &'static str, is_needed: bool) -> Option<Secret> {
        if is_needed && !self.is_written(name) {
            self.missing(name, "{env: NAME} or {file: PATH}");
        }
        let written = self.take(name)?;
        match serde_json::from_value(written.value) {
            Ok(secret) => Some(secret),
            Err(error) => {
                let message = format!("`{name}`: {error}");
                self.check.problem(written.referenced, message);
                None
            }
        }
    }

    /// The address of a web server, which must be there.
    pub fn url(&mut self, name: &'static str) -> Option<Spanned<Url>> {
        let text = self.required(name, "https://HOST/PATH")?;
        match endpoint::url(&text.value) {
            Ok(url) => Some(Spanned::new(url, text.referenced, text.defined)),
            Err(error) => {
                self.check
                    .problem(text.referenced, format!("`{name}` {error}"));
                None
            }
        }
    }

    /// The address of an API.
    pub fn endpoint(&mut self, name: &'static str, default: &str) -> Option<Endpoint> {
        let text = self.text(name);
        let place = text.as_ref().map_or(self.place, |text| text.referenced);
        let text = text.map_or_else(|| default.to_owned(), |text| text.value);
        match Endpoint::parse(&text) {
            Ok(endpoint) => Some(endpoint),
            Err(error) => {
                self.check.problem(place, format!("`{name}` {error}"));
                None
            }
        }
    }

    pub fn path(&mut self, name: &'static str, default: &str) -> PathBuf {
        let text = self.text(name).map(|text| text.value);
        text.unwrap_or_else(|| default.to_owned()).into()
    }

    /// What the word of a setting means. `None` if the word means nothing, or is missing and has no
    /// default; that is a problem then.
    pub fn word<T: Copy>(
        &mut self,
        name: &'static str,
        what: &str,
        words: &[(&str, T)],
        default: Option<T>,
    ) -> Option<T> {
        let known = words.iter().map(|(word, _)| *word).collect::<Vec<_>>();
        let known = known.join(", ");
        let Some(written) = self.take(name) else {
            if default.is_none() && self.check.is_whole {
                let message = format!("`{name}` is missing, the {what}: use {known}");
                self.check.problem(self.place, message);
            }
            return default;
        };
        let mut pairs = words.iter();
        let found = pairs.find(|(word, _)| written.value.as_str() == Some(*word));
        if found.is_none() {
            let message = format!("{} is no {what}: use {known}", shown(&written.value));
            self.check.problem(written.referenced, message);
        }
        found.map(|(_, meaning)| *meaning)
    }

    /// Reports something wrong with a setting.
    pub fn problem(&mut self, place: Location, message: String) {
        self.check.problem(place, message);
    }

    /// Names what is left, which does not exist.
    pub fn finish(self) {
        let Self {
            check, left, known, ..
        } = self;
        for (key, _) in left {
            let hint = match nearest(&key.value, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("use one of {}", known.join(", ")),
            };
            let message = format!("unknown field `{}`; {hint}", key.value);
            check.problem(key.referenced, message);
        }
    }
}

/// A value as it is quoted in a message.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) if text.is_empty() => "empty".to_owned(),
        Value::String(text) => format!("`{text}`"),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a block".to_owned(),
        value => format!("`{value}`"),
    }
}
