//! Splunk's HTTP Event Collector with bad days: it is busy, forgets what it took, and refuses events.
//!
//! What it takes and answers follows Splunk's pages "HTTP Event Collector REST API endpoints",
//! "About HTTP Event Collector Indexer Acknowledgment" and "Troubleshoot HTTP Event Collector".

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io::Read;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use flate2::read::MultiGzDecoder;
use serde_json::{Value, json};

use super::{
    Cutter, LOG, PATIENCE, Server, Service, anomaly_of, assert_all_arrived, await_reason,
    await_told, body, dead_letters, event_id, raise, service_with, wait_for,
};

const TOKEN: &str = "8c2b6f0e-0000-4000-8000-token-of-the-test";

/// How long Splunk may take to acknowledge before everything is sent again, and then some.
const MOST_UNACKNOWLEDGED: Duration = Duration::from_secs(150);

/// What goes wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Nothing is taken, with this status and code.
    Refused(u16, u8),
    /// It is taken, and acknowledged only after so many questions.
    Late(u32),
    /// It is answered as if it were taken, and then forgotten.
    Forgotten,
    /// It is taken, and the answer is lost.
    Cut,
}

/// What may be asked of a request.
struct Ticket {
    channel: String,
    /// How often to say no; `None` for ever.
    noes: Option<u32>,
}

#[derive(Default)]
struct Shelves {
    /// Envelopes of events.
    indexed: Vec<Value>,
    /// What goes wrong with the next requests.
    script: VecDeque<Fault>,
    tickets: HashMap<u64, Ticket>,
    issued: u64,
    /// The anomaly of this event is invalid.
    invalid: Option<String>,
    /// Whether it wants a channel and acknowledges.
    acknowledges: bool,
    /// What was wrong with requests.
    complaints: Vec<String>,
}

#[derive(Clone, Default)]
struct Index {
    shelves: Arc<Mutex<Shelves>>,
    cutter: Cutter,
}

struct Collector {
    index: Index,
    server: Server,
}

impl Collector {
    fn start(acknowledges: bool, script: impl IntoIterator<Item = Fault>) -> Self {
        let index = Index::default();
        {
            let mut shelves = index.shelves.lock().unwrap();
            shelves.acknowledges = acknowledges;
            shelves.script.extend(script);
        }
        let router = Router::new()
            .route("/services/collector/event", post(take))
            .route("/services/collector/ack", post(acknowledge))
            .with_state(index.clone());
        let server = Server::start(router, index.cutter.clone());
        Self { index, server }
    }

    /// A service that sends to it, with these settings besides the usual ones.
    fn service(&self, settings: &str) -> Service {
        let port = self.server.port;
        let acknowledges = self.look(|shelves| shelves.acknowledges);
        let sink = format!(
            "hec: {{type: splunk, url: \"http://127.0.0.1:{port}\", token: {{file: token}}, \
             acknowledge: {acknowledges}, index: main, allow_private: true{settings}}}"
        );
        service_with(&sink, &[("token", TOKEN)])
    }

    fn look<T>(&self, look: impl FnOnce(&mut Shelves) -> T) -> T {
        look(&mut self.index.shelves.lock().unwrap())
    }

    /// The events that it has, each in an envelope of this type and time.
    fn events(&self, kind: &str, seconds: impl Fn(&Value) -> f64) -> Vec<Value> {
        self.look(|shelves| {
            assert_eq!(shelves.complaints, Vec::<String>::new());
            let events = shelves.indexed.iter().map(|envelope| {
                assert_eq!(envelope["source"], "gridwatch");
                assert_eq!(envelope["sourcetype"], kind);
                assert_eq!(envelope["index"], "main");
                let event = envelope["event"].clone();
                let time = envelope["time"].as_f64().expect("a number");
                assert!((time - seconds(&event)).abs() < 1e-5, "{envelope}");
                event
            });
            events.collect()
        })
    }

    fn anomalies(&self) -> Vec<Value> {
        self.events("gridwatch:anomaly", |record| {
            let time: jiff::Timestamp = record["event_time"].as_str().unwrap().parse().unwrap();
            time.as_microsecond() as f64 / 1e6
        })
    }

    fn assert_script_is_over(&self) {
        let left = self.look(|shelves| shelves.script.len());
        assert_eq!(left, 0, "faults that nobody met");
    }
}

type Answer = (StatusCode, Json<Value>);

fn answer(status: u16, body: Value) -> Answer {
    (StatusCode::from_u16(status).unwrap(), Json(body))
}

