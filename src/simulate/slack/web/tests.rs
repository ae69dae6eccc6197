use super::super::tests::{START, Site, ask, event};
use super::super::{Group, Options, Person, Role};
use super::*;

const RESET: &str = "admin.users.session.reset";
const INVALIDATE: &str = "admin.users.session.invalidate";
const LIST: &str = "admin.users.session.list";
const GET: &str = "admin.audit.anomaly.allow.getItem";
const UPDATE: &str = "admin.audit.anomaly.allow.updateItem";

/// An owner, the primary owner, a bot, one who left, and 250 others.
fn crowd() -> Options {
    let mut options = Options::default();
    options.people.push(Person {
        is_bot: true,
        ..Person::new("UBOT", Role::Member)
    });
    options.people.push(Person {
        is_deleted: true,
        ..Person::new("UGONE", Role::Member)
    });
    let others = (0..250).map(|number| Person::new(&format!("U1{number:03}"), Role::Member));
    options.people.extend(others);
    options.groups.push(Group {
        id: "S1".to_owned(),
        handle: "on-call".to_owned(),
        users: vec!["U1007".to_owned()],
    });
    options
}

/// The ids of all pages of a list.
async fn walk(site: &Site, method: &str, list: &str, limit: &str) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut cursor = String::new();
    loop {
        let form = [("limit", limit), ("cursor", cursor.as_str())];
        let answer = site.call(method, &form).await;
        assert_eq!(answer["ok"], true, "{answer}");
        let items = answer[list].as_array().unwrap().iter();
        let ids = items.map(|item| item["id"].as_str().unwrap().to_owned());
        pages.push(ids.collect());
        cursor = answer["response_metadata"]["next_cursor"]
            .as_str()
            .unwrap()
            .to_owned();
        if cursor.is_empty() {
            return pages;
        }
    }
}

#[tokio::test]
async fn people_are_listed_in_pages() {
    let site = Site::open(crowd()).await;
    for (method, list, limit, sizes, gone) in [
        (
            "admin.users.list",
            "users",
            "100",
            vec![100, 100, 53],
            false,
        ),
        ("users.list", "members", "200", vec![200, 54], true),
        ("users.list", "members", "", vec![254], true),
    ] {
        let pages = walk(&site, method, list, limit).await;
        let found: Vec<usize> = pages.iter().map(Vec::len).collect();
        assert_eq!(found, sizes, "{method}");
        let mut ids = pages.concat();
        assert_eq!(ids.contains(&"UGONE".to_owned()), gone, "{method}");
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), sizes.iter().sum::<usize>(), "{method}");
    }
    let gone = site
        .call("admin.users.list", &[("is_active", "false")])
        .await;
    assert_eq!(gone["users"][0]["id"], "UGONE");
    let listed = site.call("users.list", &[("limit", "3")]).await;
    let members = &listed["members"];
    assert_eq!(members[0]["is_owner"], true);
    assert_eq!(members[0]["is_primary_owner"], false);
    assert_eq!(members[1]["enterprise_user"]["is_owner"], true);
    assert_eq!(
        (&members[2]["is_bot"], &members[2]["is_admin"]),
        (&json!(true), &json!(false))
    );
}

#[tokio::test]
async fn groups_are_listed_with_their_members_on_demand() {
    let site = Site::open(crowd()).await;
    let answer = site
        .call("usergroups.list", &[("include_users", "true")])
        .await;
    assert_eq!(answer["usergroups"][0]["handle"], "on-call");
    assert_eq!(answer["usergroups"][0]["users"], json!(["U1007"]));
    let answer = site.call("usergroups.list", &[]).await;
    assert!(answer["usergroups"][0].get("users").is_none());
    site.fake.set_groups(Vec::new());
    let answer = site.call("usergroups.list", &[]).await;
    assert_eq!(answer["usergroups"], json!([]));
}

