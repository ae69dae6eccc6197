//! From the text of a rule file to a rule that can run, or to all that is wrong with it.

use serde_saphyr::{Location, Spanned};
use sha2::{Digest, Sha256};

use super::document::{Document, KindName};
use super::draft::Draft;
use super::exception::Exceptions;
use super::kind::{self, Expand};
use super::{Named, Problem, Rule, State, lint, sql};
use crate::anomaly::Level;
use crate::config::yaml::{self, nearest};
use crate::detect::plan::Planner;
use crate::detect::{Program, Table};
use crate::event::time::MICROS;

/// How long a match silences those of the same key and level, where the rule does not say.
const SUPPRESS: &str = "1h";
/// How far back a rule looks whose windows have no end, where it does not say.
const HORIZON: &str = "90d";

/// The answers that a rule may suggest.
const RESPONSES: [&str; 4] = [
    "slack_session_invalidate",
    "slack_session_reset",
    "slack_message",
    "webhook",
];

const STATUSES: [&str; 5] = [
    "stable",
    "test",
    "experimental",
    "deprecated",
    "unsupported",
];

/// Reads and checks a rule with the exceptions that are made of it; `file` stands for it in problems.
///
/// # Errors
/// Every problem that was found, in the order of the text.
pub fn load(
    file: &str,
    text: &str,
    planner: &Planner,
    exceptions: &Exceptions,
) -> Result<Rule, Vec<Problem>> {
    let (rule, mut problems) = read(file, text, planner, exceptions);
    problems.sort();
    problems.dedup();
    if rule.is_none() && problems.is_empty() {
        problems.push(Problem::at(
            file,
            Location::UNKNOWN,
            "this is no rule".to_owned(),
        ));
    }
    match rule {
        Some(rule) if problems.is_empty() => Ok(rule),
        _ => Err(problems),
    }
}

fn read(
    file: &str,
    text: &str,
    planner: &Planner,
    exceptions: &Exceptions,
) -> (Option<Rule>, Vec<Problem>) {
    let (named, mut problems) = yaml::read::<Document<KindName>>(file, text);
    let Some(named) = named else {
        return (None, problems);
    };
    let reader = match kind_of(file, &named) {
        Ok(reader) => Some(reader),
        Err(problem) => {
            problems.push(problem);
            None
        }
    };
    let (kind, document) = match reader.map(|reader| reader(file, text)) {
        Some((Some(read), found)) => {
            problems = found;
            (read.kind, read.document)
        }
        Some((None, found)) => return (None, found),
        None => ("", named.map_detect(|_| Expand::nothing())),
    };
    let name = document.name.as_ref().map_or("", |name| &name.value);
    let mut draft = Draft {
        name: name.to_owned(),
        reasons: document.reason.to_vec(),
        planner,
        exceptions: exceptions.of(name).collect(),
        file,
        level: Level::Medium,
        place: document
            .detect
            .as_ref()
            .map_or(Location::UNKNOWN, |detect| detect.referenced),
        is_whole: problems.is_empty() || kind.is_empty(),
        problems,
        defined: Vec::new(),
    };
    let rule = draft.rule(kind, &document, text);
    (rule, draft.problems)
}

fn kind_of(file: &str, document: &Document<KindName>) -> Result<kind::Reader, Problem> {
    let place = document
        .detect
        .as_ref()
        .map_or(Location::UNKNOWN, |detect| detect.referenced);
    let Some(kind) = document
        .detect
        .as_ref()
        .and_then(|detect| detect.value.kind.as_ref())
    else {
        let message = format!(
            "the rule needs `detect` with a `kind`: {}",
            kind::NAMES.join(", ")
        );
        return Err(Problem::at(file, place, message));
    };
    if let Some(reader) = kind::find(&kind.value) {
        return Ok(reader);
    }
    let near = nearest(&kind.value, kind::NAMES.iter().copied());
    let hint = match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("use one of {}", kind::NAMES.join(", ")),
    };
    Err(Problem::at(
        file,
        kind.referenced,
        format!("`{}` is not a kind; {hint}", kind.value),
    ))
}

