//! Rules: from the text of a file to a program, and from a finding to a record.
//!
//! ```text
//! YAML ──► document ──► kind (SQL of the matches) ──► sql (suppression) ──► Program ──► checked
//! ```

mod crowd;
mod document;
mod draft;
pub mod duration;
pub mod embedded;
pub mod exception;
mod expression;
mod kind;
mod lint;
mod load;
mod record;
mod sql;
pub mod test;
mod trust;

pub use self::lint::Named;
pub use self::load::load;
pub use crate::config::yaml::Problem;

use crate::anomaly::Level;
use crate::detect::Program;
use crate::event::schema::ColumnSet;

use self::test::Test;

/// A condition on events as SQL that cannot reach beyond itself.
///
/// # Errors
/// Why the text is not one whole expression.
pub fn condition(text: &str) -> Result<String, String> {
    expression::parse(text).map(|condition| condition.to_string())
}

/// Whether a rule runs, and who hears of what it finds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    #[default]
    On,
    /// Recorded and shown: no sink, no response, and no other rule reads it.
    Shadow,
    Off,
}

impl State {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Shadow => "shadow",
            Self::Off => "off",
        }
    }
}

/// A rule that was checked and can run.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Where it was read: a path, or `rules/…` for an embedded one.
    pub file: String,
    /// Unique among the rules of a run; lower-case letters, digits and `_`.
    pub name: String,
    /// A UUID; with key and event it makes the id of an anomaly.
    pub id: String,
    pub title: String,
    pub description: String,
    /// Sigma's word for how mature it is.
    pub status: String,
    pub level: Level,
    /// Reason codes of its findings; Slack's own where it has one.
    pub reason: Vec<String>,
    pub tags: Vec<String>,
    /// The answer that its author suggests, by the name of an action; it is never given by itself.
    pub response: Option<String>,
    /// The word in `detect.kind`.
    pub kind: &'static str,
    /// The first 12 hexadecimal digits of the SHA-256 of its text.
    pub version: String,
    pub program: Program,
    /// The columns of `events` that the program reads.
    pub columns: ColumnSet,
    pub tests: Vec<Test>,
    /// What is most likely not meant. The rule runs all the same.
    pub warnings: Vec<Problem>,
    /// Names that it asks for and that somebody else may know; what is wrong if nobody does.
    pub named: Vec<(Named, Problem)>,
    /// How far back it looks, in seconds.
    pub horizon_secs: i64,
    /// As the configuration has it; on until it says otherwise.
    pub state: State,
}
