//! Connections: kept, missed when they are gone, and refused where they must not go.

use std::fs;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::*;
use crate::sink::Kind;
use crate::sink::http::Authority;

/// The clock, in microseconds.
const NOW: i64 = 1_772_438_400_000_000;

/// How long anything may take that comes for sure.
const SOON: Duration = Duration::from_secs(20);

fn delivery(id: &str, note: &str) -> Delivery {
    Delivery {
        record: format!("{{\"id\":\"{id}\",\"note\":\"{note}\"}}"),
        found_at: NOW,
        kind: Kind::Anomaly,
    }
}

/// The next connection, which must come soon.
async fn accept(listener: &TcpListener) -> TcpStream {
    let accepted = timeout(SOON, listener.accept()).await;
    accepted.expect("a connection").unwrap().0
}

async fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

fn syslog(address: String, tls: Option<Tls>) -> Syslog {
    let made = Syslog::new(address, tls, true, Format::Native, "watch");
    made.map_err(|error| error.reason).unwrap()
}

fn plain(port: u16) -> Syslog {
    syslog(format!("127.0.0.1:{port}"), None)
}

/// Delivers one anomaly, which must be settled.
async fn settle(sink: &mut Syslog, id: &str, now: i64) {
    let report = sink.deliver(&[delivery(id, "")], now).await;
    let error = report.error.map(|error| error.reason);
    assert_eq!((report.settled, error), (1, None), "{id}");
}

/// Delivers one anomaly, which must fail; gives the reason and the remedy.
async fn fail(sink: &mut Syslog) -> (String, &'static str) {
    let report = sink.deliver(&[delivery("lost", "")], NOW).await;
    assert_eq!(report.settled, 0);
    let error = report.error.expect("an error");
    (error.reason, error.remedy)
}

/// The next message that arrives.
async fn receive(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut length = 0;
    loop {
        match stream.read_u8().await.unwrap() {
            b' ' => break,
            digit => length = 10 * length + usize::from(digit - b'0'),
        }
    }
    let mut message = vec![0; length];
    stream.read_exact(&mut message).await.unwrap();
    String::from_utf8(message).unwrap()
}

async fn assert_receives(stream: &mut (impl AsyncRead + Unpin), id: &str) {
    let message = timeout(SOON, receive(stream)).await.expect("a message");
    assert!(message.contains(&format!(" id=\"{id}\" ")), "{message}");
}

#[tokio::test]
async fn a_connection_is_kept_until_it_is_closed_or_idle() {
    let (listener, port) = listen().await;
    let mut sink = plain(port);
    settle(&mut sink, "a", NOW).await;
    let mut first = accept(&listener).await;
    assert_receives(&mut first, "a").await;
    settle(&mut sink, "b", NOW).await;
    assert_receives(&mut first, "b").await;
    drop(first);
    settle(&mut sink, "c", NOW).await;
    let mut second = accept(&listener).await;
    assert_receives(&mut second, "c").await;
    let much_later = NOW + 1_000_000 + i64::try_from(MOST_IDLE.as_micros()).unwrap();
    settle(&mut sink, "d", much_later).await;
    let mut third = accept(&listener).await;
    assert_receives(&mut third, "d").await;
    assert_eq!(second.read(&mut [0; 1]).await.unwrap(), 0, "it is closed");
}

#[tokio::test]
async fn what_is_cut_off_is_delivered_whole_again() {
    let (listener, port) = listen().await;
    let mut sink = plain(port);
    let note = "x".repeat(100_000);
    let deliveries: Vec<Delivery> = (0..200).map(|n| delivery(&n.to_string(), &note)).collect();
    let cut = async {
        let mut stream = accept(&listener).await;
        stream.read_exact(&mut [0; 10]).await.unwrap();
    };
    let (report, ()) = tokio::join!(sink.deliver(&deliveries, NOW), cut);
    assert_eq!(report.settled, 0);
    assert_eq!(
        report.error.expect("an error").place,
        format!("127.0.0.1:{port}")
    );
    let take = async {
        let mut stream = accept(&listener).await;
        for n in 0..deliveries.len() {
            assert_receives(&mut stream, &n.to_string()).await;
        }
        stream
    };
    let (report, _stream) = tokio::join!(sink.deliver(&deliveries, NOW), take);
    assert_eq!(report.settled, deliveries.len());
}