fn refusal(status: u16, code: u8) -> Answer {
    answer(status, json!({"text": "\u{1b}[31mno", "code": code}))
}

async fn take(State(index): State<Index>, headers: HeaderMap, body: Bytes) -> Answer {
    let mut shelves = index.shelves.lock().unwrap();
    let (channel, events) = match read(&headers, &body, shelves.acknowledges) {
        Ok(request) => request,
        Err(complaint) => {
            shelves.complaints.push(complaint);
            return refusal(400, 6);
        }
    };
    let fault = shelves.script.pop_front();
    if let Some(Fault::Refused(status, code)) = fault {
        return refusal(status, code);
    }
    let invalid = shelves.invalid.as_deref();
    let is_invalid =
        |envelope: &Value| invalid.is_some_and(|id| envelope["event"]["event_id"] == id);
    if let Some(number) = events.iter().position(is_invalid) {
        let body = json!({"text": "Invalid data", "code": 6, "invalid-event-number": number});
        return answer(400, body);
    }
    if fault != Some(Fault::Forgotten) {
        shelves.indexed.extend(events);
    }
    if fault == Some(Fault::Cut) {
        index.cutter.cut_next();
    }
    let mut body = json!({"text": "Success", "code": 0});
    if shelves.acknowledges {
        let noes = match fault {
            Some(Fault::Late(noes)) => Some(noes),
            Some(Fault::Forgotten) => None,
            _ => Some(0),
        };
        let id = shelves.issued;
        shelves.issued += 1;
        shelves.tickets.insert(id, Ticket { channel, noes });
        body["ackId"] = id.into();
    }
    answer(200, body)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// The channel and the events of a request, or what is wrong with it.
fn read(
    headers: &HeaderMap,
    body: &[u8],
    wants_channel: bool,
) -> Result<(String, Vec<Value>), String> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if header("authorization") != Some(&format!("Splunk {TOKEN}")) {
        return Err("the token is another".to_owned());
    }
    if header("content-encoding") != Some("gzip") {
        return Err("it is not compressed".to_owned());
    }
    let channel = header("x-splunk-request-channel").unwrap_or_default();
    if wants_channel && !is_guid(channel) {
        return Err(format!("its channel is `{channel}`"));
    }
    let mut text = Vec::new();
    let read = MultiGzDecoder::new(body).read_to_end(&mut text);
    read.map_err(|error| format!("it cannot be decompressed: {error}"))?;
    if text.len() > 1 << 20 {
        return Err(format!("it has {} bytes", text.len()));
    }
    let events = serde_json::Deserializer::from_slice(&text).into_iter();
    let events: Vec<Value> = events
        .collect::<Result<_, _>>()
        .map_err(|error| format!("it is no JSON: {error}"))?;
    if events.is_empty() || events.len() > 512 {
        return Err(format!("it has {} events", events.len()));
    }
    Ok((channel.to_owned(), events))
}

/// Five groups of hexadecimal digits.
fn is_guid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    let is_hexadecimal = |group: &&str| group.bytes().all(|byte| byte.is_ascii_hexdigit());
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12]) && groups.iter().all(is_hexadecimal)
}

async fn acknowledge(
    State(index): State<Index>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
    Json(question): Json<Value>,
) -> Answer {
    let mut shelves = index.shelves.lock().unwrap();
    let token = headers
        .get("authorization")
        .and_then(|value| value.to_str().ok());
    if token != Some(&format!("Splunk {TOKEN}")) {
        shelves
            .complaints
            .push("a question with another token".to_owned());
    }
    let channel = query.get("channel").map_or("", String::as_str);
    let mut answers = serde_json::Map::new();
    for id in question["acks"].as_array().into_iter().flatten() {
        let ticket = id.as_u64().and_then(|id| shelves.tickets.get_mut(&id));
        let is_indexed = match ticket.filter(|ticket| ticket.channel == channel) {
            Some(Ticket {
                noes: Some(noes), ..
            }) => {
                let is_over = *noes == 0;
                *noes = noes.saturating_sub(1);
                is_over
            }
            Some(Ticket { noes: None, .. }) => false,
            None => {
                shelves
                    .complaints
                    .push(format!("no ticket {id} of channel `{channel}`"));
                false
            }
        };
        answers.insert(id.to_string(), is_indexed.into());
    }
    answer(200, json!({"acks": answers}))
}

