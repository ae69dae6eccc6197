//! Signing people out and telling them, as a Slack that follows a script has it.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::super::chat::Text;
use super::super::session::{ActiveSession, Which};
use super::*;

/// Makes the server give these answers in their order, and then none.
fn in_turn(site: &Site, bodies: Vec<Value>) {
    let bodies = Mutex::new(bodies.into_iter());
    site.answers(move || {
        let body = bodies.lock().unwrap().next();
        match body {
            Some(body) => response(200, &[], body.to_string()),
            None => response(404, &[], ""),
        }
    });
}

/// What was asked for since the last time: the name of each method, and its arguments.
fn calls(site: &Site) -> Vec<(String, String)> {
    let call = |asked: Asked| {
        let method = asked.target.strip_prefix("POST /api/").unwrap();
        (method.to_owned(), asked.body)
    };
    site.asked().into_iter().map(call).collect()
}

/// The same, where the arguments are JSON.
fn json_calls(site: &Site) -> Vec<(String, Value)> {
    let call = |(method, body): (String, String)| (method, serde_json::from_str(&body).unwrap());
    calls(site).into_iter().map(call).collect()
}

fn identity() -> Value {
    json!({"ok": true, "team_id": "T1", "enterprise_id": "E1"})
}

fn page(sessions: &[(&str, u64)], cursor: &str) -> Value {
    let entry = |(user, session): &(&str, u64)| {
        let created = json!({"ip": "192.0.2.1"});
        json!({"user_id": user, "session_id": session, "created": created})
    };
    let entries: Vec<Value> = sessions.iter().map(entry).collect();
    json!({
        "ok": true,
        "active_sessions": entries,
        "response_metadata": {"next_cursor": cursor},
    })
}

fn refusal(code: &str) -> Value {
    json!({"ok": false, "error": code})
}

fn ids(sessions: Result<Vec<ActiveSession>, Error>) -> Vec<String> {
    let sessions = sessions.unwrap().into_iter();
    sessions.map(|session| session.session).collect()
}

const LIST: &str = "admin.users.session.list";

fn expected(calls: &[(&str, &str)]) -> Vec<(String, String)> {
    let call = |(method, body): &(&str, &str)| ((*method).to_owned(), (*body).to_owned());
    calls.iter().map(call).collect()
}

#[tokio::test]
async fn the_sessions_of_a_person_are_read_to_the_end() {
    let site = Site::open(PATIENT).await;
    let first = page(&[("U1", 9), ("U2", 5)], "a=");
    let bodies = vec![
        identity(),
        first,
        page(&[], "b"),
        page(&[("U1", u64::MAX)], ""),
    ];
    in_turn(&site, bodies);
    let session = |id: &str| ActiveSession {
        user: "U1".to_owned(),
        session: id.to_owned(),
        created_ip: Some("192.0.2.1".to_owned()),
        recent_ip: Some("192.0.2.1".to_owned()),
    };
    let wanted = vec![session("9"), session("18446744073709551615")];
    assert_eq!(site.client.sessions("U1").await, Ok(wanted));
    let asked = [
        ("auth.test", ""),
        (LIST, "team_id=E1&user_id=U1&limit=1000"),
        (LIST, "team_id=E1&user_id=U1&limit=1000&cursor=a%3D"),
        (LIST, "team_id=E1&user_id=U1&limit=1000&cursor=b"),
    ];
    assert_eq!(calls(&site), expected(&asked));
}

#[tokio::test]
async fn without_a_team_the_sessions_of_everybody_are_searched() {
    let site = Site::open(PATIENT).await;
    let everybody = [
        page(&[("U1", 7), ("U2", 8)], "a"),
        page(&[("U3", 9), ("U1", 10)], ""),
    ];
    let searched = [(LIST, "limit=1000"), (LIST, "limit=1000&cursor=a")];
    for (before, asked) in [
        (
            vec![json!({"ok": true, "team_id": "T1"})],
            vec![("auth.test", "")],
        ),
        (
            vec![json!({"ok": true, "enterprise_id": ""})],
            vec![("auth.test", "")],
        ),
        (
            vec![identity(), refusal("team_not_found")],
            vec![
                ("auth.test", ""),
                (LIST, "team_id=E1&user_id=U1&limit=1000"),
            ],
        ),
    ] {
        in_turn(&site, [before, everybody.to_vec()].concat());
        assert_eq!(ids(site.client.sessions("U1").await), ["7", "10"]);
        assert_eq!(calls(&site), expected(&[asked, searched.to_vec()].concat()));
    }
}

