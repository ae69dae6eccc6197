//! Whoever sends events: patient, as a client of the service should be.

use std::io;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use bytes::Bytes;
use clap::ValueEnum;
use reqwest::header::{CONTENT_ENCODING, RETRY_AFTER};
use reqwest::{Client, StatusCode};
use serde::Deserialize;
use serde_json::Value;

/// How requests are compressed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Coding {
    Identity,
    Zstd,
}

impl Coding {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Zstd => "zstd",
        }
    }

    pub fn encode(self, text: Vec<u8>) -> io::Result<Bytes> {
        Ok(match self {
            Self::Identity => text.into(),
            Self::Zstd => zstd::bulk::compress(&text, 1)?.into(),
        })
    }
}

/// What the service says of a request that it took.
#[derive(Debug, Deserialize)]
pub struct Receipt {
    pub accepted: u64,
    pub duplicates: u64,
    rejected: u64,
    rejects: Vec<Value>,
}

/// How often requests were sent away, to come again later.
#[derive(Clone, Copy, Debug, Default)]
pub struct Away {
    /// 429: too much is waiting.
    pub busy: u64,
    /// 503.
    pub unavailable: u64,
}

impl Away {
    /// Beyond so many of one request something is wrong.
    const MOST: u64 = 120;

    pub fn add(&mut self, other: Self) {
        self.busy += other.busy;
        self.unavailable += other.unavailable;
    }
}

/// Sends events to one service; clones share its connections.
#[derive(Clone)]
pub struct Pusher {
    client: Client,
    url: String,
    token: String,
}

impl Pusher {
    pub fn new(client: Client, url: String, token: String) -> Self {
        Self { client, url, token }
    }

    /// Sends a request as often as it takes, each time as late as it was told to.
    pub async fn push(&self, body: &Bytes, coding: Coding) -> Result<(Receipt, Away)> {
        let mut away = Away::default();
        while away.busy + away.unavailable < Away::MOST {
            let request = self.client.post(&self.url).bearer_auth(&self.token);
            let request = request.header(CONTENT_ENCODING, coding.as_str());
            let answer = request.body(body.clone()).send().await?;
            let status = answer.status();
            if status.is_success() {
                let receipt: Receipt = answer.json().await?;
                ensure!(
                    receipt.rejected == 0,
                    "{} events were refused, such as {:?}",
                    receipt.rejected,
                    receipt.rejects.first()
                );
                return Ok((receipt, away));
            }
            let wait = answer.headers().get(RETRY_AFTER);
            let wait: Option<u64> = wait.and_then(|secs| secs.to_str().ok()?.parse().ok());
            match status {
                StatusCode::TOO_MANY_REQUESTS => away.busy += 1,
                StatusCode::SERVICE_UNAVAILABLE => away.unavailable += 1,
                _ => bail!("the service answers {status}: {}", answer.text().await?),
            }
            tokio::time::sleep(Duration::from_secs(wait.unwrap_or(1))).await;
        }
        bail!("a request was sent away {} times: {away:?}", Away::MOST)
    }
}
