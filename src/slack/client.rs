//! The way to one of Slack's APIs, and back.

use std::fmt;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{ACCEPT, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{RequestBuilder, Response, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use super::Error;
use super::answer::{Answer, Head};
use super::error::Refusal;
use crate::config::Endpoint;
use crate::tls;

/// The method in errors of what comes before every call.
const ANY_METHOD: &str = "any method";

/// What a call may take at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub connect: Duration,
    /// Until the answer begins, and between two pieces of it.
    pub pause: Duration,
    /// From the connection to the last byte.
    pub whole: Duration,
    /// Of a body, when decompressed.
    pub bytes: usize,
}

impl Limits {
    const USUAL: Self = Self {
        connect: Duration::from_secs(10),
        pause: Duration::from_secs(30),
        whole: Duration::from_secs(120),
        bytes: 64 << 20,
    };
}

/// One of Slack's APIs as one token sees it: the Audit Logs API for [`audit`](super::audit), the Web API
/// for the rest. An answer is taken that comes within 120 s, pauses for no more than 30 s, and is no
/// larger than 64 MiB.
pub struct Client {
    http: reqwest::Client,
    endpoint: Endpoint,
    token: SecretString,
    limits: Limits,
}

impl Client {
    /// A client of the API under this address. Nothing is sent before the first call.
    ///
    /// # Errors
    /// When no request can hold the token, or the system has no certificates to know Slack by.
    pub fn new(endpoint: Endpoint, token: SecretString) -> Result<Self, Error> {
        Self::within(Limits::USUAL, endpoint, token)
    }

    /// The same with other limits.
    pub(super) fn within(
        limits: Limits,
        endpoint: Endpoint,
        token: SecretString,
    ) -> Result<Self, Error> {
        check(&token)?;
        let is_encrypted = endpoint.url().scheme() == "https";
        let http = connect(limits, is_encrypted);
        Ok(Self {
            http: http.map_err(|error| Error::connection(ANY_METHOD, error))?,
            endpoint,
            token,
            limits,
        })
    }

    /// Asks for what is at a path under the endpoint. `method` is its name in errors.
    pub(super) async fn get<T>(&self, method: &str, path: &str, query: &T) -> Result<Answer, Error>
    where
        T: Serialize + ?Sized,
    {
        let request = self.http.get(self.url(path)).query(query);
        self.send(method, request).await
    }

    /// Calls a method of the Web API with a form; gives the body of an answer that says `ok`.
    pub(super) async fn post<T>(&self, method: &str, form: &T) -> Result<Bytes, Error>
    where
        T: Serialize + ?Sized,
    {
        let request = self.http.post(self.url(method)).form(form);
        confirmed(method, self.send(method, request).await?)
    }

    /// The same with JSON, for what no form can hold.
    pub(super) async fn post_json<T>(&self, method: &str, json: &T) -> Result<Bytes, Error>
    where
        T: Serialize + ?Sized,
    {
        let request = self.http.post(self.url(method)).json(json);
        confirmed(method, self.send(method, request).await?)
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.endpoint.url().clone();
        let path = format!("{}{path}", url.path());
        url.set_path(&path);
        url
    }

    async fn send(&self, method: &str, request: RequestBuilder) -> Result<Answer, Error> {
        let request = request
            .bearer_auth(self.token.expose_secret())
            .header(ACCEPT, "application/json");
        let failed = |error| Error::connection(method, error);
        let mut response = request.send().await.map_err(failed)?;
        let head = Head::of(&response);
        let body = match self.body(method, &mut response).await {
            // The status of a failure says enough.
            Err(_) if !head.is_success() => Bytes::new(),
            body => body?,
        };
        Answer::judge(method, head, body)
    }

    async fn body(&self, method: &str, response: &mut Response) -> Result<Bytes, Error> {
        let most = self.limits.bytes;
        let failed = |error| Error::connection(method, error);
        let mut body = BytesMut::new();
        while let Some(piece) = response.chunk().await.map_err(failed)? {
            if body.len() + piece.len() > most {
                let reason = format!("it is larger than {most} bytes");
                return Err(Error::malformed(method, reason));
            }
            body.extend_from_slice(&piece);
        }
        Ok(body.freeze())
    }
}

/// The token stays out of it.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

/// Whether a header can hold the token.
fn check(token: &SecretString) -> Result<(), Error> {
    match HeaderValue::from_str(token.expose_secret()) {
        Ok(_) => Ok(()),
        Err(_) => {
            let refusal = Refusal {
                code: "invalid_auth".to_owned(),
                ..Refusal::default()
            };
            Err(Error::refused(ANY_METHOD, refusal))
        }
    }
}

fn connect(limits: Limits, is_encrypted: bool) -> reqwest::Result<reqwest::Client> {
    tls::provide();
    let builder = reqwest::Client::builder()
        .user_agent(concat!("gridwatch/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .gzip(true)
        .https_only(is_encrypted)
        .connect_timeout(limits.connect)
        .read_timeout(limits.pause)
        .timeout(limits.whole);
    if is_encrypted {
        return builder.build();
    }
    // This machine is reached directly, and shows no certificate.
    builder.no_proxy().tls_certs_only([]).build()
}

fn confirmed(method: &str, answer: Answer) -> Result<Bytes, Error> {
    if answer.is_ok {
        return Ok(answer.body);
    }
    Err(Error::malformed(method, "it does not say `ok`"))
}
