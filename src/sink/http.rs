//! Requests to addresses that the configuration fixes: where they may go, and what answers mean.
//!
//! Redirects are not followed and proxies are not used. Unless it is allowed, nothing goes to an address
//! that is not public: whoever rules over a name must not reach through it what is inside.

mod address;
mod batches;
#[cfg(test)]
mod tests;

use std::error::Error as Cause;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder, StatusCode, Url};

pub use self::address::is_public;
use self::address::{NotPublic, PublicOnly};
pub(super) use self::batches::{Batches, Limit};
use super::Error;
use crate::tls;

const USER_AGENT: &str = concat!("gridwatch/", env!("CARGO_PKG_VERSION"));

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// For a request and its answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// As much of an answer is read.
const MOST_ANSWER_BYTES: usize = 64 << 10;

/// The longest that anybody may ask to be left alone.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

const ALLOW_PRIVATE: &str = "set `allow_private: true` if it is meant to be inside";

/// Where requests go.
#[derive(Clone)]
pub struct Destination {
    /// `https`, or plain `http` where that is allowed.
    pub url: Url,
    /// Whether its address need not be public, and it may be `http`.
    pub allow_private: bool,
    /// A file of certificates in PEM that are trusted besides those of this machine.
    pub ca: Option<PathBuf>,
}

/// Sends requests to one destination.
pub struct HttpClient {
    url: Url,
    client: Client,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    /// How long it wants to be left alone, an hour at most.
    pub retry_after: Option<Duration>,
    /// The first 64 KiB. Whoever answers may write anything there.
    pub body: Vec<u8>,
}

/// What became of a request.
#[derive(Debug)]
pub enum Outcome {
    Taken,
    /// It will not be taken the next time either.
    Refused {
        /// The position of the delivery in the request that is to blame, if that is known.
        at: Option<usize>,
        reason: String,
    },
    /// It was not taken this time.
    Failed(Error),
}

/// A reason and a remedy.
type Problem = (String, &'static str);

impl Destination {
    fn client(&self) -> Result<Client, Problem> {
        let client = self.builder()?.build();
        client.map_err(|error| {
            let remedy = "check the certificates of this machine, or name some with `ca`";
            (told(&error.without_url()), remedy)
        })
    }

    fn builder(&self) -> Result<ClientBuilder, Problem> {
        let mut builder = Client::builder()
            .user_agent(USER_AGENT)
            .redirect(Policy::none())
            .referer(false)
            .no_proxy()
            .no_gzip()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT);
        if !self.allow_private {
            self.check()?;
            builder = builder.https_only(true).dns_resolver(PublicOnly);
        }
        if self.url.scheme() == "http" {
            // It needs no certificates, and this machine may have none.
            return Ok(builder.tls_certs_only(Vec::<Certificate>::new()));
        }
        match &self.ca {
            Some(path) => Ok(builder.tls_certs_merge(certificates(path)?)),
            None => Ok(builder),
        }
    }

    /// Refuses what the resolver never sees.
    fn check(&self) -> Result<(), Problem> {
        if self.url.scheme() != "https" {
            let remedy = "write https, or set `allow_private: true`";
            return Err(("it is not encrypted".to_owned(), remedy));
        }
        let host = self.url.host_str().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        match host.parse::<IpAddr>() {
            Ok(address) if !is_public(address) => {
                Err((format!("{address} is no public address"), ALLOW_PRIVATE))
            }
            _ => Ok(()),
        }
    }
}

fn certificates(path: &Path) -> Result<Vec<Certificate>, Problem> {
    let place = path.display();
    let bytes = fs::read(path).map_err(|error| {
        let remedy = "check that `ca` names a file that can be read";
        (format!("cannot read {place}: {error}"), remedy)
    })?;
    let found = Certificate::from_pem_bundle(&bytes).unwrap_or_default();
    if found.is_empty() {
        let remedy = "name a file of certificates in PEM with `ca`";
        return Err((format!("{place} holds no certificates"), remedy));
    }
    Ok(found)
}

