//! What is expected to find an attack. Only what must, if it works: many an attack raises more.

use super::super::Organisation;
use super::super::calendar::{DAY, HOUR};
use super::super::event::{Action, Record};
use super::{Attack, FINGERPRINT_REASON, Haul, Kind};

impl Attack {
    /// Names of the rules that are expected to find it.
    pub(in crate::simulate) fn rules(
        &self,
        org: &Organisation,
        records: &[Record],
    ) -> Vec<&'static str> {
        /// From so many files on, everybody's downloads are found.
        const FIXED: u32 = 200;
        let is_known = |days: i64| self.known_secs > days * DAY + HOUR;
        let is_rented = org
            .world
            .hosting
            .iter()
            .any(|exit| exit.holds(self.source.ip));
        let by_tor = org.world.tor.holds(self.source.ip) && self.kind != Kind::SlackAnomaly;
        let by_script = matches!(self.kind, Kind::StolenSession | Kind::ScriptClient);
        let is_burst = |least: fn(&Haul) -> bool| {
            self.kind != Kind::SlowDownload && self.haul.as_ref().is_some_and(least)
        };
        let is_large = is_burst(|haul| haul.is_large());
        let is_forked =
            |event: &Record| event.action == Action::Anomaly && event.object == FINGERPRINT_REASON;
        // Some rules do not tell in a person's first days what is new to that person.
        let besides = [
            ("agent_new_family", self.is_new_program && is_known(3)),
            ("travel_impossible", self.is_journey()),
            ("session_split", self.is_split),
            ("agent_script_client", by_script),
            (
                "login_new_hosting_asn",
                by_script && is_rented && is_known(5),
            ),
            ("login_tor", by_tor),
            ("file_bulk_download", is_large),
            (
                "file_bulk_download_fixed",
                is_burst(|haul| haul.files >= FIXED),
            ),
            ("file_download_after_travel", is_large && self.is_journey()),
            ("session_forked", records.iter().any(is_forked)),
        ];
        let besides = besides.into_iter().filter(|(_, is_expected)| *is_expected);
        let own = self.kind.rules().iter().copied();
        own.chain(besides.map(|(rule, _)| rule)).collect()
    }

    /// A person who was just seen at work acts far away too.
    fn is_journey(&self) -> bool {
        let is_elsewhere = !matches!(
            self.kind,
            // Failed sign-ins and Slack's findings prove nothing, and those rent a machine anywhere.
            Kind::BruteForce | Kind::Spray | Kind::SlackAnomaly | Kind::ScriptClient
            // These may be asleep.
            | Kind::DeactivatedLogin | Kind::PhishingCrowd
        );
        is_elsewhere && !self.is_insider
    }
}

impl Kind {
    /// Those that find every attack of the kind, but for what depends on the source.
    fn rules(self) -> &'static [&'static str] {
        match self {
            Self::TravelContinent
            | Self::TravelCountry
            | Self::TravelFarCity
            | Self::StolenSession
            | Self::ScriptClient
            | Self::TorLogin
            | Self::BulkDownload
            | Self::SlowDownload
            | Self::DownloadAfterTravel => &[],
            Self::FailThenSuccess => &["login_fail_then_success"],
            Self::BruteForce => &["login_bruteforce"],
            Self::Spray => &["login_spray"],
            Self::DeactivatedLogin => &["login_after_deactivation"],
            Self::PhishingCrowd => &["egress_many_new_sessions"],
            Self::SlackAnomaly => &["slack_anomaly"],
            Self::MassJoin => &["channel_mass_join"],
            Self::MassShare => &["file_mass_share"],
            Self::MalwareBurst => &["file_malware", "file_malware_burst"],
            Self::SensitiveLink => &["file_public_link_sensitive"],
            Self::PrivilegeEscalation => &["privilege_escalation"],
            Self::WideApp => &["app_added"],
            Self::ScopeCreep => &["app_access_expanded"],
            Self::Export => &["export_started"],
            Self::MadePublic => &["channel_private_to_public"],
            Self::WeakenedPolicy => &["policy_auth_weakened"],
            Self::DefenceOff => &["policy_defence_off"],
            Self::ResponseOff => &["response_tampered"],
            Self::MassReset => &["admin_mass_session_reset"],
        }
    }
}
