//! Why Slack gave no answer.

use std::error::Error as _;

/// Seconds to wait where Slack does not say.
const USUAL_WAIT: u64 = 30;

/// Seconds to wait at most, whatever an answer asks for.
const MOST_WAIT: u64 = 3600;

/// Letters of a text about a failed connection at most.
const MOST_LETTERS: usize = 300;

/// Codes that find fault with the token: it is none, is no longer good, or lacks a right.
const UNAUTHORISED: &[&str] = &[
    "access_denied",
    "account_inactive",
    "ekm_access_denied",
    "enterprise_is_restricted",
    "feature_not_enabled",
    "invalid_auth",
    "invalid_authentication",
    "missing_authentication",
    "missing_scope",
    "no_permission",
    "not_allowed_token_type",
    "not_an_admin",
    "not_authed",
    "org_login_required",
    "team_not_authorized",
    "token_expired",
    "token_revoked",
    "two_factor_setup_required",
    "user_not_authorized",
];

/// Codes of troubles at Slack, which pass.
const UNAVAILABLE: &[&str] = &[
    "fatal_error",
    "internal_error",
    "request_timeout",
    "service_unavailable",
    "team_added_to_org",
];

/// Codes of a method that this token or this organisation does not have.
const UNKNOWN_HERE: &[&str] = &[
    "access_denied",
    "deprecated_endpoint",
    "endpoint_unavailable",
    "feature_not_enabled",
    "method_deprecated",
    "missing_scope",
    "no_permission",
    "not_allowed_token_type",
    "not_an_admin",
    "not_an_enterprise",
    "team_not_found",
    "unknown_method",
];

/// Codes of a person, a session or a conversation with which Slack never does this, or of a call that
/// stays wrong.
const PERMANENT: &[&str] = &[
    "admin_unauthorized",
    "bots_not_allowed",
    "cannot_dm_bot",
    "cannot_invalidate_primary_owner",
    "cannot_reset_bot",
    "cannot_reset_primary_owner",
    "channel_not_found",
    "invalid_arg_name",
    "invalid_arguments",
    "invalid_array_arg",
    "is_archived",
    "is_bot",
    "messages_tab_disabled",
    "msg_too_long",
    "no_text",
    "not_in_channel",
    "restricted_action",
    "session_not_found",
    "session_reset_not_allowed",
    "user_disabled",
    "user_not_found",
    "user_not_visible",
];

/// Why a call has no result. `method` names the call, such as `audit logs` or `admin.users.list`;
/// `status` is that of HTTP; `code` is Slack's word for the error, empty where it says none; `needed`
/// is the scope that the token lacks, where Slack tells. No token and no URL is in it, and nothing
/// that a terminal or a log would mind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// HTTP 429, or a code that says so. The wait is 30 s where Slack does not say, from 1 s to an hour
    /// otherwise.
    #[error(
        "Slack takes no more calls of {method} for {retry_after_secs} s: wait, and see which other \
         apps of the organisation make them"
    )]
    RateLimited {
        method: String,
        retry_after_secs: u64,
    },
    /// The token is no good for this: HTTP 401 or 403, or a code that says so. The status is 0 if
    /// nothing was sent, because no request could hold the token.
    #[error(
        "Slack refuses the token for {method} ({}): use a token of an org owner that is not revoked \
         and has the scope",
        said(.status, .code, .needed.as_deref())
    )]
    Unauthorised {
        method: String,
        status: u16,
        code: String,
        needed: Option<String>,
    },
    /// Slack refuses the call as it is: another 4xx, or `ok: false` with another code. The status is 0 if
    /// nothing was sent, because the answer is known.
    #[error(
        "Slack refuses {method} ({}): see what its reference of the method says of this",
        said(.status, .code, .needed.as_deref())
    )]
    Refused {
        method: String,
        status: u16,
        code: String,
        needed: Option<String>,
    },
    /// 5xx, or a code that says the same.
    #[error(
        "Slack cannot answer {method} now ({}): try again later, and see slack-status.com",
        said(.status, .code, None)
    )]
    Unavailable {
        method: String,
        status: u16,
        code: String,
    },
    /// The connection failed, was cut, or took too long; or what came cannot be decompressed.
    #[error(
        "the connection to Slack failed for {method}: {reason}; check the network, the proxy, the CA \
         certificates and the endpoint"
    )]
    Connection { method: String, reason: String },
    /// The answer is not what Slack answers.
    #[error(
        "the answer to {method} is none of Slack's: {reason}; check that the endpoint is Slack's"
    )]
    Malformed { method: String, reason: String },
}