#[tokio::test]
async fn what_is_too_long_is_refused_and_the_rest_arrives() {
    let (listener, port) = listen().await;
    let mut sink = plain(port);
    let long = delivery("long", &"x".repeat(MOST_BYTES));
    let report = sink
        .deliver(&[long.clone(), delivery("short", "")], NOW)
        .await;
    assert_eq!(report.settled, 2);
    let [(0, reason)] = report.refused.as_slice() else {
        panic!("{:?}", report.refused);
    };
    assert!(reason.contains("by another sink"), "{reason}");
    let mut stream = accept(&listener).await;
    assert_receives(&mut stream, "short").await;
    let report = sink.deliver(&[long], NOW).await;
    assert_eq!((report.settled, report.refused.len()), (1, 1));
}

#[tokio::test]
async fn what_a_receiver_may_not_have_read_is_not_settled() {
    let (listener, port) = listen().await;
    let mut sink = plain(port);
    // It answers slowly that it does not speak this.
    let hang_up = async {
        let mut stream = accept(&listener).await;
        receive(&mut stream).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    let ((reason, remedy), ()) = tokio::join!(fail(&mut sink), hang_up);
    assert!(reason.contains("closed the connection"), "{reason}");
    assert!(remedy.contains("whether it wants TLS"), "{remedy}");
    drop(listener);
    let (_, remedy) = fail(&mut sink).await;
    assert!(remedy.contains("that it listens there"), "{remedy}");
}

/// A message on which the receiver always closes holds nothing up, and what is before it does not come
/// again and again.
#[tokio::test]
async fn a_message_on_which_the_receiver_closes_is_refused() {
    let (listener, port) = listen().await;
    let (sender, mut received) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let mut stream = accept(&listener).await;
            while stream.peek(&mut [0; 1]).await.is_ok_and(|bytes| bytes > 0) {
                let message = receive(&mut stream).await;
                if message.contains("poison") {
                    break;
                }
                let id = message.split("id=\"").nth(1).unwrap();
                sender.send(id[..1].to_owned()).unwrap();
            }
        }
    });
    let mut sink = plain(port);
    let all = ["a", "b", "poison", "c"].map(|id| delivery(id, ""));
    let (mut settled, mut refused) = (0, Vec::new());
    for _ in 0..10 {
        let report = sink.deliver(&all[settled..], NOW).await;
        refused.extend(report.refused.into_iter().map(|(at, _)| settled + at));
        settled += report.settled;
        if settled == all.len() {
            break;
        }
    }
    assert_eq!((settled, refused), (4, vec![2]));
    let mut ids = Vec::new();
    while let Ok(id) = received.try_recv() {
        ids.push(id);
    }
    assert_eq!(ids, ["a", "b", "a", "b", "c"]);
}

/// As one does that wants something else than it gets.
#[tokio::test]
async fn a_receiver_that_closes_on_everything_loses_nothing() {
    let (listener, port) = listen().await;
    tokio::spawn(async move {
        loop {
            receive(&mut accept(&listener).await).await;
        }
    });
    let mut sink = plain(port);
    let all = ["a", "b", "c"].map(|id| delivery(id, ""));
    for _ in 0..3 * LIMIT.declines {
        let report = sink.deliver(&all, NOW).await;
        assert_eq!((report.settled, report.refused), (0, Vec::new()));
        assert!(report.error.is_some());
    }
}

#[tokio::test]
async fn private_addresses_are_refused_unless_they_are_allowed() {
    let (_listener, port) = listen().await;
    for host in ["127.0.0.1", "localhost"] {
        let (address, tls) = (format!("{host}:{port}"), Some(Tls::default()));
        let made = Syslog::new(address, tls, false, Format::Native, "watch");
        let mut sink = made.map_err(|error| error.reason).unwrap();
        let (reason, remedy) = fail(&mut sink).await;
        assert!(reason.contains("is not public"), "{host}: {reason}");
        assert!(remedy.contains("allow_private"), "{host}: {remedy}");
    }
}

