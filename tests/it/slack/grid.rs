//! An organisation on Enterprise Grid: a fake Slack, and a service that walks through its log.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use gridwatch::admit::Limits;
use gridwatch::config::Endpoint;
use gridwatch::detect::history::Resources;
use gridwatch::detect::plan::Planner;
use gridwatch::enrich::Enricher;
use gridwatch::enrich::network::Networks;
use gridwatch::event::schema::{Column, ColumnSet};
use gridwatch::list::Lists;
use gridwatch::pipeline::service::{Directory, Service, Settings, Walked};
use gridwatch::rule::exception::Exceptions;
use gridwatch::rule::{self, Rule};
use gridwatch::simulate::slack::{Call, FakeSlack, Options};
use gridwatch::slack::Client;
use gridwatch::source::slack::Settings as Walking;
use gridwatch::store::Reader;
use gridwatch::store::read::Span;
use gridwatch::telemetry::Metrics;
use secrecy::SecretString;
use serde_json::Value;

use super::time::Time;
use super::{Folder, PATIENCE, RUNTIME, SECOND, wait_for};

/// When tests begin, as Unix time; what they call seconds is counted from here.
pub const START: i64 = 1_772_438_400;

/// The name of the source.
pub const SOURCE: &str = "grid";

/// What a run may use.
pub const RESOURCES: Resources = Resources {
    threads: 2,
    memory_bytes: 256 << 20,
    state_bytes: 256 << 20,
};

/// How the log is walked through, and what else the service does; times in seconds.
pub struct How {
    /// Where a first start begins.
    pub since: i64,
    /// Below 60, after which a silent source counts as missing.
    pub poll: i64,
    pub rewalk: i64,
    pub calls_per_minute: u32,
    pub most_bytes: usize,
    /// How often Slack is asked who is who.
    pub lists_every: Option<i64>,
    pub rules: &'static [&'static str],
    pub options: Options,
}

impl Default for How {
    fn default() -> Self {
        Self {
            since: 0,
            poll: 10,
            rewalk: 8 * 3_600,
            calls_per_minute: 35,
            most_bytes: 64 << 20,
            lists_every: None,
            rules: &[],
            options: Options::default(),
        }
    }
}

/// A service in this process, which ends with the test at the latest. Time stands but in its `run_…`.
pub struct Grid {
    pub fake: FakeSlack,
    pub time: Time,
    pub metrics: Metrics,
    how: How,
    folder: Folder,
    service: Option<Service>,
}

/// A row of the log; times in microseconds.
#[derive(Debug)]
pub struct Row {
    pub id: String,
    pub event_time: i64,
    pub order_time: i64,
    pub is_late: bool,
}

impl Grid {
    /// With an empty log; the service is not started yet.
    pub fn new(how: How) -> Self {
        let waiters = 1 + usize::from(how.lists_every.is_some());
        let time = Time::new(START * SECOND, waiters);
        let starting = FakeSlack::start(how.options.clone(), time.clock());
        Self {
            fake: RUNTIME.block_on(starting).unwrap(),
            time,
            metrics: Metrics::new(),
            how,
            folder: Folder::with(&[]),
            service: None,
        }
    }

    /// Adds sign-ins at these seconds.
    pub fn add_all(&self, name: &str, seconds: impl Iterator<Item = i64>) {
        for (number, second) in seconds.enumerate() {
            let id = format!("{name}-{number}");
            self.fake.add(&event(&id, second, "U1")).unwrap();
        }
    }

    /// Adds 10,500 events of two hours, which are more than a page holds, and new ones up to this second.
    pub fn fill(&self, end: i64) {
        let past = (0..10_500).map(|number| number * 3_000 / 10_500 - 4_200);
        self.add_all("past", past);
        self.add_all("new", (0..end).step_by(3));
    }

    /// Begins, or takes up where it was left.
    pub fn start(&mut self) {
        self.metrics = Metrics::new();
        let service = Service::start(self.settings(), self.metrics.clone());
        self.service = Some(service.unwrap());
    }

