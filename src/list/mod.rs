//! Lists that rules ask: networks, autonomous systems, people, any value, each entry with who put it
//! there, why, and from when until when it counts.
//!
//! A list may map its values to groups. What a list says of a value depends on the time that is asked
//! about, never on a clock. Lists of files are fixed for a run; those of Slack are [`dynamic`].

pub mod dynamic;
pub mod mark;
mod read;

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use ipnet::IpNet;
use prefix_trie::joint::JointPrefixMap;

use self::dynamic::Dynamic;
use self::mark::Marks;
pub use self::read::{csv, yaml};

/// What the values of a list are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Type {
    /// Networks and addresses: an address is in every network around it.
    Cidr,
    /// Autonomous systems: `64500`, or `AS64500`.
    Asn,
    /// Any text, as it is.
    #[default]
    Value,
}

impl FromStr for Type {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "cidr" => Ok(Self::Cidr),
            "asn" => Ok(Self::Asn),
            "user" | "group" | "value" => Ok(Self::Value),
            _ => Err(format!(
                "`{word}` is no type of list: use cidr, asn, user, group or value"
            )),
        }
    }
}

/// One entry of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// As the file has it.
    pub value: String,
    pub group: Option<String>,
    /// Who put it there.
    pub owner: String,
    /// Why.
    pub reason: String,
    /// The first microsecond at which it counts, and the first at which it does not any more.
    pub from: Option<i64>,
    pub until: Option<i64>,
}

impl Entry {
    /// Whether it counts at this time.
    pub fn covers(&self, time: i64) -> bool {
        self.from.is_none_or(|from| from <= time) && self.until.is_none_or(|until| time < until)
    }
}

/// A list, ready to be asked.
#[derive(Clone, Debug, Default)]
pub struct List {
    kind: Type,
    entries: Vec<Entry>,
    /// By value: positions of its entries, in their order.
    values: HashMap<String, Vec<u32>>,
    networks: JointPrefixMap<IpNet, Vec<u32>>,
}

impl List {
    /// An empty list of values of this type.
    pub fn new(kind: Type) -> Self {
        Self {
            kind,
            ..Self::default()
        }
    }

    /// Adds an entry.
    ///
    /// # Errors
    /// What is wrong with its value or its span.
    pub fn add(&mut self, entry: Entry) -> Result<(), String> {
        let number = self.entries.len() as u32;
        let value = entry.value.trim();
        if value.is_empty() {
            return Err("the value is empty".to_owned());
        }
        if entry
            .from
            .zip(entry.until)
            .is_some_and(|(from, until)| until <= from)
        {
            return Err(format!(
                "`{value}` never counts: `until` is not after `from`"
            ));
        }
        match self.kind {
            Type::Cidr => {
                let network = network(value).ok_or_else(|| {
                    format!("`{value}` is no network: write 203.0.113.0/24, or an address")
                })?;
                let known = self.networks.get_mut(&network);
                match known {
                    Some(known) => known.push(number),
                    None => {
                        self.networks.insert(network, vec![number]);
                    }
                }
            }
            Type::Asn => {
                let system = system(value).ok_or_else(|| {
                    format!("`{value}` is no autonomous system: write its number, such as 64500")
                })?;
                self.values
                    .entry(system.to_string())
                    .or_default()
                    .push(number);
            }
            Type::Value => self
                .values
                .entry(value.to_owned())
                .or_default()
                .push(number),
        }
        self.entries.push(entry);
        Ok(())
    }

    pub fn kind(&self) -> Type {
        self.kind
    }

    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entries that say something of the value at this time, the most specific network first.
    pub fn find<'a>(&'a self, value: &str, time: i64) -> impl Iterator<Item = &'a Entry> {
        let mut numbers: Vec<u32> = Vec::new();
        match self.kind {
            Type::Cidr => {
                if let Ok(address) = value.parse::<IpAddr>() {
                    let around = self.networks.cover(&IpNet::from(address.to_canonical()));
                    let around: Vec<&Vec<u32>> = around.map(|(_, numbers)| numbers).collect();
                    numbers.extend(around.into_iter().rev().flatten());
                }
            }
            Type::Asn | Type::Value => {
                numbers.extend(self.values.get(value).into_iter().flatten());
            }
        }
        let entries = numbers
            .into_iter()
            .map(|number| &self.entries[number as usize]);
        entries.filter(move |entry| entry.covers(time))
    }

    /// Whether the value is in the list at this time.
    pub fn contains(&self, value: &str, time: i64) -> bool {
        self.find(value, time).next().is_some()
    }

    /// The group of the value at this time, if it has one.
    pub fn group(&self, value: &str, time: i64) -> Option<&str> {
        self.find(value, time)
            .find_map(|entry| entry.group.as_deref())
    }
}

/// A network, or an address as a network of its own.
fn network(value: &str) -> Option<IpNet> {
    let network = match value.parse::<IpNet>() {
        Ok(network) => network.trunc(),
        Err(_) => IpNet::from(value.parse::<IpAddr>().ok()?.to_canonical()),
    };
    Some(network)
}

fn system(value: &str) -> Option<u32> {
    let digits = value
        .get(..2)
        .filter(|prefix| prefix.eq_ignore_ascii_case("AS"))
        .map_or(value, |_| &value[2..]);
    digits.parse().ok()
}

