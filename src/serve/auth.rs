//! Who may ask: roles, and the tokens that carry them.
//!
//! A token is known by its hash alone, to the program as to its store. It shows up in no answer and in
//! no log.

use std::fmt;
use std::str::FromStr;

use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::Access;
use super::error::Fault;

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Reads and exports.
    Viewer,
    /// Triages, adds exceptions, approves.
    Analyst,
    /// Responses, rules, people, settings.
    Owner,
    /// Pushes events, and nothing else.
    Ingest,
    /// Reads the log and the anomalies, and nothing else.
    Siem,
    /// Reads the metrics, and nothing else.
    Metrics,
}

impl Role {
    pub const ALL: [Self; 6] = [
        Self::Viewer,
        Self::Analyst,
        Self::Owner,
        Self::Ingest,
        Self::Siem,
        Self::Metrics,
    ];

    /// The word that tokens, the store and the command line use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Analyst => "analyst",
            Self::Owner => "owner",
            Self::Ingest => "ingest",
            Self::Siem => "siem",
            Self::Metrics => "metrics",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that names no role.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no role: use viewer, analyst, owner, ingest, siem or metrics")]
pub struct UnknownRole(String);

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(word: &str) -> Result<Self, UnknownRole> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == word)
            .ok_or_else(|| UnknownRole(word.to_owned()))
    }
}

/// A new token: `gw_`, its role, `_` and the secret. It is shown once, to whoever asked for it.
#[derive(Clone)]
pub struct Token {
    text: String,
    role: Role,
}

impl Token {
    /// The token of these bytes, which nobody can guess.
    pub fn create(random: [u8; 32], role: Role) -> Self {
        let secret = URL_SAFE_NO_PAD.encode(random);
        Self {
            text: format!("gw_{role}_{secret}"),
            role,
        }
    }

    /// The secret itself.
    pub fn reveal(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token(gw_{}_…)", self.role)
    }
}

/// The SHA-256 of a token's whole text. Tokens are compared by it, which tells an attacker who
/// measures time nothing about them.
pub fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowed {
    Anyone,
    /// Whoever has one of these roles; the first is the least that suffices.
    Roles(&'static [Role]),
}

/// Whether whoever sent these headers is allowed in.
pub(super) fn check(
    allowed: Allowed,
    headers: &HeaderMap,
    access: &dyn Access,
) -> Result<(), Fault> {
    let Allowed::Roles(roles) = allowed else {
        return Ok(());
    };
    let token = bearer(headers).ok_or_else(|| {
        let needed = "this needs a token: send `Authorization: Bearer TOKEN`";
        unauthorized(needed, roles)
    })?;
    let role = access
        .role_of(&hash(token))
        .ok_or_else(|| unauthorized("the token is unknown or revoked", roles))?;
    if roles.contains(&role) {
        return Ok(());
    }
    let words: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
    let message = format!(
        "a token with the role `{role}` may not do this, one with {} may; {}",
        words.join(" or "),
        remedy(roles)
    );
    Err(Fault::new(StatusCode::FORBIDDEN, "forbidden", message))
}

/// The token, if the headers hold one that can be read.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn unauthorized(problem: &str, roles: &[Role]) -> Fault {
    let message = format!("{problem}; {}", remedy(roles));
    Fault::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
        .with(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
}

fn remedy(roles: &[Role]) -> String {
    let role = roles.first().copied().unwrap_or(Role::Owner);
    format!("`gridwatch token create --config F --role {role}` makes one")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_the_word_that_names_it() {
        for role in Role::ALL {
            assert_eq!(role.to_string().parse::<Role>().unwrap(), role);
        }
        let error = "root".parse::<Role>().unwrap_err().to_string();
        for role in Role::ALL {
            assert!(error.contains(role.as_str()), "{error} names {role}");
        }
        assert!("Owner".parse::<Role>().is_err());
    }

    #[test]
    fn a_token_tells_its_role_and_holds_all_of_the_randomness() {
        let token = Token::create([0xff; 32], Role::Siem);
        let secret = token.reveal().strip_prefix("gw_siem_").unwrap();
        assert_eq!(secret.len(), 43);
        let is_safe = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        assert!(secret.chars().all(is_safe), "{secret}");
        assert_eq!(URL_SAFE_NO_PAD.decode(secret).unwrap(), [0xff_u8; 32]);
        assert_eq!(format!("{token:?}"), "Token(gw_siem_…)");
    }

    #[test]
    fn the_hash_is_sha_256() {
        let digits: String = hash("abc").iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(
            digits,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn a_token_is_taken_from_one_header_only() {
        for (value, token) in [
            ("Bearer gw_a", Some("gw_a")),
            ("bearer  gw_a ", Some("gw_a")),
            ("Basic gw_a", None),
            ("gw_a", None),
            ("Bearer", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, HeaderValue::from_static(value));
            assert_eq!(bearer(&headers), token, "{value}");
        }
        assert_eq!(bearer(&HeaderMap::new()), None);
    }
}
