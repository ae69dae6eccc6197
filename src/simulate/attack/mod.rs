//! Attacks: what kinds there are, and what is expected to find them.

mod placement;
mod script;

use super::calendar::HOUR;
use super::session::Context;
use super::{Attacks, Organisation};

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
const TOR_REASON: u64 = 7;

/// Whoever is attacked is so once, within this time.
const LONGEST: i64 = HOUR;
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    TravelContinent,
    TravelCountry,
    TravelFarCity,
    StolenSession,
    BulkDownload,
    SlackAnomaly,
}

impl Kind {
    const ALL: [Self; 6] = [
        Self::TravelContinent,
        Self::TravelCountry,
        Self::TravelFarCity,
        Self::StolenSession,
        Self::BulkDownload,
        Self::SlackAnomaly,
    ];

    /// The word in the labels.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::TravelContinent => "travel_continent",
            Self::TravelCountry => "travel_country",
            Self::TravelFarCity => "travel_far_city",
            Self::StolenSession => "stolen_session",
            Self::BulkDownload => "bulk_download",
            Self::SlackAnomaly => "slack_anomaly",
        }
    }

    /// Attacks on 1,000 people in 30 days.
    fn rate(self, attacks: &Attacks) -> f64 {
        match self {
            Self::TravelContinent | Self::TravelCountry | Self::TravelFarCity => {
                attacks.takeovers / 3.0
            }
            Self::StolenSession => attacks.stolen_sessions,
            Self::BulkDownload => attacks.bulk_downloads,
            Self::SlackAnomaly => attacks.slack_anomalies,
        }
    }
}

/// One attack.
#[derive(Clone, Copy)]
pub(super) struct Attack {
    pub(super) kind: Kind,
    pub(super) victim: u32,
    /// Unix seconds.
    pub(super) start: i64,
    /// What the attacker shows.
    pub(super) source: Context,
    /// The victim's address just before.
    previous_ip: u32,
    /// The session is new and begins with a sign-in.
    signs_in: bool,
    /// The program is new to the victim.
    is_new_program: bool,
}

impl Attack {
    /// The hour, counted from the plan's start, in which it begins.
    pub(super) fn hour(&self, org: &Organisation) -> u32 {
        ((self.start - org.start) / HOUR) as u32
    }

    /// Names of the rules that are expected to find it.
    pub(super) fn rules(&self) -> Vec<&'static str> {
        let mut rules = match self.kind {
            Kind::TravelContinent | Kind::TravelCountry | Kind::TravelFarCity => {
                vec!["travel_impossible"]
            }
            Kind::StolenSession => vec!["travel_impossible"],
            Kind::BulkDownload if self.signs_in => vec!["file_bulk_download", "travel_impossible"],
            Kind::BulkDownload => vec!["file_bulk_download"],
            Kind::SlackAnomaly => return vec!["slack_anomaly"],
        };
        if self.is_new_program {
            rules.insert(0, "agent_new_family");
        }
        rules
    }
}
