use std::fmt;

use serde_saphyr::Location;

/// Something wrong in a rule file, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    pub file: String,
    /// From 1.
    pub line: u64,
    /// In characters, from 1.
    pub column: u64,
    /// What is wrong, with the offending value and what to write instead.
    pub message: String,
}

impl Problem {
    /// A problem at a place in the YAML; where the place is not known, at the beginning.
    pub(super) fn at(file: &str, location: Location, message: String) -> Self {
        Self {
            file: file.to_owned(),
            line: location.line().max(1),
            column: location.column().max(1),
            message,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            column,
            message,
        } = self;
        write!(f, "{file}:{line}:{column}: {message}")
    }
}
