mod certificates;

use reqwest::header::HeaderValue;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

fn destination(url: &str, allow_private: bool) -> Destination {
    Destination {
        url: url.parse().unwrap(),
        allow_private,
        ca: None,
    }
}

#[test]
fn a_status_tells_what_becomes_of_a_delivery() {
    let cases: &[(&[u16], Meaning)] = &[
        (&[200, 201, 202, 204], Meaning::Taken),
        (&[400, 411, 413, 422, 431], Meaning::Refused),
        (&[408, 409, 423, 424, 425, 429], Meaning::Later),
        (&[500, 502, 503, 504, 599], Meaning::Later),
        (
            &[301, 302, 303, 304, 307, 308],
            Meaning::Wrong("write the address that it points to as `url`"),
        ),
        (
            &[401, 403],
            Meaning::Wrong("check the secret that it knows us by"),
        ),
        (&[402], Meaning::Wrong("check what is owed for it")),
        (&[404, 405, 410], Meaning::Wrong("check `url`")),
        (
            &[406, 415],
            Meaning::Wrong("check that what listens at `url` takes JSON"),
        ),
        (
            &[407],
            Meaning::Wrong("check that no proxy which wants a password is in between"),
        ),
        (
            &[451],
            Meaning::Wrong("ask those who run it why the law forbids it"),
        ),
        (
            &[421, 426],
            Meaning::Wrong("check `url`, and the server that answers for its host"),
        ),
    ];
    for (statuses, expected) in cases {
        for status in *statuses {
            let found = meaning(StatusCode::from_u16(*status).unwrap());
            assert_eq!(&found, expected, "{status}");
        }
    }
}

/// Whoever is busy says nothing about what it was sent.
#[test]
fn a_status_without_a_wish_to_be_left_alone_may_be_about_what_was_sent() {
    let client = HttpClient::new(destination("https://siem.example/", false));
    let client = client.ok().unwrap();
    for (status, retry_after, is_declined) in [
        (403, None, true),
        (503, None, true),
        (307, None, true),
        (429, None, false),
        (429, Some(1), false),
        (403, Some(1), false),
        (503, Some(0), false),
    ] {
        let answer = Answer {
            status: StatusCode::from_u16(status).unwrap(),
            retry_after: retry_after.map(Duration::from_secs),
            body: Vec::new(),
        };
        let (found, error) = match client.outcome(&answer) {
            Outcome::Declined(error) => (true, error),
            Outcome::Failed(error) => (false, error),
            other => panic!("{status}: {other:?}"),
        };
        assert_eq!(found, is_declined, "{status} {retry_after:?}");
        assert_eq!(error.retry_after, answer.retry_after);
    }
}

#[test]
fn who_wants_to_be_left_alone_is_for_an_hour_at_most() {
    for (text, expected) in [
        ("0", Some(0)),
        ("120", Some(120)),
        (" 7 ", Some(7)),
        ("86400", Some(3600)),
        ("-1", None),
        ("1.5", None),
        ("Fri, 31 Dec 2027 23:59:59 GMT", None),
        ("", None),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_str(text).unwrap());
        let expected = expected.map(Duration::from_secs);
        assert_eq!(retry_after(&headers), expected, "{text:?}");
    }
    assert_eq!(retry_after(&HeaderMap::new()), None);
}

#[test]
fn what_is_inside_is_called_only_if_that_is_allowed() {
    for (url, expected) in [
        ("https://siem.example/in", None),
        ("https://1.1.1.1/in", None),
        ("https://10.0.0.1/in", Some("10.0.0.1 is no public address")),
        ("https://127.1/in", Some("127.0.0.1 is no public address")),
        (
            "https://0x7f000001/",
            Some("127.0.0.1 is no public address"),
        ),
        ("https://[::1]:8443/", Some("::1 is no public address")),
        ("http://siem.example/in", Some("not encrypted")),
    ] {
        let refused = HttpClient::new(destination(url, false)).err();
        let refused = refused.map(|error| error.to_string());
        match (refused, expected) {
            (None, None) => {}
            (Some(error), Some(expected)) => {
                assert!(error.contains(expected), "{url}: {error}");
                assert!(error.contains("allow_private"), "{url}: {error}");
            }
            (refused, _) => panic!("{url}: {refused:?}"),
        }
        assert!(HttpClient::new(destination(url, true)).is_ok(), "{url}");
    }
}

#[test]
fn what_is_not_encrypted_goes_to_no_public_address() {
    for url in ["http://1.1.1.1/in", "http://[2a00::1]:8080/"] {
        let error = HttpClient::new(destination(url, true)).err().unwrap();
        assert!(error.reason.contains("is a public address"), "{error}");
        assert_eq!(error.remedy, ENCRYPT, "{error}");
    }
    for url in ["http://10.0.0.1/in", "https://1.1.1.1/in"] {
        assert!(HttpClient::new(destination(url, true)).is_ok(), "{url}");
    }
}

/// Answers one request with this, whole or not, and hangs up.
async fn answer_once(listener: TcpListener, answer: &str) {
    let (mut stream, _) = listener.accept().await.unwrap();
    assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
    stream.write_all(answer.as_bytes()).await.unwrap();
}

#[tokio::test]
async fn a_body_that_breaks_off_does_not_hide_the_status() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/in", listener.local_addr().unwrap());
    let client = HttpClient::new(destination(&url, true)).ok().unwrap();
    let answered = answer_once(listener, "HTTP/1.1 403 No\r\ncontent-length: 9\r\n\r\nhalf");
    let asked = client.post(client.url().clone(), HeaderMap::new(), Vec::new());
    let (answer, ()) = tokio::join!(asked, answered);
    let answer = answer.unwrap();
    assert_eq!(
        (answer.status.as_u16(), &answer.body[..]),
        (403, &b"half"[..])
    );
}

#[tokio::test]
async fn a_name_that_stands_for_this_machine_is_not_called() {
    let url = "https://localhost:9/secret?key=secret";
    let client = HttpClient::new(destination(url, false)).ok().unwrap();
    let answer = client.post(client.url().clone(), HeaderMap::new(), Vec::new());
    let error = answer.await.unwrap_err();
    assert_eq!(error.place, "https://localhost:9");
    assert_eq!(error.remedy, ALLOW_PRIVATE, "{error}");
    assert!(error.reason.contains("`localhost` has no public address"));
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[test]
fn certificates_that_cannot_be_had_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    for (text, expected) in [
        (None, "cannot read"),
        (Some(""), "holds no certificates"),
        (Some("no PEM"), "holds no certificates"),
    ] {
        if let Some(text) = text {
            fs::write(&path, text).unwrap();
        }
        let destination = Destination {
            ca: Some(path.clone()),
            ..destination("https://siem.example/", false)
        };
        let error = HttpClient::new(destination).err().unwrap().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(error.contains("ca.pem"), "{error}");
    }
}

#[test]
fn an_address_below_keeps_what_stands_before_it() {
    for (url, expected) in [
        ("https://splunk.example", "https://splunk.example/a/b"),
        (
            "https://splunk.example:8088/",
            "https://splunk.example:8088/a/b",
        ),
        ("https://splunk.example/x", "https://splunk.example/x/a/b"),
        ("https://splunk.example/x/", "https://splunk.example/x/a/b"),
    ] {
        let client = HttpClient::new(destination(url, false)).ok().unwrap();
        assert_eq!(client.below(&["a", "b"]).as_str(), expected);
    }
}
