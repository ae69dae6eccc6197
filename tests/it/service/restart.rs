//! Ends and starts: asked for once or twice, under load, with another one running already.

use std::collections::HashSet;
use std::fs::OpenOptions;
use std::io::Write;
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use super::client::Client;
use super::{LOG, MONDAY, Service, USUAL, assert_same, body, finding, id, pause, second, wait_for};

#[test]
fn what_was_acknowledged_before_sigterm_is_kept_and_judged() {
    const SENDERS: usize = 4;
    let mut service = Service::new(&LOG, "");
    let taken: Mutex<Vec<String>> = Mutex::default();
    let send = |client: &Client, batches: &[&[String]], first: usize| {
        for batch in batches.iter().skip(first).step_by(SENDERS) {
            match client.push(body(batch)) {
                Ok(answer) if answer.status == 200 => {
                    taken.lock().unwrap().extend_from_slice(batch);
                }
                // It ends, or is gone.
                _ => return,
            }
        }
    };
    let batches: Vec<&[String]> = LOG.lines.chunks(100).collect();
    for batches in batches.chunks(batches.len().div_ceil(2)) {
        service.start();
        let client = service.sender();
        thread::scope(|scope| {
            for first in 0..SENDERS {
                let client = client.clone();
                scope.spawn(move || send(&client, batches, first));
            }
            pause(Duration::from_millis(300));
            let time = service.stop();
            println!("under load it took {time:?} to end");
        });
    }
    let taken = taken.into_inner().unwrap();
    let kept = service.kept();
    let ids: HashSet<&String> = kept.iter().collect();
    assert_eq!(ids.len(), kept.len(), "an event is kept twice");
    let is_kept = |line: &String| ids.contains(&id(line));
    assert!(!taken.is_empty() && taken.iter().all(is_kept));
    println!("{} of {} events were answered", taken.len(), kept.len());
    let stored = service.stored();
    assert_same("an anomaly", &stored, &service.found_in_store("history"));
    service.assert_told();
}

/// Begins a request and leaves it at that.
fn half_a_request(service: &Service) -> TcpStream {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, service.port)).unwrap();
    let token = &service.ingest;
    write!(
        stream,
        "POST /api/v1/events HTTP/1.1\r\nHost: gridwatch\r\nAuthorization: Bearer {token}\r\n\
         Content-Length: 1000\r\n\r\n{{"
    )
    .unwrap();
    // It is being read.
    pause(Duration::from_millis(300));
    stream
}

#[test]
fn a_request_that_never_ends_does_not_keep_it_from_ending() {
    let mut service = Service::new(&LOG, "");
    service.start();
    let events = [finding("before", MONDAY)];
    service.sender().push(body(&events)).unwrap();
    let _request = half_a_request(&service);
    println!("it took {:?} to end", service.stop());
    service.assert_keeps(&events);
}

#[test]
fn a_second_sigterm_ends_it_at_once() {
    let mut service = Service::new(&LOG, "");
    service.start();
    let events = [finding("before", MONDAY)];
    service.sender().push(body(&events)).unwrap();
    let _request = half_a_request(&service);
    service.terminate();
    pause(Duration::from_millis(500));
    service.assert_runs();
    service.terminate();
    let code = service.await_end(Duration::from_secs(3));
    assert_eq!(code, Some(74), "{}", service.log());
    let said = "ended at once, as a second signal asked";
    assert!(service.log().contains(said), "{}", service.log());
    service.start();
    service.await_judged(MONDAY);
    service.stop();
    service.assert_keeps(&events);
    assert_eq!(service.assert_told(), 1);
}

#[test]
fn a_store_has_one_service() {
    let mut service = Service::new(&LOG, "");
    service.start();
    let mut other = Service::over(&service.data, &LOG, "");
    let (code, said) = other.refuse();
    assert_eq!(code, Some(74), "{said}");
    let data = service.data.display().to_string();
    for wanted in [
        data.as_str(),
        "is used by another gridwatch",
        "`store.path`",
    ] {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
    let mut other = Service::new(&LOG, "");
    other.port = service.port;
    other.configure(USUAL, "");
    let (code, said) = other.refuse();
    assert_eq!(code, Some(74), "{said}");
    let address = format!("127.0.0.1:{}", service.port);
    for wanted in [address.as_str(), "`serve.address`"] {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
    let answer = service.sender().push(body(&[finding("a", MONDAY)]));
    assert_eq!(answer.unwrap().receipt(), (1, 0, 0));
    service.stop();
}

#[test]
fn a_line_that_was_torn_off_is_cut() {
    let mut service = Service::new(&LOG, "");
    for (run, torn) in ["{\"id\":\"torn", "{\"id\":\"torn\"}", "x"]
        .iter()
        .enumerate()
    {
        service.start();
        let second = MONDAY + run as i64;
        let events = [finding(&format!("run-{run}"), second)];
        service.sender().push(body(&events)).unwrap();
        service.await_judged(second);
        service.stop();
        assert_eq!(service.assert_told(), run + 1);
        let path = service.folder.path("anomalies.ndjson");
        let mut file = OpenOptions::new().append(true).open(path).unwrap();
        file.write_all(torn.as_bytes()).unwrap();
    }
}

#[test]
fn metrics_tell_the_truth_from_the_start() {
    let mut service = Service::new(&LOG, "");
    service.start();
    let lines = &LOG.lines[..1000];
    service.sender().push(body(lines)).unwrap();
    let newest = second(lines.last().unwrap());
    service.await_judged(newest);
    let told = |service: &Service| {
        let names = ["watermark_seconds", "admitted_watermark_seconds"];
        names.map(|name| service.metric(name) as i64)
    };
    let before = told(&service);
    assert_eq!(before, [newest + 1; 2]);
    for is_crash in [false, true] {
        if is_crash {
            service.kill();
        } else {
            service.stop();
        }
        service.start();
        // The clock is looked at ten times a second.
        pause(Duration::from_secs(1));
        assert_eq!(told(&service), before, "after a crash: {is_crash}");
        let seconds = service.metric("lag_seconds");
        assert!(seconds < 1e9, "it lags {seconds} s behind");
    }
}

#[test]
fn what_waits_counts_as_waiting_after_a_crash() {
    let mut service = Service::new(&LOG, "sources: {push: {type: push, lateness_secs: 3600}}");
    service.start();
    let events = [finding("waits", MONDAY), finding("waits-too", MONDAY + 1)];
    service.sender().push(body(&events)).unwrap();
    let both = |service: &Service| {
        let waiting = service.metric("backlog_events") as i64;
        (waiting == 2).then_some(())
    };
    let most = Duration::from_secs(5);
    wait_for("a backlog of two", most, || both(&service));
    service.kill();
    service.start();
    wait_for("the same after a crash", most, || both(&service));
    service.stop();
    service.assert_keeps(&events);
}
