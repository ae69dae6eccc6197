//! The configuration of the service, and the verb that checks it.

mod connected;

use std::fs;

use gridwatch::config::{Config, EXAMPLE, Source};

use super::config::{CONFIG, DEPARTMENTS, EXCEPTIONS, OFFICES};
use super::{Folder, gridwatch};

/// What the example switches on, without what has a default.
const NEEDED: &str = "
sources: {push: {type: push}, grid: {type: slack, token: {env: SLACK_AUDIT_TOKEN}}}
sinks:
  out: {type: file}
  hook: {type: webhook, url: https://hooks.example.com/gridwatch, secret: {env: WEBHOOK_SECRET}, ca: ca.pem}
  hec:
    {type: splunk, url: https://splunk.example.com:8088, token: {env: SPLUNK_TOKEN}, index: security, ca: ca.pem}
  siem: {type: syslog, address: siem.example.com:6514, ca: ca.pem}
  feed: {type: file, path: events.ndjson, events: true, where: action = 'file_downloaded'}
slack: {token: {env: SLACK_TOKEN}}
";

fn parse(text: &str) -> Result<Config, Vec<String>> {
    let problems = |problems: Vec<gridwatch::config::yaml::Problem>| {
        problems.iter().map(ToString::to_string).collect()
    };
    Config::parse("gridwatch.yaml", text).map_err(problems)
}

/// Fails unless one thing is wrong with each text, and what is told of it has these words.
fn assert_told<'a>(mistakes: impl IntoIterator<Item = (String, &'a str)>) {
    let mut missed = Vec::new();
    for (text, wanted) in mistakes {
        let problems = parse(&text).err().unwrap_or_default();
        if problems.len() != 1 || !problems[0].contains(wanted) {
            missed.push(format!("{text}: {problems:?}"));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

/// The example with all that is switched off switched on.
fn whole_example() -> String {
    let switched_on = |line: &str| {
        let (before, after) = line.split_once('#').unwrap_or((line, " "));
        if before.trim().is_empty() && !after.is_empty() && !after.starts_with(' ') {
            format!("{before}{after}\n")
        } else {
            format!("{line}\n")
        }
    };
    EXAMPLE.lines().map(switched_on).collect()
}

#[test]
fn the_example_runs_as_it_is() {
    let printed = gridwatch(&["config", "example"], b"");
    assert_eq!((printed.code, printed.out.as_str()), (Some(0), EXAMPLE));
    let folder = Folder::with(&[("gridwatch.yaml", EXAMPLE)]);
    let ran = gridwatch(
        &[
            "config",
            "check",
            "--config",
            &folder.path("gridwatch.yaml"),
        ],
        b"",
    );
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.out.starts_with("ok: "), "{}", ran.out);
    for line in [
        format!("store: {}", folder.path("./gridwatch-data")),
        "address: 127.0.0.1:7070".to_owned(),
        "sources: push (push)".to_owned(),
        "sinks: none".to_owned(),
    ] {
        assert!(ran.out.lines().any(|l| l == line), "{line}: {}", ran.out);
    }
    let files = fs::read_dir(folder.path(".")).unwrap();
    assert_eq!(files.count(), 1, "a check writes nothing");
}

#[test]
fn the_example_names_the_defaults() {
    let (default, example) = (Config::default(), parse(EXAMPLE).unwrap());
    let whole = parse(&whole_example()).unwrap();
    for config in [&example, &whole] {
        assert_eq!(config.store, default.store);
        assert_eq!(config.serve, default.serve);
        assert_eq!(config.admission, default.admission);
        assert_eq!(config.memory, default.memory);
    }
    let needed = parse(NEEDED).unwrap();
    for (config, other) in [(&example, &default), (&whole, &needed)] {
        assert_eq!(config.sources, other.sources);
        assert_eq!(config.sinks, other.sinks);
        assert_eq!(config.slack, other.slack);
    }
    assert_eq!((needed.sources.len(), needed.sinks.len()), (2, 5));
    assert!(default.sinks.is_empty());
    assert_eq!(whole.lists.len(), 2);
    assert!(whole.rules.actions.is_some() && whole.exceptions.file.is_some());
}

#[test]
fn what_is_written_counts() {
    let config = parse(
        "store: {path: /data, retain_days: 1, repair_days: 36500, seal_secs: 3600, seal_rows: 1024, \
         snapshot_secs: 1}
serve: {address: '[::1]:80'}
admission: {future_secs: 1, stall_secs: 2, late_max_secs: 3}
memory: {ingest_mib: 1, state_mib: 2, query_mib: 1048576}
sources:
  a_1: {type: push, lateness_secs: 0}
  b:
    type: push
    lateness_secs:
sinks: {x: {type: file, path: x.ndjson}, y: {type: file, path: y.ndjson, rotate_mib: 1}}",
    )
    .unwrap();
    let store = &config.store;
    assert_eq!(store.path.to_str(), Some("/data"));
    assert_eq!((store.retain_days, store.repair_days), (1, 36_500));
    assert_eq!((store.seal_secs, store.seal_rows), (3_600, 1_024));
    assert_eq!(store.snapshot_secs, 1);
    assert_eq!(config.serve.address.to_string(), "[::1]:80");
    let admission = &config.admission;
    assert_eq!((admission.future_secs, admission.stall_secs), (1, 2));
    assert_eq!(admission.late_max_secs, 3);
    let memory = &config.memory;
    assert_eq!((memory.ingest_mib, memory.state_mib), (1, 2));
    assert_eq!(memory.query_mib, 1_048_576);
    assert_eq!(config.sources["a_1"], Source::Push { lateness_secs: 0 });
    assert_eq!(config.sources["b"], Source::Push { lateness_secs: 1 });
    assert_eq!(config.sinks.len(), 2);
    // A block of which only the name is left says nothing.
    let empty = parse("store:\nserve:\nsources:\nsinks:\nrules:\nmemory:\n").unwrap();
    assert_eq!(empty.store, Config::default().store);
    assert_eq!(empty.sources, Config::default().sources);
}

#[test]
fn mistakes_are_named_where_they_stand() {
    let mistakes = [
        (
            "store: {seal_secs: 0}",
            "1:20: `seal_secs` is `0`: write a whole number from 1 to 3600",
        ),
        ("store: {seal_secs: 3601}", "`seal_secs` is `3601`: write"),
        ("store: {seal_secs: soon}", "`seal_secs` is `soon`: write"),
        ("store: {seal_secs: -1}", "`seal_secs` is `-1`: write"),
        ("store: {seal_secs: 1.5}", "`seal_secs` is `1.5`: write"),
        ("store: {seal_secs: [1]}", "`seal_secs` is a list: write"),
        (
            "store: {seal_rows: 1023}",
            "a whole number from 1024 to 4194304",
        ),
        ("store: {snapshot_secs: 86401}", "number from 1 to 86400"),
        ("store: {retain_days: 0}", "number from 1 to 36500"),
        ("store: {repair_days: 36501}", "number from 1 to 36500"),
        (
            "store: {path: yes}",
            "`path` is `true`: write a text, in quotes",
        ),
        ("store: {path: ''}", "`path` is empty: write a text"),
        (
            "store:\n  seal_sec: 5",
            "2:3: unknown field `seal_sec`; did you mean `seal_secs`?",
        ),
        (
            "serve: {host: localhost}",
            "1:9: unknown field `host`; use one of address",
        ),
        ("store: here", "1:8: expected mapping start"),
        (
            "serve: {address: localhost}",
            "1:18: `localhost` is no address: write an IP address and a port",
        ),
        ("serve: {address: 127.0.0.1}", "`127.0.0.1` is no address"),
        ("admission: {future_secs: 0}", "number from 1 to 86400"),
        ("memory: {query_mib: 1048577}", "number from 1 to 1048576"),
        (
            "sources: {grid: {type: slak, token: {env: TOKEN}}}",
            "1:24: `slak` is no type of source: use push, slack",
        ),
        (
            "sources:\n  log:\n    path: a.ndjson\n    type: file",
            "4:11: `file` is no type of source: use push",
        ),
        (
            "sources: {push: {lateness_secs: 1}}",
            "1:17: `type` is missing, the type of source: use push",
        ),
        (
            "sources:\n  push:\n",
            "2:7: `type` is missing, the type of source: use push",
        ),
        (
            "sources: {push: {type: push, lateness_secs: 3601}}",
            "number from 0 to 3600",
        ),
        (
            "sources: {push: {type: push, latenes_secs: 1}}",
            "1:30: unknown field `latenes_secs`; did you mean `lateness_secs`?",
        ),
        (
            "sources: {Push: {type: push}}",
            "1:17: a source cannot be called `Push`: use lower-case letters, digits and _",
        ),
        (
            "sources: {'': {type: push}}",
            "a source cannot be called ``",
        ),
        (
            "sinks: {a-b: {type: file}}",
            "a sink cannot be called `a-b`",
        ),
        (
            "sinks: {out: {type: kafka}}",
            "1:21: `kafka` is no type of sink: use file, webhook, splunk, syslog",
        ),
        (
            "sinks: {out: {type: file, format: csv}}",
            "1:35: `csv` is no format: use native, ocsf",
        ),
        (
            "sinks: {out: {type: file, rotate_mib: 0}}",
            "number from 1 to 1048576",
        ),
        (
            "sinks: {a: {type: file}, b: {type: file}}",
            "sink `b` writes to anomalies.ndjson, as `a` does: give each a `path` of its own",
        ),
        (
            "lists: {slack_admins: {file: a.csv}}",
            "1:30: a list cannot be called `slack_admins`: names that begin with `slack_` are those of Slack",
        ),
        ("limits: {}", "1:1: unknown field `limits`"),
    ];
    assert_told(mistakes.map(|(text, wanted)| (text.to_owned(), wanted)));
    let long = format!("sources: {{{}: {{type: push}}}}", "a".repeat(64));
    assert!(parse(&long).is_ok());
    let long = format!("sources: {{{}: {{type: push}}}}", "a".repeat(65));
    assert!(parse(&long).unwrap_err()[0].contains("at most 64"));
}

#[test]
fn all_mistakes_are_named_at_once() {
    let folder = Folder::with(&[(
        "gridwatch.yaml",
        "organisation: {time_zone: Berlin}
store: {seal_secs: 0, seal_rows: many, retain: 5}
serve: {address: 7070}
sources: {push: {type: pull}, other: {type: push, lateness_secs: -1}, grid: {type: slack, since: soon}}
sinks: {out: {type: file, path: [], format: csv}}
",
    )]);
    let config = folder.path("gridwatch.yaml");
    let ran = gridwatch(&["config", "check", "--config", &config], b"");
    assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{}", ran.err);
    for wanted in [
        "1:27: `Berlin` is no time zone",
        "2:20: `seal_secs` is `0`",
        "2:34: `seal_rows` is `many`",
        "2:40: unknown field `retain`",
        "3:18: `address` is `7070`",
        "4:24: `pull` is no type of source",
        "4:66: `lateness_secs` is `-1`",
        "4:77: `token` is missing",
        "4:98: `since` is `soon`",
        "5:33: `path` is a list",
        "5:45: `csv` is no format",
    ] {
        let wanted = format!("gridwatch.yaml:{wanted}");
        assert!(ran.err.contains(&wanted), "{wanted}: {}", ran.err);
    }
    assert_eq!(ran.err.lines().count(), 12, "{}", ran.err);
}

#[test]
fn a_check_reads_what_the_configuration_names() {
    let config = format!(
        "{CONFIG}enrich: {{networks: [networks.csv]}}\nsinks: {{out: {{type: file, path: a.ndjson}}}}\n"
    )
    .replace("{paths: [rules]}", "{off: [slack_anomaly]}");
    let exceptions = EXCEPTIONS.replace("[elsewhere]", "all");
    let networks = "network,country\n192.0.2.0/24,DE\n";
    let good = [
        ("gridwatch.yaml", config.as_str()),
        ("offices.yaml", OFFICES),
        ("departments.csv", DEPARTMENTS),
        ("exceptions.yaml", exceptions.as_str()),
        ("networks.csv", networks),
    ];
    let check = |changed: &[(&str, &str)]| {
        let mut files = good.to_vec();
        for (name, text) in changed {
            files.retain(|(known, _)| known != name);
            files.push((name, text));
        }
        let folder = Folder::with(&files);
        let config = folder.path("gridwatch.yaml");
        let ran = gridwatch(&["config", "check", "--config", &config], b"");
        (ran, folder)
    };
    let (ran, folder) = check(&[]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let counts = "1 of them off, 2 lists, 1 exception, 1 network file\n";
    assert!(ran.out.contains(counts), "{}", ran.out);
    let sink = format!("sinks: out (file → {})\n", folder.path("a.ndjson"));
    assert!(ran.out.contains(&sink), "{}", ran.out);
    let bad_rule = config.replace("{off: [slack_anomaly]}", "{off: [slack_anomoly]}");
    for (changed, wanted) in [
        (
            vec![("offices.yaml", "type: cider\nentries: []\n")],
            vec!["offices.yaml:1:7: `cider` is no type of list"],
        ),
        (
            vec![("exceptions.yaml", "- {name: x}\n")],
            vec!["exceptions.yaml:1:3: an exception needs"],
        ),
        (
            vec![
                ("gridwatch.yaml", bad_rule.as_str()),
                ("networks.csv", "ip\n"),
            ],
            vec!["there is no rule `slack_anomoly`", "no column `network`"],
        ),
    ] {
        let (ran, _) = check(&changed);
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{}", ran.err);
        for wanted in wanted {
            assert!(ran.err.contains(wanted), "{wanted}: {}", ran.err);
        }
    }
}

#[test]
fn a_check_without_a_file_checks_the_defaults() {
    let ran = gridwatch(&["config", "check"], b"");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(
        ran.out.contains("\nstore: ./gridwatch-data\n"),
        "{}",
        ran.out
    );
    let ran = gridwatch(&["config", "check", "--config", "no/such.yaml"], b"");
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("cannot read no/such.yaml"), "{}", ran.err);
}
