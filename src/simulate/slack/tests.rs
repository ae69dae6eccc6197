//! The fake as a client sees it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use reqwest::{Client, RequestBuilder};
use serde_json::json;

use super::*;

mod faults;

const SECOND: i64 = 1_000_000;

/// Where the clock of a test begins, in seconds.
pub(super) const START: i64 = 1_772_438_400;

/// A fake, its clock, and somebody who asks it.
pub(super) struct Site {
    pub fake: FakeSlack,
    /// Microseconds.
    time: Arc<AtomicI64>,
    client: Client,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: u16,
    pub retry_after: Option<u64>,
    pub date: String,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    /// Slack's code for what is wrong, if something is.
    pub fn error(&self) -> Option<String> {
        let answer: Value = serde_json::from_str(&self.text).ok()?;
        Some(answer["error"].as_str()?.to_owned())
    }

    /// The ids of a page.
    pub fn ids(&self) -> Vec<String> {
        assert_eq!(self.status, 200, "{}", self.text);
        let answer = self.json();
        let entries = answer["entries"].as_array().unwrap().iter();
        let ids = entries.map(|entry| entry["id"].as_str().unwrap().to_owned());
        ids.collect()
    }

    pub fn next_cursor(&self) -> Option<String> {
        let answer = self.json();
        let cursor = answer["response_metadata"]["next_cursor"].as_str()?;
        (!cursor.is_empty()).then(|| cursor.to_owned())
    }
}

impl Site {
    pub async fn open(options: Options) -> Self {
        crate::tls::provide();
        let time = Arc::new(AtomicI64::new(START * SECOND));
        let driven = Arc::clone(&time);
        let clock = Clock::driven(move || driven.load(Ordering::Relaxed), |_| {});
        let client = Client::builder().no_proxy().pool_max_idle_per_host(0);
        Self {
            fake: FakeSlack::start(options, clock).await.unwrap(),
            time,
            client: client.build().unwrap(),
        }
    }

    /// Lets so many seconds pass.
    pub fn pass(&self, secs: i64) {
        self.time.fetch_add(secs * SECOND, Ordering::Relaxed);
    }

    /// Adds an event of so many seconds after the start.
    fn add(&self, id: &str, secs: i64) {
        self.fake.add(&event(id, START + secs)).unwrap();
    }

    pub fn get(&self, path: &str, query: &[(&str, &str)]) -> RequestBuilder {
        let url = format!("{}{path}", self.fake.audit_endpoint());
        self.client.get(url).query(query)
    }

    pub fn post(&self, method: &str) -> RequestBuilder {
        let url = format!("{}{method}", self.fake.web_endpoint());
        self.client.post(url).bearer_auth(self.fake.token())
    }

    pub async fn logs(&self, query: &[(&str, &str)]) -> Answer {
        let request = self.get("logs", query).bearer_auth(self.fake.token());
        ask(request).await.unwrap()
    }

    /// Calls a method of the Web API with a form.
    pub async fn call(&self, method: &str, form: &[(&str, &str)]) -> Value {
        let answer = ask(self.post(method).form(form)).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()
    }

    /// The ids of all pages, each with these parameters and the cursor.
    async fn walk(&self, query: &[(&str, &str)]) -> Vec<Vec<String>> {
        let mut pages = Vec::new();
        let mut cursor = String::new();
        loop {
            let mut query = query.to_vec();
            query.push(("cursor", cursor.as_str()));
            let page = self.logs(&query).await;
            pages.push(page.ids());
            match page.next_cursor() {
                Some(next) if pages.len() < 20 => cursor = next,
                _ => return pages,
            }
        }
    }
}

pub(super) async fn ask(request: RequestBuilder) -> reqwest::Result<Answer> {
    let response = request.timeout(Duration::from_secs(60)).send().await?;
    let header = |name: &str| {
        let value = response.headers().get(name)?;
        Some(value.to_str().unwrap().to_owned())
    };
    let retry_after = header("retry-after").map(|secs| secs.parse().unwrap());
    let date = header("date").unwrap_or_default();
    Ok(Answer {
        status: response.status().as_u16(),
        retry_after,
        date,
        text: response.text().await?,
    })
}

