//! Exceptions: matches that somebody looked at and found to be as they should.
//!
//! ```yaml
//! - name: backup_host
//!   rules: [file_bulk_download]          # or all
//!   when: actor_id = 'U0BACKUP' AND in_list('offices', ip)
//!   owner: alice@example.com
//!   reason: the nightly backup
//!   until: 2027-01-01
//! ```
//!
//! A match that meets one is kept and counted, but neither stands nor suppresses another.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_saphyr::{Location, Spanned};

use super::document::OneOrMany;
use super::expression;
use crate::config::yaml::{self, Problem};
use crate::event::time;

/// The word for every rule.
const ALL: &str = "all";

/// Exceptions that were read. Their conditions are checked with each rule that they are made of.
#[derive(Clone, Debug, Default)]
pub struct Exceptions(Vec<Exception>);

/// One exception.
#[derive(Clone, Debug)]
pub struct Exception {
    pub name: String,
    /// Names of rules; `None` for all.
    pub rules: Option<Vec<String>>,
    /// A condition on the triggering event, as SQL.
    pub when: String,
    /// Who made it.
    pub owner: String,
    /// Why.
    pub reason: String,
    /// The first microsecond at which it does not count any more.
    pub until: Option<i64>,
    file: String,
    place: Location,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    name: Option<Spanned<String>>,
    #[serde(default)]
    rules: OneOrMany,
    when: Option<Spanned<String>>,
    owner: Option<String>,
    reason: Option<String>,
    until: Option<Spanned<String>>,
}

impl Exceptions {
    /// The exceptions in the text of a file.
    ///
    /// # Errors
    /// All that is wrong with them, each with its place.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<Problem>> {
        let (read, mut problems) = yaml::read::<Vec<Spanned<Fields>>>(file, text);
        let mut exceptions: Vec<Exception> = Vec::new();
        let mut names = BTreeSet::new();
        for fields in read.unwrap_or_default() {
            let place = fields.referenced;
            let mut problem = |place: Location, message: String| {
                problems.push(Problem::at(file, place, message));
            };
            let fields = fields.value;
            let (Some(name), Some(when), Some(owner), Some(reason)) =
                (fields.name, fields.when, fields.owner, fields.reason)
            else {
                let message = "an exception needs `name`, `rules`, `when`, `owner` and `reason`";
                problem(place, message.to_owned());
                continue;
            };
            if !names.insert(name.value.clone()) {
                let message = format!("there is another exception `{}`: rename one", name.value);
                problem(name.referenced, message);
            }
            let rules = fields.rules.to_vec();
            if rules.is_empty() {
                let message = "an exception needs `rules`: names of rules, or all".to_owned();
                problem(place, message);
            }
            let until = fields.until.and_then(|text| {
                let until = time::parse(&text.value);
                if until.is_none() {
                    let message = format!("`{}`: write a date such as 2027-01-01", text.value);
                    problem(text.referenced, message);
                }
                until
            });
            // As SQL that cannot reach beyond itself.
            let condition = match expression::parse(&when.value) {
                Ok(condition) => condition.to_string(),
                Err(error) => {
                    problem(when.referenced, format!("`{}`: {error}", when.value.trim()));
                    continue;
                }
            };
            exceptions.push(Exception {
                name: name.value,
                rules: (rules != [ALL]).then_some(rules),
                when: condition,
                owner,
                reason,
                until,
                file: file.to_owned(),
                place: when.referenced,
            });
        }
        if problems.is_empty() {
            Ok(Self(exceptions))
        } else {
            problems.sort();
            Err(problems)
        }
    }

    /// Their names, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|exception| exception.name.as_str())
    }

    /// Those made of the rule of this name, in their order.
    pub fn of<'a>(&'a self, rule: &'a str) -> impl Iterator<Item = &'a Exception> {
        self.0.iter().filter(move |exception| {
            let rules = exception.rules.as_ref();
            rules.is_none_or(|rules| rules.iter().any(|name| name == rule))
        })
    }

    /// Exceptions of rules that are not among these.
    pub fn unknown(&self, is_rule: impl Fn(&str) -> bool) -> Vec<Problem> {
        let named = self.0.iter().flat_map(|exception| {
            let rules = exception.rules.iter().flatten();
            rules.map(move |rule| (exception, rule))
        });
        let unknown = named.filter(|(_, rule)| !is_rule(rule));
        unknown
            .map(|(exception, rule)| {
                exception.problem(format!(
                    "exception `{}` is made of `{rule}`, which is no rule",
                    exception.name
                ))
            })
            .collect()
    }
}

impl Exception {
    /// Something wrong with it.
    pub fn problem(&self, message: String) -> Problem {
        Problem::at(&self.file, self.place, message)
    }

    /// Whether it is made of all rules, rather than of some by their names.
    pub fn is_of_all(&self) -> bool {
        self.rules.is_none()
    }

    /// The condition under which it counts, as SQL.
    pub fn condition(&self) -> String {
        match self.until {
            None => format!("({})", self.when),
            Some(until) => format!(
                "({}) AND arrow_cast(order_time, 'Int64') < {until}",
                self.when
            ),
        }
    }
}
