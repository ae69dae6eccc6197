//! The server as clients see it, with made-up services behind it.

use std::net::SocketAddr;
use std::sync::Mutex;

use reqwest::header::HeaderMap;
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::answer::{Server, answer};
use super::auth::{Allowed, Role, Token};
use super::routes::{ROUTES, Route};
use super::*;

const EVENTS: &str = "/api/v1/events";
const SECRET: &str = "what nobody may read";
const SLOW: Duration = Duration::from_millis(600);

/// A service that does what the name of the source asks for.
#[derive(Default)]
struct Fake {
    pushed: Mutex<Vec<Body>>,
    /// Told when a slow push has begun.
    begun: Notify,
    readiness: Readiness,
}

#[async_trait]
impl Ingest for Fake {
    async fn push(&self, source: Option<&str>, body: Body) -> Result<Receipt, Refusal> {
        let refusal = match source {
            None | Some("push" | "slow") => {
                if source == Some("slow") {
                    self.begun.notify_one();
                    tokio::time::sleep(SLOW).await;
                }
                self.pushed.lock().unwrap().push(body);
                let mut receipt = Receipt {
                    accepted: 3,
                    ..Receipt::default()
                };
                receipt.reject(reject("{"));
                return Ok(receipt);
            }
            Some("panic") => panic!("{SECRET}"),
            Some("busy") => Refusal::Busy {
                retry_after_secs: 7,
            },
            Some("down") => Refusal::Unavailable {
                reason: "the disk is full".to_owned(),
                retry_after_secs: 9,
            },
            Some("large") => Refusal::TooLarge { limit_bytes: 5 },
            Some("broken") => Refusal::Malformed {
                reason: "the gzip data is cut off".to_owned(),
            },
            Some(other) => Refusal::UnknownSource {
                name: other.to_owned(),
                known: vec!["push".to_owned()],
            },
        };
        Err(refusal)
    }
}

impl Access for Fake {
    fn role_of(&self, token_hash: &[u8; 32]) -> Option<Role> {
        let mut roles = Role::ALL.into_iter();
        roles.find(|role| auth::hash(token(*role).reveal()) == *token_hash)
    }
}

impl Health for Fake {
    fn readiness(&self) -> Readiness {
        self.readiness.clone()
    }
}

fn reject(text: &str) -> Reject {
    Reject {
        input: "push".to_owned(),
        line: 4,
        offset: 300,
        reason: "it ends too early".to_owned(),
        bytes: text.len() as u64,
        text: Some(text.to_owned()),
        base64: None,
    }
}

fn token(role: Role) -> Token {
    Token::create([role as u8; 32], role)
}

fn services(fake: &Arc<Fake>, metrics: &Metrics) -> Services {
    Services {
        ingest: Arc::<Fake>::clone(fake),
        access: Arc::<Fake>::clone(fake),
        health: Arc::<Fake>::clone(fake),
        metrics: metrics.clone(),
    }
}

/// A running server, and a client to ask it.
struct Site {
    address: SocketAddr,
    client: Client,
    fake: Arc<Fake>,
    metrics: Metrics,
    serving: JoinHandle<io::Result<()>>,
}

impl Site {
    async fn open() -> Self {
        Self::with(Fake::default(), PATIENCE, std::future::pending()).await
    }

    async fn with(
        fake: Fake,
        patience: Duration,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (fake, metrics) = (Arc::new(fake), Metrics::new());
        let services = services(&fake, &metrics);
        let serving = tokio::spawn(answer_all(Patient::new(listener, patience), services, stop));
        crate::tls::provide();
        let client = Client::builder().no_proxy().pool_max_idle_per_host(0);
        Self {
            address,
            client: client.build().unwrap(),
            fake,
            metrics,
            serving,
        }
    }

    fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let url = format!("http://{}{path}", self.address);
        self.client.request(method.parse().unwrap(), url)
    }

    async fn get(&self, path: &str) -> Answer {
        ask(self.request("GET", path)).await
    }

    fn push(&self, query: &str) -> RequestBuilder {
        let request = self.request("POST", &format!("{EVENTS}{query}"));
        request
            .bearer_auth(token(Role::Ingest).reveal())
            .body("{}\n")
    }
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    /// The code of the error, if it is one.
    fn code(&self) -> Option<String> {
        let answer: Value = serde_json::from_str(&self.text).ok()?;
        Some(answer["error"]["code"].as_str()?.to_owned())
    }
}

