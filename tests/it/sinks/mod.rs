//! Sinks as those meet them who receive: receivers fail in many ways, and every anomaly arrives.
//!
//! A receiver is a [`Server`] of the test, or a real one in a process of its own. Services are told of
//! it by one more sink in their configuration.

mod splunk;
mod syslog;
mod webhook;

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::Router;
use axum::serve::Listener;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::service::{LOG, MONDAY, PATIENCE, RUNTIME, Service, body, finding, wait_for};
use super::{anomalies, gridwatch};

/// A service with this sink besides its file, `name: {…}`, and these files in its folder; not started yet.
fn service_with(sink: &str, files: &[(&str, &str)]) -> Service {
    let service = Service::new(&LOG, "");
    for (name, text) in files {
        fs::write(service.folder.path(name), text).unwrap();
    }
    let config = fs::read_to_string(service.config()).unwrap();
    let (before, after) = config.split_once("sinks: {").expect("a block of sinks");
    fs::write(
        service.config(),
        format!("{before}sinks: {{{sink}, {after}"),
    )
    .unwrap();
    service
}

/// Pushes events of these numbers, each of which becomes an anomaly, and waits until they have.
/// Numbers begin with 0 and go on where they ended.
fn raise(service: &Service, numbers: Range<i64>) {
    let all = numbers.end as usize;
    let events: Vec<String> = numbers
        .map(|number| finding(&event_id(number), MONDAY + number))
        .collect();
    let answer = service.sender().push(body(&events)).unwrap();
    assert_eq!(answer.receipt(), (events.len() as u64, 0, 0));
    wait_for("anomalies", PATIENCE, || {
        (service.stored().len() == all).then_some(())
    });
}

/// The id of the event of this number.
fn event_id(number: i64) -> String {
    format!("raised-{number}")
}

/// Waits until the sinks were told of all anomalies up to this number of events.
fn await_told(service: &Service, numbers: i64) {
    service.await_judged(MONDAY + numbers - 1);
}

/// Waits until the service says of itself all of these words.
fn await_reason(service: &Service, words: &[&str]) {
    wait_for("a reason", PATIENCE, || {
        let text = service.readiness()?.text;
        words.iter().all(|word| text.contains(word)).then_some(())
    });
}

/// Fails unless these are the anomalies that are stored, each at least once and as it is stored, and no
/// other; gives how many came more than once.
fn assert_all_arrived(service: &Service, received: &[Value]) -> usize {
    let stored = service.stored();
    let stored = stored.iter().map(|record| {
        let record: Value = serde_json::from_str(record).unwrap();
        (record["id"].as_str().unwrap().to_owned(), record)
    });
    let stored: HashMap<String, Value> = stored.collect();
    let mut ids = HashSet::new();
    for record in received {
        let mut record = record.clone();
        let envelope = record.as_object_mut().unwrap().remove("envelope");
        let found_at = &envelope.expect("an envelope")["found_at"];
        assert!(found_at.as_str().is_some(), "{found_at}");
        let id = record["id"].as_str().unwrap().to_owned();
        assert_eq!(stored.get(&id), Some(&record));
        ids.insert(id);
    }
    assert_eq!(ids.len(), stored.len(), "some did not arrive");
    received.len() - ids.len()
}

/// What sinks refused for good, as the command lists it.
fn dead_letters(service: &Service) -> Vec<Value> {
    let config = service.config();
    let ran = gridwatch(&["store", "dead-letters", "--config", &config], b"");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    anomalies(&ran.out)
}

/// The id of the stored anomaly that the event of this number raised.
fn anomaly_of(service: &Service, number: i64) -> String {
    let records = anomalies(&service.stored().join("\n"));
    let mut records = records.into_iter();
    let of_event = records.find(|record| record["event_id"] == event_id(number).as_str());
    of_event.unwrap()["id"].as_str().unwrap().to_owned()
}

/// A web server on this machine, until it is dropped.
struct Server {
    port: u16,
    task: JoinHandle<()>,
}

impl Server {
    /// Answers as the router does. The cutter cuts its connections.
    fn start(router: Router, cutter: Cutter) -> Self {
        RUNTIME.block_on(async {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let listener = Cuttable { listener, cutter };
            let serve = async { axum::serve(listener, router).await.unwrap() };
            let task = tokio::spawn(serve);
            Self { port, task }
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Cuts the connection on which the next answer is written, before it is.
#[derive(Clone, Default)]
struct Cutter(Arc<AtomicBool>);

impl Cutter {
    fn cut_next(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Accepts connections that can be cut.
struct Cuttable {
    listener: TcpListener,
    cutter: Cutter,
}

impl Listener for Cuttable {
    type Io = Line;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Line, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.listener).await;
        let cutter = self.cutter.clone();
        (Line { stream, cutter }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that can be cut.
struct Line {
    stream: TcpStream,
    cutter: Cutter,
}

impl AsyncRead for Line {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.cutter.0.swap(false, Ordering::SeqCst) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut this.stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