#[tokio::test]
async fn what_is_not_encrypted_goes_to_no_public_address() {
    let made = |allow_private| {
        let address = "1.1.1.1:514".to_owned();
        Syslog::new(address, None, allow_private, Format::Native, "watch")
    };
    let (reason, remedy) = fail(&mut made(true).map_err(|error| error.reason).unwrap()).await;
    assert!(reason.contains("is public"), "{reason}");
    assert!(remedy.contains("tls: true"), "{remedy}");
    let error = made(false).err().expect("an error");
    assert!(error.reason.contains("not encrypted"), "{error}");
}

#[test]
fn what_cannot_be_an_address_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.pem");
    fs::write(&empty, "no certificate").unwrap();
    let with = |ca: Option<PathBuf>| Some(Tls { ca });
    for (address, tls, remedy) in [
        ("", None, "as host:port"),
        ("siem", None, "as host:port"),
        (":514", None, "as host:port"),
        ("siem:", None, "as host:port"),
        ("siem:0", None, "as host:port"),
        ("siem:65536", None, "as host:port"),
        ("::1:514", None, "as host:port"),
        ("[::1:514", None, "as host:port"),
        ("two words:514", with(None), "as its certificate does"),
        ("siem:6514", with(Some("/no/such/file".into())), "in PEM"),
        ("siem:6514", with(Some(empty)), "in PEM"),
    ] {
        let made = Syslog::new(address.to_owned(), tls, true, Format::Native, "watch");
        let error = made.err().unwrap_or_else(|| panic!("{address} was taken"));
        assert_eq!(error.place, address);
        assert!(error.remedy.contains(remedy), "{address}: {}", error.remedy);
    }
    for address in ["siem.example.com:514", "192.0.2.1:514", "[2001:db8::1]:514"] {
        let tls = Some(Tls::default());
        let made = Syslog::new(address.to_owned(), tls, true, Format::Native, "watch");
        assert!(made.is_ok(), "{address}");
    }
}

fn trusting(authority: &Authority) -> Option<Tls> {
    Some(Tls {
        ca: Some(authority.file()),
    })
}

#[tokio::test]
async fn messages_arrive_over_tls() {
    let (listener, port) = listen().await;
    let authority = Authority::new();
    let acceptor = authority.acceptor(false);
    let mut sink = syslog(format!("localhost:{port}"), trusting(&authority));
    let accepted = async || {
        let stream = accept(&listener).await;
        acceptor.accept(stream).await.unwrap()
    };
    let ((), mut first) = tokio::join!(settle(&mut sink, "a", NOW), accepted());
    assert_receives(&mut first, "a").await;
    settle(&mut sink, "b", NOW).await;
    assert_receives(&mut first, "b").await;
    drop(first);
    let ((), mut second) = tokio::join!(settle(&mut sink, "c", NOW), accepted());
    assert_receives(&mut second, "c").await;
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_refused() {
    let (listener, port) = listen().await;
    let (authority, other) = (Authority::new(), Authority::new());
    let acceptor = authority.acceptor(false);
    for (host, tls, wanted) in [
        ("localhost", trusting(&other), "invalid peer certificate"),
        ("127.0.0.1", trusting(&authority), "not valid for name"),
    ] {
        let mut sink = syslog(format!("{host}:{port}"), tls);
        let refused = async {
            let stream = accept(&listener).await;
            assert!(acceptor.accept(stream).await.is_err(), "{host}");
        };
        let ((reason, remedy), ()) = tokio::join!(fail(&mut sink), refused);
        assert!(reason.contains(wanted), "{host}: {reason}");
        assert!(remedy.contains("`tls` and `ca`"), "{host}: {remedy}");
    }
}

/// With TLS 1.3 the connection is made before the receiver has seen that we have no certificate.
#[tokio::test]
async fn what_is_sent_without_the_certificate_that_it_wants_is_not_settled() {
    let (listener, port) = listen().await;
    let authority = Authority::new();
    let acceptor = authority.acceptor(true);
    let mut sink = syslog(format!("localhost:{port}"), trusting(&authority));
    let refuse = async {
        let stream = accept(&listener).await;
        assert!(acceptor.accept(stream).await.is_err());
    };
    let ((_, remedy), ()) = tokio::join!(fail(&mut sink), refuse);
    assert!(remedy.contains("or a certificate"), "{remedy}");
}
