//! A source that is walked through: Slack is asked, and what it answers goes to admission.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;

use super::Error;
use super::ingest::{Covered, Intake, Request};
use super::state::Shared;
use crate::event::time::MICROS;
use crate::slack::audit::{Page, Query};
use crate::slack::{self, Client};
use crate::source::slack::{Backfill, Moment, Next, Poller, Settings, Walked};
use crate::store::{Control, Reader, Store};

pub(super) struct Walking {
    pub name: Arc<str>,
    pub client: Client,
    pub settings: Settings,
    pub intake: Arc<Intake>,
    pub store: Arc<Store>,
    pub reader: Reader,
    pub shared: Arc<Shared>,
}

/// The kind of the control record that says where a source began.
const SINCE: &str = "since";

/// Where a source began: in microseconds.
#[derive(Serialize, Deserialize)]
struct Since {
    source: String,
    since: i64,
}

/// A back-fill that somebody asked for begins after so long, in microseconds.
const LOOK: i64 = 2 * MICROS;
/// How long to wait before events that were not taken are handed over again.
const RETRY: Duration = Duration::from_millis(500);
/// So often a slice of the past is handed over.
const MOST_TRIES: u32 = 10;
/// How far this machine's clock may lie behind Slack's, in seconds: what happens now would be refused as
/// something of the future.
const MOST_BEHIND: i64 = 60;

