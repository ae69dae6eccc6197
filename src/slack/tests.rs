//! The client as it meets a Slack that answers what a script says.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::stream::{self, StreamExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::allow::Allowed;
use super::audit::{MOST_ENTRIES, Query};
use super::client::Limits;
use super::directory::{Group, Member};
use super::{Client, Error};
use crate::config::Endpoint;

mod measures;

const TOKEN: &str = "xoxp-what-nobody-may-read";

/// Long enough for everything that a test waits for, on a busy machine too.
const PATIENT: Limits = Limits {
    connect: Duration::from_secs(60),
    pause: Duration::from_secs(60),
    whole: Duration::from_secs(60),
    bytes: 10_000,
};

const SOON: Duration = Duration::from_millis(150);

/// One request.
struct Asked {
    target: String,
    headers: HeaderMap,
    body: String,
}

type Script = Box<dyn Fn() -> Response + Send>;

struct Slack {
    script: Mutex<Script>,
    asked: Mutex<Vec<Asked>>,
}

async fn answer(State(slack): State<Arc<Slack>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    slack.asked.lock().unwrap().push(Asked {
        target: format!("{} {}", head.method, head.uri),
        headers: head.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    });
    let script = slack.script.lock().unwrap();
    (*script)()
}

/// A server, and a client of it. The server ends with the test.
struct Site {
    client: Client,
    slack: Arc<Slack>,
    serving: JoinHandle<()>,
}

impl Drop for Site {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Site {
    async fn open(limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let slack = Arc::new(Slack {
            script: Mutex::new(Box::new(|| response(200, &[], "{}"))),
            asked: Mutex::default(),
        });
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&slack));
        Self {
            client: client(limits, port),
            slack,
            serving: tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }),
        }
    }

    fn answers(&self, script: impl Fn() -> Response + Send + 'static) {
        *self.slack.script.lock().unwrap() = Box::new(script);
    }

    fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.slack.asked.lock().unwrap())
    }
}

fn client(limits: Limits, port: u16) -> Client {
    let endpoint = Endpoint::parse(&format!("http://127.0.0.1:{port}/api/")).unwrap();
    Client::within(limits, endpoint, TOKEN.into()).unwrap()
}

fn response(status: u16, headers: &[(&str, &str)], body: impl Into<Body>) -> Response {
    let mut builder = Response::builder().status(status);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(body.into()).unwrap()
}

/// The error in a few words, without the name of the method.
fn short(error: &Error) -> String {
    assert!(!format!("{error} {error:?}").contains(TOKEN), "{error}");
    match error {
        Error::RateLimited {
            retry_after_secs, ..
        } => format!("rate limited for {retry_after_secs}"),
        Error::Unauthorised { status, code, .. } => format!("unauthorised {status} {code}"),
        Error::Refused { status, code, .. } => format!("refused {status} {code}"),
        Error::Unavailable { status, code, .. } => format!("unavailable {status} {code}"),
        Error::Connection { .. } => "connection".to_owned(),
        Error::Malformed { .. } => "malformed".to_owned(),
    }
}

/// Makes both APIs give this answer, and looks what error it becomes.
async fn expect(site: &Site, status: u16, wait: Option<&'static str>, body: &str, error: &str) {
    let text = body.to_owned();
    site.answers(move || {
        let wait = wait.map(|secs| ("retry-after", secs));
        let elsewhere = Some(("location", "/elsewhere"));
        let headers: Vec<_> = wait.into_iter().chain(elsewhere).collect();
        response(status, &headers, text.clone())
    });
    let logs = site.client.logs(&Query::default()).await.unwrap_err();
    let users = site.client.users(None, None).await.unwrap_err();
    assert_eq!(short(&logs), error, "logs: {status} {body}");
    assert_eq!(short(&users), error, "users: {status} {body}");
    assert!(logs.to_string().contains("audit logs"), "{logs}");
    assert!(users.to_string().contains("users.list"), "{users}");
    assert_eq!(site.asked().len(), 2, "no redirect is followed");
}

const HTML: &str = "<html><title>Slack</title>";

