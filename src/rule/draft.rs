//! A rule in the making: checks each piece where it stands and collects what is wrong.

use std::collections::BTreeMap;

use arrow::datatypes::DataType;
use serde_saphyr::{Location, Spanned};

use super::document::OneOrMany;
use super::exception::Exception;
use super::{Problem, duration, expression, lint, sql};
use crate::anomaly::Level;
use crate::config::yaml::nearest;
use crate::detect::plan::Planner;
use crate::detect::{Condition, Members, Table, column};

/// What a kind makes of its settings.
pub(super) struct Matches {
    /// A query whose rows are matches, with the columns that every program returns.
    pub sql: String,
    pub key: Vec<String>,
    /// How far its windows look ahead.
    pub wait_secs: i64,
    /// Whether a match may lack a key; such a match stands alone.
    pub may_lack_key: bool,
    pub conditions: Vec<Condition>,
    pub members: Option<Members>,
}

/// The settings that most kinds have.
pub(super) struct Settings<'a> {
    pub define: &'a BTreeMap<String, Spanned<String>>,
    pub filter: Option<&'a Spanned<String>>,
    pub key: Option<&'a Spanned<OneOrMany>>,
    pub level_by: &'a BTreeMap<String, Spanned<String>>,
    pub evidence: &'a [Spanned<String>],
    /// The table that it reads.
    pub from: Option<&'a Spanned<String>>,
}

/// The same, checked.
pub(super) struct Common {
    /// The table with the rule's own columns, as SQL.
    pub relation: String,
    pub filter: Option<String>,
    pub key: Vec<String>,
    /// An expression for the level.
    pub level: String,
    /// Columns to show.
    pub evidence: Vec<String>,
    /// Whether there is a column of reasons.
    pub has_reason: bool,
    /// An expression for the exception that a match meets, if there are any.
    pub exception: Option<String>,
}

impl Common {
    /// The columns that every match has, then those to show, each once.
    pub fn columns(&self, shown: &[&str]) -> String {
        let fixed = [column::EVENT_ID, column::EVENT_TIME, column::ORDER_TIME];
        let reason = self.has_reason.then_some(column::REASON);
        let own = self.key.iter().chain(&self.evidence).map(String::as_str);
        let mut columns: Vec<&str> = Vec::new();
        for name in fixed
            .into_iter()
            .chain(own)
            .chain(reason)
            .chain(shown.iter().copied())
        {
            if !columns.contains(&name) {
                columns.push(name);
            }
        }
        let exception = self.exception.iter();
        let exception = exception.map(|case| format!(", {case} AS {}", column::EXCEPTION));
        format!(
            "{}, {} AS level{}",
            columns.join(", "),
            self.level,
            exception.collect::<String>()
        )
    }

    pub fn keys(&self) -> String {
        self.key.join(", ")
    }
}

/// Names that a rule cannot give to columns of its own.
const RESERVED: [&str; 5] = [
    column::EXCEPTION,
    column::LEVEL,
    column::FINDING,
    column::STANDING,
    column::OBSERVED,
];

/// The most of a value that a problem quotes.
const MOST_QUOTED: usize = 160;

/// A value on one line, cut where it is long.
pub(super) fn quoted(value: &str) -> String {
    let line = value.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MOST_QUOTED) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

pub(super) struct Draft<'a> {
    /// The rule's; empty if it has none.
    pub name: String,
    /// The rule's own reason codes.
    pub reasons: Vec<String>,
    pub planner: &'a Planner,
    /// Those that are made of the rule.
    pub exceptions: Vec<&'a Exception>,
    pub file: &'a str,
    /// The level of the rule, which its matches have unless something says otherwise.
    pub level: Level,
    /// Where `detect` stands.
    pub place: Location,
    /// Whether all of the document could be read: what could not is not missing.
    pub is_whole: bool,
    pub problems: Vec<Problem>,
    /// Columns that the rule defines, and where.
    pub defined: Vec<(String, Location)>,
}

