//! What goes wrong, and what a client sees of it.

use super::*;

/// One fault that acts on the next call of `logs`.
fn next(act: Act) -> Fault {
    Fault {
        on: "logs",
        after: 0,
        times: 1,
        act,
    }
}

/// Eight events, `a` the oldest.
async fn eight() -> Site {
    let site = Site::open(Options::default()).await;
    site.pass(60);
    for (id, secs) in ["a", "b", "c", "d", "e", "f", "g", "h"]
        .into_iter()
        .zip(1..)
    {
        site.add(id, secs);
    }
    site
}

#[tokio::test]
async fn an_answer_is_replaced() {
    let site = eight().await;
    for (act, status, retry_after, error) in [
        (Act::Status(503), 503, None, None),
        (
            Act::RateLimited {
                retry_after_secs: 7,
            },
            429,
            Some(7),
            Some("rate_limited"),
        ),
        (Act::Forbidden, 403, None, Some("access_denied")),
        (Act::Html, 200, None, None),
    ] {
        site.fake.script([next(act.clone())]);
        let answer = site.logs(&[]).await;
        assert_eq!(answer.status, status, "{act:?}");
        assert_eq!(answer.retry_after, retry_after, "{act:?}");
        assert_eq!(answer.error().as_deref(), error, "{act:?}");
        assert!(serde_json::from_str::<Value>(&answer.text).is_err() || error.is_some());
        assert_eq!(site.fake.waiting_faults(), 0);
        assert_eq!(site.logs(&[]).await.ids().len(), 8);
    }
}

#[tokio::test]
async fn a_body_is_spoilt() {
    let site = eight().await;
    let whole = site.logs(&[]).await.text;
    for act in [Act::Malformed, Act::Truncated] {
        site.fake.script([next(act.clone())]);
        let spoilt = site.logs(&[]).await;
        assert_eq!(spoilt.status, 200);
        assert!(serde_json::from_str::<Value>(&spoilt.text).is_err());
        assert!(spoilt.text.len() >= whole.len() / 2 - 20, "{act:?}");
    }
}

#[tokio::test]
async fn a_connection_breaks() {
    let site = eight().await;
    for (act, status) in [(Act::HangUp, 0), (Act::CutBody, 200)] {
        site.fake.script([next(act.clone())]);
        let request = site.get("logs", &[]).bearer_auth(site.fake.token());
        let error = ask(request).await.unwrap_err();
        assert!(!error.is_timeout(), "{act:?}: {error}");
        assert_eq!(site.fake.calls().pop().unwrap().status, status);
    }
    let request = site.get("logs", &[]).bearer_auth(site.fake.token());
    site.fake.script([next(Act::CutBody)]);
    let mut response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    let begun = response.chunk().await.unwrap().unwrap();
    assert!(begun.starts_with(b"{\"entries\":["));
    let end = loop {
        match response.chunk().await {
            Ok(Some(_)) => {}
            end => break end,
        }
    };
    assert!(end.is_err());
}

#[tokio::test]
async fn an_answer_takes_its_time() {
    let site = eight().await;
    let whole = site.logs(&[("limit", "3")]).await.ids();
    site.fake.script([next(Act::SlowBody { millis: 5 })]);
    assert_eq!(site.logs(&[("limit", "3")]).await.ids(), whole);

    site.fake.script([next(Act::Stall)]);
    let request = site.get("logs", &[]).bearer_auth(site.fake.token());
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    let body = tokio::time::timeout(Duration::from_millis(200), response.bytes());
    assert!(body.await.is_err());
}

#[tokio::test]
async fn a_walk_goes_astray() {
    let site = eight().await;
    let first = site.logs(&[("limit", "6")]).await;
    let cursor = first.next_cursor().unwrap();
    let cursor = cursor.as_str();

    site.fake.script([next(Act::StaleCursor)]);
    assert_eq!(site.logs(&[("limit", "6")]).await.status, 200);
    let stale = site.logs(&[("cursor", cursor)]).await;
    assert_eq!(stale.error().as_deref(), Some("invalid_cursor"));

    site.fake.script([next(Act::EmptyPage)]);
    let empty = site.logs(&[("cursor", cursor)]).await;
    assert_eq!(empty.ids(), [""; 0]);
    let onward = empty.next_cursor().unwrap();
    assert_eq!(
        site.logs(&[("cursor", onward.as_str())]).await.ids(),
        ["b", "a"]
    );

    site.fake
        .script([next(Act::LoopCursor), next(Act::LoopCursor)]);
    let looped = site.logs(&[]).await.next_cursor().unwrap();
    let again = site.logs(&[("cursor", looped.as_str())]).await;
    assert_eq!(again.next_cursor(), Some(looped));

    site.fake.script([next(Act::DoubleEntries)]);
    let pages = site.walk(&[("limit", "6")]).await;
    let second = ["g", "f", "e", "d", "c", "b"];
    assert_eq!(pages[0], ["h", "g", "f", "e", "d", "c"]);
    assert_eq!(pages[1], second);
    assert_eq!(pages[2], ["a"]);
}

#[tokio::test]
async fn faults_of_the_web_api_are_its_own() {
    let site = eight().await;
    let act = Act::RateLimited {
        retry_after_secs: 9,
    };
    let on = "auth.test";
    let (after, times) = (1, 1);
    site.fake.script([Fault {
        on,
        after,
        times,
        act,
    }]);
    assert_eq!(site.call(on, &[]).await["ok"], true);
    let limited = ask(site.post(on)).await.unwrap();
    assert_eq!((limited.status, limited.retry_after), (429, Some(9)));
    assert_eq!(limited.error().as_deref(), Some("ratelimited"));
    assert_eq!(site.call(on, &[]).await["ok"], true);
}
