//! The YAML of a rule file.

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_saphyr::Spanned;

use super::test::Test;

/// A rule file: Sigma's metadata and what to detect. Required fields are optional here, so that
/// all that are missing can be named at once.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, bound = "D: DeserializeOwned")]
pub(super) struct Document<D> {
    pub title: Option<Spanned<String>>,
    pub id: Option<Spanned<String>>,
    pub name: Option<Spanned<String>>,
    pub status: Option<Spanned<String>>,
    pub level: Option<Spanned<String>>,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub tags: Vec<Spanned<String>>,
    pub logsource: Option<Spanned<Logsource>>,
    #[serde(default)]
    pub reason: OneOrMany,
    /// The answer that is suggested.
    pub response: Option<Spanned<String>>,
    pub detect: Option<Spanned<D>>,
    pub suppress: Option<Spanned<String>>,
    /// How far back its windows look at most.
    pub horizon: Option<Spanned<String>>,
    #[serde(default)]
    pub tests: Vec<Spanned<Test>>,
    // Sigma's metadata that is for readers.
    #[serde(rename = "license")]
    _license: Option<IgnoredAny>,
    #[serde(rename = "references")]
    _references: Option<Vec<String>>,
    #[serde(rename = "author")]
    _author: Option<String>,
    #[serde(rename = "date")]
    _date: Option<String>,
    #[serde(rename = "modified")]
    _modified: Option<String>,
    #[serde(rename = "related")]
    _related: Option<IgnoredAny>,
    #[serde(rename = "falsepositives")]
    _falsepositives: Option<Vec<String>>,
    #[serde(rename = "fields")]
    _fields: Option<Vec<String>>,
}

/// Sigma's `logsource`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Logsource {
    pub product: String,
    pub service: String,
    #[serde(rename = "definition")]
    _definition: Option<String>,
}

/// What is read first of `detect`.
#[derive(Debug, Deserialize)]
pub(super) struct KindName {
    pub kind: Option<Spanned<String>>,
}

/// A text, or a list of texts.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(untagged)]
pub(super) enum OneOrMany {
    One(String),
    Many(Vec<String>),
    #[default]
    None,
}

impl OneOrMany {
    pub fn to_vec(&self) -> Vec<String> {
        match self {
            Self::One(text) => vec![text.clone()],
            Self::Many(texts) => texts.clone(),
            Self::None => Vec::new(),
        }
    }
}

impl<D> Document<D> {
    /// The document with something else in the place of the settings.
    pub fn map_detect<E>(self, map: impl FnOnce(D) -> E) -> Document<E> {
        let detect = self
            .detect
            .map(|detect| Spanned::new(map(detect.value), detect.referenced, detect.defined));
        Document {
            title: self.title,
            id: self.id,
            name: self.name,
            status: self.status,
            level: self.level,
            description: self.description,
            tags: self.tags,
            logsource: self.logsource,
            reason: self.reason,
            response: self.response,
            detect,
            suppress: self.suppress,
            horizon: self.horizon,
            tests: self.tests,
            _license: self._license,
            _references: self._references,
            _author: self._author,
            _date: self._date,
            _modified: self._modified,
            _related: self._related,
            _falsepositives: self._falsepositives,
            _fields: self._fields,
        }
    }
}