impl Draft<'_> {
    fn rule(
        &mut self,
        kind: &'static str,
        document: &Document<Expand>,
        text: &str,
    ) -> Option<Rule> {
        let title = self.needed("title", document.title.as_ref());
        let id = document.id.as_ref().map(|id| &id.value);
        let name = self.needed("name", document.name.as_ref());
        self.check_id(document.id.as_ref());
        self.check_name(document.name.as_ref());
        self.check_status(document.status.as_ref());
        self.check_logsource(document);
        self.check_response(document.response.as_ref());
        let level = self.rule_level(document.level.as_ref());
        self.level = level.unwrap_or(Level::Medium);
        let suppress_secs = self.duration(document.suppress.as_ref(), SUPPRESS, 0);
        for test in &document.tests {
            if let Err(reason) = test.value.check() {
                self.problem(test.referenced, reason);
            }
        }
        let matches = document
            .detect
            .as_ref()
            .and_then(|detect| detect.value.expand(self))?;
        let program = Program {
            reads: Table::of(&matches.sql).first().copied().unwrap_or_default(),
            sql: sql::suppressed(&matches, suppress_secs, !self.exceptions.is_empty()),
            key: matches.key,
            wait_micros: matches.wait_secs * MICROS,
            conditions: matches.conditions,
            members: matches.members,
        };
        let reads = match self.planner.check(&program) {
            Ok(reads) => reads,
            Err(error) => {
                self.problem(self.place, format!("the rule's SQL is refused: {error}"));
                return None;
            }
        };
        let horizon_secs = self.horizon(document.horizon.as_ref(), reads.reach);
        let named = self.named(text, &program);
        // Suppression is ours: what the rule itself says is looked at.
        let own = Program {
            sql: matches.sql,
            ..program.clone()
        };
        let warnings = self.warnings(document, &own);
        Some(Rule {
            warnings,
            named,
            horizon_secs,
            file: self.file.to_owned(),
            name: name?,
            id: id?.to_ascii_lowercase(),
            title: title?,
            description: document.description.trim().to_owned(),
            status: document
                .status
                .as_ref()
                .map_or("experimental", |status| &status.value)
                .to_owned(),
            level: level?,
            reason: document.reason.to_vec(),
            response: document
                .response
                .as_ref()
                .map(|response| response.value.clone()),
            tags: document.tags.iter().map(|tag| tag.value.clone()).collect(),
            kind,
            version: version(text),
            program,
            columns: reads.columns,
            tests: document
                .tests
                .iter()
                .map(|test| test.value.clone())
                .collect(),
            state: State::On,
        })
    }

    fn check_response(&mut self, response: Option<&Spanned<String>>) {
        let unknown = response.filter(|response| !RESPONSES.contains(&response.value.as_str()));
        if let Some(response) = unknown {
            let (word, known) = (&response.value, RESPONSES.join(", "));
            self.problem(
                response.referenced,
                format!("`{word}` is no response: use one of {known}"),
            );
        }
    }

    /// How far back the rule looks in seconds: as far as its windows do, or as it says itself.
    fn horizon(&mut self, horizon: Option<&Spanned<String>>, reach: Option<i64>) -> i64 {
        let reach = reach.map(|micros| (micros + MICROS - 1) / MICROS);
        let secs = self.duration(horizon, HORIZON, 1);
        match (horizon, reach) {
            (Some(horizon), Some(reach)) if reach > secs => {
                let message = format!(
                    "its windows look {reach}s back, and `horizon` says {}: write horizon: {reach}s, or \
                     shorten the windows",
                    horizon.value
                );
                self.problem(horizon.referenced, message);
                secs
            }
            (None, Some(reach)) => reach,
            _ => secs,
        }
    }

    /// What most likely is not meant, though it runs.
    fn warnings(&self, document: &Document<Expand>, program: &Program) -> Vec<Problem> {
        let mut warnings: Vec<Problem> = Vec::new();
        let mut warn = |place, message: String| {
            warnings.push(Problem::at(self.file, place, message));
        };
        if document.tests.is_empty() {
            let message = "the rule has no `tests`: write one that it must find, and one that it must \
                           not";
            warn(Location::UNKNOWN, message.to_owned());
        }
        if self.planner.is_empty(&program.sql) {
            let message = "the rule can never fire: its conditions exclude each other";
            warn(self.place, message.to_owned());
        }
        for doubt in self.planner.doubts(program) {
            warn(self.place, doubt);
        }
        for message in lint::empty(&program.sql) {
            warn(self.place, message);
        }
        let names = self.defined.iter().map(|(name, _)| name.as_str());
        for unused in lint::unused(names, &program.sql) {
            let place = self.defined.iter().find(|(name, _)| name == unused);
            let place = place.map_or(self.place, |(_, place)| *place);
            warn(
                place,
                format!("`{unused}` is defined, and nothing reads it"),
            );
        }
        warnings.sort();
        warnings
    }

    /// The names that it asks for, each with what is wrong if there is no such thing.
    fn named(&self, text: &str, program: &Program) -> Vec<(Named, Problem)> {
        let names = lint::names(&program.sql).into_iter();
        names
            .map(|named| {
                let (line, column) = lint::place_of(named.name(), text);
                let problem = Problem {
                    file: self.file.to_owned(),
                    line,
                    column,
                    message: named.message(),
                };
                (named, problem)
            })
            .collect()
    }

    fn needed(&mut self, name: &str, text: Option<&Spanned<String>>) -> Option<String> {
        match text {
            Some(text) if !text.value.trim().is_empty() => Some(text.value.trim().to_owned()),
            Some(text) => {
                self.problem(text.referenced, format!("`{name}` is empty"));
                None
            }
            None => {
                self.missing(Location::UNKNOWN, format!("the rule needs `{name}`"));
                None
            }
        }
    }

    fn check_id(&mut self, id: Option<&Spanned<String>>) {
        let Some(id) = id else {
            let message = "the rule needs `id`, a UUID: make one with uuidgen";
            return self.missing(Location::UNKNOWN, message);
        };
        let groups: Vec<&str> = id.value.split('-').collect();
        let is_uuid = groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
            && groups
                .iter()
                .all(|group| group.bytes().all(|byte| byte.is_ascii_hexdigit()));
        if !is_uuid {
            let message = format!("`{}` is not a UUID: make one with uuidgen", id.value);
            self.problem(id.referenced, message);
        }
    }

    fn check_name(&mut self, name: Option<&Spanned<String>>) {
        let Some(name) = name else { return };
        let is_word = name.value.starts_with(|c: char| c.is_ascii_lowercase())
            && name.value.len() <= 70
            && name
                .value
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        if !is_word {
            let message = format!(
                "`{}` is not a name: use at most 70 lower-case letters, digits and _",
                name.value
            );
            self.problem(name.referenced, message);
        }
    }

    fn check_status(&mut self, status: Option<&Spanned<String>>) {
        let Some(status) = status else { return };
        if !STATUSES.contains(&status.value.as_str()) {
            let message = format!(
                "`{}` is not a status: use {}",
                status.value,
                STATUSES.join(", ")
            );
            self.problem(status.referenced, message);
        }
    }

    fn check_logsource(&mut self, document: &Document<Expand>) {
        let Some(logsource) = &document.logsource else {
            return;
        };
        let (product, service) = (&logsource.value.product, &logsource.value.service);
        if (product.as_str(), service.as_str()) != ("slack", "audit") {
            let message = format!(
                "`{product}`/`{service}` is not read here: write product: slack, service: audit"
            );
            self.problem(logsource.referenced, message);
        }
    }

    fn rule_level(&mut self, level: Option<&Spanned<String>>) -> Option<Level> {
        let Some(level) = level else {
            self.missing(Location::UNKNOWN, "the rule needs `level`");
            return None;
        };
        let parsed = level.value.parse::<Level>();
        parsed
            .map_err(|error| self.problem(level.referenced, error.to_string()))
            .ok()
    }
}

/// The first 12 hexadecimal digits of the SHA-256 of the text.
fn version(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest
        .iter()
        .take(6)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
