//! Nothing is posted to whoever cannot prove who it is.

use secrecy::SecretString;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::clock::Clock;
use crate::sink::splunk::{Settings, Splunk};
use crate::sink::webhook::Webhook;
use crate::sink::{Delivery, Format, Kind, Report, Sink};

/// Both sinks at this address, each with the certificates that it trusts.
fn sinks(url: &str, trusted: &Authority) -> [Box<dyn Sink>; 2] {
    let client = || {
        let destination = Destination {
            ca: Some(trusted.file()),
            ..destination(url, true)
        };
        HttpClient::new(destination).ok().unwrap()
    };
    let clock = Clock::driven(|| 0, |_| ());
    let settings = Settings {
        token: SecretString::from("t0ken"),
        index: None,
        host: None,
        format: Format::Native,
        channel: None,
    };
    [
        Box::new(Webhook::new(client(), None, Format::Native, clock)),
        Box::new(Splunk::new(client(), settings).ok().unwrap()),
    ]
}

/// Takes one request, and answers as both a webhook and Splunk would; whether the caller got that far.
async fn serve(listener: &TcpListener, acceptor: &TlsAcceptor) -> bool {
    let (stream, _) = listener.accept().await.unwrap();
    let Ok(mut stream) = acceptor.accept(stream).await else {
        return false;
    };
    if !matches!(stream.read(&mut [0; 4096]).await, Ok(1..)) {
        return false;
    }
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\nconnection: close\r\n\r\n{\"code\":0}";
    stream.write_all(answer.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    true
}

async fn deliver(mut sink: Box<dyn Sink>) -> Report {
    let delivery = Delivery {
        record: "{\"id\":\"a\"}".to_owned(),
        found_at: 0,
        kind: Kind::Anomaly,
    };
    sink.deliver(&[delivery], 0).await
}

#[tokio::test]
async fn only_who_has_a_certificate_for_its_name_gets_anything() {
    let (authority, other) = (Authority::new(), Authority::new());
    let acceptor = authority.acceptor(false);
    for (host, trusted, refusal) in [
        ("localhost", &authority, None),
        ("localhost", &other, Some("invalid peer certificate")),
        ("127.0.0.1", &authority, Some("not valid for name")),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        for sink in sinks(&format!("https://{host}:{port}"), trusted) {
            let (report, is_served) = tokio::join!(deliver(sink), serve(&listener, &acceptor));
            assert_eq!(is_served, refusal.is_none(), "{host}");
            assert_eq!(report.settled, usize::from(is_served), "{host}");
            let Some(refusal) = refusal else { continue };
            let error = report.error.unwrap();
            assert!(error.reason.contains(refusal), "{host}: {error}");
            assert!(error.reason.chars().count() <= MOST_TOLD, "{error}");
            assert_eq!(error.remedy, UNTRUSTED, "{error}");
        }
    }
}
