//! `gridwatch run` as those meet it who send it events, read what it tells, and pull its plug.
//!
//! [`Service`] is a folder with all that it needs, and the process that runs in it.

pub(super) mod client;
mod disk;
mod kill;
mod mark;
mod pressure;
mod push;
mod restart;
mod snapshot;

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use arrow::array::AsArray;
use gridwatch::clock::Stopwatch;
use gridwatch::event::schema::{Column, ColumnSet};
use gridwatch::simulate::{self, Plan};
use gridwatch::store::Reader;
use gridwatch::store::read::Span;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use self::client::{Answer, Client};
use super::{Folder, gridwatch};

/// Where requests and pauses pass.
pub(super) static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

/// Some 17,700 events, in which several rules find something.
pub(super) static LOG: LazyLock<Log> = LazyLock::new(|| Log::simulated(60, 9));

/// The first second of simulated logs, as Unix time.
pub(super) const MONDAY: i64 = simulate::DEFAULT_START;

/// Often enough that a test sees seals and snapshots.
const USUAL: &str = "seal_secs: 1, seal_rows: 1024, snapshot_secs: 1";

/// How long anything may take that comes for sure.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

pub(super) fn pause(time: Duration) {
    RUNTIME.block_on(async { tokio::time::sleep(time).await });
}

/// Looks until something is there, for so long at most.
pub(super) fn wait_for<T>(what: &str, most: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let watch = Stopwatch::start();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(watch.elapsed() < most, "{what} did not come in {most:?}");
        pause(Duration::from_millis(10));
    }
}

/// The log of a simulated organisation: an event a line, in order of time.
pub(super) struct Log {
    pub(super) lines: Vec<String>,
    networks: String,
}

impl Log {
    pub(super) fn simulated(users: u32, days: u32) -> Self {
        let (mut events, mut networks, mut labels) = (Vec::new(), Vec::new(), Vec::new());
        let plan = Plan::new(users, days, 5);
        simulate::write(&plan, &mut events, &mut networks, &mut labels, &mut |_| ()).unwrap();
        let events = String::from_utf8(events).unwrap();
        Self {
            lines: events.lines().map(str::to_owned).collect(),
            networks: String::from_utf8(networks).unwrap(),
        }
    }

    /// The first position from this one on at which a second begins. What is sent up to there and
    /// judged keeps its own time, as it does in a file.
    fn cut(&self, from: usize) -> usize {
        let begins = |at: &usize| second(&self.lines[*at]) > second(&self.lines[*at - 1]);
        (from..self.lines.len()).find(begins).unwrap()
    }
}

/// When the event of this line happened, in Unix seconds.
pub(super) fn second(line: &str) -> i64 {
    let event: Value = serde_json::from_str(line).unwrap();
    event["date_create"].as_i64().unwrap()
}

pub(super) fn id(line: &str) -> String {
    let event: Value = serde_json::from_str(line).unwrap();
    event["id"].as_str().unwrap().to_owned()
}

/// The lines as a request brings them.
pub(super) fn body(lines: &[String]) -> Vec<u8> {
    let parts = lines.iter().flat_map(|line| [line.as_str(), "\n"]);
    parts.collect::<String>().into_bytes()
}

/// A finding of Slack's own, which `slack_anomaly` passes on; of nobody else's events.
pub(super) fn finding(id: &str, second: i64) -> String {
    let user = json!({"type": "user", "user": {"id": format!("U{id}")}});
    json!({
        "id": id,
        "date_create": second,
        "action": "anomaly",
        "actor": user,
        "entity": user,
        "context": {"ip_address": "203.0.113.9", "ua": "curl/8.5.0", "session_id": null},
        "details": {"reason": ["tor"]},
    })
    .to_string()
}

/// Fails with the first line that differs.
fn assert_same(what: &str, found: &[String], expected: &[String]) {
    let mut pairs = found.iter().zip(expected).enumerate();
    if let Some((at, (one, other))) = pairs.find(|(_, (one, other))| one != other) {
        panic!("{what}: number {at} is {one} and should be {other}");
    }
    assert_eq!(found.len(), expected.len(), "{what}");
}

/// A service, which ends with the test at the latest.
pub(super) struct Service {
    pub(super) folder: Folder,
    data: PathBuf,
    port: u16,
    /// What it logs, as `RUST_LOG` has it.
    level: &'static str,
    child: Option<Child>,
    ingest: String,
    metrics: String,
}

impl Service {
    /// With these blocks of configuration besides the usual ones; not started yet.
    pub(super) fn new(log: &Log, blocks: &str) -> Self {
        let folder = Folder::with(&[]);
        let data = folder.path("data").into();
        Self::furnished(folder, data, log, blocks)
    }