    pub fn stop(&mut self) {
        self.service.take().unwrap().stop().unwrap();
    }

    /// Lets time go by up to this second.
    pub fn run_to(&self, second: i64) {
        self.time.run_until((START + second) * SECOND);
    }

    /// Lets so many more seconds go by.
    pub fn run_on(&self, seconds: i64) {
        self.time.run_until(self.time.now() + seconds * SECOND);
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path("data").into()
    }

    pub fn reader(&self) -> Reader {
        Reader::open(&self.data()).unwrap()
    }

    /// Waits until all up to this second is judged.
    pub fn await_judged(&self, second: i64) {
        let (reader, wanted) = (self.reader(), (START + second + 1) * SECOND);
        wait_for("judgement", PATIENCE, || {
            (reader.evaluated().unwrap() >= Some(wanted)).then_some(())
        });
    }

    /// What the service says is amiss.
    pub fn reasons(&self) -> Vec<String> {
        let services = self.service.as_ref().unwrap().services();
        services.health.readiness().reasons
    }

    /// The spans for which the source did not vouch, as they were recorded.
    pub fn gaps(&self) -> Vec<Value> {
        let gaps = self.reader().control("gap").unwrap();
        let bodies = gaps.iter().map(|(_, body)| body);
        bodies
            .map(|body| serde_json::from_str(body).unwrap())
            .collect()
    }

    /// How often the service asked for a page of the log, and for which.
    pub fn calls(&self) -> Vec<Call> {
        let is_ours = |call: &Call| {
            // Other apps want certain actions.
            let query = call.query.as_ref();
            call.method == "logs" && query.is_none_or(|query| query.actions.is_empty())
        };
        self.fake.calls().into_iter().filter(is_ours).collect()
    }

    /// The log, those columns of it, in no particular order.
    pub fn load(&self, columns: &[Column]) -> Vec<RecordBatch> {
        let columns: ColumnSet = columns.iter().copied().collect();
        let view = self.reader().view(Span::All).unwrap();
        let pieces = view.pieces().into_iter();
        let batches = pieces.flat_map(|piece| view.load(piece, columns).unwrap());
        batches.collect()
    }

    /// The rows of the log by id.
    pub fn rows(&self) -> Vec<Row> {
        let columns = [
            Column::EventId,
            Column::EventTime,
            Column::OrderTime,
            Column::Late,
        ];
        let mut rows = Vec::new();
        for batch in self.load(&columns) {
            let times = |column: Column| {
                let times = batch[column.name()].as_primitive::<TimestampMicrosecondType>();
                times.values().to_vec()
            };
            let (event_times, order_times) = (times(Column::EventTime), times(Column::OrderTime));
            let ids = batch[Column::EventId.name()].as_string_view();
            let late = batch[Column::Late.name()].as_boolean();
            rows.extend((0..batch.num_rows()).map(|row| Row {
                id: ids.value(row).to_owned(),
                event_time: event_times[row],
                order_time: order_times[row],
                is_late: late.value(row),
            }));
        }
        rows.sort_by(|one, other| one.id.cmp(&other.id));
        rows
    }

    /// The ids of all events in the log, sorted.
    pub fn ids(&self) -> Vec<String> {
        self.rows().into_iter().map(|row| row.id).collect()
    }

    /// Fails unless all is in that Slack lists, each event once and in its own place, and Slack was asked as
    /// it wants to be.
    pub fn assert_sound(&self, what: &str) {
        self.assert_complete(what);
        self.assert_on_time(what);
        self.assert_polite(what);
    }

    /// Fails unless the log holds what Slack lists by now, and each event once.
    pub fn assert_complete(&self, what: &str) {
        let (kept, listed) = (self.ids(), self.fake.ids());
        let twice = kept.windows(2).find(|pair| pair[0] == pair[1]);
        assert_eq!(twice, None, "{what}: an event is there twice");
        let missing = listed.iter().find(|id| kept.binary_search(id).is_err());
        assert_eq!(missing, None, "{what}: an event is missing");
        assert_eq!(kept.len(), listed.len(), "{what}");
    }

