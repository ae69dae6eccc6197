use std::collections::HashMap;
use std::fs;
use std::io::{self, BufWriter, Cursor, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand, ValueEnum};
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::json;

use super::show::printable;
use super::{End, Failure, detect};
use crate::detect::plan::{Planner, nearest};
use crate::enrich::Enricher;
use crate::enrich::network::Networks;
use crate::event::schema::ColumnSet;
use crate::pipeline::{self, Execution, Input, Job};
use crate::rule::test::Test;
use crate::rule::{self, Problem, Rule, embedded};

/// Lists, checks, tests and explains rules
#[derive(Debug, Args)]
pub(super) struct Rules {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Names the rules with what they are
    List {
        /// Rule files or folders; without any, the embedded rules
        #[arg(value_name = "PATH")]
        paths: Vec<PathBuf>,
        /// The form of the list
        #[arg(long, value_enum, default_value_t = ListFormat::Table)]
        format: ListFormat,
    },
    /// Reports every problem, each on a line FILE:LINE:COL: message; exits with 1 if there is one
    Check {
        /// Rule files or folders; without any, the embedded rules
        #[arg(value_name = "PATH")]
        paths: Vec<PathBuf>,
    },
    /// Runs the tests inside the rule files; exits with 1 if one fails
    Test {
        /// Rule files or folders; without any, the embedded rules
        #[arg(value_name = "PATH")]
        paths: Vec<PathBuf>,
    },
    /// Prints the SQL of a rule
    Explain {
        /// The name of a rule, embedded or from --rules
        name: String,
        /// A rule file, or a folder of them, besides the embedded rules
        #[arg(long, value_name = "DIR")]
        rules: Vec<PathBuf>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ListFormat {
    Table,
    Json,
}

impl Rules {
    pub fn run(&self) -> Result<End, Failure> {
        let mut out = BufWriter::new(io::stdout().lock());
        let end = match &self.verb {
            Verb::List { paths, format } => list(&loaded(paths)?, *format, &mut out),
            Verb::Check { paths } => check(paths, &mut out),
            Verb::Test { paths } => test(&loaded(paths)?, &mut out),
            Verb::Explain { name, rules } => {
                let rules = select(with_embedded(rules)?, std::slice::from_ref(name))?;
                explain(&rules, &mut out)
            }
        }?;
        out.flush().map_err(Failure::io)?;
        Ok(end)
    }
}

/// The embedded rules and those of the paths, which take the place of embedded ones of the same
/// name.
pub(super) fn with_embedded(paths: &[PathBuf]) -> Result<Vec<Rule>, Failure> {
    let mut rules: Vec<Rule> = valid(load(&[])?)?;
    if paths.is_empty() {
        return Ok(rules);
    }
    let own = load(paths)?;
    for rule in valid(own)? {
        match rules.iter_mut().find(|known| known.name == rule.name) {
            Some(known) => *known = rule,
            None => rules.push(rule),
        }
    }
    rules.sort_by(|a, b| a.name.cmp(&b.name));
    let problems = twice(&rules);
    valid(Loaded {
        files: rules.len(),
        rules,
        problems,
    })
}

/// Just the rules of these names; all if there are none.
pub(super) fn select(rules: Vec<Rule>, names: &[String]) -> Result<Vec<Rule>, Failure> {
    if names.is_empty() {
        return Ok(rules);
    }
    for name in names {
        if !rules.iter().any(|rule| rule.name == *name) {
            let near = nearest(name, rules.iter().map(|rule| rule.name.as_str()));
            let hint = near
                .map(|near| format!("; did you mean `{near}`?"))
                .unwrap_or_default();
            return Err(Failure::usage(anyhow!("there is no rule `{name}`{hint}")));
        }
    }
    Ok(rules
        .into_iter()
        .filter(|rule| names.contains(&rule.name))
        .collect())
}

/// The rules of the paths, or the embedded ones.
fn loaded(paths: &[PathBuf]) -> Result<Vec<Rule>, Failure> {
    valid(load(paths)?)
}

struct Loaded {
    rules: Vec<Rule>,
    problems: Vec<Problem>,
    files: usize,
}

fn valid(loaded: Loaded) -> Result<Vec<Rule>, Failure> {
    if loaded.problems.is_empty() {
        return Ok(loaded.rules);
    }
    let lines: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
    Err(Failure::usage(anyhow!("bad rules:\n{}", lines.join("\n"))))
}

/// Loads the rules of the paths, or without any the embedded ones, with all their problems.
fn load(paths: &[PathBuf]) -> Result<Loaded, Failure> {
    let planner = Planner::new().map_err(Failure::internal)?;
    let texts: Vec<(String, io::Result<String>)> = if paths.is_empty() {
        let embedded = embedded::RULES.iter();
        embedded
            .map(|(file, text)| ((*file).to_owned(), Ok((*text).to_owned())))
            .collect()
    } else {
        read(paths)?
    };
    let mut loaded = Loaded {
        rules: Vec::new(),
        problems: Vec::new(),
        files: texts.len(),
    };
    for (file, text) in &texts {
        let text = match text {
            Ok(text) => text,
            Err(error) => {
                let message = format!("cannot be read: {error}");
                loaded.problems.push(Problem {
                    file: file.clone(),
                    line: 1,
                    column: 1,
                    message,
                });
                continue;
            }
        };
        match rule::load(file, text, &planner) {
            Ok(rule) => {
                loaded.problems.extend(networks_of_tests(&rule));
                loaded.rules.push(rule);
            }
            Err(problems) => loaded.problems.extend(problems),
        }
    }
    loaded.problems.extend(twice(&loaded.rules));
    Ok(loaded)
}

/// What is wrong with the network data of a rule's tests.
fn networks_of_tests(rule: &Rule) -> Vec<Problem> {
    let read = |test: &Test| {
        let name = format!("networks of `{}`", test.name);
        Networks::new()
            .add_csv(&name, test.networks.as_bytes())
            .err()
    };
    let tests = rule
        .tests
        .iter()
        .filter(|test| !test.networks.trim().is_empty());
    let problem = |message: String| Problem {
        file: rule.file.clone(),
        line: 1,
        column: 1,
        message,
    };
    tests
        .filter_map(read)
        .map(|error| problem(error.to_string()))
        .collect()
}

/// Names and ids that two of the rules share.
fn twice(rules: &[Rule]) -> Vec<Problem> {
    let mut seen: HashMap<&str, &str> = HashMap::new();
    let mut problems = Vec::new();
    for rule in rules {
        for (what, value) in [("name", &rule.name), ("id", &rule.id)] {
            if let Some(other) = seen.insert(value, &rule.file) {
                problems.push(Problem {
                    file: rule.file.clone(),
                    line: 1,
                    column: 1,
                    message: format!("the {what} `{value}` is that of {other} too"),
                });
            }
        }
    }
    problems
}

/// Path and text of every rule file.
fn read(paths: &[PathBuf]) -> Result<Vec<(String, io::Result<String>)>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        let before = files.len();
        find(path, true, &mut files).map_err(Failure::io)?;
        if files.len() == before {
            let error = anyhow!("{} holds no rule file (.yml or .yaml)", path.display());
            return Err(Failure::usage(error));
        }
    }
    files.dedup();
    Ok(files
        .into_iter()
        .map(|path| (path.display().to_string(), fs::read_to_string(path)))
        .collect())
}

