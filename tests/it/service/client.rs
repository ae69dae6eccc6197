//! Whoever asks the service for something.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, RETRY_AFTER};
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use super::{PATIENCE, RUNTIME, body, pause, wait_for};

#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    port: u16,
    token: String,
    /// Where events go to.
    events: String,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub retry_after: Option<u64>,
    pub text: String,
}

impl Client {
    /// Whoever has this token; nobody in particular if it is empty.
    pub fn new(port: u16, token: &str) -> Self {
        gridwatch::tls::provide();
        let http = reqwest::Client::builder()
            .no_proxy()
            .pool_max_idle_per_host(0)
            .timeout(Duration::from_secs(70));
        Self {
            http: http.build().unwrap(),
            port,
            token: token.to_owned(),
            events: "/api/v1/events".to_owned(),
        }
    }

    /// The same with events for the source of this name.
    pub fn to(&self, source: &str) -> Self {
        Self {
            events: format!("/api/v1/events?source={source}"),
            ..self.clone()
        }
    }

    pub fn get(&self, path: &str) -> reqwest::Result<Answer> {
        self.ask(Method::GET, path, |request| request)
    }

    pub fn push(&self, body: Vec<u8>) -> reqwest::Result<Answer> {
        self.ask(Method::POST, &self.events, |request| request.body(body))
    }

    /// Pushes new events until they are taken, as politely as it is asked to; gives how often it was
    /// sent away.
    pub fn push_patiently(&self, lines: &[String]) -> usize {
        let mut sent_away = 0;
        wait_for("an answer", PATIENCE, || {
            let answer = self.push(body(lines)).unwrap();
            if answer.status == 429 {
                sent_away += 1;
                let secs = answer.retry_after.unwrap();
                assert!((1..=30).contains(&secs), "{secs}");
                pause(Duration::from_secs(secs));
                return None;
            }
            assert_eq!(answer.receipt(), (lines.len() as u64, 0, 0));
            Some(())
        });
        sent_away
    }

    /// Pushes what is compressed in this way, or said to be.
    pub fn push_coded(&self, body: Vec<u8>, coding: &str) -> reqwest::Result<Answer> {
        self.ask(Method::POST, &self.events, |request| {
            request.header(CONTENT_ENCODING, coding).body(body)
        })
    }

    fn ask(
        &self,
        method: Method,
        path: &str,
        with: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> reqwest::Result<Answer> {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        let mut request = self.http.request(method, url);
        if !self.token.is_empty() {
            request = request.header(AUTHORIZATION, format!("Bearer {}", self.token));
        }
        let request = with(request);
        RUNTIME.block_on(async {
            let response = request.send().await?;
            let retry_after = response.headers().get(RETRY_AFTER);
            let retry_after = retry_after.map(|secs| secs.to_str().unwrap().parse().unwrap());
            Ok(Answer {
                status: response.status().as_u16(),
                retry_after,
                text: response.text().await?,
            })
        })
    }
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    /// How many events a receipt calls accepted, duplicates and rejected.
    pub fn receipt(&self) -> (u64, u64, u64) {
        assert_eq!(self.status, 200, "{}", self.text);
        let receipt = self.json();
        let count = |name: &str| receipt[name].as_u64().unwrap();
        (count("accepted"), count("duplicates"), count("rejected"))
    }
}