/// The lists of files, by name, which never change; and Slack's lists and the marks, which come as time goes
/// on. They are shared by whoever asks them.
#[derive(Clone, Debug, Default)]
pub struct Lists {
    lists: Arc<BTreeMap<String, List>>,
    dynamic: Dynamic,
    marks: Marks,
}

impl Lists {
    pub fn new(lists: BTreeMap<String, List>) -> Self {
        Self {
            lists: Arc::new(lists),
            dynamic: Dynamic::default(),
            marks: Marks::default(),
        }
    }

    /// The list of a file.
    pub fn get(&self, name: &str) -> Option<&List> {
        self.lists.get(name)
    }

    /// The names of the lists of files.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.lists.keys().map(String::as_str)
    }

    /// Slack's lists.
    pub fn dynamic(&self) -> &Dynamic {
        &self.dynamic
    }

    /// Whether anything is known of the list: of a file's always, of one of Slack's once Slack has named its
    /// members. Nobody is in a list that is not known, so what spares the members of a list must ask this
    /// first.
    pub fn is_known(&self, name: &str) -> bool {
        self.lists.contains_key(name) || self.dynamic.is_known(name)
    }

    /// What people said of anomalies.
    pub fn marks(&self) -> &Marks {
        &self.marks
    }

    /// All that the lists of files say, in one text; equal lists give equal texts. Slack's lists and the
    /// marks are no part of it: they stand in the log.
    pub fn written(&self) -> String {
        let lists = self.lists.iter();
        let lists =
            lists.map(|(name, list)| format!("{name} {:?} {:?}\n", list.kind, list.entries));
        lists.collect()
    }

    /// Whether both are the same lists in memory.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.lists, &other.lists)
    }
}

#[cfg(test)]
mod tests {
    use super::dynamic::{Change, OWNERS};
    use super::{Entry, List, Lists, Type};

    fn entry(value: &str, group: Option<&str>, span: (Option<i64>, Option<i64>)) -> Entry {
        Entry {
            value: value.to_owned(),
            group: group.map(str::to_owned),
            owner: "somebody".to_owned(),
            reason: "a test".to_owned(),
            from: span.0,
            until: span.1,
        }
    }

    #[test]
    fn the_most_specific_network_that_counts_answers() {
        let mut list = List::new(Type::Cidr);
        for (value, group, span) in [
            ("10.0.0.0/8", "all", (None, None)),
            ("10.1.0.0/16", "office", (Some(100), Some(200))),
            ("10.1.2.3", "printer", (Some(150), None)),
            ("2001:db8::/32", "six", (None, None)),
        ] {
            list.add(entry(value, Some(group), span))
                .expect("a network");
        }
        for (value, time, group) in [
            ("10.1.2.3", 99, Some("all")),
            ("10.1.2.3", 100, Some("office")),
            ("10.1.2.3", 150, Some("printer")),
            ("10.1.2.4", 199, Some("office")),
            ("10.1.2.4", 200, Some("all")),
            ("::ffff:10.9.9.9", 0, Some("all")),
            ("2001:db8::1", 0, Some("six")),
            ("11.0.0.1", 0, None),
            ("no address", 0, None),
        ] {
            assert_eq!(list.group(value, time), group, "{value} at {time}");
            assert_eq!(list.contains(value, time), group.is_some());
        }
    }

    #[test]
    fn systems_are_numbers_and_values_are_as_they_are() {
        let mut systems = List::new(Type::Asn);
        systems
            .add(entry("AS64500", None, (None, None)))
            .expect("a system");
        systems
            .add(entry("64501", None, (None, None)))
            .expect("a system");
        assert!(systems.contains("64500", 0) && systems.contains("64501", 0));
        assert!(!systems.contains("AS64500", 0));
        let mut people = List::new(Type::Value);
        people
            .add(entry("U1", None, (None, Some(5))))
            .expect("a value");
        people
            .add(entry("U1", Some("ops"), (Some(5), None)))
            .expect("a value");
        assert!(people.contains("U1", 4) && people.group("U1", 4).is_none());
        assert_eq!(people.group("U1", 5), Some("ops"));
        assert!(!people.contains("u1", 4));
    }

    #[test]
    fn slacks_lists_are_shared_and_no_part_of_the_text() {
        let lists = Lists::new([("offices".to_owned(), List::new(Type::Cidr))].into());
        let (shared, written) = (lists.clone(), lists.written());
        assert!(lists.is_known("offices") && !lists.is_known(OWNERS) && !lists.is_known("other"));
        lists.dynamic().apply(OWNERS, &Change::default(), 5);
        assert!(shared.is_known(OWNERS) && shared.is(&lists));
        assert_eq!(shared.written(), written);
    }

    #[test]
    fn what_never_counts_is_no_entry() {
        for (kind, value, span, wanted) in [
            (Type::Cidr, "10.0.0.0/33", (None, None), "is no network"),
            (Type::Asn, "ASX", (None, None), "is no autonomous system"),
            (Type::Value, " ", (None, None), "is empty"),
            (Type::Value, "U1", (Some(5), Some(5)), "never counts"),
        ] {
            let refused = List::new(kind).add(entry(value, None, span));
            let message = refused.expect_err("it cannot be added");
            assert!(message.contains(wanted), "{message}");
        }
    }
}
