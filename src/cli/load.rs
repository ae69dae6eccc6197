//! Rule files: finding them, reading them, and all that is wrong with them.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use rayon::prelude::*;

use super::Failure;
use crate::config::yaml::nearest;
use crate::detect::Table;
use crate::detect::plan::Planner;
use crate::enrich::network::Networks;
use crate::rule::exception::Exceptions;
use crate::rule::test::Test;
use crate::rule::{self, Named, Problem, Rule, State, embedded};

/// Makes planners for these rules.
pub(super) type Planners<'a> = dyn Fn() -> Result<Planner, Failure> + Sync + 'a;

/// The embedded rules and those of the paths, which take the place of embedded ones of the same
/// name.
pub(super) fn with_embedded(
    paths: &[PathBuf],
    planners: &Planners<'_>,
    exceptions: &Exceptions,
) -> Result<Vec<Rule>, Failure> {
    let mut rules: Vec<Rule> = valid(load(&[], planners, exceptions)?)?;
    if paths.is_empty() {
        return Ok(rules);
    }
    for rule in valid(load(paths, planners, exceptions)?)? {
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

/// Just the rules of these names; all that are not off if there are none.
pub(super) fn select(rules: Vec<Rule>, names: &[String]) -> Result<Vec<Rule>, Failure> {
    if names.is_empty() {
        let is_on = |rule: &Rule| rule.state != State::Off;
        return Ok(rules.into_iter().filter(is_on).collect());
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

/// Just the rules of these names, and what those among them that read anomalies need: all rules over
/// events that are not off.
pub(super) fn with_sources(rules: Vec<Rule>, names: &[String]) -> Result<Vec<Rule>, Failure> {
    let asked = select(rules.clone(), names)?;
    let is_above = |rule: &Rule| rule.program.reads == Table::Anomalies;
    if names.is_empty() || !asked.iter().any(is_above) {
        return Ok(asked);
    }
    let is_needed =
        |rule: &Rule| names.contains(&rule.name) || rule.state != State::Off && !is_above(rule);
    Ok(rules.into_iter().filter(is_needed).collect())
}

/// The rules of the paths, or the embedded ones.
pub(super) fn loaded(
    paths: &[PathBuf],
    planners: &Planners<'_>,
    exceptions: &Exceptions,
) -> Result<Vec<Rule>, Failure> {
    valid(load(paths, planners, exceptions)?)
}

/// What is most likely not meant in the rules. Actions are known that stand in the catalogue or among
/// these.
pub(super) fn warnings(rules: &[Rule], actions: &BTreeSet<String>) -> Vec<Problem> {
    let embedded = embedded::RULES.iter();
    let embedded: Vec<&str> = embedded
        .filter_map(|(file, _)| Path::new(file).file_stem()?.to_str())
        .collect();
    let is_known = |named: &Named| match named {
        Named::Action(name) => actions.contains(name),
        Named::Rule(name) => {
            embedded.contains(&name.as_str()) || rules.iter().any(|rule| rule.name == *name)
        }
        Named::Other { .. } => false,
    };
    let mut warnings: Vec<Problem> = Vec::new();
    for rule in rules {
        warnings.extend(rule.warnings.iter().cloned());
        let unknown = rule.named.iter().filter(|(named, _)| !is_known(named));
        warnings.extend(unknown.map(|(_, problem)| problem.clone()));
    }
    warnings.sort();
    warnings
}

/// Rules, and what is wrong with those that are none.
pub(super) struct Loaded {
    pub rules: Vec<Rule>,
    pub problems: Vec<Problem>,
    pub files: usize,
}

fn valid(loaded: Loaded) -> Result<Vec<Rule>, Failure> {
    if loaded.problems.is_empty() {
        return Ok(loaded.rules);
    }
    let lines: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
    Err(Failure::usage(anyhow!("bad rules:\n{}", lines.join("\n"))))
}

/// Loads the rules of the paths, or without any the embedded ones, with all their problems.
pub(super) fn load(
    paths: &[PathBuf],
    planners: &Planners<'_>,
    exceptions: &Exceptions,
) -> Result<Loaded, Failure> {
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
    // Planning is what takes its time; each thread plans some of them.
    let share = texts.len().div_ceil(rayon::current_num_threads()).max(1);
    let parts = texts.par_chunks(share).map(|texts| {
        let planner = planners()?;
        let read = texts
            .iter()
            .map(|(file, text)| one(file, text, &planner, exceptions));
        Ok(read.collect::<Vec<_>>())
    });
    for read in parts
        .collect::<Result<Vec<_>, Failure>>()?
        .into_iter()
        .flatten()
    {
        match read {
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

/// The rule of one file.
fn one(
    file: &str,
    text: &io::Result<String>,
    planner: &Planner,
    exceptions: &Exceptions,
) -> Result<Rule, Vec<Problem>> {
    let text = text.as_ref().map_err(|error| {
        vec![Problem {
            file: file.to_owned(),
            line: 1,
            column: 1,
            message: format!("cannot be read: {error}"),
        }]
    });
    rule::load(file, text?, planner, exceptions)
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
