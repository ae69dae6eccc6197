//! What the configuration says of Slack and of sinks, and where secrets are.

use std::fs;

use gridwatch::config::secret::Secret;
use gridwatch::config::{
    Config, Endpoint, Feed, Format, Since, Sink, Site, Slack, Source, Target, WebApi,
};

use super::{Folder, NEEDED, assert_told, gridwatch, parse};

fn endpoint(address: &str) -> Endpoint {
    Endpoint::parse(address).unwrap()
}

#[test]
fn what_is_written_of_slack_counts() {
    let config = parse(
        "sources:
  grid: {type: slack, token: {file: token}, audit_endpoint: 'http://127.0.0.1:8080/audit/v1', poll_secs: 3600,
         since: 2026-03-02, overlap_secs: 0, rewalk_hours: 168, budget_share: 0.01, lag_secs: 600}
slack: {token: {env: TOKEN}, web_endpoint: http://localhost/api/, lists_secs: 0}",
    )
    .unwrap();
    let grid = Slack {
        token: Secret::File("token".into()),
        audit_endpoint: endpoint("http://127.0.0.1:8080/audit/v1/"),
        poll_secs: 3_600,
        since: Since::At(1_772_409_600),
        overlap_secs: 0,
        rewalk_hours: 168,
        budget_percent: 1,
        lag_secs: 600,
    };
    assert_eq!(config.sources["grid"], Source::Slack(grid));
    let web = WebApi {
        token: Some(Secret::Env("TOKEN".to_owned())),
        web_endpoint: endpoint("http://localhost/api/"),
        teams: Vec::new(),
        lists_secs: 0,
    };
    assert_eq!(config.slack, Some(web));
    for (since, share, wanted) in [
        ("now", "1", (Since::Ago(0), 100)),
        ("7d", "0.7", (Since::Ago(604_800), 70)),
        ("1h 30m", "0.35", (Since::Ago(5_400), 35)),
    ] {
        let text =
            format!("{{type: slack, token: {{env: A}}, since: {since}, budget_share: {share}}}");
        let config = parse(&format!("sources: {{grid: {text}}}")).unwrap();
        let Source::Slack(grid) = &config.sources["grid"] else {
            panic!("{:?}", config.sources);
        };
        assert_eq!((grid.since, grid.budget_percent), wanted, "{text}");
    }
    // Without a token Slack's Web API is not called.
    assert_eq!(Config::default().slack.unwrap().token, None);
}

#[test]
fn what_is_written_of_sinks_counts() {
    let config = parse(
        "sinks:
  a: {type: webhook, url: 'http://10.0.0.5:8080/in?to=us', allow_private: true, format: ocsf}
  b: {type: splunk, url: https://splunk.example.com, token: {env: TOKEN}, index: a, acknowledge: yes, ca: a.pem}
  c: {type: syslog, address: '[::1]:514', tls: no, allow_private: true, events: true}
  d: {type: file, path: d.ndjson, rotate_mib: 1, events: true, where: action = 'file_downloaded'}
  e: {type: file, path: e.ndjson, events: false}",
    )
    .unwrap();
    let site = |url: &str, allow_private, ca: Option<&str>| Site {
        url: url.parse().unwrap(),
        allow_private,
        ca: ca.map(Into::into),
    };
    let webhook = Target::Webhook {
        site: site("http://10.0.0.5:8080/in?to=us", true, None),
        secret: None,
    };
    let splunk = Target::Splunk {
        site: site("https://splunk.example.com/", false, Some("a.pem")),
        token: Secret::Env("TOKEN".to_owned()),
        index: Some("a".to_owned()),
        acknowledge: true,
    };
    let syslog = Target::Syslog {
        address: "[::1]:514".to_owned(),
        is_encrypted: false,
        ca: None,
        allow_private: true,
    };
    let file = |path: &str, rotate_mib| Target::File {
        path: path.into(),
        rotate_mib,
    };
    let downloads = Feed::Events(Some("action = 'file_downloaded'".to_owned()));
    for (name, target, format, feed) in [
        ("a", webhook, Format::Ocsf, Feed::Anomalies),
        ("b", splunk, Format::Native, Feed::Anomalies),
        ("c", syslog, Format::Native, Feed::Events(None)),
        ("d", file("d.ndjson", 1), Format::Native, downloads),
        ("e", file("e.ndjson", 256), Format::Native, Feed::Anomalies),
    ] {
        let sink = Sink {
            target,
            format,
            feed,
        };
        assert_eq!(config.sinks[name], sink, "{name}");
    }
}

#[test]
fn mistakes_about_slack_are_named() {
    let source = [
        (
            "poll_secs: 0",
            "1:63: `poll_secs` is `0`: write a whole number from 1 to 3600",
        ),
        ("overlap_secs: 3601", "from 0 to 3600"),
        ("rewalk_hours: 169", "from 0 to 168"),
        ("lag_secs: 601", "from 0 to 600"),
        (
            "budget_share: 0",
            "`budget_share` is `0`: write a number from 0.01 to 1",
        ),
        (
            "budget_share: 1.5",
            "`budget_share` is `1.5`: write a number",
        ),
        (
            "budget_share: -0.7",
            "`budget_share` is `-0.7`: write a number",
        ),
        (
            "budget_share: most",
            "`budget_share` is `most`: write a number",
        ),
        (
            "since: yesterday",
            "`since` is `yesterday`: write a span of time such as 24h or 7d",
        ),
        ("since: -24h", "`since` is `-24h`: write a span"),
        ("since: 24", "`since` is `24`: write a text"),
        (
            "audit_endpoint: api.slack.com",
            "`audit_endpoint` is no address",
        ),
        (
            "audit_endpoint: http://api.slack.com/",
            "`audit_endpoint` is not encrypted: write https",
        ),
        (
            "audit_endpoint: https://me:me@slack.com/",
            "`audit_endpoint` holds a password",
        ),
        (
            "audit_endpoint: https://slack.com/?a=b",
            "`audit_endpoint` has a query",
        ),
        ("lateness_secs: 1", "unknown field `lateness_secs`"),
    ];
    let web = [
        (
            "lists_secs: 604801",
            "`lists_secs` is `604801`: write a whole number from 0 to 604800",
        ),
        (
            "web_endpoint: http://10.0.0.5/api/",
            "`web_endpoint` is not encrypted: write https",
        ),
        (
            "web_endpoint: ftp://slack.com/",
            "`web_endpoint` is no address of a web server",
        ),
        (
            "scopes: []",
            "unknown field `scopes`; use one of token, web_endpoint, lists_secs",
        ),
    ];
    assert_told(source.map(|(settings, wanted)| {
        let source = format!("{{type: slack, token: {{env: TOKEN}}, {settings}}}");
        (format!("sources: {{grid: {source}}}"), wanted)
    }));
    assert_told(web.map(|(settings, wanted)| {
        let text = format!("slack: {{token: {{env: TOKEN}}, {settings}}}");
        (text, wanted)
    }));
    let missing = "`token` is missing: write {env: NAME} or {file: PATH}";
    let tokenless = [
        "sources: {grid: {type: slack}}",
        "sources: {grid: {type: slack, token: }}",
        "slack: {lists_secs: 60}",
        "sinks: {out: {type: splunk, url: https://a.example/}}",
    ];
    assert_told(tokenless.map(|text| (text.to_owned(), missing)));
}

#[test]
fn mistakes_about_sinks_are_named() {
    let mistakes = [
        (
            "webhook",
            "secret: {env: A}",
            "1:12: `url` is missing: write https://HOST/PATH",
        ),
        (
            "webhook",
            "url: http://siem.example.com/",
            "`url` is not encrypted: write https, or `allow",
        ),
        (
            "webhook",
            "url: http://127.0.0.1:8080/",
            "`url` is not encrypted",
        ),
        (
            "webhook",
            "url: https://me:me@a.example/",
            "`url` holds a password",
        ),
        (
            "webhook",
            "url: ftp://a.example/",
            "`url` is no address of a web server",
        ),
        ("webhook", "url: a.example", "`url` is no address"),
        (
            "webhook",
            "url: https://a.example/#in",
            "`url` has a part after #",
        ),
        ("webhook", "url: 5", "`url` is `5`: write a text"),
        (
            "webhook",
            "url: https://a.example/, token: {env: A}",
            "unknown field `token`",
        ),
        (
            "webhook",
            "url: https://a.example/, allow_private: 1",
            "`allow_private` is `1`: write true or",
        ),
        ("splunk", "token: {env: A}", "`url` is missing"),
        (
            "splunk",
            "url: http://a.example/, token: {env: A}",
            "`url` is not encrypted",
        ),
        (
            "splunk",
            "url: https://a.example/, token: {env: A}, index: 5",
            "`index` is `5`: write a text",
        ),
        (
            "splunk",
            "url: https://a.example/, token: {env: A}, acknowledge: 1",
            "`acknowledge` is `1`: write",
        ),
        (
            "syslog",
            "tls: true",
            "`address` is missing: write host and port, such as",
        ),
        (
            "syslog",
            "address: a.example",
            "`address` is `a.example`: write host and port, such as",
        ),
        ("syslog", "address: ':6514'", "`address` is `:6514`"),
        (
            "syslog",
            "address: 'a.example:'",
            "`address` is `a.example:`",
        ),
        (
            "syslog",
            "address: a.example:65536",
            "`address` is `a.example:65536`",
        ),
        (
            "syslog",
            "address: a.example:514, tls: maybe",
            "`tls` is `maybe`: write true or false",
        ),
        (
            "syslog",
            "address: a.example:514, url: https://a.example/",
            "unknown field `url`",
        ),
        (
            "file",
            "where: action = 'user_login'",
            "`where` chooses among raw events: write `events: true`",
        ),
        (
            "file",
            "events: true, where: 5",
            "`where` is `5`: write a text",
        ),
        (
            "file",
            "events: some",
            "`events` is `some`: write true or false",
        ),
    ];
    assert_told(mistakes.map(|(kind, settings, wanted)| {
        let text = format!("sinks: {{x: {{type: {kind}, {settings}}}}}");
        (text, wanted)
    }));
}

#[test]
fn a_secret_that_is_written_down_is_refused_and_not_repeated() {
    const NOT_HERE: &str = "a secret is not written here: use {env: NAME} or {file: PATH}";
    let places = [
        "sources: {grid: {type: slack, token: SECRET}}",
        "slack: {token: SECRET}",
        "sinks: {x: {type: splunk, url: https://a.example/, token: SECRET}}",
        "sinks: {x: {type: webhook, url: https://a.example/, secret: SECRET}}",
    ];
    for (written, wanted) in [
        ("xoxp-1234", NOT_HERE),
        ("'xoxp-1234'", NOT_HERE),
        ("1234", NOT_HERE),
        ("[xoxp-1234]", NOT_HERE),
        ("{env: xoxp-1234}", "`env` takes the name of a variable"),
        ("{value: xoxp-1234}", "with one key and a text"),
        ("{xoxp-1234: A}", "with one key and a text"),
    ] {
        let texts = places.map(|place| place.replace("SECRET", written));
        for text in &texts {
            let problems = parse(text).unwrap_err();
            assert!(!problems.concat().contains("1234"), "{problems:?}");
        }
        assert_told(texts.map(|text| (text, wanted)));
    }
    let folder = Folder::with(&[("gridwatch.yaml", "slack: {token: xoxp-1234}")]);
    let config = folder.path("gridwatch.yaml");
    let ran = gridwatch(&["config", "check", "--config", &config], b"");
    assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{}", ran.err);
    let wanted = format!("gridwatch.yaml:1:16: `token`: {NOT_HERE}\n");
    assert!(ran.err.ends_with(&wanted), "{}", ran.err);
    assert!(!ran.err.contains("1234"), "{}", ran.err);
}

#[test]
fn a_check_tells_where_events_come_from_and_go_and_looks_up_no_secret() {
    let config = NEEDED.replace("{env: SPLUNK_TOKEN}", "{file: no/such/file}");
    // Of the files that it names it reads all but those of secrets.
    let folder = Folder::with(&[("gridwatch.yaml", config.as_str())]);
    let path = folder.path("gridwatch.yaml");
    let ran = gridwatch(&["config", "check", "--config", &path], b"");
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("ca.pem: No such file"), "{}", ran.err);
    let config = config.replace(", ca: ca.pem", "");
    let folder = Folder::with(&[("gridwatch.yaml", config.as_str())]);
    let config = folder.path("gridwatch.yaml");
    let ran = gridwatch(&["config", "check", "--config", &config], b"");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    for wanted in [
        "\nsources: grid (slack), push (push)\n".to_owned(),
        format!(
            "\nsinks: feed (file → {}), hec",
            folder.path("events.ndjson")
        ),
        "hec (splunk → https://splunk.example.com:8088".to_owned(),
        "hook (webhook → https://hooks.example.com".to_owned(),
        format!("out (file → {})", folder.path("anomalies.ndjson")),
        "siem (syslog → siem.example.com:6514)\n".to_owned(),
    ] {
        assert!(ran.out.contains(&wanted), "{wanted}: {}", ran.out);
    }
    let files = fs::read_dir(folder.path(".")).unwrap();
    assert_eq!(files.count(), 1, "a check writes nothing");
}