#[tokio::test]
async fn no_session_is_no_error() {
    let site = Site::open(PATIENT).await;
    let none = refusal("no_active_sessions");
    in_turn(&site, vec![identity(), none.clone()]);
    assert_eq!(site.client.sessions("U1").await, Ok(Vec::new()));
    in_turn(&site, vec![identity(), page(&[("U1", 7)], "a"), none]);
    assert_eq!(ids(site.client.sessions("U1").await), ["7"]);
}

#[tokio::test]
async fn a_list_that_cannot_be_read_is_not_taken_for_a_short_one() {
    let site = Site::open(PATIENT).await;
    let first = page(&[("U1", 7)], "a");
    for (second, error) in [
        (json!({"ok": true}), "malformed"),
        (
            json!({"ok": true, "active_sessions": [{"user_id": "U1"}]}),
            "malformed",
        ),
        (
            json!({"ok": true, "active_sessions": [{"session_id": 7}]}),
            "malformed",
        ),
        (json!({"ok": true, "active_sessions": [7]}), "malformed"),
        (refusal("ratelimited"), "rate limited for 30"),
        (refusal("team_not_found"), "refused 404 "),
        (refusal("internal_error"), "unavailable 200 internal_error"),
        (refusal("missing_scope"), "unauthorised 200 missing_scope"),
    ] {
        in_turn(&site, vec![identity(), first.clone(), second.clone()]);
        let found = site.client.sessions("U1").await.unwrap_err();
        assert_eq!(short(&found), error, "{second}");
    }
    in_turn(&site, vec![refusal("invalid_auth")]);
    let error = site.client.sessions("U1").await.unwrap_err();
    assert_eq!(short(&error), "unauthorised 200 invalid_auth");
    let is_first = AtomicBool::new(true);
    site.answers(move || match is_first.swap(false, Ordering::Relaxed) {
        true => response(200, &[], identity().to_string()),
        false => response(503, &[], refusal("no_active_sessions").to_string()),
    });
    let error = site.client.sessions("U1").await.unwrap_err();
    assert_eq!(short(&error), "unavailable 503 no_active_sessions");
}

#[tokio::test]
async fn a_list_without_an_end_is_given_up() {
    let site = Site::open(PATIENT).await;
    let body = page(&[], "again").to_string();
    site.answers(move || response(200, &[], body.clone()));
    let error = site.client.sessions("U1").await.unwrap_err();
    assert_eq!(short(&error), "malformed");
    assert_eq!(site.asked().len(), 1_001);
}