/// What Slack says of the error, as messages put it in brackets.
fn said(status: &u16, code: &str, needed: Option<&str>) -> String {
    let said = if code.is_empty() {
        format!("HTTP {status}")
    } else {
        code.to_owned()
    };
    match needed {
        Some(scope) => format!("{said}, needs {scope}"),
        None => said,
    }
}

/// An answer that is none, as far as it says why.
#[derive(Clone, Debug, Default)]
pub(super) struct Refusal {
    /// Of HTTP; 2xx with `ok: false`.
    pub status: u16,
    pub code: String,
    pub needed: Option<String>,
    pub retry_after_secs: Option<u64>,
}

impl Error {
    /// What a refusal means. A code tells more than the status, unless that is 429 or 5xx.
    pub(super) fn refused(method: &str, refusal: Refusal) -> Self {
        let method = method.to_owned();
        let Refusal {
            status,
            code,
            needed,
            retry_after_secs,
        } = refusal;
        let is_one_of = |codes: &[&str]| codes.contains(&code.as_str());
        if status == 429 || is_one_of(&["ratelimited", "rate_limited"]) {
            let wait = retry_after_secs.unwrap_or(USUAL_WAIT);
            return Self::RateLimited {
                method,
                retry_after_secs: wait.clamp(1, MOST_WAIT),
            };
        }
        if status >= 500 || is_one_of(UNAVAILABLE) {
            return Self::Unavailable {
                method,
                status,
                code,
            };
        }
        if matches!(status, 401 | 403) || is_one_of(UNAUTHORISED) {
            return Self::Unauthorised {
                method,
                status,
                code,
                needed,
            };
        }
        if matches!(status, 200..300 | 400..500) {
            return Self::Refused {
                method,
                status,
                code,
                needed,
            };
        }
        Self::Malformed {
            method,
            reason: format!("its HTTP status is {status}"),
        }
    }

    pub(super) fn malformed(method: &str, reason: impl Into<String>) -> Self {
        Self::Malformed {
            method: method.to_owned(),
            reason: reason.into(),
        }
    }

    /// The error with its causes in one line. Certificates, whose text is the server's, may be quoted in
    /// it.
    pub(super) fn connection(method: &str, error: reqwest::Error) -> Self {
        let error = error.without_url();
        let mut reason = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            reason.push_str(": ");
            reason.push_str(&error.to_string());
            cause = error.source();
        }
        Self::Connection {
            method: method.to_owned(),
            reason: printable(&reason),
        }
    }

    /// Slack's word for the error; empty if it said none.
    pub fn code(&self) -> &str {
        match self {
            Self::RateLimited { .. } => "ratelimited",
            Self::Unauthorised { code, .. }
            | Self::Refused { code, .. }
            | Self::Unavailable { code, .. } => code,
            Self::Connection { .. } | Self::Malformed { .. } => "",
        }
    }

    /// What kind of failure it is, for metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::RateLimited { .. } => "rate_limited",
            Self::Unauthorised { .. } => "unauthorised",
            Self::Refused { .. } => "refused",
            Self::Unavailable { .. } => "unavailable",
            Self::Connection { .. } => "connection",
            Self::Malformed { .. } => "malformed",
        }
    }

    /// Whether another token would help.
    pub fn is_unauthorised(&self) -> bool {
        matches!(self, Self::Unauthorised { .. })
    }

    /// Whether this token or this organisation does not have the method, so that another method for the
    /// same may do.
    pub fn is_unknown_here(&self) -> bool {
        let is_refusal = matches!(self, Self::Unauthorised { .. } | Self::Refused { .. });
        is_refusal && UNKNOWN_HERE.contains(&self.code())
    }

    /// Whether Slack refuses the same call again, however long one waits: until somebody changes the
    /// token, its rights, or what the call is about. Without a code that is not known, and false.
    pub fn is_permanent(&self) -> bool {
        let is_refusal = matches!(self, Self::Unauthorised { .. } | Self::Refused { .. });
        let is_one_of = |codes: &[&str]| codes.contains(&self.code());
        is_refusal
            && [PERMANENT, UNAUTHORISED, UNKNOWN_HERE]
                .into_iter()
                .any(is_one_of)
    }
}

