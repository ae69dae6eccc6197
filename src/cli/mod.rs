//! The command line: one file a verb. Results go to standard output, all else to standard error.

mod config;
mod csv;
mod demo;
mod detect;
mod export;
mod format;
mod generate;
mod load;
mod mark;
mod noise;
mod output;
mod progress;
mod query;
mod rows;
mod rules;
mod run;
mod service;
mod setup;
mod show;
mod sinks;
mod slack;
mod store;
mod token;
mod trial;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Finds what does not fit in a Slack audit log, and says why.
#[derive(Debug, Parser)]
#[command(name = "gridwatch", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Demo(demo::Demo),
    Detect(detect::Detect),
    Run(run::Run),
    Query(query::Query),
    Export(export::Export),
    Mark(mark::Mark),
    Slack(slack::Slack),
    Token(token::Token),
    Store(store::Store),
    Rules(rules::Rules),
    Generate(generate::Generate),
    Config(config::Configure),
}

/// How a verb ended, if not with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Good,
    /// Findings that `--fail-on` asks for, or a test or check that failed.
    Bad,
}

/// An error with the exit code that tells its kind, after sysexits(3).
#[derive(Debug)]
struct Failure {
    code: u8,
    error: anyhow::Error,
}

/// The command or a rule is wrong.
const USAGE: u8 = 2;
/// A defect of this program, or a lack of resources.
const INTERNAL: u8 = 70;
/// An input or output cannot be used.
const IO: u8 = 74;

impl Failure {
    fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self {
            code: USAGE,
            error: error.into(),
        }
    }

    fn io(error: impl Into<anyhow::Error>) -> Self {
        Self {
            code: IO,
            error: error.into(),
        }
    }

    fn internal(error: impl Into<anyhow::Error>) -> Self {
        Self {
            code: INTERNAL,
            error: error.into(),
        }
    }

    /// Whether whoever read the results went away.
    fn is_closed_pipe(&self) -> bool {
        let mut causes = self
            .error
            .chain()
            .filter_map(|cause| cause.downcast_ref::<io::Error>());
        causes.any(|error| error.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// Runs the command given on the command line.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Nowhere to report that even this cannot be printed.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { USAGE } else { 0 });
        }
    };
    let ended = match &cli.verb {
        Verb::Demo(demo) => demo.run(),
        Verb::Detect(detect) => detect.run(),
        Verb::Run(run) => run.run(),
        Verb::Query(query) => query.run(),
        Verb::Export(export) => export.run(),
        Verb::Mark(mark) => mark.run(),
        Verb::Slack(slack) => slack.run(),
        Verb::Token(token) => token.run(),
        Verb::Store(store) => store.run(),
        Verb::Rules(rules) => rules.run(),
        Verb::Generate(generate) => generate.run(),
        Verb::Config(configure) => configure.run(),
    };
    match ended {
        Ok(End::Good) => ExitCode::SUCCESS,
        Ok(End::Bad) => ExitCode::from(1),
        Err(failure) if failure.is_closed_pipe() => ExitCode::SUCCESS,
        Err(failure) => {
            for line in format!("{:#}", failure.error).lines() {
                // Nowhere else to tell.
                let _ = writeln!(io::stderr(), "gridwatch: {}", show::printable(line));
            }
            ExitCode::from(failure.code)
        }
    }
}

/// Whoever runs the command, as the system names them.
fn user() -> String {
    let name = ["USER", "LOGNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok());
    name.unwrap_or_else(|| "unknown".to_owned())
}