#[test]
fn every_anomaly_is_indexed_whatever_is_answered() {
    use Fault::{Cut, Late, Refused};
    // It is busy, and it is broken.
    let faults = [Refused(503, 9), Cut, Late(3), Refused(500, 8), Late(1)];
    let collector = Collector::start(true, faults);
    let mut service = collector.service("");
    service.start();
    let mut raised = 0;
    // So many parts that none of the faults is left over.
    while raised == 0 || collector.look(|shelves| !shelves.script.is_empty()) {
        assert!(raised < 100, "some faults are met by nobody");
        raise(&service, raised..raised + 5);
        raised += 5;
        await_told(&service, raised);
    }
    service.stop();
    let again = assert_all_arrived(&service, &collector.anomalies());
    assert!(again > 0, "an answer was lost, and nothing came again");
    assert!(dead_letters(&service).is_empty());
}

#[test]
fn what_is_never_acknowledged_is_sent_again() {
    let collector = Collector::start(true, [Fault::Forgotten]);
    let mut service = collector.service("");
    service.start();
    raise(&service, 0..3);
    wait_for("what was forgotten", MOST_UNACKNOWLEDGED, || {
        (collector.look(|shelves| shelves.indexed.len()) >= 3).then_some(())
    });
    await_told(&service, 3);
    service.stop();
    collector.assert_script_is_over();
    assert_all_arrived(&service, &collector.anomalies());
}

#[test]
fn an_invalid_event_is_a_dead_letter_and_the_others_are_indexed() {
    const INVALID: i64 = 2;
    // While it is busy all of them come together.
    let collector = Collector::start(false, [Fault::Refused(503, 9)]);
    collector.look(|shelves| shelves.invalid = Some(event_id(INVALID)));
    let mut service = collector.service("");
    service.start();
    raise(&service, 0..5);
    await_told(&service, 5);
    service.stop();
    let anomaly = anomaly_of(&service, INVALID);
    let letters = dead_letters(&service);
    let [letter] = letters.as_slice() else {
        panic!("{letters:?}");
    };
    assert_eq!(letter["sink"], "hec");
    assert_eq!(letter["anomaly"], anomaly.as_str());
    let indexed = collector.anomalies();
    let indexed = indexed.iter().map(|record| text(&record["id"]));
    let expected = [0, 1, 3, 4].map(|number| anomaly_of(&service, number));
    assert_eq!(indexed.collect::<BTreeSet<_>>(), expected.into());
}

#[test]
fn a_token_that_is_refused_is_told_and_loses_nothing() {
    // Disabled; invalid.
    let collector = Collector::start(false, [Fault::Refused(403, 1), Fault::Refused(403, 4)]);
    let mut service = collector.service(", format: ocsf");
    service.start();
    raise(&service, 0..2);
    await_reason(&service, &["hec", "token"]);
    await_told(&service, 2);
    service.stop();
    collector.assert_script_is_over();
    assert!(!service.log().contains(TOKEN), "{}", service.log());
    assert!(!service.log().contains('\u{1b}'), "{}", service.log());
    assert!(dead_letters(&service).is_empty());
    let ids: BTreeSet<String> = collector.look(|shelves| {
        let ids = shelves.indexed.iter().map(|envelope| {
            let event = &envelope["event"];
            assert_eq!(event["class_uid"], 2004, "{event}");
            text(&event["finding_info"]["uid"])
        });
        ids.collect()
    });
    let expected = [0, 1].map(|number| anomaly_of(&service, number));
    assert_eq!(ids, expected.into());
}

#[test]
fn raw_events_are_indexed_as_they_came() {
    const EVENTS: usize = 2000;
    let collector = Collector::start(true, [Fault::Refused(503, 9), Fault::Cut]);
    let mut service = collector.service(", events: true, where: \"action = 'user_login'\"");
    service.start();
    let lines = &LOG.lines[..EVENTS];
    for lines in lines.chunks(500) {
        service.sender().push(body(lines)).unwrap();
    }
    let events = lines
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let (wanted, others): (Vec<Value>, Vec<Value>) =
        events.partition(|event| event["action"] == "user_login");
    assert!(wanted.len() > 10 && !others.is_empty());
    let found = wait_for("the events", PATIENCE, || {
        let found = collector.events("slack:audit", |event| {
            event["date_create"].as_f64().unwrap()
        });
        wanted
            .iter()
            .all(|event| found.contains(event))
            .then_some(found)
    });
    service.stop();
    collector.assert_script_is_over();
    assert!(found.iter().all(|event| wanted.contains(event)));
    assert!(dead_letters(&service).is_empty());
}