/// A login of that second, with a session of its own.
pub(super) fn event(id: &str, second: i64) -> String {
    let session: u64 = id.bytes().fold(7, |sum, byte| sum * 31 + u64::from(byte));
    json!({
        "id": id,
        "date_create": second,
        "action": "user_login",
        "actor": {"type": "user", "user": {"id": "U1", "name": "Ann", "team": "T1"}},
        "entity": {"type": "user", "user": {"id": "U1"}},
        "context": {"session_id": session, "ip_address": "192.0.2.1", "ua": "curl/8.5.0"},
    })
    .to_string()
}

#[tokio::test]
async fn pages_go_from_the_newest_to_the_oldest() {
    let site = Site::open(Options::default()).await;
    site.pass(60);
    for (id, secs) in [("a", 10), ("b", 20), ("c", 20), ("d", 30), ("e", 40)] {
        site.add(id, secs);
    }
    let page = site.logs(&[]).await;
    assert!(page.text.starts_with("{\"entries\":[{"), "{}", page.text);
    assert!(page.json().get("ok").is_none());
    assert_eq!(page.date, "Mon, 02 Mar 2026 08:01:00 GMT");
    let [oldest, latest] = [20, 30].map(|secs| (START + secs).to_string());
    let (oldest, latest) = (oldest.as_str(), latest.as_str());
    for (query, pages) in [
        (vec![], vec![vec!["e", "d", "c", "b", "a"]]),
        (
            vec![("limit", "2")],
            vec![vec!["e", "d"], vec!["c", "b"], vec!["a"]],
        ),
        (
            vec![("limit", "2"), ("oldest", oldest)],
            vec![vec!["e", "d"], vec!["c", "b"]],
        ),
        (
            vec![("limit", "1"), ("oldest", oldest), ("latest", latest)],
            vec![vec!["d"], vec!["c", "b"]],
        ),
        (vec![("action", "user_logout")], vec![vec![]]),
    ] {
        assert_eq!(site.walk(&query).await, pages, "{query:?}");
    }
}

#[tokio::test]
async fn a_cursor_remembers_no_filter() {
    let site = Site::open(Options::default()).await;
    site.pass(60);
    for (id, secs) in [("a", 10), ("b", 20), ("c", 30), ("d", 40)] {
        site.add(id, secs);
    }
    let oldest = (START + 20).to_string();
    let oldest = oldest.as_str();
    let first = site.logs(&[("limit", "2"), ("oldest", oldest)]).await;
    let cursor = first.next_cursor().unwrap();
    let cursor = cursor.as_str();
    assert!(cursor.ends_with('='));
    let with = site.logs(&[("cursor", cursor), ("oldest", oldest)]).await;
    assert_eq!(with.ids(), ["b"]);
    let without = site.logs(&[("cursor", cursor)]).await;
    assert_eq!(without.ids(), ["b", "a"]);
}

#[tokio::test]
async fn the_last_page_says_so_in_two_ways() {
    let site = Site::open(Options::default()).await;
    let mut ends = Vec::new();
    for _ in 0..4 {
        let answer = site.logs(&[]).await.json();
        ends.push(answer["response_metadata"].to_string());
    }
    let (empty, absent) = ("{\"next_cursor\":\"\"}", "{}");
    assert_eq!(ends, [empty, absent, empty, absent]);
}

#[tokio::test]
async fn events_are_seen_when_their_time_and_their_delay_are_over() {
    let site = Site::open(Options::default()).await;
    site.add("now", 0);
    site.add("later", 10);
    let late = event("delayed", START - 5);
    site.fake.add_delayed(&late, 25 * SECOND).unwrap();
    for (secs, ids) in [
        (0, vec!["now"]),
        (10, vec!["later", "now"]),
        (10, vec!["later", "now", "delayed"]),
    ] {
        site.pass(secs);
        assert_eq!(site.logs(&[]).await.ids(), ids);
        assert_eq!(site.fake.events(), ids.len() as u64);
        let mut sorted = ids.clone();
        sorted.sort_unstable();
        assert_eq!(site.fake.ids(), sorted);
    }
    // A session begins in its event's own time.
    assert_eq!(site.fake.sessions_of("U1").len(), 3);
}

