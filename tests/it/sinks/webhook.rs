//! A webhook whose receiver has bad days.

use std::collections::VecDeque;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use gridwatch::clock::Clock;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    Cutter, PATIENCE, Server, Service, anomaly_of, assert_all_arrived, await_reason, await_told,
    dead_letters, event_id, gridwatch, raise, service_with, wait_for,
};

/// With which requests are signed.
const SECRET: &str = "a secret of this test";

/// What comes back for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reply {
    Taken,
    /// It is not taken.
    Status(u16),
    /// It is not taken; ask again after so many seconds.
    Later(u64),
    /// It is not taken, and nothing ever comes back.
    Silence,
    /// It is taken, and the answer is lost.
    Cut,
    /// It is not taken; ask at this port instead.
    Elsewhere(u16),
}

struct Request {
    headers: HeaderMap,
    body: Bytes,
    reply: Reply,
    /// By the clock, in microseconds.
    at: i64,
}

#[derive(Default)]
struct Desk {
    requests: Vec<Request>,
    /// What comes back for the next requests; all others are taken.
    script: VecDeque<Reply>,
    /// The anomaly of this event is never taken.
    refused: Option<String>,
}

#[derive(Clone, Default)]
struct Office {
    desk: Arc<Mutex<Desk>>,
    cutter: Cutter,
}

/// A receiver of requests.
struct Hook {
    office: Office,
    server: Server,
}

impl Hook {
    fn start(script: impl IntoIterator<Item = Reply>) -> Self {
        let office = Office::default();
        office.desk.lock().unwrap().script.extend(script);
        let router = Router::new().route("/hook", post(answer));
        let router = router.with_state(office.clone());
        let server = Server::start(router, office.cutter.clone());
        Self { office, server }
    }

    /// A service that sends to it.
    fn service(&self) -> Service {
        let port = self.server.port;
        let sink = format!(
            "hook: {{type: webhook, url: \"http://127.0.0.1:{port}/hook\", secret: {{file: secret}}, \
             allow_private: true}}"
        );
        service_with(&sink, &[("secret", SECRET)])
    }

    fn look<T>(&self, look: impl FnOnce(&mut Desk) -> T) -> T {
        look(&mut self.office.desk.lock().unwrap())
    }

    /// What it took, in this order.
    fn taken(&self) -> Vec<Value> {
        self.look(|desk| {
            let taken = desk.requests.iter().filter(|request| {
                assert_signed(request);
                matches!(request.reply, Reply::Taken | Reply::Cut)
            });
            let records = taken.map(|request| serde_json::from_slice(&request.body).unwrap());
            records.collect()
        })
    }

    fn assert_script_is_over(&self) {
        let left = self.look(|desk| desk.script.len());
        assert_eq!(left, 0, "replies that nobody heard");
    }
}

async fn answer(State(office): State<Office>, headers: HeaderMap, body: Bytes) -> Response {
    let record: Value = serde_json::from_slice(&body).unwrap_or_default();
    let reply = {
        let mut desk = office.desk.lock().unwrap();
        let is_refused = desk
            .refused
            .as_deref()
            .is_some_and(|id| record["event_id"] == id);
        let reply = if is_refused {
            Reply::Status(400)
        } else {
            desk.script.pop_front().unwrap_or(Reply::Taken)
        };
        let at = Clock::system().now();
        let request = Request {
            headers,
            body,
            reply,
            at,
        };
        desk.requests.push(request);
        reply
    };
    match reply {
        Reply::Taken => StatusCode::OK.into_response(),
        Reply::Status(status) => {
            let status = StatusCode::from_u16(status).unwrap();
            (status, "\u{1b}[31mno\r\n").into_response()
        }
        Reply::Later(secs) => {
            let header = [(RETRY_AFTER, secs.to_string())];
            (StatusCode::TOO_MANY_REQUESTS, header).into_response()
        }
        Reply::Silence => std::future::pending().await,
        Reply::Cut => {
            office.cutter.cut_next();
            StatusCode::OK.into_response()
        }
        Reply::Elsewhere(port) => {
            let header = [(LOCATION, format!("http://127.0.0.1:{port}/hook"))];
            (StatusCode::TEMPORARY_REDIRECT, header).into_response()
        }
    }
}

/// HMAC-SHA-256 as RFC 2104 spells it out, with a key of at most 64 bytes.
fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(key);
    let hash = |pad: u8, message: &[u8]| -> [u8; 32] {
        let key = block.map(|byte| byte ^ pad);
        Sha256::new()
            .chain_update(key)
            .chain_update(message)
            .finalize()
            .into()
    };
    hash(0x5c, &hash(0x36, message))
}

/// Fails unless the request says who it is, and nobody else could have.
fn assert_signed(request: &Request) {
    let header = |name: &str| request.headers[name].to_str().unwrap();
    let record: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(header(CONTENT_TYPE.as_str()), "application/json");
    assert_eq!(record["id"], header("x-gridwatch-id"));
    let time = header("x-gridwatch-timestamp");
    let age = request.at / 1_000_000 - time.parse::<i64>().unwrap();
    assert!((-5..=60).contains(&age), "sent {age} s ago");
    let signed = [b"v1:", time.as_bytes(), b":", &request.body].concat();
    let digits = hmac(SECRET.as_bytes(), &signed).map(|byte| format!("{byte:02x}"));
    let expected = format!("v1={}", digits.concat());
    assert_eq!(header("x-gridwatch-signature"), expected);
}

