//! The embedded rules, as they are and changed.

use anyhow::{Context, Result, anyhow, bail, ensure};
use gridwatch::detect::plan::Planner;
use gridwatch::rule::exception::Exceptions;
use gridwatch::rule::{self, Rule, embedded};

/// The rules that have goals of their own.
pub const TRAVEL: &str = "travel_impossible";
pub const DOWNLOAD: &str = "file_bulk_download";

/// The rules of these names, or all if none is named.
pub fn load(planner: &Planner, only: &[String]) -> Result<Vec<Rule>> {
    let loaded = embedded::RULES.iter();
    let loaded = loaded.map(|(file, text)| read(planner, file, text));
    let mut rules = loaded.collect::<Result<Vec<Rule>>>()?;
    if let Some(unknown) = only
        .iter()
        .find(|name| rules.iter().all(|rule| rule.name != **name))
    {
        bail!("--only: no embedded rule is called `{unknown}`");
    }
    rules.retain(|rule| only.is_empty() || only.contains(&rule.name));
    Ok(rules)
}

fn read(planner: &Planner, file: &str, text: &str) -> Result<Rule> {
    rule::load(file, text, planner, &Exceptions::default()).map_err(|problems| {
        let problems: Vec<String> = problems
            .iter()
            .map(|one| format!("{}:{}: {}", one.file, one.line, one.message))
            .collect();
        anyhow!("{}", problems.join("\n"))
    })
}

/// The rule with a setting of its `detect` in place of what it has or does not have.
///
/// # Errors
/// When the rule is none then, or its SQL is what it was.
pub fn with_setting(planner: &Planner, rule: &Rule, name: &str, value: &str) -> Result<Rule> {
    let texts = embedded::RULES.iter();
    let mut texts = texts.filter(|(file, _)| *file == rule.file);
    let (file, text) = texts.next().context("its file is not embedded")?;
    let changed_text = set(text, name, value);
    ensure!(
        changed_text != *text,
        "`{name}: {value}` leaves the text of {} as it was",
        rule.name
    );
    let changed = read(planner, file, &changed_text)?;
    ensure!(
        changed.program.sql != rule.program.sql,
        "`{name}: {value}` leaves the SQL of {} as it was",
        rule.name
    );
    Ok(changed)
}

/// The text with this line first under `detect`, and no other of the setting there.
fn set(text: &str, name: &str, value: &str) -> String {
    let (mut changed, mut is_inside) = (String::with_capacity(text.len() + 32), false);
    for line in text.split_inclusive('\n') {
        if line.trim_end() == "detect:" {
            is_inside = true;
            changed += line;
            changed += &format!("  {name}: {value}\n");
            continue;
        }
        // The next key of the document ends the block.
        is_inside &= line.starts_with(' ') || line.trim().is_empty();
        let setting = line
            .strip_prefix("  ")
            .and_then(|line| line.split_once(':'));
        let is_old = is_inside && setting.is_some_and(|(setting, _)| setting == name);
        if !is_old {
            changed += line;
        }
    }
    changed
}

/// The rule with other words in its SQL, that of its members included; `None` if they are not there.
///
/// # Errors
/// When it cannot run then.
pub fn with_sql(planner: &Planner, rule: &Rule, from: &str, to: &str) -> Result<Option<Rule>> {
    let mut changed = rule.clone();
    let program = &mut changed.program;
    program.sql = replaced(&program.sql, from, to);
    if let Some(members) = &mut program.members {
        members.sql = replaced(&members.sql, from, to);
    }
    if *program == rule.program {
        return Ok(None);
    }
    let reads = planner
        .check(program)
        .with_context(|| format!("{} with `{to}` for `{from}`", rule.name))?;
    // It may read others now.
    changed.columns = reads.columns;
    Ok(Some(changed))
}

/// The text with other words wherever `from` stands by itself, and is not a part of a longer word.
fn replaced(text: &str, from: &str, to: &str) -> String {
    let is_of_word = |letter: char| letter.is_alphanumeric() || letter == '_';
    let (mut changed, mut done) = (String::with_capacity(text.len()), 0);
    for (at, _) in text.match_indices(from) {
        let before = text[..at].chars().next_back();
        let after = text[at + from.len()..].chars().next();
        if before.into_iter().chain(after).any(is_of_word) {
            continue;
        }
        changed += &text[done..at];
        changed += to;
        done = at + from.len();
    }
    changed + &text[done..]
}