#[tokio::test]
async fn a_status_tells_what_the_error_is() {
    let site = Site::open(PATIENT).await;
    for (status, wait, body, error) in [
        (429, Some("7"), "", "rate limited for 7"),
        (429, Some("86400"), "{}", "rate limited for 3600"),
        (429, Some("0"), "{}", "rate limited for 1"),
        (429, Some("soon"), HTML, "rate limited for 30"),
        (401, None, "", "unauthorised 401 "),
        (401, None, HTML, "unauthorised 401 "),
        (403, None, "{}", "unauthorised 403 "),
        (400, None, "", "refused 400 "),
        (404, None, HTML, "refused 404 "),
        (500, None, "", "unavailable 500 "),
        (503, Some("5"), HTML, "unavailable 503 "),
        (302, None, "", "malformed"),
        (200, None, "", "malformed"),
        (200, None, HTML, "malformed"),
        (200, None, "{}", "malformed"),
        (200, None, r#"{"ok":true}"#, "malformed"),
        (200, None, r#"{"ok":true,"entries":[],"#, "malformed"),
        (200, None, r#"{"ok":false}"#, "refused 200 "),
    ] {
        expect(&site, status, wait, body, error).await;
    }
}

#[tokio::test]
async fn a_code_tells_more_than_the_status() {
    let site = Site::open(PATIENT).await;
    for (status, code, error) in [
        (429, "rate_limited", "rate limited for 9"),
        (200, "ratelimited", "rate limited for 9"),
        (403, "odd", "unauthorised 403 odd"),
        (200, "missing_scope", "unauthorised 200 missing_scope"),
        (400, "not_authed", "unauthorised 400 not_authed"),
        (400, "invalid_cursor", "refused 400 invalid_cursor"),
        (200, "user_not_found", "refused 200 user_not_found"),
        (200, "fatal_error", "unavailable 200 fatal_error"),
        (400, "internal_error", "unavailable 400 internal_error"),
        (502, "invalid_auth", "unavailable 502 invalid_auth"),
    ] {
        let body = format!(r#"{{"ok":false,"error":"{code}"}}"#);
        expect(&site, status, Some("9"), &body, error).await;
    }
}

#[tokio::test]
async fn the_scope_that_is_needed_is_told() {
    let site = Site::open(PATIENT).await;
    let body = r#"{"ok":false,"error":"missing_scope","needed":"admin.users:read","provided":"x"}"#;
    site.answers(move || response(200, &[], body));
    let error = site.client.admin_users(None).await.unwrap_err();
    assert!(error.is_unknown_here() && error.is_unauthorised());
    assert!(error.to_string().contains("admin.users:read"), "{error}");
}

#[tokio::test]
async fn a_page_is_asked_for_and_read() {
    let site = Site::open(PATIENT).await;
    let body = r#"{"entries":[{"date_create":9},{"date_create":7}],"response_metadata":{}}"#;
    let date = ("date", "Mon, 02 Mar 2026 08:00:00 GMT");
    site.answers(move || response(200, &[date], body));
    let query = Query {
        oldest: Some(7),
        latest: Some(9),
        limit: u16::MAX,
        cursor: Some("a+b/c==&limit=1 ä".to_owned()),
    };
    let page = site.client.logs(&query).await.unwrap();
    assert_eq!(
        (page.entries, page.newest, page.oldest),
        (2, Some(9), Some(7))
    );
    assert_eq!(
        (page.next_cursor, page.server_time),
        (None, Some(1_772_438_400))
    );
    assert_eq!(page.body, body);
    site.client.logs(&Query::default()).await.unwrap();

    let asked = site.asked();
    let targets: Vec<&str> = asked.iter().map(|asked| asked.target.as_str()).collect();
    let cursor = "a%2Bb%2Fc%3D%3D%26limit%3D1+%C3%A4";
    let first = format!("GET /api/logs?oldest=7&latest=9&limit={MOST_ENTRIES}&cursor={cursor}");
    assert_eq!(targets, [first.as_str(), "GET /api/logs"]);
    let bearer = format!("Bearer {TOKEN}");
    let agent = concat!("gridwatch/", env!("CARGO_PKG_VERSION"));
    for (name, value) in [
        ("authorization", bearer.as_str()),
        ("user-agent", agent),
        ("accept-encoding", "gzip"),
        ("accept", "application/json"),
    ] {
        assert_eq!(asked[0].headers[name], value, "{name}");
    }
}

#[tokio::test]
async fn a_date_that_cannot_be_read_is_none() {
    let site = Site::open(PATIENT).await;
    site.answers(|| response(200, &[("date", "yesterday")], r#"{"entries":[]}"#));
    let page = site.client.logs(&Query::default()).await.unwrap();
    assert_eq!(page.server_time, None);
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn a_body_is_decompressed_up_to_its_limit() {
    let site = Site::open(PATIENT).await;
    let most = PATIENT.bytes;
    let page = |size: usize| {
        let entries = r#"{"entries":[]}"#;
        format!("{entries}{}", " ".repeat(size - entries.len()))
    };
    for is_zipped in [false, true] {
        for (size, is_fit) in [(most, true), (most + 1, false), (50 * most, false)] {
            let body = page(size);
            site.answers(move || {
                if is_zipped {
                    response(200, &[("content-encoding", "gzip")], gzip(&body))
                } else {
                    response(200, &[], body.clone())
                }
            });
            let page = site.client.logs(&Query::default()).await;
            let found = page.map(|page| page.body.len());
            match found {
                Ok(found) => assert_eq!((found, true), (size, is_fit), "zipped: {is_zipped}"),
                Err(error) => {
                    assert!(!is_fit, "{size} bytes, zipped: {is_zipped}: {error}");
                    assert_eq!(short(&error), "malformed");
                }
            }
        }
    }
}

/// What is sent first, and whatever comes then.
fn begun(rest: impl stream::Stream<Item = io::Result<Bytes>> + Send + 'static) -> Response {
    let first = stream::iter([Ok(Bytes::from_static(b"{\"entries\":[]"))]);
    response(200, &[], Body::from_stream(first.chain(rest)))
}

/// The pause lets what was begun be sent.
fn cut() -> Response {
    begun(stream::once(async {
        tokio::time::sleep(SOON).await;
        Err(io::Error::other("it breaks"))
    }))
}

fn stalled() -> Response {
    begun(stream::pending())
}

fn trickling() -> Response {
    begun(stream::unfold((), |()| async {
        tokio::time::sleep(SOON / 10).await;
        Some((Ok(Bytes::from_static(b" ")), ()))
    }))
}

fn torn_gzip() -> Response {
    let mut zipped = gzip(r#"{"entries":[]}"#);
    zipped.truncate(zipped.len() / 2);
    response(200, &[("content-encoding", "gzip")], zipped)
}

#[tokio::test]
async fn what_is_cut_or_slow_is_given_up() {
    let impatient = Limits {
        pause: SOON,
        ..PATIENT
    };
    let in_a_hurry = Limits {
        whole: SOON,
        ..PATIENT
    };
    type Script = (&'static str, Limits, fn() -> Response);
    let scripts: [Script; 4] = [
        ("cut", PATIENT, cut),
        ("stalled", impatient, stalled),
        ("trickling", in_a_hurry, trickling),
        ("torn", PATIENT, torn_gzip),
    ];
    for (name, limits, script) in scripts {
        let site = Site::open(limits).await;
        site.answers(script);
        let error = site.client.logs(&Query::default()).await.unwrap_err();
        assert_eq!(short(&error), "connection", "{name}: {error}");
        assert!(!error.to_string().contains("127.0.0.1"), "{name}: {error}");
    }
}

#[tokio::test]
async fn the_status_of_a_failure_counts_when_its_body_is_cut() {
    let site = Site::open(PATIENT).await;
    site.answers(|| {
        let mut response = cut();
        *response.status_mut() = axum::http::StatusCode::TOO_MANY_REQUESTS;
        response
    });
    let error = site.client.logs(&Query::default()).await.unwrap_err();
    assert_eq!(short(&error), "rate limited for 30");
}

#[tokio::test]
async fn who_does_not_answer_is_not_there() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = client(PATIENT, listener.local_addr().unwrap().port());
    let (error, ()) = tokio::join!(client.user_groups(None), async {
        // It hangs up, and nobody listens from now on.
        drop(listener.accept().await.unwrap());
        drop(listener);
    });
    assert_eq!(short(&error.unwrap_err()), "connection");
    let error = client.user_groups(None).await.unwrap_err();
    assert_eq!(short(&error), "connection");
    assert!(error.to_string().contains("usergroups.list"), "{error}");
}

#[test]
fn the_token_is_never_shown() {
    let endpoint = Endpoint::parse("https://slack.com/api/").unwrap();
    let client = client(PATIENT, 1);
    assert!(!format!("{client:?}").contains(TOKEN), "{client:?}");
    let broken = format!("{TOKEN}\n");
    let error = Client::new(endpoint, broken.into()).unwrap_err();
    assert_eq!(short(&error), "unauthorised 0 invalid_auth");
}

#[tokio::test]
async fn people_and_groups_are_listed() {
    let site = Site::open(PATIENT).await;
    let member = |id: &str| Member {
        id: id.to_owned(),
        is_owner: id == "U1",
        is_admin: false,
        is_bot: false,
        is_deleted: id == "W2",
    };
    for (word, cursor) in [("users", None), ("members", Some("a="))] {
        let people = r#"[{"id":"U1","is_owner":true,"profile":{}},{"id":"<b>"},
            {"id":"W2","deleted":true}],"response_metadata":{"next_cursor":"dA=="}"#;
        site.answers(move || response(200, &[], format!(r#"{{"ok":true,"{word}":{people}}}"#)));
        for listed in [
            site.client.admin_users(cursor).await,
            site.client.users(None, cursor).await,
        ] {
            let listed = listed.unwrap();
            assert_eq!(listed.items, [member("U1"), member("W2")], "{word}");
            assert_eq!(listed.next_cursor.as_deref(), Some("dA=="), "{word}");
        }
    }
    site.answers(|| {
        let body = r#"{"ok":true,"usergroups":[{"id":"S1","handle":"sec","users":["U1","-"]},{}]}"#;
        response(200, &[], body)
    });
    let group = Group {
        id: "S1".to_owned(),
        handle: "sec".to_owned(),
        users: vec!["U1".to_owned()],
    };
    assert_eq!(site.client.user_groups(None).await, Ok(vec![group]));

    let asked = site.asked();
    let asked = asked
        .iter()
        .map(|asked| (asked.target.as_str(), asked.body.as_str()));
    let expected = [
        ("POST /api/admin.users.list", "limit=100"),
        ("POST /api/users.list", "limit=200"),
        ("POST /api/admin.users.list", "limit=100&cursor=a%3D"),
        ("POST /api/users.list", "limit=200&cursor=a%3D"),
        (
            "POST /api/usergroups.list",
            "include_users=true&include_disabled=false",
        ),
    ];
    assert_eq!(asked.collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn the_allow_list_is_read_and_overwritten() {
    let site = Site::open(PATIENT).await;
    site.answers(|| {
        response(
            200,
            &[],
            r#"{"ok":true,"trusted_cidr":["::/0"],"trusted_asns":[5]}"#,
        )
    });
    let allowed = site.client.allowed().await.unwrap();
    assert_eq!(site.client.set_allowed(&allowed).await, Ok(()));
    assert_eq!(site.client.set_allowed(&Allowed::default()).await, Ok(()));

    let asked = site.asked();
    let bodies: Vec<&str> = asked.iter().map(|asked| asked.body.as_str()).collect();
    let both = r#"{"trusted_cidr":["::/0"],"trusted_asns":[5]}"#;
    let none = r#"{"trusted_cidr":[],"trusted_asns":[]}"#;
    assert_eq!(bodies, ["", both, none]);
    let update = "POST /api/admin.audit.anomaly.allow.updateItem";
    assert_eq!(asked[2].target, update);
    assert_eq!(asked[2].headers["content-type"], "application/json");

    site.answers(|| response(200, &[], "{}"));
    let error = site.client.set_allowed(&allowed).await.unwrap_err();
    assert_eq!(short(&error), "malformed");
}
