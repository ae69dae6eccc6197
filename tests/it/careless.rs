//! Good files after careless edits: each is read, or what is wrong is named with its place.

use std::sync::LazyLock;

use gridwatch::config::Config;
use gridwatch::config::yaml::Problem;
use gridwatch::detect::plan::Planner;
use gridwatch::list::{self, Type};
use gridwatch::rule::exception::Exceptions;
use gridwatch::rule::{self, embedded};
use proptest::prelude::*;

use super::config::{CONFIG, DEPARTMENTS, EXCEPTIONS, OFFICES};
use super::repository;

/// The embedded rules, and some of every kind.
static RULES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let folder = std::fs::read_dir(repository("tests/it/kinds")).unwrap();
    let mut files: Vec<_> = folder.map(|file| file.unwrap().path()).collect();
    files.sort();
    let embedded = embedded::RULES.iter().map(|(_, text)| (*text).to_owned());
    let files = files
        .iter()
        .map(|file| std::fs::read_to_string(file).unwrap());
    embedded.chain(files).collect()
});

/// What becomes of a good file when people are careless.
#[derive(Clone, Debug)]
enum Edit {
    Cut(usize, usize),
    Insert(usize, String),
    Double(usize),
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let edit = prop_oneof![
        (any::<usize>(), 1..12_usize).prop_map(|(at, count)| Edit::Cut(at, count)),
        (
            any::<usize>(),
            "[-:{}\\[\\]'\"#&*!|> \n\ta-z0-9]{1,4}|\u{0}|é"
        )
            .prop_map(|(at, text)| Edit::Insert(at, text)),
        any::<usize>().prop_map(Edit::Double),
    ];
    prop::collection::vec(edit, 1..4)
}

fn edited(good: &str, edits: &[Edit]) -> String {
    let mut text: Vec<char> = good.chars().collect();
    for edit in edits {
        let length = text.len().max(1);
        match edit {
            Edit::Cut(at, count) => {
                let at = at % length;
                text.drain(at.min(text.len())..(at + count).min(text.len()));
            }
            Edit::Insert(at, more) => {
                let at = (at % length).min(text.len());
                text.splice(at..at, more.chars());
            }
            Edit::Double(at) => {
                let whole: String = text.iter().collect();
                let lines: Vec<&str> = whole.lines().collect();
                let line = lines
                    .get(at % lines.len().max(1))
                    .copied()
                    .unwrap_or_default();
                text = format!("{whole}\n{line}\n").chars().collect();
            }
        }
    }
    text.into_iter().collect()
}

fn has_places<T>(read: Result<T, Vec<Problem>>) -> Result<(), TestCaseError> {
    if let Err(problems) = read {
        prop_assert!(!problems.is_empty());
        for problem in problems {
            prop_assert!(problem.line > 0 && problem.column > 0 && !problem.message.is_empty());
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn careless_edits_are_read_or_named(edits in edits()) {
        has_places(Config::parse("f", &edited(CONFIG, &edits)))?;
        has_places(list::yaml("f", &edited(OFFICES, &edits)))?;
        has_places(list::csv("f", &edited(DEPARTMENTS, &edits), Type::Value))?;
        has_places(Exceptions::parse("f", &edited(EXCEPTIONS, &edits)))?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(250) })]

    #[test]
    fn careless_edits_of_rules_are_read_or_named(at in 0..RULES.len(), edits in edits()) {
        thread_local! {
            static PLANNER: Planner = Planner::new().unwrap();
        }
        let text = edited(&RULES[at], &edits);
        PLANNER.with(|planner| has_places(rule::load("f", &text, planner, &Exceptions::default())))?;
    }
}