/// The rule files at a path, in the order of their names; a file that is named is one whatever it
/// is called.
fn find(path: &Path, is_named: bool, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let context = || format!("cannot read {}", path.display());
    if !fs::metadata(path).with_context(context)?.is_dir() {
        let extension = path.extension().and_then(|extension| extension.to_str());
        if is_named || matches!(extension, Some("yml" | "yaml")) {
            files.push(path.to_owned());
        }
        return Ok(());
    }
    let entries = fs::read_dir(path).with_context(context)?;
    let mut inside = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>()
        .with_context(context)?;
    inside.sort();
    inside.iter().try_for_each(|path| find(path, false, files))
}

fn list(rules: &[Rule], format: ListFormat, out: &mut dyn Write) -> Result<End, Failure> {
    let written = match format {
        ListFormat::Json => {
            let all: Vec<_> = rules.iter().map(describe).collect();
            serde_json::to_writer_pretty(&mut *out, &all)
                .map_err(io::Error::from)
                .and_then(|()| writeln!(out))
        }
        ListFormat::Table => {
            let mut table = Table::new();
            table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
            table.set_content_arrangement(ContentArrangement::Dynamic);
            table.set_header(["name", "level", "kind", "status", "title"]);
            for rule in rules {
                let level = rule.level.to_string();
                let row = [
                    &rule.name,
                    level.as_str(),
                    rule.kind,
                    &rule.status,
                    &rule.title,
                ];
                table.add_row(row.map(printable));
            }
            writeln!(out, "{table}")
        }
    };
    written.map_err(Failure::io)?;
    Ok(End::Good)
}