#[tokio::test]
async fn what_is_wrong_with_a_call_is_said() {
    let options = Options {
        refused: vec![
            ("users.list".to_owned(), "missing_scope".to_owned()),
            ("usergroups.list".to_owned(), "access_denied".to_owned()),
        ],
        ..crowd()
    };
    let site = Site::open(options).await;
    site.fake.add(&event("a", START)).unwrap();
    let long = "U1,U2,U3,U4,U5,U6,U7,U8,U9";
    for (method, form, code) in [
        ("admin.users.deactivate", vec![], "unknown_method"),
        ("usergroups.list", vec![], "access_denied"),
        (
            "admin.users.list",
            vec![("limit", "101")],
            "invalid_arguments",
        ),
        ("admin.users.list", vec![("cursor", "x")], "invalid_cursor"),
        (RESET, vec![], "invalid_arguments"),
        (RESET, vec![("user_id", "UX")], "user_not_found"),
        (RESET, vec![("user_id", "UBOT")], "cannot_reset_bot"),
        (
            RESET,
            vec![("user_id", "U0000FOUNDER")],
            "cannot_reset_primary_owner",
        ),
        (
            RESET,
            vec![("user_id", "U1"), ("mobile_only", "1"), ("web_only", "1")],
            "invalid_arguments",
        ),
        (INVALIDATE, vec![("user_id", "U1")], "invalid_arguments"),
        (
            INVALIDATE,
            vec![("user_id", "U1"), ("session_id", "1")],
            "session_not_found",
        ),
        (
            INVALIDATE,
            vec![("user_id", "UX"), ("session_id", "1")],
            "user_not_found",
        ),
        (
            INVALIDATE,
            vec![("user_id", "U0000FOUNDER"), ("session_id", "1")],
            "cannot_invalidate_primary_owner",
        ),
        (LIST, vec![("user_id", "U1")], "missing_team"),
        (LIST, vec![("team_id", "T1")], "missing_user"),
        (
            LIST,
            vec![("user_id", "U1001"), ("team_id", "T1")],
            "no_active_sessions",
        ),
        (
            LIST,
            vec![("user_id", "UBOT"), ("team_id", "T1")],
            "bots_not_allowed",
        ),
        (
            UPDATE,
            vec![("trusted_cidr", "192.0.2.0/33")],
            "invalid_field_or_data",
        ),
        (
            UPDATE,
            vec![("trusted_asns", "many")],
            "invalid_field_or_data",
        ),
        ("chat.postMessage", vec![("text", "x")], "channel_not_found"),
        ("chat.postMessage", vec![("channel", "C1")], "no_text"),
        ("conversations.open", vec![], "users_list_not_supplied"),
        (
            "conversations.open",
            vec![("users", "UX")],
            "user_not_found",
        ),
        (
            "conversations.open",
            vec![("users", long)],
            "too_many_users",
        ),
    ] {
        let answer = site.call(method, &form).await;
        assert_eq!(
            answer,
            json!({"ok": false, "error": code}),
            "{method} {form:?}"
        );
    }
    let refused = site.call("users.list", &[]).await;
    assert_eq!(refused["error"], "missing_scope");
    assert_eq!(refused["needed"], "users:read");
    assert_eq!(site.fake.events(), 1);
}

#[tokio::test]
async fn the_token_and_the_form_of_a_call_are_looked_at() {
    let site = Site::open(Options::default()).await;
    let url = format!("{}auth.test", site.fake.web_endpoint());
    let bare = || {
        reqwest::Client::builder()
            .no_proxy()
            .build()
            .unwrap()
            .post(&url)
    };
    for (request, code) in [
        (bare(), Some("not_authed")),
        (bare().bearer_auth("xoxp-other"), Some("invalid_auth")),
        (
            site.post("auth.test").json(&json!([])),
            Some("invalid_json"),
        ),
        (
            site.post("auth.test").header("content-type", "text/plain"),
            Some("invalid_post_type"),
        ),
        (site.post("auth.test").json(&json!({})), None),
        (site.post("auth.test"), None),
    ] {
        let answer = ask(request).await.unwrap();
        assert_eq!((answer.status, answer.error().as_deref()), (200, code));
    }
    site.fake.revoke_token();
    let revoked = site.call("auth.test", &[]).await;
    assert_eq!(revoked["error"], "token_revoked");
}

#[tokio::test]
async fn each_method_has_a_limit_of_its_own() {
    let site = Site::open(Options::default()).await;
    for _ in 0..TIER_2 {
        assert_eq!(site.call(GET, &[]).await["ok"], true);
    }
    let limited = ask(site.post(GET)).await.unwrap();
    assert_eq!((limited.status, limited.retry_after), (429, Some(60)));
    assert_eq!(limited.error().as_deref(), Some("ratelimited"));
    assert_eq!(site.call("usergroups.list", &[]).await["ok"], true);
    site.pass(60);
    assert_eq!(site.call(GET, &[]).await["ok"], true);
}

