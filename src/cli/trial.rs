//! Runs the tests that rules carry, and reports on them.

use std::io::{self, Cursor, Write};
use std::sync::Arc;

use clap::ValueEnum;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::setup::Setup;
use super::show::printable;
use super::{End, Failure, detect};
use crate::clock::Stopwatch;
use crate::enrich::Enricher;
use crate::enrich::network::Networks;
use crate::event::schema::ColumnSet;
use crate::pipeline::{self, Execution, Input, Job};
use crate::rule::Rule;
use crate::rule::test::Test;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Text,
    /// XML as build servers read it
    Junit,
}

/// Runs the tests of the rules; the end is bad if one fails.
///
/// # Errors
/// When a rule cannot be run, or the report not be written.
pub(super) fn run(
    rules: &[Rule],
    setup: &Setup,
    format: Format,
    out: &mut dyn Write,
) -> Result<End, Failure> {
    let (mut passed, mut failed) = (0, 0);
    let mut report = Report::new("gridwatch rules test");
    for rule in rules {
        let mut suite = TestSuite::new(rule.name.as_str());
        if rule.tests.is_empty() && format == Format::Text {
            writeln!(out, "{}: no tests", rule.name).map_err(Failure::io)?;
        }
        for test in &rule.tests {
            let watch = Stopwatch::start();
            let tried = try_out(rule, test, setup)?;
            let (status, line) = match &tried {
                Ok(()) => {
                    passed += 1;
                    (TestCaseStatus::success(), "ok".to_owned())
                }
                Err(difference) => {
                    failed += 1;
                    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                    status.set_message(difference.as_str());
                    (status, "FAILED".to_owned())
                }
            };
            let name = printable(&test.name);
            let difference = tried
                .err()
                .map(|difference| format!(": {}", printable(&difference)));
            let difference = difference.unwrap_or_default();
            if format == Format::Text {
                writeln!(out, "{}: {line}: {name}{difference}", rule.name).map_err(Failure::io)?;
            }
            let mut case = TestCase::new(test.name.as_str(), status);
            case.set_classname(rule.file.as_str())
                .set_time(watch.elapsed());
            suite.add_test_case(case);
        }
        report.add_test_suite(suite);
    }
    if format == Format::Junit {
        report
            .serialize(&mut *out)
            .map_err(|error| Failure::io(io::Error::other(error)))?;
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
            quiet_micros: rule.program.wait_micros,
            counted_since: Vec::new(),
            recorded_days: Vec::new(),
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