/// Every answer, whatever it is, holds no secret and the headers that belong to all of them.
async fn ask(request: RequestBuilder) -> Answer {
    let response = request.header("x-request-id", "mine").send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.unwrap();
    let answer = Answer {
        status,
        headers,
        text,
    };
    let shown = format!("{:?} {}", answer.headers, answer.text);
    assert!(!shown.contains(SECRET), "{shown}");
    assert!(!shown.contains("gw_"), "{shown}");
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("cache-control", "no-store"),
        ("content-security-policy", "default-src 'none'"),
    ] {
        assert_eq!(answer.header(name), Some(value));
    }
    assert!(answer.header("x-request-id").is_some_and(|id| id != "mine"));
    answer
}

#[tokio::test]
async fn a_push_is_answered_by_what_became_of_it() {
    let site = Site::open().await;
    for (query, status, code, retry) in [
        ("", 200, None, None),
        ("?source=push", 200, None, None),
        ("?source=broken", 400, Some("malformed"), None),
        ("?sorce=push", 400, Some("malformed"), None),
        ("?source=push&source=push", 400, Some("malformed"), None),
        ("?source=nobody", 404, Some("unknown_source"), None),
        ("?source=large", 413, Some("too_large"), None),
        ("?source=busy", 429, Some("busy"), Some("7")),
        ("?source=panic", 500, Some("internal"), None),
        ("?source=down", 503, Some("unavailable"), Some("9")),
    ] {
        let answer = ask(site.push(query)).await;
        assert_eq!(answer.status, status, "{query}: {}", answer.text);
        assert_eq!(answer.code().as_deref(), code, "{query}");
        assert_eq!(answer.header("retry-after"), retry, "{query}");
    }
    let receipt = ask(site.push("")).await.json();
    assert_eq!(receipt["accepted"], 3);
    assert_eq!(receipt["rejected"], 1);
    assert_eq!(receipt["rejects"][0]["line"], 4);
    let pushed = site.fake.pushed.lock().unwrap();
    assert_eq!(pushed[0].bytes, "{}\n");
}

#[tokio::test]
async fn the_coding_is_what_the_request_says() {
    let site = Site::open().await;
    for (word, coding) in [
        (None, Coding::Detect),
        (Some("identity"), Coding::Identity),
        (Some("GZip"), Coding::Gzip),
        (Some("x-gzip"), Coding::Gzip),
        (Some("zstd"), Coding::Zstd),
    ] {
        let mut request = site.push("");
        if let Some(word) = word {
            request = request.header("content-encoding", word);
        }
        assert_eq!(ask(request).await.status, 200, "{word:?}");
        let pushed = site.fake.pushed.lock().unwrap().pop();
        assert_eq!(pushed.unwrap().coding, coding, "{word:?}");
    }
    for word in ["br", "gzip, zstd", ""] {
        let answer = ask(site.push("").header("content-encoding", word)).await;
        assert_eq!(answer.status, 415, "{word}");
        assert_eq!(answer.code().as_deref(), Some("unsupported_encoding"));
        assert_eq!(answer.header("accept-encoding"), Some("gzip, zstd"));
    }
    assert!(site.fake.pushed.lock().unwrap().is_empty());
}

#[tokio::test]
async fn only_who_is_allowed_gets_an_answer() {
    let site = Site::open().await;
    for route in ROUTES {
        let request = || site.request(route.method.as_str(), route.path).body("");
        for role in Role::ALL {
            let answer = ask(request().bearer_auth(token(role).reveal())).await;
            let is_allowed = match route.allowed {
                Allowed::Anyone => true,
                Allowed::Roles(roles) => roles.contains(&role),
            };
            assert_eq!(answer.status != 403, is_allowed, "{role} at {}", route.path);
            assert_ne!(answer.status, 401, "{role} at {}", route.path);
        }
        let unknown = Token::create([99; 32], Role::Owner);
        let basic = request().header("authorization", "Basic b3duZXI6");
        let unknown = request().bearer_auth(unknown.reveal());
        for request in [request(), basic, unknown] {
            let answer = ask(request).await;
            if route.allowed == Allowed::Anyone {
                assert_ne!(answer.status, 401, "{}", route.path);
            } else {
                assert_eq!(answer.status, 401, "{}", route.path);
                assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
                assert!(answer.text.contains("gridwatch token create"));
            }
        }
    }
    let pushed = site.fake.pushed.lock().unwrap();
    assert_eq!(pushed.len(), 2, "ingest and owner push");
}

#[tokio::test]
async fn what_does_not_exist_is_told() {
    let site = Site::open().await;
    for (method, path, status, code, allow) in [
        ("GET", "/api/v1/nothing", 404, "not_found", None),
        ("GET", "/", 404, "not_found", None),
        ("GET", EVENTS, 405, "method_not_allowed", Some("POST")),
        (
            "DELETE",
            "/-/ready",
            405,
            "method_not_allowed",
            Some("GET,HEAD"),
        ),
    ] {
        let answer = ask(site.request(method, path)).await;
        assert_eq!(answer.status, status, "{method} {path}");
        assert_eq!(answer.code().as_deref(), Some(code), "{method} {path}");
        assert_eq!(answer.header("allow"), allow, "{method} {path}");
    }
}

