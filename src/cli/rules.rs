use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::json;

use super::load::{load, select, warnings};
use super::noise::noisy;
use super::setup::{ConfigFile, Setup};
use super::show::printable;
use super::{End, Failure, trial};
use crate::detect::Program;
use crate::event::time::MICROS;
use crate::rule::Rule;

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
    /// What runs and is most likely not meant counts too: actions and fields that Slack does not have,
    /// windows that test events against themselves or decide nothing, rules that can never fire, rules
    /// that fire all day in a simulated organisation, rules without tests. `detect` warns of these
    /// too, but does not try how often rules fire.
    Check {
        /// Rule files or folders; without any, the embedded rules
        #[arg(value_name = "PATH")]
        paths: Vec<PathBuf>,
        /// The form of the report
        #[arg(long, value_enum, default_value_t = CheckFormat::Text)]
        format: CheckFormat,
    },
    /// Runs the tests inside the rule files, in both executions; exits with 1 if one fails
    Test {
        /// Rule files or folders; without any, the embedded rules
        #[arg(value_name = "PATH")]
        paths: Vec<PathBuf>,
        /// The form of the report
        #[arg(long, value_enum, default_value_t = trial::Format::Text)]
        format: trial::Format,
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
            Verb::Test { paths, format } => {
                trial::run(&setup.of(paths)?, &setup, *format, &mut out)
            }
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
        "response": rule.response,
        "key": rule.program.key,
        "version": rule.version,
        "state": rule.state.as_str(),
        "reads": rule.program.reads.name(),
        "horizon_secs": rule.horizon_secs,
        "wait_secs": rule.program.wait_micros / MICROS,
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
    let loaded = load(paths, &|| setup.planner(), &setup.exceptions)?;
    let mut warnings = warnings(&loaded.rules, &setup.actions);
    warnings.extend(noisy(&loaded.rules, &setup.lists)?);
    let mut problems: Vec<_> = loaded.problems.iter().chain(&warnings).collect();
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

fn explain(rules: &[Rule], out: &mut dyn Write) -> Result<End, Failure> {
    for rule in rules {
        let Program {
            sql,
            key,
            wait_micros,
            ..
        } = &rule.program;
        let (key, wait) = (key.join(", "), wait_micros / MICROS);
        writeln!(
            out,
            "-- {}: {}, key {key}; it looks {}s back and waits {wait}s\n{sql}",
            rule.name, rule.kind, rule.horizon_secs
        )
        .map_err(Failure::io)?;
    }
    Ok(End::Good)
}
