//! Syslog as a real rsyslog takes it.
//!
//! Where there is no `rsyslogd` these tests say so and pass.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::{Value, json};

use super::{
    PATIENCE, Service, anomalies, assert_all_arrived, await_reason, await_told, body, dead_letters,
    raise, service_with, wait_for,
};
use crate::Folder;
use crate::service::{MONDAY, free_port};

/// Where Debian has it; it is not in everybody's path.
const PROGRAM: &str = "/usr/sbin/rsyslogd";

/// What it writes of each message, as JSON.
const TEMPLATE: &str = r#"template(name="line" type="list" option.jsonf="on") {
  property(outname="priority" name="pri" format="jsonf")
  property(outname="time" name="timereported" dateFormat="rfc3339" format="jsonf")
  property(outname="host" name="hostname" format="jsonf")
  property(outname="program" name="app-name" format="jsonf")
  property(outname="kind" name="msgid" format="jsonf")
  property(outname="data" name="structured-data" format="jsonf")
  property(outname="text" name="msg" format="jsonf")
}
"#;

/// Says so where it is seen, whatever the harness captures.
fn skip(reason: &str) {
    let mut err = io::stderr().lock();
    writeln!(err, "SKIPPED: {reason}; install what CI installs").unwrap();
}

/// Whether there is a module of rsyslog, `imtcp` and the like.
fn has_module(name: &str) -> bool {
    let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = folders.map(|entry| entry.path()).collect();
    folders.push("/usr/lib64".into());
    let file = format!("rsyslog/{name}.so");
    folders.iter().any(|folder| folder.join(&file).exists())
}

/// A receiver, and the file to which it writes.
struct Rsyslog {
    folder: Folder,
    port: u16,
    child: Option<Child>,
}

impl Rsyslog {
    /// One that is installed, not started yet; with a certificate of its own for `127.0.0.1` if it
    /// speaks TLS.
    fn find(speaks_tls: bool) -> Option<Self> {
        if !Path::new(PROGRAM).exists() || !has_module("imtcp") {
            skip("there is no rsyslogd");
            return None;
        }
        if speaks_tls && !has_module("lmnsd_gtls") {
            skip("this rsyslogd has no TLS");
            return None;
        }
        let receiver = Self {
            folder: Folder::with(&[]),
            port: free_port(),
            child: None,
        };
        let (files, driver) = if speaks_tls {
            receiver.certify();
            let path = |name| receiver.folder.path(name);
            let files = format!(
                "defaultNetstreamDriverCAFile=\"{}\" defaultNetstreamDriverCertFile=\"{}\" \
                 defaultNetstreamDriverKeyFile=\"{}\"",
                path("ca.pem"),
                path("certificate.pem"),
                path("key.pem")
            );
            let driver =
                "streamDriver.name=\"gtls\" streamDriver.mode=\"1\" streamDriver.authMode=\"anon\"";
            (files, driver)
        } else {
            (String::new(), "")
        };
        let (port, kept) = (receiver.port, receiver.folder.path("kept.ndjson"));
        let text = format!(
            "global(workDirectory=\"{}\" maxMessageSize=\"256k\" {files})
module(load=\"imtcp\" {driver})
input(type=\"imtcp\" address=\"127.0.0.1\" port=\"{port}\" ruleset=\"keep\")
{TEMPLATE}
ruleset(name=\"keep\") {{ action(type=\"omfile\" file=\"{kept}\" template=\"line\") }}
",
            receiver.folder.path(".")
        );
        fs::write(receiver.folder.path("rsyslog.conf"), text).unwrap();
        Some(receiver)
    }

    /// Makes an authority and a certificate of it.
    fn certify(&self) {
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap());
        let (authority, key) = (authority.unwrap(), KeyPair::generate().unwrap());
        let parameters = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = parameters.signed_by(&key, &authority).unwrap();
        for (name, pem) in [
            ("ca.pem", authority.pem()),
            ("certificate.pem", certificate.pem()),
            ("key.pem", key.serialize_pem()),
        ] {
            fs::write(self.folder.path(name), pem).unwrap();
        }
    }

    fn start(&mut self) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.folder.path("log"));
        let configuration = self.folder.path("rsyslog.conf");
        let child = Command::new(PROGRAM)
            .args(["-n", "-i", "NONE", "-f", &configuration])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.unwrap())
            .spawn();
        self.child = Some(child.unwrap());
        wait_for("rsyslogd", Duration::from_secs(30), || {
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "rsyslogd ended: {}", self.log());
            TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok()
        });
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path("log")).unwrap_or_default()
    }

    /// The messages that it wrote whole.
    fn messages(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.folder.path("kept.ndjson")).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        anomalies(whole)
    }

    /// The JSON in the messages.
    fn records(&self) -> Vec<Value> {
        let messages = self.messages();
        let text = |message: &Value| message["text"].as_str().unwrap().to_owned();
        let records = messages.iter().map(text);
        records
            .map(|text| serde_json::from_str(&text).unwrap())
            .collect()
    }

    /// Waits until it wrote records of this many ids.
    fn await_ids(&self, ids: usize) {
        wait_for("messages", PATIENCE, || {
            let records = self.records();
            let found: HashSet<&str> = records.iter().filter_map(|r| r["id"].as_str()).collect();
            (found.len() >= ids).then_some(())
        });
    }

    /// A service that sends to it, with these settings besides the usual ones.
    fn service(&self, settings: &str, files: &[(&str, &str)]) -> Service {
        let port = self.port;
        let sink = format!(
            "siem: {{type: syslog, address: \"127.0.0.1:{port}\", allow_private: true, {settings}}}"
        );
        service_with(&sink, files)
    }
}