#[tokio::test]
async fn who_is_signed_out_is_said_as_slack_wants_it() {
    let site = Site::open(PATIENT).await;
    site.answers(|| response(200, &[], r#"{"ok":true}"#));
    let client = &site.client;
    let id = u64::MAX.to_string();
    assert_eq!(client.invalidate_session("U1", &id).await, Ok(()));
    assert_eq!(client.reset_sessions("U1", Which::All).await, Ok(()));
    assert_eq!(client.reset_sessions("U1", Which::Mobile).await, Ok(()));
    assert_eq!(client.reset_sessions("U1", Which::Web).await, Ok(()));
    let reset = |mobile: bool, web: bool| {
        let method = "admin.users.session.reset".to_owned();
        let arguments = json!({"user_id": "U1", "mobile_only": mobile, "web_only": web});
        (method, arguments)
    };
    let invalidate = (
        "admin.users.session.invalidate".to_owned(),
        json!({"user_id": "U1", "session_id": u64::MAX}),
    );
    let wanted = [
        invalidate,
        reset(false, false),
        reset(true, false),
        reset(false, true),
    ];
    assert_eq!(json_calls(&site), wanted);
}

#[tokio::test]
async fn many_are_signed_out_a_thousand_at_a_time() {
    let site = Site::open(PATIENT).await;
    let users: Vec<String> = (0..2_001).map(|number| format!("U{number}")).collect();
    for (count, sizes) in [
        (0, vec![]),
        (1, vec![1]),
        (1_000, vec![1_000]),
        (2_001, vec![1_000, 1_000, 1]),
    ] {
        site.answers(|| response(200, &[], r#"{"ok":true}"#));
        let users = &users[..count];
        let done = site.client.reset_sessions_of(users, Which::Web).await;
        assert_eq!(done, Ok(()), "{count}");
        let mut ordered = Vec::new();
        let mut found = Vec::new();
        for (method, arguments) in json_calls(&site) {
            assert_eq!(method, "admin.users.session.resetBulk");
            assert_eq!(arguments["mobile_only"], false);
            assert_eq!(arguments["web_only"], true);
            let some: Vec<String> = serde_json::from_value(arguments["user_ids"].clone()).unwrap();
            found.push(some.len());
            ordered.extend(some);
        }
        assert_eq!(found, sizes, "{count}");
        assert_eq!(ordered, users, "{count}");
    }
    in_turn(
        &site,
        vec![json!({"ok": true}), refusal("failed_for_some_users")],
    );
    let error = site.client.reset_sessions_of(&users, Which::All).await;
    let error = error.unwrap_err();
    assert_eq!(short(&error), "refused 200 failed_for_some_users");
    assert!(!error.is_permanent(), "{error}");
    assert_eq!(site.asked().len(), 2);
}

#[tokio::test]
async fn a_message_is_sent_as_plain_text() {
    let site = Site::open(PATIENT).await;
    let text = Text::new().ours("<!here> ").theirs("<@U1> & co");
    let posted = |channel: &str| {
        let arguments = json!({
            "channel": channel,
            "text": "<!here> &lt;@U1&gt; &amp; co",
            "parse": "none",
            "link_names": false,
            "mrkdwn": false,
            "unfurl_links": false,
            "unfurl_media": false,
        });
        ("chat.postMessage".to_owned(), arguments)
    };
    in_turn(&site, vec![json!({"ok": true})]);
    assert_eq!(site.client.message("C1", &text).await, Ok(()));
    assert_eq!(json_calls(&site), [posted("C1")]);

    for user in ["U1", "W1"] {
        let opened = json!({"ok": true, "channel": {"id": "D1"}});
        in_turn(&site, vec![opened, json!({"ok": true})]);
        assert_eq!(site.client.message(user, &text).await, Ok(()));
        let asked = calls(&site);
        let [open, post] = &asked[..] else {
            panic!("there are not two calls");
        };
        let users = format!("users={user}");
        assert_eq!(*open, ("conversations.open".to_owned(), users));
        let arguments: Value = serde_json::from_str(&post.1).unwrap();
        assert_eq!((post.0.clone(), arguments), posted("D1"));
    }
}

#[tokio::test]
async fn nothing_is_posted_where_no_conversation_opens() {
    let site = Site::open(PATIENT).await;
    let text = Text::new().ours("Hello");
    for (opened, error) in [
        (json!({"ok": true}), "malformed"),
        (json!({"ok": true, "channel": {}}), "malformed"),
        (json!({"ok": true, "channel": "D1"}), "malformed"),
        (refusal("cannot_dm_bot"), "refused 200 cannot_dm_bot"),
    ] {
        in_turn(&site, vec![opened.clone(), json!({"ok": true})]);
        let found = site.client.message("U1", &text).await.unwrap_err();
        assert_eq!(short(&found), error, "{opened}");
        assert_eq!(site.asked().len(), 1, "{opened}");
    }
}
