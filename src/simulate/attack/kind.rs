//! What kinds of attacks there are, and how often each takes place.

use super::super::Attacks;
use super::super::calendar::{DAY, HOUR};

/// What an attacker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::simulate) enum Kind {
    /// A stolen password, used from another continent.
    TravelContinent,
    /// From another country of the same continent.
    TravelCountry,
    /// From a city far away in the same country.
    TravelFarCity,
    /// A stolen cookie in a script elsewhere, while the victim goes on working.
    StolenSession,
    /// A stolen cookie or token in a command-line tool on a rented machine.
    ScriptClient,
    /// Passwords are tried until one fits.
    FailThenSuccess,
    /// Passwords are tried, and none fits.
    BruteForce,
    /// An account that was deactivated is used.
    DeactivatedLogin,
    /// A stolen password, used through Tor.
    TorLogin,
    /// Many files at once.
    BulkDownload,
    /// Files day by day, never many at once.
    SlowDownload,
    /// A stolen password from another continent, and many files at once.
    DownloadAfterTravel,
    /// Slack's own detectors find the attacker.
    SlackAnomaly,
    /// Very many channels are looked into.
    MassJoin,
    /// Very many files are shared with another organisation.
    MassShare,
    /// Malicious files are spread.
    MalwareBurst,
    /// Public links to files that hold secrets.
    SensitiveLink,
    /// An accomplice becomes administrator.
    PrivilegeEscalation,
    /// An app that may do everything is installed.
    WideApp,
    /// An app that was there may do everything.
    ScopeCreep,
    /// All that was written is exported.
    Export,
    /// Private channels are opened.
    MadePublic,
    /// The second factor is not asked for any more.
    WeakenedPolicy,
    /// A rule against the loss of data is switched off.
    DefenceOff,
    /// Slack leaves its own findings unanswered.
    ResponseOff,
    /// Many people are signed out.
    MassReset,
    /// Many people give their passwords to one forged page, which signs in as them.
    PhishingCrowd,
    /// A few passwords, tried on many people.
    Spray,
}

/// Kinds whose rate is one field of [`Attacks`].
#[derive(Clone, Copy, PartialEq, Eq)]
enum Group {
    Takeovers,
    StolenSessions,
    Scripts,
    GuessedPasswords,
    StrangeSignIns,
    BulkDownloads,
    OtherDownloads,
    SlackAnomalies,
    Leaks,
    Administration,
}

impl Kind {
    /// Those that take many people come last: they take whoever is left.
    pub(super) const ALL: [Self; 28] = [
        Self::TravelContinent,
        Self::TravelCountry,
        Self::TravelFarCity,
        Self::StolenSession,
        Self::ScriptClient,
        Self::FailThenSuccess,
        Self::BruteForce,
        Self::DeactivatedLogin,
        Self::TorLogin,
        Self::BulkDownload,
        Self::SlowDownload,
        Self::DownloadAfterTravel,
        Self::SlackAnomaly,
        Self::MassJoin,
        Self::MassShare,
        Self::MalwareBurst,
        Self::SensitiveLink,
        Self::PrivilegeEscalation,
        Self::WideApp,
        Self::ScopeCreep,
        Self::Export,
        Self::MadePublic,
        Self::WeakenedPolicy,
        Self::DefenceOff,
        Self::ResponseOff,
        Self::MassReset,
        Self::PhishingCrowd,
        Self::Spray,
    ];