    /// With its store in this folder.
    pub(super) fn over(data: &Path, log: &Log, blocks: &str) -> Self {
        Self::furnished(Folder::with(&[]), data.to_owned(), log, blocks)
    }

    pub(super) fn furnished(folder: Folder, data: PathBuf, log: &Log, blocks: &str) -> Self {
        fs::write(folder.path("networks.csv"), &log.networks).unwrap();
        let mut service = Self {
            folder,
            data,
            port: free_port(),
            level: "info",
            child: None,
            ingest: String::new(),
            metrics: String::new(),
        };
        service.configure(USUAL, blocks);
        service.ingest = service.token("ingest");
        service.metrics = service.token("metrics");
        service
    }

    pub(super) fn configure(&self, store: &str, blocks: &str) {
        let (data, port) = (self.data.display(), self.port);
        let text = format!(
            "store: {{path: {data}, {store}}}
serve: {{address: 127.0.0.1:{port}}}
sinks: {{out: {{type: file, path: anomalies.ndjson, rotate_mib: 1}}}}
enrich: {{networks: [networks.csv]}}
{blocks}
"
        );
        fs::write(self.config(), text).unwrap();
    }

    pub(super) fn config(&self) -> String {
        self.folder.path("gridwatch.yaml")
    }

    /// What it said in all its runs.
    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.folder.path("log")).unwrap_or_default()
    }

    pub(super) fn token(&self, role: &str) -> String {
        let config = self.config();
        let ran = gridwatch(
            &["token", "create", "--config", &config, "--role", role],
            b"",
        );
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        ran.out.trim().to_owned()
    }

    pub(super) fn client(&self, token: &str) -> Client {
        Client::new(self.port, token)
    }

    /// Whoever pushes events.
    pub(super) fn sender(&self) -> Client {
        self.client(&self.ingest)
    }

    /// Begins a run, as the last arguments of this command if there is one.
    pub(super) fn spawn_by(&mut self, wrapper: &[&str]) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.folder.path("log"));
        let config = self.config();
        let own = [env!("CARGO_BIN_EXE_gridwatch"), "run", "--config", &config];
        let command = [wrapper, &own[..]].concat();
        let child = Command::new(command[0])
            .args(&command[1..])
            .env("RUST_LOG", self.level)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.unwrap())
            .spawn();
        self.child = Some(child.unwrap());
    }

    pub(super) fn spawn(&mut self) {
        self.spawn_by(&[]);
    }

    pub(super) fn start(&mut self) {
        self.spawn();
        self.await_ready();
    }

    pub(super) fn await_ready(&mut self) {
        wait_for("readiness", PATIENCE, || {
            self.assert_runs();
            self.is_ready().then_some(())
        });
    }

    pub(super) fn is_ready(&self) -> bool {
        self.readiness().is_some_and(|answer| answer.status == 200)
    }

    /// What it answers to who asks whether it is ready; `None` if nobody answers.
    pub(super) fn readiness(&self) -> Option<Answer> {
        self.client("").get("/-/ready").ok()
    }

    pub(super) fn assert_runs(&mut self) {
        let ended = self.child.as_mut().unwrap().try_wait().unwrap();
        assert!(ended.is_none(), "it ended by itself: {}", self.log());
    }

    /// Pulls the plug.
    pub(super) fn kill(&mut self) {
        self.assert_runs();
        let child = self.child.as_mut().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        self.child = None;
    }

    /// Sends SIGTERM.
    pub(super) fn terminate(&self) {
        let pid = self.child.as_ref().unwrap().id();
        let sent = Command::new("sh")
            .args(["-c", &format!("kill -TERM {pid}")])
            .status();
        assert!(sent.unwrap().success());
    }

    /// Waits until it ends, and gives its exit code.
    pub(super) fn await_end(&mut self, most: Duration) -> Option<i32> {
        let child = self.child.as_mut().unwrap();
        let status = wait_for("its end", most, || child.try_wait().unwrap());
        self.child = None;
        status.code()
    }

    /// Ends it as operators do; gives how long that took.
    pub(super) fn stop(&mut self) -> Duration {
        let watch = Stopwatch::start();
        self.terminate();
        let code = self.await_end(Duration::from_secs(30));
        assert_eq!(code, Some(0), "{}", self.log());
        watch.elapsed()
    }

    /// Runs it where it refuses to; gives its exit code and what it said.
    pub(super) fn refuse(&mut self) -> (Option<i32>, String) {
        let before = self.log().len();
        self.spawn();
        let code = self.await_end(Duration::from_secs(30));
        (code, self.log().split_off(before))
    }

    /// A metric with its labels, without `gridwatch_`; 0 if it was not seen yet.
    pub(super) fn metric(&self, name: &str) -> f64 {
        let answer = self.client(&self.metrics).get("/metrics").unwrap();
        let mut lines = answer.text.lines();
        let value = lines.find_map(|line| {
            line.strip_prefix("gridwatch_")?
                .strip_prefix(name)?
                .strip_prefix(' ')
        });
        value.map_or(0.0, |value| value.parse().unwrap())
    }

    pub(super) fn reader(&self) -> Reader {
        Reader::open(&self.data).unwrap()
    }

    /// Waits until all events up to this second are judged, and the sink was told of what was found;
    /// gives how long that took.
    pub(super) fn await_judged(&self, newest: i64) -> Duration {
        let watch = Stopwatch::start();
        let reader = self.reader();
        wait_for("judgement", PATIENCE, || {
            let is_judged = reader.evaluated().unwrap() >= Some((newest + 1) * 1_000_000)
                && self.metric("backlog_events") < 1.0;
            (is_judged && reader.waiting().unwrap().is_empty()).then_some(())
        });
        watch.elapsed()
    }

    /// The anomalies that it stored.
    pub(super) fn stored(&self) -> Vec<String> {
        self.reader().anomalies().unwrap()
    }

    /// What the rules find in these lines, taken as a file.
    pub(super) fn found_in(&self, lines: &[String]) -> Vec<String> {
        let path = self.folder.path("expected.ndjson");
        fs::write(&path, body(lines)).unwrap();
        self.detect(&[&path])
    }

    /// What the rules find in what it keeps.
    pub(super) fn found_in_store(&self, execution: &str) -> Vec<String> {
        self.detect(&["--archive", "--execution", execution])
    }

    pub(super) fn detect(&self, arguments: &[&str]) -> Vec<String> {
        let config = self.config();
        let usual = ["detect", "--config", &config, "--format", "ndjson"];
        let ran = gridwatch(&[&usual[..], arguments].concat(), b"");
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        ran.out.lines().map(str::to_owned).collect()
    }

    /// The ids of all events that it keeps, sorted.
    pub(super) fn kept(&self) -> Vec<String> {
        let view = self.reader().view(Span::All).unwrap();
        let column: ColumnSet = [Column::EventId].into_iter().collect();
        let mut kept: Vec<String> = Vec::new();
        for piece in view.pieces() {
            for batch in view.load(piece, column).unwrap() {
                let ids = batch[Column::EventId.name()].as_string_view();
                kept.extend(ids.iter().flatten().map(str::to_owned));
            }
        }
        kept.sort_unstable();
        kept
    }

    /// Fails unless it keeps each of these events once, and no other.
    pub(super) fn assert_keeps(&self, lines: &[String]) {
        let mut expected: Vec<String> = lines.iter().map(|line| id(line)).collect();
        expected.sort_unstable();
        assert_same("an event", &self.kept(), &expected);
    }

    /// Fails unless the sink was told of every anomaly that is stored, as it is stored, and of no
    /// other; gives how often it was told of one in all. Nothing may be on its way to it.
    pub(super) fn assert_told(&self) -> usize {
        let stored = self.stored();
        let parse = |record: &String| -> Value { serde_json::from_str(record).unwrap() };
        let stored = stored.iter().map(parse);
        let stored: HashMap<String, Value> = stored.map(|record| (name(&record), record)).collect();
        let (mut told, mut names) = (0, HashSet::new());
        for entry in fs::read_dir(self.folder.path(".")).unwrap() {
            let path = entry.unwrap().path();
            let file = path.file_name().unwrap().to_str().unwrap();
            if !file.starts_with("anomalies.ndjson") {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            assert!(
                text.is_empty() || text.ends_with('\n'),
                "{file} ends in a torn line"
            );
            for line in text.lines() {
                let mut record: Value = serde_json::from_str(line).unwrap();
                let envelope = record.as_object_mut().unwrap().remove("envelope");
                assert!(envelope.is_some(), "{line}");
                let name = name(&record);
                assert_eq!(stored.get(&name), Some(&record), "{file}");
                names.insert(name);
                told += 1;
            }
        }
        assert_eq!(names.len(), stored.len(), "of some the sink was not told");
        told
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// By what a record is known.
fn name(record: &Value) -> String {
    record["id"].as_str().unwrap().to_owned()
}

/// A port that is free, and none of those that the system gives to whoever connects: a client that
/// asks for such a port while the service is down may be given the very same, and then meets itself
/// there.
pub(super) fn free_port() -> u16 {
    const FIRST: u16 = 12_000;
    const PORTS: u16 = 20_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Other runs of the tests begin elsewhere.
    let begin = (std::process::id().wrapping_mul(97) % u32::from(PORTS)) as u16;
    let ports = (0..PORTS).map(|_| {
        let offset = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(begin) % PORTS;
        FIRST + offset
    });
    let mut free = ports.filter(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok());
    free.next().unwrap()
}