/// The test vector of RFC 4231 §4.3.
#[test]
fn the_signature_is_checked_by_what_is_written_down() {
    let digits = hmac(b"Jefe", b"what do ya want for nothing?").map(|byte| format!("{byte:02x}"));
    let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    assert_eq!(digits.concat(), expected);
}

#[test]
fn every_anomaly_arrives_whatever_comes_back() {
    use Reply::{Cut, Later, Status, Taken};
    let script = [Status(500), Taken, Later(1), Cut, Taken, Status(404), Taken];
    let hook = Hook::start(script);
    let mut service = hook.service();
    service.start();
    raise(&service, 0..30);
    await_told(&service, 30);
    service.stop();
    hook.assert_script_is_over();
    let again = assert_all_arrived(&service, &hook.taken());
    assert!(again > 0, "an answer was lost, and nothing came again");
    assert!(dead_letters(&service).is_empty());
}

#[test]
fn a_receiver_that_asks_for_time_gets_it() {
    const SECS: u64 = 4;
    let hook = Hook::start([Reply::Later(SECS)]);
    let mut service = hook.service();
    service.start();
    raise(&service, 0..1);
    await_told(&service, 1);
    service.stop();
    let times = hook.look(|desk| {
        desk.requests
            .iter()
            .map(|request| request.at)
            .collect::<Vec<_>>()
    });
    let [first, second] = times.as_slice() else {
        panic!("{} requests", times.len());
    };
    let waited = second - first;
    assert!(waited >= SECS as i64 * 1_000_000, "after {waited} µs");
    assert_all_arrived(&service, &hook.taken());
}

#[test]
fn an_answer_that_never_comes_is_not_waited_for() {
    let hook = Hook::start([Reply::Silence]);
    let mut service = hook.service();
    service.start();
    raise(&service, 0..1);
    await_told(&service, 1);
    service.stop();
    assert_eq!(assert_all_arrived(&service, &hook.taken()), 0);
    assert_eq!(hook.look(|desk| desk.requests.len()), 2);
}

#[test]
fn what_is_refused_is_a_dead_letter_and_can_be_sent_again() {
    const REFUSED: i64 = 2;
    let hook = Hook::start([]);
    hook.look(|desk| desk.refused = Some(event_id(REFUSED)));
    let mut service = hook.service();
    service.start();
    raise(&service, 0..5);
    await_told(&service, 5);
    let anomaly = anomaly_of(&service, REFUSED);
    let taken = hook.taken();
    assert_eq!(taken.len(), 4, "all but one");
    assert!(taken.iter().all(|record| record["id"] != anomaly.as_str()));
    let letters = dead_letters(&service);
    let [letter] = letters.as_slice() else {
        panic!("{letters:?}");
    };
    assert_eq!(letter["sink"], "hook");
    assert_eq!(letter["anomaly"], anomaly.as_str());
    assert!(letter["number"].is_i64(), "{letter}");
    let reason = letter["reason"].as_str().unwrap();
    assert!(reason.contains("400"), "{reason}");
    assert!(!reason.contains(char::is_control), "{reason:?}");
    let refused_at: jiff::Timestamp = letter["refused_at"].as_str().unwrap().parse().unwrap();
    let age = Clock::system().now() - refused_at.as_microsecond();
    assert!((0..60_000_000).contains(&age), "{refused_at}");

    hook.look(|desk| desk.refused = None);
    let config = service.config();
    let dead = |arguments: &[&str]| {
        let command = ["store", "dead-letters", "--config", &config];
        gridwatch(&[&command, arguments].concat(), b"")
    };
    for unclear in [&["--resend"][..], &["--drop"]] {
        assert_eq!(dead(unclear).code, Some(2), "{unclear:?}");
    }
    assert_eq!(dead(&["--drop", "--sink", "another"]).out, "0 dropped\n");
    let ran = dead(&["--resend", "--sink", "hook"]);
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (Some(0), "1 wait to be sent again\n"),
        "{}",
        ran.err
    );
    await_told(&service, 5);
    service.stop();
    assert_eq!(assert_all_arrived(&service, &hook.taken()), 0);
    assert!(dead_letters(&service).is_empty());
}

#[test]
fn a_redirect_is_not_followed() {
    let other = Hook::start([]);
    let hook = Hook::start([Reply::Elsewhere(other.server.port); 2]);
    let mut service = hook.service();
    service.start();
    raise(&service, 0..1);
    await_reason(&service, &["hook", "307"]);
    await_told(&service, 1);
    service.stop();
    hook.assert_script_is_over();
    assert_all_arrived(&service, &hook.taken());
    assert_eq!(other.look(|desk| desk.requests.len()), 0);
    assert!(dead_letters(&service).is_empty());
}

#[test]
fn a_private_address_is_not_connected_to() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let sink = format!("hook: {{type: webhook, url: \"https://localhost:{port}/hook\"}}");
    let mut service = service_with(&sink, &[]);
    service.start();
    raise(&service, 0..1);
    await_reason(&service, &["hook", "allow_private"]);
    // The other sink is not held up.
    wait_for("the file", PATIENCE, || {
        let waiting = service.reader().waiting().unwrap();
        (waiting == [("hook".to_owned(), 1)]).then_some(())
    });
    service.stop();
    let connected = listener.accept().map(|(_, address)| address);
    assert!(connected.is_err(), "{connected:?}");
    assert_eq!(service.assert_told(), 1);
}