#[tokio::test]
async fn many_lines_are_loaded_each_with_its_delay() {
    let site = Site::open(Options::default()).await;
    let lines = format!("{}\n\n{}\n", event("a", START), event("b", START));
    let delay = |number: u64| i64::try_from(number).unwrap() * 5 * SECOND;
    assert_eq!(site.fake.load(lines.as_bytes(), delay).unwrap(), 2);
    assert_eq!(site.fake.ids(), ["a"]);
    site.pass(5);
    assert_eq!(site.fake.ids(), ["a", "b"]);
    assert!(site.fake.load("{}\n".as_bytes(), |_| 0).is_err());
}

#[tokio::test]
async fn a_bad_call_is_refused() {
    let options = Options {
        most_entries: 50,
        cursor_secs: 60,
        ..Options::default()
    };
    let site = Site::open(options).await;
    site.add("a", -20);
    site.add("b", -10);
    let cursor = site.logs(&[("limit", "1")]).await.next_cursor().unwrap();
    site.pass(61);
    for (query, code) in [
        (("limit", "51"), "invalid_arguments"),
        (("action", "user_login,no_such_action"), "invalid_action"),
        (("cursor", "dXNlcg=="), "invalid_cursor"),
        (("cursor", cursor.as_str()), "invalid_cursor"),
    ] {
        let answer = site.logs(&[query]).await;
        assert_eq!(answer.status, 400, "{query:?}");
        assert_eq!(answer.json(), json!({"ok": false, "error": code}));
    }
    let posted = site.post("../audit/v1/logs").body("");
    assert_eq!(ask(posted).await.unwrap().status, 405);
    let nothing = site.get("nothing", &[]);
    assert_eq!(ask(nothing).await.unwrap().status, 404);
}

#[tokio::test]
async fn the_token_is_looked_at_where_it_is_needed() {
    let site = Site::open(Options::default()).await;
    let wrong = [
        site.get("logs", &[]),
        site.get("logs", &[]).bearer_auth("xoxp-other"),
        site.get("logs", &[("token", site.fake.token().as_str())]),
    ];
    for request in wrong {
        let answer = ask(request).await.unwrap();
        assert_eq!((answer.status, answer.text.as_str()), (401, ""));
    }
    site.fake.revoke_token();
    assert_eq!(site.logs(&[]).await.status, 401);
    for (path, start) in [
        ("actions", "{\"actions\":{"),
        ("schemas", "{\"schemas\":[{"),
    ] {
        let answer = ask(site.get(path, &[])).await.unwrap();
        assert!(answer.text.starts_with(start), "{}", answer.text);
    }
    site.fake.restore_token();
    assert_eq!(site.logs(&[]).await.status, 200);
}

#[tokio::test]
async fn too_many_calls_of_a_minute_are_sent_away() {
    let options = Options {
        audit_per_minute: 2,
        ..Options::default()
    };
    let site = Site::open(options).await;
    for (secs, retry_after) in [
        (0, None),
        (10, None),
        (0, Some(50)),
        (49, Some(1)),
        (1, None),
        (0, Some(10)),
    ] {
        site.pass(secs);
        let answer = site.logs(&[("oldest", "7")]).await;
        assert_eq!(answer.retry_after, retry_after, "{}", answer.text);
        let status = if retry_after.is_some() { 429 } else { 200 };
        assert_eq!(answer.status, status);
        let code = retry_after.map(|_| "rate_limited".to_owned());
        assert_eq!(answer.error(), code);
    }
    let calls = site.fake.calls();
    let status: Vec<u16> = calls.iter().map(|call| call.status).collect();
    assert_eq!(status, [200, 200, 429, 429, 200, 429]);
    assert_eq!(calls[2].at - calls[0].at, 10 * SECOND);
    let query = calls[2].query.as_ref().unwrap();
    assert_eq!((query.oldest, query.limit), (Some(7), 1_000));
}

#[tokio::test]
async fn it_ends_with_its_last_handle() {
    let site = Site::open(Options::default()).await;
    let other = site.fake.clone();
    let url = format!("{}actions", other.audit_endpoint());
    let Site { fake, client, .. } = site;
    drop(fake);
    assert!(client.get(&url).send().await.is_ok());
    drop(other);
    for _ in 0..1_000 {
        if client.get(&url).send().await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it still listens");
}