/// The text with a question mark for each letter that is no printable ASCII, cut where it gets long.
fn printable(text: &str) -> String {
    let is_printable = |letter: char| letter.is_ascii_graphic() || letter == ' ';
    let letters = text.chars().take(MOST_LETTERS);
    letters
        .map(|letter| if is_printable(letter) { letter } else { '?' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, code: &str) -> Error {
        let refusal = Refusal {
            status,
            code: code.to_owned(),
            ..Refusal::default()
        };
        Error::refused("users.list", refusal)
    }

    #[test]
    fn a_code_tells_what_the_error_is() {
        let unauthorised = "invalid_auth not_authed invalid_authentication missing_authentication \
            token_expired token_revoked account_inactive missing_scope not_allowed_token_type \
            no_permission access_denied org_login_required user_not_authorized team_not_authorized \
            feature_not_enabled not_an_admin enterprise_is_restricted ekm_access_denied \
            two_factor_setup_required";
        for code in unauthorised.split_whitespace() {
            for status in [200, 400, 401, 404] {
                assert!(refused(status, code).is_unauthorised(), "{status} {code}");
            }
        }
        for code in "internal_error fatal_error service_unavailable request_timeout".split(' ') {
            let is_unavailable = matches!(refused(200, code), Error::Unavailable { .. });
            assert!(is_unavailable, "{code}");
        }
        for code in "invalid_cursor invalid_action invalid_arguments unknown_method".split(' ') {
            let is_refused = matches!(refused(200, code), Error::Refused { .. });
            assert!(is_refused, "{code}");
        }
    }

    #[test]
    fn the_wait_is_within_bounds() {
        for (asked, wait) in [(None, 30), (Some(0), 1), (Some(7), 7), (Some(9999), 3600)] {
            let refusal = Refusal {
                status: 429,
                retry_after_secs: asked,
                ..Refusal::default()
            };
            let expected = Error::RateLimited {
                method: "users.list".to_owned(),
                retry_after_secs: wait,
            };
            assert_eq!(Error::refused("users.list", refusal), expected);
        }
    }

    #[test]
    fn only_some_refusals_mean_that_the_method_is_not_there() {
        for (status, code, is_unknown) in [
            (200, "unknown_method", true),
            (200, "missing_scope", true),
            (403, "feature_not_enabled", true),
            (200, "not_an_admin", true),
            (200, "team_not_found", true),
            (200, "invalid_auth", false),
            (200, "invalid_cursor", false),
            (401, "", false),
            (404, "", false),
            (503, "unknown_method", false),
        ] {
            let error = refused(status, code);
            assert_eq!(error.is_unknown_here(), is_unknown, "{status} {code}");
            assert_eq!(error.code(), code, "{status}");
        }
    }

    #[test]
    fn a_permanent_refusal_is_one_that_no_wait_helps() {
        let permanent = "cannot_reset_primary_owner cannot_invalidate_primary_owner cannot_reset_bot \
            bots_not_allowed user_not_found session_not_found missing_scope not_allowed_token_type \
            feature_not_enabled not_an_admin admin_unauthorized token_revoked channel_not_found \
            unknown_method";
        for code in permanent.split_whitespace() {
            for status in [200, 400, 403] {
                assert!(refused(status, code).is_permanent(), "{status} {code}");
            }
        }
        for (status, code) in [
            (200, "user_session_reset_failed"),
            (200, "session_invalidation_failed"),
            (200, "failed_for_some_users"),
            (200, "invalid_cursor"),
            (200, "internal_error"),
            (200, "ratelimited"),
            (429, "user_not_found"),
            (503, "user_not_found"),
            (403, ""),
            (404, ""),
        ] {
            assert!(!refused(status, code).is_permanent(), "{status} {code}");
        }
        assert!(!Error::malformed("users.list", "it ends too early").is_permanent());
    }

    #[test]
    fn a_message_names_the_call_the_cause_and_the_remedy() {
        let lacking = Refusal {
            status: 200,
            code: "missing_scope".to_owned(),
            needed: Some("admin.users:read".to_owned()),
            ..Refusal::default()
        };
        let malformed = Error::malformed("users.list", "it ends too early");
        for (error, parts) in [
            (
                Error::refused("users.list", lacking),
                ["(missing_scope, needs admin.users:read)", "use a token"],
            ),
            (refused(401, ""), ["(HTTP 401)", "use a token"]),
            (refused(400, "invalid_cursor"), ["(invalid_cursor)", "see"]),
            (refused(502, ""), ["(HTTP 502)", "try again later"]),
            (refused(429, ""), ["30 s", "wait"]),
            (refused(302, ""), ["302", "check that the endpoint"]),
            (malformed, ["it ends too early", "check"]),
        ] {
            let message = error.to_string();
            for part in ["users.list"].into_iter().chain(parts) {
                assert!(message.contains(part), "`{part}` in {message}");
            }
        }
    }

    #[test]
    fn a_reason_is_one_short_line() {
        assert_eq!(printable("a\r\nb\u{1b}[2Jc\u{202e}"), "a??b?[2Jc?");
        assert_eq!(printable(&"a".repeat(5000)).len(), MOST_LETTERS);
    }
}
