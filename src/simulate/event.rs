//! The compact form in which events are generated and sorted before they become text.

use super::agent::Agent;
use super::dice::{Purpose, hash, mix};

/// What was done, under Slack's name for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    UserLogin,
    UserLoginFailed,
    UserLogout,
    ProfileUpdated,
    FileDownloaded,
    FileUploaded,
    FileShared,
    FileDeleted,
    FileLinkCreated,
    CanvasOpened,
    CanvasEdited,
    CanvasCreated,
    ChannelPreview,
    ChannelJoin,
    ChannelLeave,
    ChannelCreated,
    HuddleJoined,
    HuddleLeft,
    ListCellUpdated,
    ListOpened,
    ListRowCreated,
    MessageTombstoned,
    GuestCreated,
    SessionReset,
    AppApproved,
    LogsSearched,
    Anomaly,
    /// Slack finds something malicious in a file.
    FileMalware,
    /// A file goes into a channel that another organisation sees.
    FileSharedOutside,
    /// A public link to a file whose name says that it holds a secret.
    SensitiveLink,
    ChannelMadePublic,
    RoleToAdmin,
    RoleToUser,
    UserDeactivated,
    UserReactivated,
    AppInstalled,
    AppScopesExpanded,
    AppUninstalled,
    ExportStarted,
    /// Two factors are asked for no more.
    TwoFactorChanged,
    DlpRuleOff,
    /// Slack is told to leave its own findings unanswered.
    ResponseChanged,
}

impl Action {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::UserLogin => "user_login",
            Self::UserLoginFailed => "user_login_failed",
            Self::UserLogout => "user_logout",
            Self::ProfileUpdated => "user_profile_updated",
            Self::FileDownloaded => "file_downloaded",
            Self::FileUploaded => "file_uploaded",
            Self::FileShared => "file_shared",
            Self::FileDeleted => "file_deleted",
            Self::FileLinkCreated => "file_public_link_created",
            Self::CanvasOpened => "canvas_opened",
            Self::CanvasEdited => "canvas_edited",
            Self::CanvasCreated => "canvas_created",
            Self::ChannelPreview => "public_channel_preview",
            Self::ChannelJoin => "user_channel_join",
            Self::ChannelLeave => "user_channel_leave",
            Self::ChannelCreated => "public_channel_created",
            Self::HuddleJoined => "huddle_participant_joined",
            Self::HuddleLeft => "huddle_participant_left",
            Self::ListCellUpdated => "list_cell_updated",
            Self::ListOpened => "list_opened",
            Self::ListRowCreated => "list_row_created",
            Self::MessageTombstoned => "message_tombstoned",
            Self::GuestCreated => "guest_created",
            Self::SessionReset => "user_session_reset_by_admin",
            Self::AppApproved => "app_approved",
            Self::LogsSearched => "audit_logs_records_searched",
            Self::Anomaly => "anomaly",
            Self::FileMalware => "file_malicious_content_detected",
            Self::FileSharedOutside => "file_shared",
            Self::SensitiveLink => "file_public_link_created",
            Self::ChannelMadePublic => "private_channel_converted_to_public",
            Self::RoleToAdmin => "role_change_to_admin",
            Self::RoleToUser => "role_change_to_user",
            Self::UserDeactivated => "user_deactivated",
            Self::UserReactivated => "user_reactivated",
            Self::AppInstalled => "app_installed",
            Self::AppScopesExpanded => "app_scopes_expanded",
            Self::AppUninstalled => "app_uninstalled",
            Self::ExportStarted => "manual_export_started",
            Self::TwoFactorChanged => "pref.two_factor_auth_changed",
            Self::DlpRuleOff => "native_dlp_rule_deactivated",
            Self::ResponseChanged => "pref.anomaly_event_response_changed",
        }
    }
}

/// How the address is written, and how much an app asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Plain,
    /// The address as the empty string.
    Empty,
    /// The address as 127.0.0.1: a step of Slack's servers.
    Loopback,
    /// The address as in [`Form::Plain`], an app with wide scopes.
    Wide,
}

/// Whose hand it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Actor,
    /// The context is that of this colleague.
    Inviter(u32),
    /// One of the organisation's apps.
    App(u8),
    /// Slack itself; the previous address, or 0 if there was none.
    Slack(u32),
}

/// The person, the hour in which it was generated, and the number within that hour, in one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key(u64);

impl Key {
    const HOUR_BITS: u32 = 20;
    const NUMBER_BITS: u32 = 18;
    /// The most people that keys can tell apart.
    pub(super) const MOST_PEOPLE: u32 = 1 << (64 - Self::HOUR_BITS - Self::NUMBER_BITS);
    /// The most hours.
    pub(super) const MOST_HOURS: u32 = 1 << Self::HOUR_BITS;
    /// Numbers from here on are those of attacks.
    pub(super) const FIRST_OF_ATTACK: u32 = 1 << (Self::NUMBER_BITS - 1);

    pub(super) fn new(person: u32, hour: u32, number: u32) -> Self {
        let hours = u64::from(person) << Self::HOUR_BITS | u64::from(hour);
        Self(hours << Self::NUMBER_BITS | u64::from(number))
    }

    pub(super) fn person(self) -> u32 {
        (self.0 >> (Self::HOUR_BITS + Self::NUMBER_BITS)) as u32
    }

    /// A bijection of the key: an order without meaning.
    pub(super) fn scattered(self) -> u64 {
        mix(self.0)
    }

    /// The event id as the 128 bits of a UUID of version 4. Two keys have the same no more often
    /// than two random UUIDs.
    pub(super) fn uuid(self, seed: u64) -> u128 {
        let high = mix(self.0 ^ seed);
        let low = hash(seed, Purpose::Event, self.0, 0);
        let number = u128::from(high) << 64 | u128::from(low);
        number & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62
    }
}

/// One event.
#[derive(Clone, Copy)]
pub(super) struct Record {
    pub(super) key: Key,
    /// The file, channel, list, person, app or finding that the action is about.
    pub(super) object: u64,
    /// 0 if the event has none.
    pub(super) session: u64,
    /// Seconds since the plan's start.
    pub(super) time: u32,
    /// IPv4 address, whatever form it is written in.
    pub(super) ip: u32,
    pub(super) by: By,
    pub(super) agent: Agent,
    pub(super) action: Action,
    pub(super) form: Form,
}

impl Record {
    /// The order of the output: by time, within a second without meaning.
    pub(super) fn order(&self) -> (u32, u64) {
        (self.time, self.key.scattered())
    }
}