#[tokio::test]
async fn a_session_is_ended_and_the_log_says_so() {
    let site = Site::open(Options::default()).await;
    for id in ["a", "b", "c"] {
        site.fake.add(&event(id, START)).unwrap();
    }
    site.fake.add(&event("later", START + 5)).unwrap();
    let [first, second, third] = site.fake.sessions_of("U1")[..] else {
        panic!("there are not three sessions");
    };
    let listed = site.call(LIST, &[("limit", "2")]).await;
    assert_eq!(listed["active_sessions"][0]["session_id"], first);
    assert_eq!(listed["active_sessions"][1]["recent"]["ip"], "192.0.2.1");
    let cursor = listed["response_metadata"]["next_cursor"].as_str().unwrap();
    let rest = site.call(LIST, &[("limit", "2"), ("cursor", cursor)]).await;
    assert_eq!(rest["active_sessions"][0]["session_id"], third);
    assert_eq!(rest["response_metadata"]["next_cursor"], "");

    site.pass(3);
    let wanted = json!({"user_id": "U1", "session_id": second});
    let request = site.post(INVALIDATE).header("user-agent", "tester/1");
    let answer = ask(request.json(&wanted)).await.unwrap();
    assert_eq!(answer.json(), json!({"ok": true}));
    assert_eq!(site.fake.sessions_of("U1"), [first, third]);
    let page = site.logs(&[("limit", "1")]).await.json();
    let event = &page["entries"][0];
    assert_eq!(event["action"], "user_session_invalidated");
    assert_eq!(event["date_create"], START + 3);
    assert_eq!(event["actor"]["user"]["id"], "U00000OWNER");
    assert_eq!(
        event["entity"]["user"],
        json!({"id": "U1", "name": "Ann", "team": "T1"})
    );
    assert_eq!(event["context"]["ua"], "tester/1");

    site.pass(3);
    let form = [("user_id", "U1"), ("mobile_only", "true")];
    assert_eq!(site.call(RESET, &form).await["ok"], true);
    assert_eq!(site.fake.sessions_of("U1").len(), 3);
    assert_eq!(site.call(RESET, &[("user_id", "U1")]).await["ok"], true);
    assert_eq!(site.fake.sessions_of("U1"), [0_u64; 0]);
    let page = site
        .logs(&[("action", "user_session_reset_by_admin")])
        .await;
    let page = page.json();
    let [whole, mobile] = &page["entries"].as_array().unwrap()[..] else {
        panic!("there are not two resets");
    };
    assert_eq!(
        whole["details"],
        json!({"mobile_only": false, "web_only": false})
    );
    assert_eq!(
        mobile["details"],
        json!({"mobile_only": true, "web_only": false})
    );
    assert_ne!(whole["id"], mobile["id"]);
}

#[tokio::test]
async fn only_the_primary_owner_signs_out_the_primary_owner() {
    let options = Options {
        people: vec![Person::new("U0000FOUNDER", Role::PrimaryOwner)],
        ..Options::default()
    };
    let site = Site::open(options).await;
    let form = [("user_id", "U0000FOUNDER")];
    assert_eq!(site.call(RESET, &form).await["ok"], true);
    let people = Options::default().people;
    site.fake.set_people(people);
    let answer = site.call(RESET, &form).await;
    assert_eq!(answer["error"], "cannot_reset_primary_owner");
}

#[tokio::test]
async fn both_lists_of_trusted_networks_are_overwritten() {
    let site = Site::open(Options::default()).await;
    for (update, cidrs, asns) in [
        (
            json!({"trusted_cidr": ["8.8.8.8/24"], "trusted_asns": [64500, "64501"]}),
            vec!["8.8.8.8/24"],
            vec![64_500, 64_501],
        ),
        (json!({"trusted_asn": [64502]}), vec![], vec![64_502]),
        (
            json!({"trusted_cidrs": "192.0.2.0/24"}),
            vec!["192.0.2.0/24"],
            vec![],
        ),
        (
            json!({"trusted_cidr": ["::/0"]}),
            vec!["192.0.2.0/24"],
            vec![],
        ),
        (
            json!({"trusted_cidr": [], "trusted_asns": []}),
            vec![],
            vec![],
        ),
    ] {
        ask(site.post(UPDATE).json(&update)).await.unwrap();
        let cidrs: Vec<String> = cidrs.into_iter().map(str::to_owned).collect();
        let wanted = json!({"ok": true, "trusted_cidr": cidrs, "trusted_asns": asns});
        assert_eq!(site.call(GET, &[]).await, wanted, "{update}");
        assert_eq!(site.fake.allowed(), (cidrs, asns));
    }
}

#[tokio::test]
async fn messages_are_kept() {
    let site = Site::open(crowd()).await;
    let form = [("users", "U1001, U1002")];
    let opened = site.call("conversations.open", &form).await;
    let channel = opened["channel"]["id"].as_str().unwrap();
    assert!(channel.starts_with('D') && opened.get("no_op").is_none());
    let again = site
        .call("conversations.open", &[("users", "U1002,U1001")])
        .await;
    assert_eq!(
        (&again["channel"], &again["no_op"]),
        (&opened["channel"], &json!(true))
    );
    let same = site
        .call("conversations.open", &[("channel", channel)])
        .await;
    assert_eq!(same["channel"], opened["channel"]);

    let blocks = json!({"channel": channel, "blocks": [{"type": "divider"}]});
    let text = json!({"channel": "C1", "text": "é <b>"});
    let mut times = Vec::new();
    for message in [&blocks, &text] {
        let answer = ask(site.post("chat.postMessage").json(message))
            .await
            .unwrap();
        let answer = answer.json();
        assert_eq!(answer["channel"], message["channel"]);
        times.push(answer["ts"].clone());
    }
    assert_ne!(times[0], times[1]);
    let kept = site.fake.messages();
    assert_eq!(kept.len(), 2);
    assert_eq!(kept[0]["blocks"], blocks["blocks"]);
    assert_eq!(
        (&kept[1]["text"], &kept[1]["ts"]),
        (&text["text"], &times[1])
    );
}
