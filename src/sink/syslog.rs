//! Syslog: messages of RFC 5424 over TCP, each after its length (RFC 6587 §3.4.1), or over TLS (RFC 5425).
//!
//! ```text
//! record ──► message ──► frame ──┐
//!                                ├──► connection ──► receiver
//!            kept, or opened ────┘
//! ```
//!
//! Syslog acknowledges nothing. Deliveries are settled once the system has taken all their bytes and the
//! receiver has not closed the connection by then, which is looked for before and after, and for a
//! second on a new connection. What lies in buffers of either system when the receiver dies is lost,
//! and nobody learns of it. What fails halfway is delivered whole again, in smaller parts: the receiver
//! may close on one of the messages. Who is lost alone again and again, while another is not, is refused.
//!
//! Receivers have limits of their own. An anomaly may be longer than the 8 KiB that rsyslog takes
//! unless its `maxMessageSize` says otherwise.

mod message;
mod receiver;
#[cfg(test)]
mod tests;

use std::mem;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;

use self::receiver::{Connection, Receiver};
use super::http::{Batches, Limit, Outcome, Standing};
use super::{Delivery, Error, Format, Report, Sink};

/// The most bytes of a message, its length not counted: as many as rsyslog's `imtcp` takes unless its
/// `MaxFrameSize` says otherwise. Beyond it rsyslog loses track of where messages begin.
const MOST_BYTES: usize = 200_000;

/// What is written before it is looked whether the connection holds.
const LIMIT: Limit = Limit {
    entries: 1000,
    bytes: 4 << 20,
    declines: 5,
};

/// A connection that lay idle for longer is opened anew: firewalls forget it and tell nobody.
const MOST_IDLE: Duration = Duration::from_secs(120);

/// A receiver of syslog messages, and the connection to it, which is kept between deliveries.
pub struct Syslog {
    receiver: Receiver,
    format: Format,
    hostname: String,
    open: Option<Open>,
    standing: Standing<Frame>,
}

/// A message after its length, or why it cannot be sent.
type Frame = Result<String, String>;

struct Open {
    connection: Connection,
    /// When it was used last by the clock, in microseconds.
    used_at: i64,
}

/// How the receiver proves who it is.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// Its certificate is issued by one of these, in PEM; by whom the platform trusts if there is none.
    pub ca: Option<PathBuf>,
}

impl Syslog {
    /// A receiver at `host:port`; without `tls` everyone in between can read and change what is sent.
    /// Unless `allow_private` its address must be public, and without `tls` it must not, which each
    /// connection checks. Messages say that they come from `hostname`, or from nobody if that has no
    /// place in a message. Nothing is connected yet.
    ///
    /// # Errors
    /// When the address is none, or its certificates cannot be checked; with neither `tls` nor
    /// `allow_private`.
    pub fn new(
        address: String,
        tls: Option<Tls>,
        allow_private: bool,
        format: Format,
        hostname: &str,
    ) -> Result<Self, Error> {
        Ok(Self {
            receiver: Receiver::new(address, tls, allow_private)?,
            format,
            hostname: message::hostname(hostname).to_owned(),
            open: None,
            standing: Standing::default(),
        })
    }

    fn frame(&self, delivery: &Delivery) -> Frame {
        let message = message::message(delivery, self.format, &self.hostname);
        let bytes = message.len();
        if bytes <= MOST_BYTES {
            return Ok(message::framed(&message));
        }
        Err(format!(
            "its message has {bytes} bytes, and syslog receivers take {MOST_BYTES}; get it by another sink"
        ))
    }

    /// Writes the frames if all can be sent; `now` is the clock in microseconds.
    async fn send(&mut self, frames: &[Frame], now: i64) -> Outcome {
        let mut whole = String::new();
        for (at, frame) in frames.iter().enumerate() {
            match frame {
                Ok(frame) => whole.push_str(frame),
                Err(reason) => {
                    return Outcome::Refused {
                        at: Some(at),
                        reason: reason.clone(),
                    };
                }
            }
        }
        let mut connection = match self.connection(now).await {
            Ok(connection) => connection,
            Err(error) => return Outcome::Failed(error),
        };
        // Half a message may be on its way, so a connection that failed is not used again.
        if let Err(reason) = connection.send(whole.as_bytes()).await {
            return Outcome::Declined(self.receiver.lost(&reason));
        }
        self.open = Some(Open {
            connection,
            used_at: now,
        });
        Outcome::Taken
    }

    /// The connection that is open, or a new one.
    async fn connection(&mut self, now: i64) -> Result<Connection, Error> {
        if let Some(mut open) = self.open.take() {
            let idle = Duration::from_micros(now.abs_diff(open.used_at));
            if idle <= MOST_IDLE && open.connection.end().await.is_none() {
                return Ok(open.connection);
            }
            open.connection.close().await;
        }
        self.receiver.connect().await
    }
}

#[async_trait]
impl Sink for Syslog {
    async fn deliver(&mut self, deliveries: &[Delivery], now: i64) -> Report {
        let frames = deliveries.iter().map(|delivery| self.frame(delivery));
        let frames: Vec<Frame> = frames.collect();
        let standing = mem::take(&mut self.standing);
        let size = |frame: &Frame| frame.as_ref().map_or(0, String::len);
        let mut batches = Batches::of(frames, size, LIMIT, standing);
        while let Some(batch) = batches.upcoming() {
            let outcome = self.send(batch, now).await;
            batches.note(outcome);
        }
        let report;
        (report, self.standing) = batches.into_parts();
        report
    }
}