#[tokio::test]
async fn a_body_that_says_it_is_too_large_is_not_waited_for() {
    let site = Site::open().await;
    let mut stream = TcpStream::connect(site.address).await.unwrap();
    let head = format!(
        "POST {EVENTS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        token(Role::Ingest).reveal(),
        (64 << 20) + 1
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains(r#""code":"too_large""#), "{answer}");
}

#[tokio::test]
async fn health_needs_no_token_and_readiness_says_why_not() {
    let site = Site::open().await;
    let healthy = site.get("/-/healthy").await;
    assert_eq!((healthy.status, healthy.text.as_str()), (200, "ok"));
    for is_ready in [true, false] {
        let readiness = Readiness {
            is_ready,
            reasons: vec!["the source `grid` was never reached".to_owned()],
        };
        let fake = Fake {
            readiness: readiness.clone(),
            ..Fake::default()
        };
        let site = Site::with(fake, PATIENCE, std::future::pending()).await;
        let answer = site.get("/-/ready").await;
        assert_eq!(answer.status, if is_ready { 200 } else { 503 });
        let wanted = json!({"ready": is_ready, "reasons": readiness.reasons});
        assert_eq!(answer.json(), wanted);
    }
}

#[tokio::test]
async fn requests_are_counted_by_route() {
    let site = Site::open().await;
    site.get("/-/healthy").await;
    site.get("/somewhere?token=1").await;
    ask(site.push("?source=panic")).await;
    let request = site.request("GET", "/metrics");
    let answer = ask(request.bearer_auth(token(Role::Metrics).reveal())).await;
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    assert_eq!(answer.header("content-type"), Some(kind));
    for (route, status) in [("/-/healthy", 200), ("unmatched", 404), (EVENTS, 500)] {
        let labels = format!("{{route=\"{route}\",status=\"{status}\"}} 1");
        let line = format!("gridwatch_http_requests_total{labels}");
        assert!(answer.text.contains(&line), "{line} in {}", answer.text);
    }
    assert!(!site.metrics.render().contains("somewhere"));
}

#[tokio::test]
async fn only_requests_that_are_being_answered_may_take_their_time() {
    let patience = SLOW / 2;
    let site = Site::with(Fake::default(), patience, std::future::pending()).await;
    for head in ["", "GET /-/healthy HTT"] {
        let mut stream = TcpStream::connect(site.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let closed = stream.read_to_end(&mut answer);
        let closed = tokio::time::timeout(Duration::from_secs(20), closed).await;
        assert!(closed.is_ok(), "after `{head}` it is still open");
    }
    assert_eq!(ask(site.push("?source=slow")).await.status, 200);
}

#[tokio::test]
async fn a_stop_waits_for_what_is_under_way() {
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async move {
        let _ = stopped.await;
    };
    let site = Site::with(Fake::default(), PATIENCE, stopped).await;
    let pushed = tokio::spawn(ask(site.push("?source=slow")));
    site.fake.begun.notified().await;
    stop.send(()).unwrap();
    assert_eq!(pushed.await.unwrap().status, 200);
    let ended = tokio::time::timeout(Duration::from_secs(20), site.serving).await;
    ended.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn what_takes_too_long_is_given_up() {
    let services = services(&Arc::default(), &Metrics::new());
    let open = |route: &&Route| route.allowed == Allowed::Anyone;
    let route = Route {
        timeout: Duration::from_millis(20),
        handler: |_| Box::pin(std::future::pending()),
        ..*ROUTES.iter().find(open).unwrap()
    };
    let request = axum::extract::Request::default();
    let response = answer(route, Arc::new(Server::new(services)), request).await;
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()["retry-after"], "5");
}

#[test]
fn a_receipt_stays_small() {
    let mut receipt = Receipt::default();
    let long = "é".repeat(SHOWN_BYTES);
    for _ in 0..MAX_REJECTS + 5 {
        receipt.reject(reject(&long));
    }
    assert_eq!(receipt.rejected, 105);
    assert_eq!(receipt.rejects.len(), MAX_REJECTS);
    let shown = receipt.rejects[0].text.as_ref().unwrap();
    assert_eq!(shown.len(), SHOWN_BYTES);
    assert_eq!(receipt.rejects[0].bytes, 2 * SHOWN_BYTES as u64);
}
