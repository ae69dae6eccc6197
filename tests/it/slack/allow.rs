//! `gridwatch slack allow`: the networks that Slack's own detections trust, read and written.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::Path;
use axum::routing::post;
use axum::{Json, Router};
use gridwatch::clock::Clock;
use gridwatch::simulate::slack::{FakeSlack, Options};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{Folder, RUNTIME, Ran, gridwatch};

/// A folder with a configuration for the Web API under this address, and with this token.
fn folder(endpoint: &str, token: &str) -> Folder {
    let config = format!("slack: {{token: {{file: token}}, web_endpoint: \"{endpoint}\"}}\n");
    Folder::with(&[("gridwatch.yaml", config.as_str()), ("token", token)])
}

fn allow(folder: &Folder, arguments: &[&str]) -> Ran {
    let config = folder.path("gridwatch.yaml");
    let verb = ["slack", "allow"];
    let rest = ["--config", &config];
    gridwatch(&[&verb[..], arguments, &rest[..]].concat(), b"")
}

/// Fails unless the command ends with this code and these lines.
fn assert_said(ran: &Ran, code: i32, lines: &[&str]) {
    assert_eq!(ran.code, Some(code), "{}", ran.err);
    assert_eq!(ran.out.lines().collect::<Vec<_>>(), lines, "{}", ran.err);
}

const WANTED: [&str; 6] = [
    "--cidr",
    "198.51.100.0/24",
    "--cidr",
    "192.0.2.7/24",
    "--asn",
    "64500",
];

#[test]
fn both_lists_are_read_compared_and_written_together() {
    let starting = FakeSlack::start(Options::default(), Clock::system());
    let fake = RUNTIME.block_on(starting).unwrap();
    let folder = folder(&fake.web_endpoint(), &fake.token());
    let of = |verb| [&[verb][..], &WANTED[..]].concat();
    let new = ["+ 192.0.2.7/24", "+ 198.51.100.0/24", "+ AS64500"];
    assert_said(&allow(&folder, &["get"]), 0, &[]);
    assert_said(&allow(&folder, &of("diff")), 1, &new);
    let written = [&new[..], &["written, and read again"]].concat();
    assert_said(&allow(&folder, &of("set")), 0, &written);
    let cidrs = ["192.0.2.7/24", "198.51.100.0/24"].map(str::to_owned);
    assert_eq!(fake.allowed(), (cidrs.to_vec(), vec![64_500]));
    let all = ["192.0.2.7/24", "198.51.100.0/24", "AS64500"];
    assert_said(&allow(&folder, &["get"]), 0, &all);
    assert_said(&allow(&folder, &of("diff")), 0, &[]);
    assert_said(&allow(&folder, &of("set")), 0, &["nothing changes"]);
    // What is not named is not trusted any more.
    let other = allow(&folder, &["set", "--cidr", "192.0.2.7/24"]);
    let changes = ["- 198.51.100.0/24", "- AS64500", "written, and read again"];
    assert_said(&other, 0, &changes);
    assert_eq!(fake.allowed(), (vec!["192.0.2.7/24".to_owned()], vec![]));
}

#[test]
fn nothing_is_emptied_or_widened_by_mistake() {
    let starting = FakeSlack::start(Options::default(), Clock::system());
    let fake = RUNTIME.block_on(starting).unwrap();
    let folder = folder(&fake.web_endpoint(), &fake.token());
    let set = allow(&folder, &["set", "--asn", "64500"]);
    assert_eq!(set.code, Some(0), "{}", set.err);
    for (arguments, wanted) in [
        (&["set"][..], "--empty"),
        (&["set", "--cidr", "2001:db8::/32"], "no IPv4 network"),
        (&["diff", "--cidr", "the office"], "no IPv4 network"),
        (&["diff", "--list", "offices"], "no list `offices`"),
    ] {
        let ran = allow(&folder, arguments);
        assert_eq!(ran.code, Some(2), "{arguments:?}: {}", ran.out);
        assert!(ran.err.contains(wanted), "{arguments:?}: {}", ran.err);
    }
    assert_eq!(fake.allowed(), (vec![], vec![64_500]));
    let emptied = allow(&folder, &["set", "--empty"]);
    assert_said(&emptied, 0, &["- AS64500", "written, and read again"]);
    assert_eq!(fake.allowed(), (vec![], vec![]));
    fake.revoke_token();
    let refused = allow(&folder, &["get"]);
    assert_eq!(refused.code, Some(74), "{}", refused.out);
    assert!(refused.err.contains("token_revoked"), "{}", refused.err);
    assert!(!refused.err.contains("xoxp-"), "{}", refused.err);
}

/// What [`other_slack`] does not look at.
const TOKEN: &str = "xoxp-any";

/// Networks, and numbers of autonomous systems.
type Kept = Arc<Mutex<(Value, Value)>>;

/// A Slack with the other names of both lists and numbers as texts. A stubborn one writes nothing.
fn other_slack(is_stubborn: bool) -> String {
    let kept = Kept::new(Mutex::new((json!([]), json!([]))));
    let answer = move |Path(method): Path<String>, body: Bytes| {
        let kept = Arc::clone(&kept);
        async move {
            if method == "admin.audit.anomaly.allow.updateItem" && !is_stubborn {
                *kept.lock().unwrap() = update(&body);
            }
            let (cidrs, asns) = kept.lock().unwrap().clone();
            Json(json!({"ok": true, "trusted_cidrs": cidrs, "trusted_asn": asns}))
        }
    };
    let router = Router::new().route("/api/{method}", post(answer));
    RUNTIME.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        format!("http://{address}/api/")
    })
}

fn update(body: &[u8]) -> (Value, Value) {
    let body: Value = serde_json::from_slice(body).unwrap();
    let asns = body["trusted_asns"].as_array().unwrap().iter();
    let asns: Value = asns.map(Value::to_string).collect();
    (body["trusted_cidr"].clone(), asns)
}

#[test]
fn the_other_names_of_the_lists_are_understood() {
    let folder = folder(&other_slack(false), TOKEN);
    let set = [&["set"][..], &WANTED[..]].concat();
    let ran = allow(&folder, &set);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(
        ran.out.ends_with("written, and read again\n"),
        "{}",
        ran.out
    );
    let all = ["192.0.2.7/24", "198.51.100.0/24", "AS64500"];
    assert_said(&allow(&folder, &["get"]), 0, &all);
}

#[test]
fn what_slack_did_not_keep_is_told() {
    let folder = folder(&other_slack(true), TOKEN);
    let ran = allow(&folder, &["set", "--asn", "64500"]);
    assert_eq!(ran.code, Some(74), "{}", ran.out);
    for wanted in ["holds others", "+ AS64500"] {
        assert!(ran.err.contains(wanted), "{wanted}: {}", ran.err);
    }
}