fn describe(rule: &Rule) -> serde_json::Value {
    json!({
        "name": rule.name,
        "id": rule.id,
        "title": rule.title,
        "description": rule.description,
        "level": rule.level,
        "status": rule.status,
        "kind": rule.kind,
        "reason": rule.reason,
        "tags": rule.tags,
        "key": rule.program.key,
        "version": rule.version,
        "tests": rule.tests.len(),
        "file": rule.file,
    })
}

fn check(paths: &[PathBuf], out: &mut dyn Write) -> Result<End, Failure> {
    let loaded = load(paths)?;
    for problem in &loaded.problems {
        writeln!(out, "{}", printable(&problem.to_string())).map_err(Failure::io)?;
    }
    let (rules, problems) = (loaded.files, loaded.problems.len());
    writeln!(io::stderr(), "{rules} rules checked, {problems} problems").map_err(Failure::io)?;
    Ok(if problems == 0 { End::Good } else { End::Bad })
}

fn test(rules: &[Rule], out: &mut dyn Write) -> Result<End, Failure> {
    let (mut passed, mut failed) = (0, 0);
    for rule in rules {
        if rule.tests.is_empty() {
            writeln!(out, "{}: no tests", rule.name).map_err(Failure::io)?;
        }
        for test in &rule.tests {
            let name = printable(&test.name);
            let line = match try_out(rule, test)? {
                Ok(()) => {
                    passed += 1;
                    format!("{}: ok: {name}", rule.name)
                }
                Err(difference) => {
                    failed += 1;
                    format!("{}: FAILED: {name}: {}", rule.name, printable(&difference))
                }
            };
            writeln!(out, "{line}").map_err(Failure::io)?;
        }
    }
    writeln!(io::stderr(), "{passed} passed, {failed} failed").map_err(Failure::io)?;
    Ok(if failed == 0 { End::Good } else { End::Bad })
}

/// Runs one test through all that real events go through.
fn try_out(rule: &Rule, test: &Test) -> Result<Result<(), String>, Failure> {
    let mut networks = Networks::new();
    if !test.networks.trim().is_empty() {
        let read = networks.add_csv(
            &format!("networks of `{}`", test.name),
            test.networks.as_bytes(),
        );
        if let Err(error) = read {
            return Ok(Err(error.to_string()));
        }
    }
    let lines = match test.lines() {
        Ok(lines) => lines,
        Err(error) => return Ok(Err(error)),
    };
    let input = Input {
        name: test.name.clone(),
        reader: Box::new(Cursor::new(lines.into_bytes())),
        again: None,
    };
    let job = Job {
        rules: std::slice::from_ref(rule),
        enricher: Arc::new(Enricher::new(networks)),
        resources: detect::resources(1024, 1024),
        execution: Execution::Live,
        extra: ColumnSet::default(),
    };
    let mut rejects = Vec::new();
    let outcome = pipeline::detect(vec![input], &job, &mut |reject| {
        rejects.push(reject.reason.clone());
        Ok(())
    });
    let outcome = outcome.map_err(detect::failure)?;
    Ok(match rejects.first() {
        Some(reason) => Err(format!("an event is none: {reason}")),
        None => match outcome.failures.first() {
            Some((_, reason)) => Err(reason.clone()),
            None => test.compare(&outcome.anomalies),
        },
    })
}

fn explain(rules: &[Rule], out: &mut dyn Write) -> Result<End, Failure> {
    for rule in rules {
        let key = rule.program.key.join(", ");
        writeln!(
            out,
            "-- {}: {}, key {key}\n{}",
            rule.name, rule.kind, rule.program.sql
        )
        .map_err(Failure::io)?;
    }
    Ok(End::Good)
}
