//! Lists that come from Slack: the organisation's owners, admins and bots, and the members of its user
//! groups, all by user id. Unlike lists of files they change while rules run, each change from a time on.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use crate::config::yaml::nearest;

/// Owners, the primary owner among them.
pub const OWNERS: &str = "slack_owners";
/// Admins.
pub const ADMINS: &str = "slack_admins";
/// Bots.
pub const BOTS: &str = "slack_bots";
/// The lists that every organisation has; all others are of user groups.
pub const NAMES: [&str; 3] = [OWNERS, ADMINS, BOTS];

const PREFIX: &str = "slack_";
/// How the names of lists of user groups begin.
pub const GROUP: &str = "slack_group_";

/// Whether the name is kept for Slack's lists: no list of a file may have it.
pub fn is_reserved(name: &str) -> bool {
    name.starts_with(PREFIX)
}

/// The name of the list of a user group with this handle: in lower case, with `_` in place of all but
/// `a`–`z`, `0`–`9` and `_`. Handles that differ in nothing else share a list.
pub fn of_group(handle: &str) -> String {
    let plain = |c: char| match c.to_ascii_lowercase() {
        c @ ('a'..='z' | '0'..='9') => c,
        _ => '_',
    };
    GROUP.chars().chain(handle.chars().map(plain)).collect()
}

/// Whether Slack may have a list of this name.
///
/// # Errors
/// What is wrong with the name, and which one was meant or may be used.
pub fn check(name: &str) -> Result<(), String> {
    let handle = name.strip_prefix(GROUP).filter(|handle| !handle.is_empty());
    let Some(handle) = handle else {
        return match NAMES.contains(&name) {
            true => Ok(()),
            false => Err(unknown(name)),
        };
    };
    let plain = of_group(handle);
    if plain == name {
        return Ok(());
    }
    Err(format!(
        "there is no list `{name}`; did you mean `{plain}`?"
    ))
}

fn unknown(name: &str) -> String {
    match nearest(name, NAMES.into_iter()) {
        Some(near) => format!("there is no list `{name}`; did you mean `{near}`?"),
        None => format!(
            "Slack has no list `{name}`: use {}, or {GROUP} and the handle of a user group",
            NAMES.join(", ")
        ),
    }
}

/// Which values came into a list, and which left it. The first change of a list may have neither: then the
/// list is known, and empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    pub added: BTreeSet<String>,
    pub removed: BTreeSet<String>,
}

impl Change {
    /// What leads from the members that were known, or from nothing known, to these. `None` if they are the
    /// same.
    pub fn between(before: Option<&BTreeSet<String>>, after: &BTreeSet<String>) -> Option<Self> {
        let nobody = BTreeSet::new();
        let known = before.unwrap_or(&nobody);
        let change = Self {
            added: after.difference(known).cloned().collect(),
            removed: known.difference(after).cloned().collect(),
        };
        (before.is_none() || change != Self::default()).then_some(change)
    }
}

/// From when until when a value is in a list, in microseconds of order time; without an end it still is.
#[derive(Clone, Copy, Debug)]
struct Span {
    from: i64,
    until: Option<i64>,
}

impl Span {
    fn covers(&self, time: i64) -> bool {
        self.from <= time && self.until.is_none_or(|until| time < until)
    }
}

/// Who was in a list, and when.
#[derive(Clone, Debug)]
pub struct Members {
    /// From when on the last change counts.
    latest: i64,
    /// By value, in the order of time. A span may be empty.
    spans: HashMap<String, Vec<Span>>,
}

impl Members {
    fn new() -> Self {
        Self {
            latest: i64::MIN,
            spans: HashMap::new(),
        }
    }

    /// Whether the value was in the list at this order time, in microseconds.
    pub fn contains(&self, value: &str, time: i64) -> bool {
        let spans = self.spans.get(value).into_iter().flatten();
        spans.rev().any(|span| span.covers(time))
    }

    /// Those that are in the list after the last change.
    fn last(&self) -> BTreeSet<String> {
        let is_in = |spans: &[Span]| spans.last().is_some_and(|span| span.until.is_none());
        let values = self.spans.iter().filter(|(_, spans)| is_in(spans));
        values.map(|(value, _)| value.clone()).collect()
    }

    fn apply(&mut self, change: &Change, from: i64) {
        if from < self.latest {
            return;
        }
        self.latest = from;
        for value in &change.removed {
            self.remove(value, from);
        }
        for value in &change.added {
            self.add(value, from);
        }
    }

    fn add(&mut self, value: &str, from: i64) {
        let spans = self.spans.entry(value.to_owned()).or_default();
        match spans.last_mut() {
            // It never left, or it left at this very time.
            Some(last) if last.until.is_none_or(|until| until == from) => last.until = None,
            _ => spans.push(Span { from, until: None }),
        }
    }

    fn remove(&mut self, value: &str, from: i64) {
        let last = self.spans.get_mut(value).and_then(|spans| spans.last_mut());
        if let Some(last) = last.filter(|last| last.until.is_none()) {
            last.until = Some(from);
        }
    }
}

/// Slack's lists by name, as far as they are known. They are shared by whoever asks them.
#[derive(Clone, Debug, Default)]
pub struct Dynamic(Arc<RwLock<HashMap<String, Arc<Members>>>>);

