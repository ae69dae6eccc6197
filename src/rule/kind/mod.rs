//! The kinds of rules: each turns its settings into SQL whose rows are matches.
//!
//! A new kind is one file, and a line in `kinds!`.

mod matches;
mod new_value;
mod sequence;
mod session_split;
mod sql;
mod threshold;
mod travel;
mod volume;

use super::document::Document;
use super::draft::{Draft, Matches};
use crate::config::yaml::{self, Problem};

/// The settings of a kind, read from the rule's `detect`.
trait Kind: serde::de::DeserializeOwned {
    /// The word in `detect.kind`.
    const NAME: &'static str;

    /// The query for its matches; `None` if the draft has problems that forbid it.
    fn expand(&self, draft: &mut Draft<'_>) -> Option<Matches>;
}

/// A document with the settings of one kind.
pub(super) struct Read {
    pub kind: &'static str,
    pub document: Document<Expand>,
}

/// Expands the settings that were read.
pub(super) struct Expand(Box<Expansion>);

type Expansion = dyn Fn(&mut Draft<'_>) -> Option<Matches>;

impl Expand {
    /// Of no kind.
    pub fn nothing() -> Self {
        Self(Box::new(|_| None))
    }

    pub fn expand(&self, draft: &mut Draft<'_>) -> Option<Matches> {
        (self.0)(draft)
    }
}

fn read<K: Kind + 'static>(file: &str, text: &str) -> (Option<Read>, Vec<Problem>) {
    let (document, problems) = yaml::read::<Document<K>>(file, text);
    let read = document.map(|document| Read {
        kind: K::NAME,
        document: document
            .map_detect(|settings| Expand(Box::new(move |draft| settings.expand(draft)))),
    });
    (read, problems)
}

/// Reads a document of one kind.
pub(super) type Reader = fn(&str, &str) -> (Option<Read>, Vec<Problem>);

macro_rules! kinds {
    ($($kind:ty),* $(,)?) => {
        /// The words in `detect.kind`.
        pub(super) const NAMES: &[&str] = &[$(<$kind as Kind>::NAME),*];

        /// The reader of the kind of this name.
        pub(super) fn find(name: &str) -> Option<Reader> {
            $(if name == <$kind as Kind>::NAME {
                return Some(read::<$kind>);
            })*
            None
        }
    };
}

kinds![
    matches::Match,
    threshold::Threshold,
    new_value::NewValue,
    travel::Travel,
    volume::Volume,
    session_split::SessionSplit,
    sequence::Sequence,
    sql::Sql,
];

/// Settings of a kind, with those that most kinds share.
macro_rules! settings {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(super) struct $name {
            #[serde(rename = "kind")]
            _kind: String,
            /// `events`, or `anomalies` for a rule over what the rules over events found.
            from: Option<serde_saphyr::Spanned<String>>,
            /// Columns of the rule's own: name → expression over the table.
            #[serde(default)]
            define: std::collections::BTreeMap<String, serde_saphyr::Spanned<String>>,
            /// Which events count.
            #[serde(rename = "where")]
            filter: Option<serde_saphyr::Spanned<String>>,
            /// The columns whose values are judged apart.
            key: Option<serde_saphyr::Spanned<crate::rule::document::OneOrMany>>,
            /// Level → condition: the highest that holds counts, else the rule's level.
            #[serde(default)]
            level_by: std::collections::BTreeMap<String, serde_saphyr::Spanned<String>>,
            /// Columns of the triggering event to show.
            #[serde(default)]
            evidence: Vec<serde_saphyr::Spanned<String>>,
            $($(#[$field_doc])* $field: $type,)*
        }

        impl $name {
            fn settings(&self) -> crate::rule::draft::Settings<'_> {
                crate::rule::draft::Settings {
                    define: &self.define,
                    filter: self.filter.as_ref(),
                    key: self.key.as_ref(),
                    level_by: &self.level_by,
                    evidence: &self.evidence,
                    from: self.from.as_ref(),
                }
            }
        }
    };
}
use settings;
