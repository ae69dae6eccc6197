//! Requests to addresses that the configuration fixes: where they may go, and what answers mean.
//!
//! Redirects are not followed and proxies are not used. Unless it is allowed, nothing goes to an address
//! that is not public: whoever rules over a name must not reach through it what is inside. What is not
//! encrypted goes to no address that is public.

mod address;
#[cfg(test)]
mod authority;
mod batches;
#[cfg(test)]
mod tests;

use std::error::Error as Cause;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder, StatusCode, Url};

use self::address::OutOfReach;
pub(super) use self::address::Reach;
#[cfg(test)]
pub(super) use self::authority::Authority;
pub(super) use self::batches::{Batches, Limit, Standing};
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

/// The most characters of an error that others may have written parts of.
const MOST_TOLD: usize = 300;

/// How often a delivery is declined on its own until another is tried in its place.
pub(super) const DECLINES: usize = 10;

const ALLOW_PRIVATE: &str = "set `allow_private: true` if it is meant to be inside";

const ENCRYPT: &str = "write https, or an address on your own network";

const UNTRUSTED: &str =
    "check `ca`, and that it speaks TLS and its certificate is valid for the host in `url`";

/// Where requests go.
#[derive(Clone)]
pub struct Destination {
    /// `https`, or plain `http` where that is allowed.
    pub url: Url,
    /// Whether its address need not be public. It may then be `http`, and must not be public if it is.
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
    /// The first 64 KiB, or what came of them. Whoever answers may write anything there.
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
    /// It was answered and not taken this time. The fault may be the destination's, or what was in it.
    Declined(Error),
    /// It was not taken this time, and the fault is not in it.
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
        let is_encrypted = self.url.scheme() == "https";
        let Some(reach) = Reach::of(is_encrypted, self.allow_private) else {
            let remedy = "write https, or set `allow_private: true`";
            return Err(("it is not encrypted".to_owned(), remedy));
        };
        self.check(reach)?;
        builder = builder.https_only(is_encrypted).dns_resolver(reach);
        if !is_encrypted {
            // It needs no certificates, and this machine may have none.
            return Ok(builder.tls_certs_only(Vec::<Certificate>::new()));
        }
        match &self.ca {
            Some(path) => Ok(builder.tls_certs_merge(certificates(path)?)),
            None => Ok(builder),
        }
    }

    /// Refuses what the resolver never sees.
    fn check(&self, reach: Reach) -> Result<(), Problem> {
        let host = self.url.host_str().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        match host.parse::<IpAddr>() {
            Ok(address) if !reach.allows(address) => {
                let what = match reach {
                    Reach::Private => "a public address, and it is not encrypted",
                    Reach::Public | Reach::Any => "no public address",
                };
                Err((format!("{address} is {what}"), remedy(reach)))
            }
            _ => Ok(()),
        }
    }
}

/// What to do about an address that may not be called.
fn remedy(reach: Reach) -> &'static str {
    match reach {
        Reach::Private => ENCRYPT,
        Reach::Public | Reach::Any => ALLOW_PRIVATE,
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
    /// When no status came back.
    pub async fn post(&self, url: Url, headers: HeaderMap, body: Vec<u8>) -> Result<Answer, Error> {
        let request = self.client.post(url).headers(headers).body(body);
        let answer = request.send().await;
        let mut answer = answer.map_err(|error| self.unreachable(error))?;
        let mut body = Vec::new();
        while body.len() < MOST_ANSWER_BYTES {
            // The status is known, and tells more than a body that breaks off.
            let Ok(Some(piece)) = answer.chunk().await else {
                break;
            };
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
        match meaning(answer.status) {
            Meaning::Taken => Outcome::Taken,
            Meaning::Refused => Outcome::Refused {
                at: None,
                reason: format!("it answered {}", answer.status),
            },
            Meaning::Later => self.declined(answer, "it is asked again; check how it fares"),
            Meaning::Wrong(remedy) => self.declined(answer, remedy),
        }
    }

    /// That a request was not taken this time, by its status. Who wants to be left alone is busy, whatever
    /// was in the request.
    pub fn declined(&self, answer: &Answer, remedy: &'static str) -> Outcome {
        let error = Error {
            retry_after: answer.retry_after,
            ..self.error(format!("it answered {}", answer.status), remedy)
        };
        let is_busy = answer.status == StatusCode::TOO_MANY_REQUESTS;
        if is_busy || answer.retry_after.is_some() {
            Outcome::Failed(error)
        } else {
            Outcome::Declined(error)
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
        let mut causes = causes(&error);
        let remedy = causes.find_map(|cause| match cause.downcast_ref::<OutOfReach>() {
            Some(refused) => Some(remedy(refused.reach)),
            None => is_of_tls(cause).then_some(UNTRUSTED),
        });
        let unreachable = "check `url`, and that it listens there and no firewall is in between";
        self.error(told(&error), remedy.unwrap_or(unreachable))
    }
}

/// Whether encryption failed. Errors of input and output hold others, which are not their causes.
fn is_of_tls(cause: &(dyn Cause + 'static)) -> bool {
    let inner = cause
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref);
    match inner {
        Some(inner) => is_of_tls(inner),
        None => cause.is::<rustls::Error>(),
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

/// An error with all causes, in a line and cut short. The other side may have written parts of it.
fn told(error: &(dyn Cause + 'static)) -> String {
    let causes: Vec<String> = causes(error).map(|cause| cause.to_string()).collect();
    let told = causes.join(": ");
    told.escape_debug().take(MOST_TOLD).collect()
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
        402 => Meaning::Wrong("check what is owed for it"),
        404 | 405 | 410 => Meaning::Wrong("check `url`"),
        406 | 415 => Meaning::Wrong("check that what listens at `url` takes JSON"),
        407 => Meaning::Wrong("check that no proxy which wants a password is in between"),
        421 | 426 => Meaning::Wrong("check `url`, and the server that answers for its host"),
        451 => Meaning::Wrong("ask those who run it why the law forbids it"),
        408 | 409 | 423 | 424 | 425 | 429 => Meaning::Later,
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