impl Draft<'_> {
    pub fn problem(&mut self, location: Location, message: impl Into<String>) {
        self.problems
            .push(Problem::at(self.file, location, message.into()));
    }

    /// Something that ought to be there.
    pub fn missing(&mut self, location: Location, message: impl Into<String>) {
        if self.is_whole {
            self.problem(location, message);
        }
    }

    /// A setting that the kind cannot do without.
    pub fn required<'s, T>(&mut self, name: &str, setting: Option<&'s T>) -> Option<&'s T> {
        if setting.is_none() {
            self.missing(self.place, format!("`detect` needs `{name}`"));
        }
        setting
    }

    /// An expression over the relation, as SQL that cannot reach beyond itself.
    pub fn expression(
        &mut self,
        text: &Spanned<String>,
        relation: &str,
    ) -> Option<(String, DataType)> {
        let value = text.value.trim();
        let checked = expression::parse(value).and_then(|expression| {
            if let Some(mismatch) = lint::mismatch(&expression) {
                return Err(mismatch);
            }
            let sql = expression.to_string();
            let checked = self.planner.expression(&sql, relation);
            checked
                .map(|kind| (sql, kind))
                .map_err(|error| error.to_string())
        });
        checked
            .map_err(|error| self.problem(text.referenced, format!("`{}`: {error}", quoted(value))))
            .ok()
    }

    /// An expression that is true or false.
    pub fn predicate(&mut self, text: &Spanned<String>, relation: &str) -> Option<String> {
        let (sql, kind) = self.expression(text, relation)?;
        if kind == DataType::Boolean {
            return Some(sql);
        }
        let value = quoted(&text.value);
        self.problem(
            text.referenced,
            format!("`{value}` is {kind}, and a condition is wanted"),
        );
        None
    }

    /// Seconds of a duration of at least `least`.
    pub fn duration(&mut self, text: Option<&Spanned<String>>, default: &str, least: i64) -> i64 {
        let fallback = duration::parse(default).unwrap_or_default();
        let Some(text) = text else {
            return fallback;
        };
        match duration::parse(text.value.trim()) {
            Some(seconds) if seconds >= least => seconds,
            Some(_) => {
                self.problem(
                    text.referenced,
                    format!("`{}` is shorter than {least}s", text.value),
                );
                fallback
            }
            None => {
                let message = format!(
                    "`{}` is not a duration: write a whole number and s, m, h or d, such as 10m",
                    text.value
                );
                self.problem(text.referenced, message);
                fallback
            }
        }
    }

    /// Checks the settings that kinds share; `None` if what follows could not be checked with them.
    pub fn common(&mut self, settings: &Settings<'_>) -> Option<Common> {
        let table = self.table(settings.from);
        let define = self.define(settings.define, table);
        let relation = sql::relation(&define, table);
        let filter = settings
            .filter
            .map(|filter| self.predicate(filter, &relation));
        let key = self.key(settings.key, &define, table);
        let level = self.level(settings.level_by, &relation);
        let exception = self.exception(&relation);
        let known = self.columns(&define, table);
        let mut evidence = Vec::new();
        for name in settings.evidence {
            if self.is_column(name.referenced, &name.value, &known) {
                evidence.push(name.value.clone());
            }
        }
        Some(Common {
            filter: match filter {
                Some(filter) => Some(filter?),
                None => None,
            },
            key: key?,
            level: level?,
            evidence,
            has_reason: define.iter().any(|(name, _)| name == column::REASON),
            exception,
            relation,
        })
    }

    /// The name of the first exception that a row of the relation meets, as SQL; `None` if there are
    /// no exceptions.
    pub fn exception(&mut self, relation: &str) -> Option<String> {
        let mut cases = String::new();
        for exception in self.exceptions.clone() {
            let condition = exception.condition();
            match self.planner.expression(&exception.when, relation) {
                Ok(DataType::Boolean) => {
                    cases += &format!(" WHEN {condition} THEN {}", sql::quoted(&exception.name));
                }
                Ok(kind) => {
                    let message =
                        format!("`{}` is {kind}, and a condition is wanted", exception.when);
                    self.problems.push(exception.problem(message));
                }
                // One of all rules says nothing of those that do not return what it asks of events.
                Err(_) if exception.is_of_all() && self.is_of_events(&exception.when) => {}
                Err(error) => {
                    let message = format!("`{}`, asked of {}: {error}", exception.when, self.file);
                    self.problems.push(exception.problem(message));
                }
            }
        }
        match (self.exceptions.is_empty(), cases.is_empty()) {
            (true, _) => None,
            // None that can be asked; or the problems are told.
            (false, true) => Some("CAST(NULL AS VARCHAR)".to_owned()),
            (false, false) => Some(format!("CASE{cases} END")),
        }
    }

    /// Whether a condition can be asked of events.
    fn is_of_events(&self, condition: &str) -> bool {
        let events = Table::Events.name();
        let asked = self.planner.expression(condition, events);
        asked.is_ok_and(|kind| kind == DataType::Boolean)
    }

    /// The rule's own columns, without those that are wrong.
    fn define(
        &mut self,
        define: &BTreeMap<String, Spanned<String>>,
        table: Table,
    ) -> Vec<(String, String)> {
        let mut checked = Vec::new();
        for (name, text) in define {
            let is_word = name.starts_with(|c: char| c.is_ascii_lowercase())
                && name
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
            let is_taken = table.columns().iter().any(|column| column == name)
                || RESERVED.contains(&name.as_str())
                || expression::parse(name).is_err();
            if !is_word || is_taken {
                let message = format!(
                    "`{name}` cannot be defined: take a new name of lower-case letters, digits and _"
                );
                self.problem(text.referenced, message);
            } else if let Some((sql, _)) = self.expression(text, table.name()) {
                checked.push((name.clone(), sql));
                self.defined.push((name.clone(), text.referenced));
            }
        }
        checked
    }

    fn key(
        &mut self,
        key: Option<&Spanned<OneOrMany>>,
        define: &[(String, String)],
        table: Table,
    ) -> Option<Vec<String>> {
        let key = self.required("key", key)?;
        let names = key.value.to_vec();
        if names.is_empty() {
            self.problem(
                key.referenced,
                "`key` is empty: name a column, usually `actor_id`",
            );
            return None;
        }
        let known = self.columns(define, table);
        let is_right = names
            .iter()
            .all(|name| self.is_column(key.referenced, name, &known));
        is_right.then_some(names)
    }

    /// The column names that the rule may use.
    #[expect(clippy::unused_self, reason = "reads as a question to the draft")]
    fn columns(&self, define: &[(String, String)], table: Table) -> Vec<String> {
        let own = define.iter().map(|(name, _)| name.clone());
        table.columns().into_iter().chain(own).collect()
    }

    /// The table that the rule reads.
    fn table(&mut self, from: Option<&Spanned<String>>) -> Table {
        let Some(from) = from else {
            return Table::Events;
        };
        Table::by_name(&from.value).unwrap_or_else(|| {
            let message = format!("`{}` is no table: use events or anomalies", from.value);
            self.problem(from.referenced, message);
            Table::Events
        })
    }

    fn is_column(&mut self, place: Location, name: &str, known: &[String]) -> bool {
        let is_known = known.iter().any(|known| known == name);
        if !is_known {
            let near = nearest(name, known.iter().map(String::as_str));
            let hint = near
                .map(|near| format!("; did you mean `{near}`?"))
                .unwrap_or_default();
            self.problem(place, format!("there is no column `{name}`{hint}"));
        }
        is_known
    }

    /// The level of a match: the highest whose condition holds, else the rule's.
    fn level(
        &mut self,
        level_by: &BTreeMap<String, Spanned<String>>,
        relation: &str,
    ) -> Option<String> {
        let mut cases: Vec<(Level, String)> = Vec::new();
        let mut is_right = true;
        for (word, condition) in level_by {
            let level = word.parse::<Level>().map_err(|error| error.to_string());
            let condition = self.predicate(condition, relation);
            match (level, condition) {
                (Ok(level), Some(condition)) => cases.push((level, condition)),
                (level, _) => {
                    is_right = false;
                    if let Err(error) = level {
                        self.problem(level_by[word].referenced, error);
                    }
                }
            }
        }
        cases.sort_by_key(|(level, _)| std::cmp::Reverse(*level));
        let default = self.level;
        if cases.is_empty() {
            return is_right.then(|| format!("'{default}'"));
        }
        let when: String = cases
            .iter()
            .map(|(level, condition)| format!(" WHEN {condition} THEN '{level}'"))
            .collect();
        is_right.then(|| format!("CASE{when} ELSE '{default}' END"))
    }
}
