use std::io::{self, BufWriter, Cursor, Write};
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand, ValueEnum};
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::json;

use super::load::{load, select};
use super::setup::{ConfigFile, Setup};
use super::show::printable;
use super::{End, Failure, detect};
use crate::enrich::Enricher;
use crate::enrich::network::Networks;
use crate::event::schema::ColumnSet;
use crate::pipeline::{self, Execution, Input, Job};
use crate::rule::Rule;
use crate::rule::test::Test;

/// Lists, checks, tests and explains rules
#[derive(Debug, Args)]
pub(super) struct Rules {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    config: ConfigFile,
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
    ///
    /// What runs and is most likely not meant counts too: actions that Slack does not have, rules
    /// that can never fire, rules without tests. `detect` warns of it.
    Check {
        /// Rule files or folders; without any, the embedded rules
        #[arg(value_name = "PATH")]
        paths: Vec<PathBuf>,
        /// The form of the report
        #[arg(long, value_enum, default_value_t = CheckFormat::Text)]
        format: CheckFormat,
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
enum CheckFormat {
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ListFormat {
    Table,
    Json,
}

impl Rules {
    pub fn run(&self) -> Result<End, Failure> {
        let setup = Setup::read(&self.config)?;
        let mut out = BufWriter::new(io::stdout().lock());
        let end = match &self.verb {
            Verb::List { paths, format } => list(&setup.of(paths)?, *format, &mut out),
            Verb::Check { paths, format } => check(paths, &setup, *format, &mut out),
            Verb::Test { paths } => test(&setup.of(paths)?, &setup, &mut out),
            Verb::Explain { name, rules } => {
                let rules = select(setup.rules(rules)?, std::slice::from_ref(name))?;
                explain(&rules, &mut out)
            }
        }?;
        out.flush().map_err(Failure::io)?;
        Ok(end)
    }
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
            table.set_header(["name", "level", "kind", "status", "state", "title"]);
            for rule in rules {
                let level = rule.level.to_string();
                let row = [
                    &rule.name,
                    level.as_str(),
                    rule.kind,
                    &rule.status,
                    rule.state.as_str(),
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
        "state": rule.state.as_str(),
        "tests": rule.tests.len(),
        "file": rule.file,
    })
}

fn check(
    paths: &[PathBuf],
    setup: &Setup,
    format: CheckFormat,
    out: &mut dyn Write,
) -> Result<End, Failure> {
    let loaded = load(paths, &setup.lists, &setup.exceptions)?;
    let warnings = loaded.rules.iter().flat_map(|rule| &rule.warnings);
    let mut problems: Vec<_> = loaded.problems.iter().chain(warnings).collect();
    problems.sort();
    if format == CheckFormat::Json {
        let written = serde_json::to_writer_pretty(&mut *out, &problems).map_err(io::Error::from);
        written.and_then(|()| writeln!(out)).map_err(Failure::io)?;
    } else {
        for problem in &problems {
            writeln!(out, "{}", printable(&problem.to_string())).map_err(Failure::io)?;
        }
    }
    let (rules, problems) = (loaded.files, problems.len());
    writeln!(io::stderr(), "{rules} rules checked, {problems} problems").map_err(Failure::io)?;
    Ok(if problems == 0 { End::Good } else { End::Bad })
}

fn test(rules: &[Rule], setup: &Setup, out: &mut dyn Write) -> Result<End, Failure> {
    let (mut passed, mut failed) = (0, 0);
    for rule in rules {
        if rule.tests.is_empty() {
            writeln!(out, "{}: no tests", rule.name).map_err(Failure::io)?;
        }
        for test in &rule.tests {
            let name = printable(&test.name);
            let line = match try_out(rule, test, setup)? {
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

/// Runs one test through all that real events go through, in both executions; says what differs.
fn try_out(rule: &Rule, test: &Test, setup: &Setup) -> Result<Result<(), String>, Failure> {
    let mut networks = Networks::new();
    if !test.networks.trim().is_empty() {
        let name = format!("networks of `{}`", test.name);
        if let Err(error) = networks.add_csv(&name, test.networks.as_bytes()) {
            return Ok(Err(error.to_string()));
        }
    }
    let lines = match test.lines() {
        Ok(lines) => lines,
        Err(error) => return Ok(Err(error)),
    };
    let enricher = Arc::new(Enricher::new(networks));
    for execution in [Execution::Live, Execution::History] {
        let job = Job {
            rules: std::slice::from_ref(rule),
            input: rule.program.reads,
            lists: setup.lists.clone(),
            enricher: Arc::clone(&enricher),
            resources: detect::resources(1024, 1024),
            execution,
            extra: ColumnSet::default(),
        };
        let input = Input {
            name: test.name.clone(),
            reader: Box::new(Cursor::new(lines.clone().into_bytes())),
            again: None,
        };
        if let Err(difference) = run_test(test, input, &job)? {
            return Ok(Err(difference));
        }
    }
    Ok(Ok(()))
}

fn run_test(test: &Test, input: Input, job: &Job<'_>) -> Result<Result<(), String>, Failure> {
    let mut rejects = Vec::new();
    let outcome = pipeline::detect(vec![input], job, &mut |reject| {
        rejects.push(reject.reason.clone());
        Ok(())
    });
    let outcome = outcome.map_err(detect::failure)?;
    Ok(match (rejects.first(), outcome.failures.first()) {
        (Some(reason), _) => Err(format!("an event is none: {reason}")),
        (None, Some((_, reason))) => Err(reason.clone()),
        (None, None) => test.compare(&outcome.anomalies),
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