impl Drop for Rsyslog {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Fails unless the heads of the messages say what their records do.
fn assert_heads(messages: &[Value]) {
    for message in messages {
        let record: Value = serde_json::from_str(message["text"].as_str().unwrap()).unwrap();
        assert_eq!(message["program"], "gridwatch");
        assert_eq!(message["kind"], "anomaly");
        let text = |name: &str| record[name].as_str().unwrap();
        let (id, rule, level) = (text("id"), text("rule"), text("level"));
        let data = format!("[gridwatch@32473 id=\"{id}\" rule=\"{rule}\" level=\"{level}\"]");
        assert_eq!(message["data"], data);
        let severities = ["critical", "high", "medium", "low", "informational"];
        let severity = severities.iter().position(|word| *word == level).unwrap() + 2;
        assert_eq!(message["priority"], (13 * 8 + severity).to_string());
        let times = [text("event_time"), message["time"].as_str().unwrap()];
        let [happened, told] = times.map(|time| time.parse::<jiff::Timestamp>().unwrap());
        assert_eq!(happened, told);
    }
}

#[test]
fn rsyslog_reads_what_was_meant() {
    let Some(mut receiver) = Rsyslog::find(false) else {
        return;
    };
    receiver.start();
    let mut service = receiver.service("tls: false", &[]);
    service.start();
    raise(&service, 0..50);
    await_told(&service, 50);
    receiver.await_ids(50);
    service.stop();
    assert_heads(&receiver.messages());
    assert_eq!(assert_all_arrived(&service, &receiver.records()), 0);
    assert_eq!(receiver.log(), "", "rsyslogd has nothing to complain about");
}

#[test]
fn rsyslog_reads_what_was_meant_over_tls() {
    let Some(mut receiver) = Rsyslog::find(true) else {
        return;
    };
    receiver.start();
    let ca = fs::read_to_string(receiver.folder.path("ca.pem")).unwrap();
    let mut service = receiver.service("tls: true, ca: ca.pem", &[("ca.pem", &ca)]);
    service.start();
    raise(&service, 0..20);
    await_told(&service, 20);
    receiver.await_ids(20);
    service.stop();
    assert_heads(&receiver.messages());
    assert_eq!(assert_all_arrived(&service, &receiver.records()), 0);
}

#[test]
fn a_receiver_whose_certificate_is_not_trusted_gets_nothing() {
    let (Some(mut receiver), Some(other)) = (Rsyslog::find(true), Rsyslog::find(true)) else {
        return;
    };
    receiver.start();
    let ca = fs::read_to_string(other.folder.path("ca.pem")).unwrap();
    let mut service = receiver.service("tls: true, ca: ca.pem", &[("ca.pem", &ca)]);
    service.start();
    raise(&service, 0..1);
    await_reason(&service, &["siem", "certificate"]);
    service.stop();
    assert_eq!(receiver.messages(), Vec::<Value>::new());
    // It is not refused for good: nothing is wrong with the anomaly.
    assert!(dead_letters(&service).is_empty());
    assert_eq!(
        service.reader().waiting().unwrap(),
        [("siem".to_owned(), 1)]
    );
}

/// Syslog acknowledges nothing: what the receiver did not read when it died is lost, and so it is killed
/// when it has read all.
#[test]
fn what_is_found_while_the_receiver_is_dead_arrives_when_it_is_back() {
    let Some(mut receiver) = Rsyslog::find(false) else {
        return;
    };
    receiver.start();
    let mut service = receiver.service("tls: false", &[]);
    service.start();
    let mut raised = 0;
    for round in 0..3 {
        raise(&service, raised..raised + 10);
        raised += 10;
        await_told(&service, raised);
        receiver.await_ids(raised as usize);
        receiver.kill();
        raise(&service, raised..raised + 10);
        raised += 10;
        await_reason(&service, &["siem", "check `address`"]);
        if round == 1 {
            service.kill();
            service.start();
        }
        receiver.start();
    }
    await_told(&service, raised);
    receiver.await_ids(raised as usize);
    service.stop();
    assert_heads(&receiver.messages());
    let again = assert_all_arrived(&service, &receiver.records());
    println!("{again} of {raised} came again");
}

#[test]
fn hostile_events_arrive_one_by_one() {
    let Some(mut receiver) = Rsyslog::find(false) else {
        return;
    };
    receiver.start();
    let settings = "tls: false, events: true, where: \"action = 'user_login'\"";
    let mut service = receiver.service(settings, &[]);
    service.start();
    let ids = [
        "plain",
        "two\nlines",
        "a\"] forged",
        "back\\slash",
        "<0>1 - - - - - -",
        "7 <0>1 -",
        "\u{85}\u{2028}\u{9b}31m",
        "\u{202e}gpj\u{202c}\u{2066}\u{200f}\u{61c}.exe",
    ];
    let event = |(at, id): (usize, &str), action: &str| {
        json!({
            "id": id,
            "date_create": MONDAY + at as i64,
            "action": action,
            "actor": {"type": "user", "user": {"id": "U1", "name": id}},
            "entity": {"type": "user", "user": {"id": "U1", "name": id}},
            "context": {"ip_address": "203.0.113.9", "ua": id},
        })
    };
    let wanted: Vec<Value> = ids
        .into_iter()
        .enumerate()
        .map(|numbered| event(numbered, "user_login"))
        .collect();
    let other = event((0, "not wanted"), "user_logout");
    let lines: Vec<String> = wanted
        .iter()
        .chain([&other])
        .map(Value::to_string)
        .collect();
    let answer = service.sender().push(body(&lines)).unwrap();
    assert_eq!(answer.receipt(), (lines.len() as u64, 0, 0));
    receiver.await_ids(wanted.len());
    service.stop();
    assert_eq!(receiver.records(), wanted);
    for (message, id) in receiver.messages().iter().zip(ids) {
        assert_eq!(message["priority"], "110");
        assert_eq!(message["kind"], "event");
        let marks = "\u{2028}\u{202e}\u{202c}\u{2066}\u{200f}\u{61c}";
        let is_shown = |c: &char| !c.is_control() && !marks.contains(*c);
        let plain: String = id.chars().filter(is_shown).collect();
        let escaped = ["\\", "\"", "]"].iter().fold(plain, |text, character| {
            text.replace(character, &format!("\\{character}"))
        });
        assert_eq!(
            message["data"],
            format!("[gridwatch@32473 id=\"{escaped}\"]")
        );
    }
}
