//! Reading YAML so that one mistake does not hide the others, and each is named with its place.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_saphyr::Location;

/// Something wrong in a file, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
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
    pub fn at(file: &str, location: Location, message: String) -> Self {
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

/// So many mistakes of form are reported of one file.
const MOST_MISTAKES: usize = 20;

/// Reads YAML. What does not fit is reported and blanked out, line by line, so that the rest can be
/// read; `None` if nothing is left that fits.
pub fn read<T: DeserializeOwned>(file: &str, text: &str) -> (Option<T>, Vec<Problem>) {
    let mut problems: Vec<Problem> = Vec::new();
    let mut lines: Vec<&str> = text.lines().collect();
    while problems.len() < MOST_MISTAKES {
        let error = match serde_saphyr::from_str::<T>(&lines.join("\n")) {
            Ok(document) => return (Some(document), problems),
            Err(error) => error,
        };
        let message = message(&error);
        let follows = message.contains("missing field") || message.contains("unknown anchor");
        if follows && !problems.is_empty() {
            // Most likely only because of what was blanked out.
            break;
        }
        let location = error.location().unwrap_or(Location::UNKNOWN);
        problems.push(Problem::at(file, location, message));
        if !blank(&mut lines, location.line() as usize) {
            break;
        }
    }
    (None, problems)
}

/// What is wrong, without the place and the snippet that the library adds.
fn message(error: &serde_saphyr::Error) -> String {
    let text = error.without_snippet().to_string();
    let text = text.lines().next().unwrap_or_default();
    let text = text.rsplit_once(" at line ").map_or(text, |(text, _)| text);
    let text = match text.split_once(": ") {
        Some((place, rest)) if place.starts_with("line ") => rest,
        _ => text,
    };
    if text.starts_with("non-finite float") {
        // The library repeats what it took for a number, which may be a secret.
        return "the number is too large; if it is a text, put it in quotes".to_owned();
    }
    hinted(text)
}

/// Names the known key that an unknown one was most likely meant to be.
fn hinted(text: &str) -> String {
    let Some((unknown, known)) = text.split_once(", expected ") else {
        return text.to_owned();
    };
    let mut names = unknown.split('`').skip(1);
    let (Some(name), true) = (names.next(), unknown.starts_with("unknown ")) else {
        return text.to_owned();
    };
    let known = known.trim_start_matches("one of ").split(", ");
    match nearest(name, known.map(|name| name.trim_matches('`'))) {
        Some(near) => format!("{unknown}; did you mean `{near}`?"),
        None => text.to_owned(),
    }
}

/// The known name that this one was most likely meant to be.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let measured = known.map(|known| (known, strsim::damerau_levenshtein(name, known)));
    let (near, far) = measured.min_by_key(|(_, far)| *far)?;
    (far <= 1 + name.len() / 4).then_some(near)
}

/// Blanks a line (from 1) and what belongs to it by indentation; false if there is nothing there.
fn blank(lines: &mut [&str], line: usize) -> bool {
    let indentation = |text: &str| text.len() - text.trim_start().len();
    let is_blank = |text: &str| text.trim().is_empty();
    let Some(first) = line.checked_sub(1).filter(|at| *at < lines.len()) else {
        return false;
    };
    if is_blank(lines[first]) {
        return false;
    }
    let depth = indentation(lines[first]);
    lines[first] = "";
    for text in &mut lines[first + 1..] {
        if !is_blank(text) && indentation(text) <= depth {
            break;
        }
        *text = "";
    }
    true
}
