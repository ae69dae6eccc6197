//! The allow list of Slack's own detections, which gridwatch may keep in step with its own.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::answer::read;
use super::{Client, Error};

const GET: &str = "admin.audit.anomaly.allow.getItem";

const UPDATE: &str = "admin.audit.anomaly.allow.updateItem";

/// Networks that Slack's own detections trust: traffic from them is not marked as an anomaly. The list
/// is one for the whole organisation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// In CIDR notation, as they are written: Slack takes bits beyond the prefix, as in `8.8.8.8/24`.
    pub cidrs: BTreeSet<String>,
    /// Autonomous systems.
    pub asns: BTreeSet<u32>,
}

/// What leads from one list to another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// What the other list has in addition.
    pub added: Allowed,
    /// What the other list lacks.
    pub removed: Allowed,
}

impl Allowed {
    /// What has to be added and removed to get from this list to the other.
    pub fn difference(&self, to: &Self) -> Difference {
        Difference {
            added: to.without(self),
            removed: self.without(to),
        }
    }

    fn without(&self, other: &Self) -> Self {
        Self {
            cidrs: &self.cidrs - &other.cidrs,
            asns: &self.asns - &other.asns,
        }
    }
}

impl Client {
    /// The list as it is now. Only a token of an org admin with the scope `admin` may read it.
    ///
    /// # Errors
    /// Any [`Error`]; [`Error::Malformed`] also when an entry is no network, so that no entry is lost when
    /// the list is written back.
    pub async fn allowed(&self) -> Result<Allowed, Error> {
        // It has no arguments.
        let form: &[(&str, &str)] = &[];
        let body = self.post(GET, form).await?;
        let item: Item = read(GET, &body, "an object with lists of trusted networks")?;
        item.allowed()
    }

    /// Overwrites the list, and does not look whether Slack kept all of it: [`Self::allowed`] tells.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn set_allowed(&self, wanted: &Allowed) -> Result<(), Error> {
        let update = Update {
            trusted_cidr: &wanted.cidrs,
            trusted_asns: &wanted.asns,
        };
        self.post_json(UPDATE, &update).await?;
        Ok(())
    }
}

/// Both lists are always there: whether Slack keeps or clears a list that is left out is not known.
#[derive(Serialize)]
struct Update<'a> {
    trusted_cidr: &'a BTreeSet<String>,
    trusted_asns: &'a BTreeSet<u32>,
}

/// Slack's reference uses either name of each list.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Item {
    trusted_cidr: Option<Vec<Value>>,
    trusted_cidrs: Option<Vec<Value>>,
    trusted_asn: Option<Vec<Value>>,
    trusted_asns: Option<Vec<Value>>,
}

impl Item {
    fn allowed(self) -> Result<Allowed, Error> {
        let cidrs = [self.trusted_cidr, self.trusted_cidrs];
        let asns = [self.trusted_asn, self.trusted_asns];
        // A list under a name that nobody knows would be overwritten unseen.
        if cidrs == [None, None] || asns == [None, None] {
            let reason = "it lacks the list of trusted networks, or of autonomous systems";
            return Err(Error::malformed(GET, reason.to_owned()));
        }
        Ok(Allowed {
            cidrs: read_all(cidrs, cidr, "network in CIDR notation")?,
            asns: read_all(asns, asn, "number of an autonomous system")?,
        })
    }
}

/// The entries of both lists, each read as `entry` does.
fn read_all<T: Ord>(
    lists: [Option<Vec<Value>>; 2],
    entry: impl Fn(&Value) -> Option<T>,
    what: &str,
) -> Result<BTreeSet<T>, Error> {
    let values = lists.into_iter().flatten().flatten();
    let read: Option<BTreeSet<T>> = values.map(|value| entry(&value)).collect();
    read.ok_or_else(|| Error::malformed(GET, format!("an entry of its lists is no {what}")))
}