impl HttpClient {
    /// Nothing is connected yet.
    ///
    /// # Errors
    /// When the destination may not be called, or there are no certificates to check it by.
    pub fn new(destination: Destination) -> Result<Self, Error> {
        tls::provide();
        match destination.client() {
            Ok(client) => Ok(Self {
                url: destination.url,
                client,
            }),
            Err((reason, remedy)) => Err(Error {
                place: place(&destination.url),
                reason,
                remedy,
                retry_after: None,
            }),
        }
    }

    /// The destination's address.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// An address of the destination that lies so many steps below its own.
    pub fn below(&self, path: &[&str]) -> Url {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }

    /// Posts a body to an address of the destination.
    ///
    /// # Errors
    /// When nothing came back.
    pub async fn post(&self, url: Url, headers: HeaderMap, body: Vec<u8>) -> Result<Answer, Error> {
        let request = self.client.post(url).headers(headers).body(body);
        let answer = request.send().await;
        let mut answer = answer.map_err(|error| self.unreachable(error))?;
        let mut body = Vec::new();
        while body.len() < MOST_ANSWER_BYTES {
            let piece = answer.chunk().await;
            let piece = piece.map_err(|error| self.unreachable(error))?;
            let Some(piece) = piece else { break };
            let room = MOST_ANSWER_BYTES - body.len();
            body.extend_from_slice(&piece[..piece.len().min(room)]);
        }
        Ok(Answer {
            status: answer.status(),
            retry_after: retry_after(answer.headers()),
            body,
        })
    }

    /// What an answer means by its status alone.
    pub fn outcome(&self, answer: &Answer) -> Outcome {
        let reason = format!("it answered {}", answer.status);
        match meaning(answer.status) {
            Meaning::Taken => Outcome::Taken,
            Meaning::Refused => Outcome::Refused { at: None, reason },
            Meaning::Later => Outcome::Failed(Error {
                retry_after: answer.retry_after,
                ..self.error(reason, "it is asked again; check how it fares")
            }),
            Meaning::Wrong(remedy) => Outcome::Failed(self.error(reason, remedy)),
        }
    }

    /// An error at this destination.
    pub fn error(&self, reason: impl Into<String>, remedy: &'static str) -> Error {
        Error {
            place: place(&self.url),
            reason: reason.into(),
            remedy,
            retry_after: None,
        }
    }

    fn unreachable(&self, error: reqwest::Error) -> Error {
        let error = error.without_url();
        let is_private = causes(&error).any(|cause| cause.is::<NotPublic>());
        let remedy = if is_private {
            ALLOW_PRIVATE
        } else {
            "check `url`, and that it listens there and no firewall is in between"
        };
        self.error(told(&error), remedy)
    }
}

/// Scheme, host and port: path and query may hold secrets.
fn place(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// An error and what led to it.
fn causes<'e>(error: &'e (dyn Cause + 'static)) -> impl Iterator<Item = &'e (dyn Cause + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

/// An error with all causes, in a line. The other side may have written parts of it.
fn told(error: &(dyn Cause + 'static)) -> String {
    let causes: Vec<String> = causes(error).map(|cause| cause.to_string()).collect();
    causes.join(": ").escape_debug().to_string()
}

/// What a status says.
#[derive(Debug, PartialEq, Eq)]
enum Meaning {
    Taken,
    /// This delivery is refused for good.
    Refused,
    /// It may be taken another time.
    Later,
    /// No delivery is taken until somebody heeds this.
    Wrong(&'static str),
}

fn meaning(status: StatusCode) -> Meaning {
    match status.as_u16() {
        200..=299 => Meaning::Taken,
        300..=399 => Meaning::Wrong("write the address that it points to as `url`"),
        401 | 403 => Meaning::Wrong("check the secret that it knows us by"),
        404 | 405 | 410 => Meaning::Wrong("check `url`"),
        408 | 425 | 429 => Meaning::Later,
        _ if status.is_client_error() => Meaning::Refused,
        _ => Meaning::Later,
    }
}

/// What `Retry-After` asks for in seconds; a date is not heeded.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    let secs = text.trim().parse().ok()?;
    Some(Duration::from_secs(secs).min(LONGEST_WAIT))
}