impl Walking {
    pub fn run(self) -> Result<(), Error> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime: Runtime = runtime.map_err(|_| Error::Gone("walk".to_owned()))?;
        runtime.block_on(self.walk())
    }

    async fn walk(self) -> Result<(), Error> {
        while !self.shared.has_begun() {
            if self.shared.is_stopping() {
                return Ok(());
            }
            tokio::time::sleep(RETRY).await;
        }
        let known = self.reader.sources()?;
        let known = known.iter().find(|(name, _)| **name == *self.name);
        let claim = known.and_then(|(_, progress)| progress.claim);
        let settings = Settings {
            since: self.since(claim.is_none())?,
            ..self.settings
        };
        let mut poller = Poller::new(settings, claim, self.moment());
        let (mut look, mut told) = (i64::MIN, i64::MIN);
        while !self.shared.is_stopping() {
            let at = self.moment();
            if at.steady >= look {
                look = at.steady + LOOK;
                self.look_for_backfill(&mut poller);
            }
            match poller.next(at) {
                Next::Wait(until) => {
                    if poller.failures() == 0 && at.steady >= told {
                        // It has nothing to ask for, and misses nothing.
                        told = at.steady + LOOK;
                        let source = Arc::clone(&self.name);
                        self.intake.note(Request::GoesOn(source)).await;
                    }
                    self.shared.clock.pause(until.min(look));
                }
                Next::Call(query) => {
                    let Some(answer) = self.ask(&query).await else {
                        break;
                    };
                    self.heed(&mut poller, answer).await;
                }
                Next::Deliver(walked) => {
                    let (complete_to, reached) = (walked.complete_to, walked.reached);
                    match self.deliver(walked).await {
                        Ok(()) => poller.delivered(complete_to),
                        Err(reason) => {
                            poller.undelivered(reached.is_some(), self.moment());
                            self.note(Some(reason));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Before what time nothing is wanted: as it was at the first start.
    fn since(&self, is_first: bool) -> Result<i64, Error> {
        let recorded = self.reader.control(SINCE)?.into_iter().rev();
        let mut recorded = recorded.filter_map(|(_, body)| {
            let since: Since = serde_json::from_str(&body).ok()?;
            (*since.source == *self.name).then_some(since.since)
        });
        if let Some(since) = recorded.next() {
            return Ok(since);
        }
        if !is_first {
            return Ok(i64::MIN);
        }
        let since = self.settings.since;
        let body = Since {
            source: self.name.to_string(),
            since,
        };
        self.store.record(Control {
            watermark: self.reader.evaluated()?.unwrap_or(i64::MIN),
            kind: SINCE,
            // A text and a number.
            body: serde_json::to_string(&body).unwrap_or_default(),
        })?;
        Ok(since)
    }

    fn moment(&self) -> Moment {
        Moment {
            now: self.shared.clock.now(),
            steady: self.shared.clock.steady(),
        }
    }

    fn look_for_backfill(&self, poller: &mut Poller) {
        match self.reader.next_backfill(&self.name) {
            Ok(wanted) => poller.backfill(wanted.map(|wanted| Backfill {
                id: wanted.id,
                from: wanted.reached,
                to: wanted.last,
            })),
            Err(error) => tracing::warn!(%error, "back-fills could not be looked for"),
        }
    }

    /// Asks for a page; `None` if the service ends before it comes.
    async fn ask(&self, query: &Query) -> Option<Result<Page, slack::Error>> {
        tokio::select! {
            answer = self.client.logs(query) => Some(answer),
            () = self.stopped() => None,
        }
    }

    async fn stopped(&self) {
        while !self.shared.is_stopping() {
            tokio::time::sleep(RETRY / 5).await;
        }
    }

    async fn heed(&self, poller: &mut Poller, answer: Result<Page, slack::Error>) {
        let result = answer
            .as_ref()
            .map_or_else(slack::Error::kind, |_| "answered");
        let calls = &self.shared.metrics.source_calls_total;
        calls.with_label_values(&[&*self.name, result]).inc();
        let source = Arc::clone(&self.name);
        match answer {
            Ok(page) if self.behind(&page) > MOST_BEHIND => {
                let reason = format!(
                    "the clock of this machine is {} s behind Slack's, and what happens now would count \
                     as the future: set it",
                    self.behind(&page)
                );
                poller.unusable(self.moment());
                self.note(Some(reason));
            }
            Ok(page) => {
                if poller.answered(page, self.moment()) {
                    self.intake.note(Request::GoesOn(source)).await;
                }
                match poller.failures() {
                    0 => self.note(None),
                    1 => {}
                    failures => self.note(Some(format!(
                        "{failures} calls in a row led nowhere: Slack's cursors are no good, or some of its \
                         pages cannot be had; they are asked for again and again"
                    ))),
                }
            }
            Err(error) => {
                let refused = poller.failed(&error, self.moment());
                if let Some(backfill) = refused {
                    self.give_up(backfill, &error);
                }
                if error.is_unauthorised() {
                    self.intake.note(Request::Fails(source)).await;
                }
                // Once is no trouble, unless it is for good.
                if poller.failures() > 1 || error.is_unauthorised() {
                    self.note(Some(error.to_string()));
                } else {
                    tracing::warn!(source = &*self.name, %error, "Slack is asked again");
                }
            }
        }
    }

    /// Ends a back-fill that Slack refuses.
    fn give_up(&self, backfill: Backfill, error: &slack::Error) {
        let id = backfill.id;
        match self.store.end_backfill(id, self.shared.clock.now()) {
            Ok(_) => tracing::error!(id, %error, "the back-fill is given up"),
            Err(error) => tracing::warn!(id, %error, "a back-fill could not be ended"),
        }
    }

    /// How many seconds this machine's clock lies behind Slack's.
    fn behind(&self, page: &Page) -> i64 {
        let now = self.shared.clock.now() / MICROS;
        page.server_time.map_or(0, |second| second - now)
    }

    /// Hands a slice to admission until it is in. One that says nothing of what is new is tried a few times,
    /// so that it cannot hold that up; gives why it is not in.
    async fn deliver(&self, walked: Walked) -> Result<(), String> {
        let covered = Covered {
            complete_to: walked.complete_to,
            reached: walked.reached,
        };
        let pages: Vec<Bytes> = walked.pages.into_iter().map(|page| page.body).collect();
        let mut tries = 0;
        loop {
            let refusal = match self.intake.walked(&self.name, &pages, covered).await {
                Ok(_) => return Ok(()),
                Err(refusal) => refusal,
            };
            tries += 1;
            let reason = format!("its events are not taken: {refusal}");
            if self.shared.is_stopping() || covered.complete_to.is_none() && tries >= MOST_TRIES {
                return Err(reason);
            }
            if tries >= MOST_TRIES {
                self.note(Some(reason));
            }
            self.intake
                .note(Request::GoesOn(Arc::clone(&self.name)))
                .await;
            tokio::time::sleep(RETRY).await;
        }
    }

    fn note(&self, reason: Option<String>) {
        self.shared
            .set_amiss(&format!("source {}", self.name), reason);
    }
}