    /// Fails if an event counts as delayed, where none is: the watermark was ahead of it.
    pub fn assert_on_time(&self, what: &str) {
        let rows = self.rows();
        let is_delayed = |row: &&Row| row.is_late || row.order_time > row.event_time;
        let delayed = rows.iter().find(is_delayed);
        assert!(delayed.is_none(), "{what}: {delayed:?} is delayed");
    }

    /// Fails if a minute has more calls than it may have, or a page is asked for without its span.
    pub fn assert_polite(&self, what: &str) {
        let calls = self.calls();
        let most = self.how.calls_per_minute as usize;
        for calls in calls.windows(most + 1) {
            let time = (calls[most].at - calls[0].at) / SECOND;
            assert!(time >= 60, "{what}: {} calls in {time} s", calls.len());
        }
        for call in &calls {
            let query = call.query.as_ref().expect("a query that Slack can read");
            assert!(query.oldest.is_some(), "{what}: {query:?}");
        }
    }

    /// Fails if Slack was asked sooner than so many seconds after an answer of this status.
    pub fn assert_waits(&self, what: &str, status: u16, seconds: i64) {
        let calls = self.calls();
        for pair in calls.windows(2).filter(|pair| pair[0].status == status) {
            let wait = pair[1].at - pair[0].at;
            assert!(wait >= seconds * SECOND, "{what}: {wait} µs after {status}");
        }
    }

    fn settings(&self) -> Settings {
        let how = &self.how;
        let walking = Walking {
            poll: how.poll * SECOND,
            overlap: 60 * SECOND,
            rewalk: how.rewalk * SECOND,
            lag: 2 * SECOND,
            since: (START + how.since) * SECOND,
            calls_per_minute: how.calls_per_minute,
            most_bytes: how.most_bytes,
            seed: 7,
        };
        let walked = Walked {
            client: self.client(&self.fake.audit_endpoint()),
            settings: walking,
        };
        let directory = how.lists_every.map(|every| {
            let client = self.client(&self.fake.web_endpoint());
            Directory {
                client,
                teams: Vec::new(),
                every: every * SECOND,
            }
        });
        let lists = Lists::default();
        Settings {
            store: self.data(),
            pushed: Vec::new(),
            walked: vec![(SOURCE.to_owned(), walked)],
            directory,
            limits: Limits::default(),
            sinks: Vec::new(),
            seal_rows: 8_192,
            seal_every: Duration::from_secs(1),
            snapshot_every: Duration::from_secs(5),
            ingest_bytes: 128 << 20,
            rules: rules(how.rules, &lists),
            lists,
            enricher: Arc::new(Enricher::new(Networks::new())),
            resources: RESOURCES,
            clock: self.time.wrong_clock(),
        }
    }

    fn client(&self, endpoint: &str) -> Client {
        let endpoint = Endpoint::parse(endpoint).unwrap();
        Client::new(endpoint, SecretString::from(self.fake.token())).unwrap()
    }
}

impl Drop for Grid {
    fn drop(&mut self) {
        if let Some(service) = self.service.take() {
            // The test has looked at what it wanted.
            let _ = service.stop();
        }
    }
}

/// The rules of these texts, which may ask these lists.
pub fn rules(texts: &[&str], lists: &Lists) -> Vec<Rule> {
    if texts.is_empty() {
        return Vec::new();
    }
    let planner = Planner::with_lists(lists).unwrap();
    let load = |text: &&str| rule::load("rule.yml", text, &planner, &Exceptions::default());
    texts.iter().map(|text| load(text).unwrap()).collect()
}

/// A sign-in of this person at this second.
pub fn event(id: &str, second: i64, actor: &str) -> String {
    let time = START + second;
    let person = format!(r#"{{"type":"user","user":{{"id":"{actor}"}}}}"#);
    format!(
        r#"{{"id":"{id}","date_create":{time},"action":"user_login","actor":{person},"entity":{person},"context":{{"ip_address":"192.0.2.1"}}}}"#
    )
}