    /// The word in the labels.
    pub(in crate::simulate) fn name(self) -> &'static str {
        match self {
            Self::TravelContinent => "travel_continent",
            Self::TravelCountry => "travel_country",
            Self::TravelFarCity => "travel_far_city",
            Self::StolenSession => "stolen_session",
            Self::ScriptClient => "script_client",
            Self::FailThenSuccess => "fail_then_success",
            Self::BruteForce => "brute_force",
            Self::DeactivatedLogin => "deactivated_login",
            Self::TorLogin => "tor_login",
            Self::BulkDownload => "bulk_download",
            Self::SlowDownload => "slow_download",
            Self::DownloadAfterTravel => "download_after_travel",
            Self::SlackAnomaly => "slack_anomaly",
            Self::MassJoin => "mass_join",
            Self::MassShare => "mass_share",
            Self::MalwareBurst => "malware_burst",
            Self::SensitiveLink => "sensitive_link",
            Self::PrivilegeEscalation => "privilege_escalation",
            Self::WideApp => "wide_app",
            Self::ScopeCreep => "scope_creep",
            Self::Export => "export",
            Self::MadePublic => "made_public",
            Self::WeakenedPolicy => "weakened_policy",
            Self::DefenceOff => "defence_off",
            Self::ResponseOff => "response_off",
            Self::MassReset => "mass_reset",
            Self::PhishingCrowd => "phishing_crowd",
            Self::Spray => "spray",
        }
    }

    fn group(self) -> Group {
        match self {
            Self::TravelContinent | Self::TravelCountry | Self::TravelFarCity => Group::Takeovers,
            Self::StolenSession => Group::StolenSessions,
            Self::ScriptClient => Group::Scripts,
            Self::FailThenSuccess | Self::BruteForce | Self::Spray => Group::GuessedPasswords,
            Self::DeactivatedLogin | Self::TorLogin | Self::PhishingCrowd => Group::StrangeSignIns,
            Self::BulkDownload => Group::BulkDownloads,
            Self::SlowDownload | Self::DownloadAfterTravel => Group::OtherDownloads,
            Self::SlackAnomaly => Group::SlackAnomalies,
            Self::MassJoin | Self::MassShare | Self::MalwareBurst | Self::SensitiveLink => {
                Group::Leaks
            }
            Self::PrivilegeEscalation
            | Self::WideApp
            | Self::ScopeCreep
            | Self::Export
            | Self::MadePublic
            | Self::WeakenedPolicy
            | Self::DefenceOff
            | Self::ResponseOff
            | Self::MassReset => Group::Administration,
        }
    }

    /// Attacks on 1,000 people in 30 days: an equal part of the group's.
    pub(super) fn rate(self, attacks: &Attacks) -> f64 {
        let group = self.group();
        let kinds = Self::ALL.iter().filter(|kind| kind.group() == group);
        group.rate(attacks) / kinds.count() as f64
    }

    /// Whether an administrator does it, or somebody in an administrator's name.
    pub(super) fn is_administrative(self) -> bool {
        self.group() == Group::Administration
    }

    /// How often whoever does it is the person, at the usual place, and no thief.
    pub(super) fn insiders(self) -> f64 {
        match self.group() {
            Group::BulkDownloads | Group::Leaks | Group::Administration => 0.5,
            _ if self == Self::SlowDownload => 1.0,
            _ => 0.0,
        }
    }

    /// A thief signs in with it: a new session begins.
    pub(super) fn signs_in(self) -> bool {
        !matches!(
            self,
            Self::StolenSession
                | Self::ScriptClient
                | Self::SlackAnomaly
                | Self::BruteForce
                | Self::Spray
        )
    }

    /// Files are fetched that are counted beforehand.
    pub(super) fn is_download(self) -> bool {
        matches!(
            self,
            Self::BulkDownload | Self::SlowDownload | Self::DownloadAfterTravel
        )
    }

    /// Whether small organisations see it too; see [`Attacks::at_least_one`].
    pub(super) fn is_common(self) -> bool {
        matches!(
            self.group(),
            Group::Takeovers | Group::StolenSessions | Group::BulkDownloads | Group::SlackAnomalies
        )
    }

    /// It is over before so many seconds have passed.
    pub(super) fn longest(self) -> i64 {
        match self {
            Self::SlowDownload => (SLOW_DAYS - 1) * DAY + HOUR,
            Self::DeactivatedLogin => 2 * HOUR,
            _ => HOUR,
        }
    }
}

/// On so many days files are fetched slowly.
pub(in crate::simulate) const SLOW_DAYS: i64 = 5;

impl Group {
    fn rate(self, attacks: &Attacks) -> f64 {
        match self {
            Self::Takeovers => attacks.takeovers,
            Self::StolenSessions => attacks.stolen_sessions,
            Self::Scripts => attacks.scripts,
            Self::GuessedPasswords => attacks.guessed_passwords,
            Self::StrangeSignIns => attacks.strange_sign_ins,
            Self::BulkDownloads => attacks.bulk_downloads,
            Self::OtherDownloads => attacks.other_downloads,
            Self::SlackAnomalies => attacks.slack_anomalies,
            Self::Leaks => attacks.leaks,
            Self::Administration => attacks.administration,
        }
    }
}