fn cidr(value: &Value) -> Option<String> {
    let text = value.as_str()?;
    let is_network = text.parse::<IpNet>().is_ok() || text.parse::<IpAddr>().is_ok();
    is_network.then(|| text.to_owned())
}

/// A number, or a string that holds one.
fn asn(value: &Value) -> Option<u32> {
    match value {
        Value::String(text) => text.parse().ok(),
        number => number.as_u64()?.try_into().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(cidrs: &[&str], asns: &[u32]) -> Allowed {
        Allowed {
            cidrs: cidrs.iter().map(|cidr| (*cidr).to_owned()).collect(),
            asns: asns.iter().copied().collect(),
        }
    }

    fn parse(body: &str) -> Result<Allowed, Error> {
        let item: Item = read(GET, body.as_bytes(), "a list")?;
        item.allowed()
    }

    #[test]
    fn every_spelling_is_read() {
        for (body, cidrs, asns) in [
            (
                r#"{"trusted_cidr": [], "trusted_asns": []}"#,
                &[][..],
                &[][..],
            ),
            (
                r#"{"trusted_cidr": ["8.8.8.8/24"], "trusted_asn": []}"#,
                &["8.8.8.8/24"],
                &[],
            ),
            (
                r#"{"trusted_cidrs": ["::/0"], "trusted_asns": []}"#,
                &["::/0"],
                &[],
            ),
            (
                r#"{"trusted_cidrs": [], "trusted_asn": [64500, "64501"]}"#,
                &[],
                &[64500, 64501],
            ),
            (
                r#"{"trusted_cidr": [], "trusted_asns": [4294967295]}"#,
                &[],
                &[u32::MAX],
            ),
            (
                r#"{"trusted_cidr": ["192.0.2.1"], "trusted_cidrs": ["192.0.2.0/24", "192.0.2.1"], "trusted_asn": []}"#,
                &["192.0.2.0/24", "192.0.2.1"],
                &[],
            ),
        ] {
            assert_eq!(parse(body), Ok(list(cidrs, asns)), "{body}");
        }
    }

    #[test]
    fn a_list_that_is_not_there_is_not_an_empty_one() {
        for body in [
            "{}",
            r#"{"trusted_cidr": []}"#,
            r#"{"trusted_asns": [64500]}"#,
            r#"{"trusted_cidr": null, "trusted_asns": []}"#,
            r#"{"cidrs": ["192.0.2.0/24"], "asns": []}"#,
        ] {
            assert!(
                matches!(parse(body), Err(Error::Malformed { .. })),
                "{body}"
            );
        }
    }

    #[test]
    fn an_entry_that_is_none_is_not_dropped() {
        for body in [
            r#"{"trusted_cidr": ["the office"]}"#,
            r#"{"trusted_cidr": ["192.0.2.0/33"]}"#,
            r#"{"trusted_cidr": [5]}"#,
            r#"{"trusted_cidr": "192.0.2.0/24"}"#,
            r#"{"trusted_asns": ["AS64500x"]}"#,
            r#"{"trusted_asns": [4294967296]}"#,
            r#"{"trusted_asns": [-1]}"#,
            r#"{"trusted_asns": [null]}"#,
        ] {
            let error = parse(body).unwrap_err();
            assert!(matches!(error, Error::Malformed { .. }), "{body}: {error}");
            assert!(!error.to_string().contains("office"), "{error}");
        }
    }

    #[test]
    fn a_difference_leads_from_one_list_to_the_other() {
        let from = list(&["192.0.2.0/24", "198.51.100.0/24"], &[1, 2]);
        let to = list(&["198.51.100.0/24", "203.0.113.0/24"], &[2, 3]);
        let expected = Difference {
            added: list(&["203.0.113.0/24"], &[3]),
            removed: list(&["192.0.2.0/24"], &[1]),
        };
        assert_eq!(from.difference(&to), expected);
        assert_eq!(to.difference(&to), Difference::default());
    }
}
