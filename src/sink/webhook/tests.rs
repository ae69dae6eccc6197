use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use tokio::net::TcpListener;

use super::*;
use crate::sink::http::Destination;

const NOW: i64 = 1_772_438_400_900_000;

fn webhook(secret: Option<&str>) -> Webhook {
    webhook_at("https://siem.example/in", secret)
}

/// One whose clock goes on by a second with each look at it.
fn webhook_at(url: &str, secret: Option<&str>) -> Webhook {
    let url: reqwest::Url = url.parse().unwrap();
    let allow_private = url.scheme() == "http";
    let destination = Destination {
        url,
        allow_private,
        ca: None,
    };
    let client = HttpClient::new(destination).ok().unwrap();
    let time = Mutex::new(NOW);
    let now = move || {
        let mut time = time.lock().unwrap();
        *time += MICROS;
        *time
    };
    let clock = Clock::driven(now, |_| ());
    let secret = secret.map(SecretString::from);
    Webhook::new(client, secret, Format::Native, clock)
}

#[test]
fn the_code_is_that_of_rfc_4231() {
    // Test case 2.
    let code = authentication_code(b"Jefe", "what do ya want for nothing?");
    assert_eq!(
        code.unwrap(),
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    );
}

#[test]
fn time_and_body_are_signed() {
    let body = r#"{"id":"a"}"#;
    let headers = webhook(Some("s3cret")).headers("application/json", "a", body, NOW);
    for (name, expected) in [
        ("content-type", "application/json"),
        ("x-gridwatch-id", "a"),
        ("x-gridwatch-timestamp", "1772438400"),
        (
            "x-gridwatch-signature",
            "v1=8c8cf8a6bd65db1e377c6ab2fb8b3fe556478850959bb8e785929a45e76a6540",
        ),
    ] {
        assert_eq!(headers[name], expected, "{name}");
    }
    let unsigned = webhook(None).headers("application/json", "a", body, NOW);
    assert!(!unsigned.contains_key("x-gridwatch-signature"));
}

#[test]
fn an_id_that_has_no_place_in_a_header_is_left_out() {
    let webhook = webhook(None);
    let long = "a".repeat(LONGEST_ID + 1);
    for (id, is_named) in [
        ("1a2b3c", true),
        (&long[1..], true),
        ("", false),
        (long.as_str(), false),
        ("a\r\nX-Admin: 1", false),
        ("a\nb", false),
        ("a b", false),
        ("\u{9b}", false),
        ("é", false),
    ] {
        let headers = webhook.headers("application/x-ndjson", id, "", NOW);
        assert_eq!(headers.contains_key("x-gridwatch-id"), is_named, "{id:?}");
        assert!(!headers.contains_key("x-admin"));
    }
}

/// Answers 403 to every request with this word in it, and takes all others.
#[derive(Clone, Default)]
struct Guard {
    word: &'static str,
    /// The ids and the times of requests.
    seen: Arc<Mutex<Vec<(String, String)>>>,
}

impl Guard {
    /// One that listens, and a webhook that posts to it.
    async fn start(word: &'static str) -> (Self, Webhook) {
        let guard = Self {
            word,
            ..Self::default()
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let router = Router::new().route("/", post(judge));
        let router = router.with_state(guard.clone());
        tokio::spawn(async { axum::serve(listener, router).await.unwrap() });
        (guard, webhook_at(&url, None))
    }

    /// The ids of the requests since the last look, in some order, and their times.
    fn look(&self) -> (Vec<String>, Vec<String>) {
        let mut seen = mem::take(&mut *self.seen.lock().unwrap());
        seen.sort();
        seen.into_iter().unzip()
    }
}

async fn judge(State(guard): State<Guard>, headers: HeaderMap, body: String) -> StatusCode {
    let header = |name: &str| headers[name].to_str().unwrap().to_owned();
    let request = (header("x-gridwatch-id"), header("x-gridwatch-timestamp"));
    guard.seen.lock().unwrap().push(request);
    if body.contains(guard.word) {
        StatusCode::FORBIDDEN
    } else {
        StatusCode::OK
    }
}

fn deliveries(ids: &[&str], kind: Kind) -> Vec<Delivery> {
    let ids = ids.iter();
    ids.map(|id| Delivery {
        record: format!("{{\"id\":\"{id}\"}}"),
        found_at: NOW,
        kind,
    })
    .collect()
}

#[tokio::test]
async fn each_request_has_a_time_of_its_own() {
    let (guard, mut webhook) = Guard::start("nothing").await;
    let report = webhook
        .deliver(&deliveries(&["a", "b", "c"], Kind::Anomaly), NOW)
        .await;
    assert_eq!(report.settled, 3);
    let (_, mut times) = guard.look();
    times.sort();
    times.dedup();
    assert_eq!(times.len(), 3, "{times:?}");
}

/// A filter before the receiver may dislike what somebody wrote.
#[tokio::test]
async fn an_anomaly_that_a_filter_always_stops_holds_nothing_up() {
    let (guard, mut webhook) = Guard::start("evil").await;
    let all = deliveries(&["a", "evil", "c", "d"], Kind::Anomaly);
    let report = webhook.deliver(&all, NOW).await;
    assert_eq!(report.settled, 1);
    assert_eq!(guard.look().0, ["a", "c", "d", "evil"]);
    for _ in 1..DECLINES - 1 {
        let report = webhook.deliver(&all[1..], NOW).await;
        assert_eq!(report.settled, 0);
        assert!(report.error.is_some());
        assert_eq!(guard.look().0, ["evil"], "alone");
    }
    let report = webhook.deliver(&all[1..], NOW).await;
    assert_eq!(report.settled, 3);
    assert_eq!(guard.look().0, ["c", "d", "evil"]);
    let [(0, reason)] = report.refused.as_slice() else {
        panic!("{:?}", report.refused);
    };
    assert!(reason.contains("403"), "{reason}");
}

#[tokio::test]
async fn a_receiver_that_takes_nothing_loses_nothing() {
    for kind in [Kind::Anomaly, Kind::Event] {
        let (_, mut webhook) = Guard::start("id").await;
        for _ in 0..3 * DECLINES {
            let report = webhook.deliver(&deliveries(&["a", "b"], kind), NOW).await;
            assert_eq!((report.settled, report.refused), (0, Vec::new()));
            assert!(report.error.is_some());
        }
    }
}

#[tokio::test]
async fn an_event_that_a_filter_always_stops_holds_nothing_up() {
    let (_, mut webhook) = Guard::start("evil").await;
    let all = deliveries(&["a", "b", "evil", "d", "e"], Kind::Event);
    let (mut settled, mut refused) = (0, Vec::new());
    for _ in 0..3 * DECLINES {
        let report = webhook.deliver(&all[settled..], NOW).await;
        refused.extend(report.refused.iter().map(|(at, _)| settled + at));
        settled += report.settled;
        if settled == all.len() {
            break;
        }
    }
    assert_eq!((settled, refused), (5, vec![2]));
}