impl Dynamic {
    /// The members of a list with all changes up to now; `None` if nothing is known of it yet. Whoever asks
    /// about many values takes them once.
    pub fn members(&self, list: &str) -> Option<Arc<Members>> {
        let lists = self.0.read().unwrap_or_else(PoisonError::into_inner);
        lists.get(list).map(Arc::clone)
    }

    /// Whether the value was in the list at this order time, in microseconds. It is in no list that is not
    /// known.
    pub fn contains(&self, list: &str, value: &str, time: i64) -> bool {
        let members = self.members(list);
        members.is_some_and(|members| members.contains(value, time))
    }

    /// Whether anything is known of the list.
    pub fn is_known(&self, list: &str) -> bool {
        self.members(list).is_some()
    }

    /// Changes a list from a time on, in microseconds of order time. No event from that time on may have been
    /// judged. Changes come in the order of their times; one from before the last is passed over, for it was
    /// applied already.
    pub fn apply(&self, list: &str, change: &Change, from: i64) {
        let mut lists = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let members = lists
            .entry(list.to_owned())
            .or_insert_with(|| Arc::new(Members::new()));
        Arc::make_mut(members).apply(change, from);
    }

    /// Gives a list these members from a time on, as [`Dynamic::apply`] does. Gives what changed; `None` if
    /// they were known to be the same.
    pub fn replace(&self, list: &str, members: &BTreeSet<String>, from: i64) -> Option<Change> {
        let before = self.members(list).map(|members| members.last());
        let change = Change::between(before.as_ref(), members)?;
        self.apply(list, &change, from);
        Some(change)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::collection::{btree_set, vec};
    use proptest::prelude::*;

    use super::{Change, Dynamic, OWNERS, check, is_reserved, of_group};

    fn set(values: &[&str]) -> BTreeSet<String> {
        values.iter().map(|value| (*value).to_owned()).collect()
    }

    #[test]
    fn an_unknown_list_becomes_known_by_its_first_change_even_an_empty_one() {
        let lists = Dynamic::default();
        assert!(!lists.is_known(OWNERS) && !lists.contains(OWNERS, "U1", 5));
        assert_eq!(
            lists.replace(OWNERS, &set(&[]), 10),
            Some(Change::default())
        );
        assert!(lists.is_known(OWNERS) && !lists.is_known("slack_bots"));
        assert_eq!(lists.replace(OWNERS, &set(&[]), 20), None);
    }

    #[test]
    fn a_change_counts_from_its_time_on() {
        let lists = Dynamic::default();
        // Clones know the same.
        let shared = lists.clone();
        for (members, from) in [
            (&["U1", "U2"][..], 100),
            (&["U2"], 200),
            (&["U1", "U2"], 300),
        ] {
            lists.replace(OWNERS, &set(members), from);
        }
        for (value, time, is_in) in [
            ("U1", 99, false),
            ("U1", 100, true),
            ("U1", 199, true),
            ("U1", 200, false),
            ("U1", 299, false),
            ("U1", 300, true),
            ("U1", i64::MAX, true),
            ("U2", 99, false),
            ("U2", 250, true),
            ("u2", 250, false),
        ] {
            let said = shared.contains(OWNERS, value, time);
            assert_eq!(said, is_in, "{value} at {time}");
        }
    }

    #[test]
    fn the_names_of_slack_are_those_that_it_can_have() {
        for (name, wanted) in [
            ("slack_owners", None),
            ("slack_group_sec_ops2", None),
            ("slack_owner", Some("did you mean `slack_owners`?")),
            (
                "slack_group_Sec-Ops2",
                Some("did you mean `slack_group_sec_ops2`?"),
            ),
            ("slack_group_", Some("use slack_owners, slack_admins, ")),
            ("slack_everybody", Some("Slack has no list")),
        ] {
            assert!(is_reserved(name));
            match (check(name), wanted) {
                (Ok(()), None) => {}
                (Err(message), Some(wanted)) => assert!(message.contains(wanted), "{message}"),
                (answer, _) => panic!("{name}: {answer:?}"),
            }
        }
        assert!(!is_reserved("slacker"));
        assert_eq!(of_group("Größe-1.x"), "slack_group_gr__e_1_x");
    }

    proptest! {
        /// A list says of a time who was in it last, however often its changes are applied.
        #[test]
        fn a_list_says_who_was_in_it(
            steps in vec((0_i64..4, btree_set("[a-e]", 0..5)), 1..12),
        ) {
            let (lists, again) = (Dynamic::default(), Dynamic::default());
            let (mut time, mut history, mut changes) = (0, Vec::new(), Vec::new());
            for (pause, members) in steps {
                time += pause;
                let change = lists.replace(OWNERS, &members, time);
                changes.extend(change.map(|change| (change, time)));
                history.push((time, members));
            }
            for (change, from) in changes.iter().chain(&changes) {
                again.apply(OWNERS, change, *from);
            }
            for asked in -1..=time + 1 {
                let then = history.iter().rev().find(|(from, _)| *from <= asked);
                for value in ["a", "b", "c", "d", "e"] {
                    let is_in = then.is_some_and(|(_, members)| members.contains(value));
                    for lists in [&lists, &again] {
                        let said = lists.contains(OWNERS, value, asked);
                        prop_assert_eq!(said, is_in, "{} at {}", value, asked);
                    }
                }
            }
        }
    }
}
