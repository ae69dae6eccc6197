//! Attacks: who does what to whom, and what is expected to find it.

mod expectation;
mod history;
mod kind;
mod placement;
mod script;
mod source;

use super::Organisation;
use super::calendar::HOUR;
use super::session::Context;

pub(super) use self::kind::{Kind, SLOW_DAYS};
pub(super) use self::placement::place;

/// The codes of Slack's findings, as they stand between the brackets of a JSON array; a record of
/// the action `anomaly` names one by position.
pub(super) const REASONS: &[&str] = &[
    "\"ip_address\"",
    "\"user_agent\",\"unexpected_user_agent\"",
    "\"session_fingerprint\"",
    "\"asn\",\"ip_address\"",
    "\"unexpected_scraping\"",
    "\"excessive_downloads\"",
    "\"unexpected_client\",\"spoofed_user_agent\"",
    "\"tor\",\"ip_address\"",
];
/// The reason that details explain: a network new to the session.
pub(super) const NEW_NETWORK: u64 = 0;
/// The reasons from here on are those of attacks; those before stand for nothing.
pub(super) const FIRST_SEVERE_REASON: u64 = 2;
/// A session cookie that was copied.
const FINGERPRINT_REASON: u64 = 2;
const TOR_REASON: u64 = 7;

/// One attack.
pub(super) struct Attack {
    pub(super) kind: Kind,
    /// Whoever is attacked, the first of several; of what an administrator does, the administrator.
    pub(super) victim: u32,
    /// Whoever else is attacked along, the administrator, or the accomplice.
    pub(super) others: Vec<u32>,
    /// Unix seconds.
    pub(super) start: i64,
    /// What the attacker shows.
    pub(super) source: Context,
    /// The victim does it, at the usual place.
    pub(super) is_insider: bool,
    /// Of downloads, how many files.
    pub(super) haul: Option<Haul>,
    /// The victim's address just before, or 0.
    previous_ip: u32,
    /// The program is new to the victim.
    is_new_program: bool,
    /// The victim's session goes on at the usual place, with the usual program.
    is_split: bool,
    /// How long ago the victim acted for the first time.
    known_secs: i64,
}

/// Files that are fetched within an hour.
#[derive(Clone, Copy)]
pub(super) struct Haul {
    /// As many as the victim fetched in the busiest hour of the two weeks before: among some hundred
    /// active hours, what 99.5 % of them do not exceed.
    pub(super) usual: u32,
    /// Distinct ones; of slow downloads, on each of the days.
    pub(super) files: u32,
}

impl Haul {
    /// Five times what is usual, from which on it is expected to be found.
    const LARGE: u32 = 5;

    fn is_large(self) -> bool {
        self.files >= Self::LARGE * self.usual
    }

    /// How many times as many files as usual.
    pub(super) fn times(self) -> f64 {
        f64::from(self.files) / f64::from(self.usual.max(1))
    }
}

impl Attack {
    /// The hour, counted from the plan's start, in which it begins.
    pub(super) fn hour(&self, org: &Organisation) -> u32 {
        ((self.start - org.start) / HOUR) as u32
    }

    /// Everybody whom it takes; nobody is in two attacks.
    fn people(&self) -> impl Iterator<Item = u32> {
        std::iter::once(self.victim).chain(self.others.iter().copied())
    }

    /// A new session begins, with a sign-in.
    fn signs_in(&self) -> bool {
        !self.is_insider && self.kind.signs_in()
    }
}
