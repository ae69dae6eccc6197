//! The real program, started on a folder of its own.
//!
//! The folder holds `gridwatch.yaml`, the store, and whatever the configuration names.

use std::collections::{HashMap, VecDeque};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use reqwest::Client;
use serde_json::Value;
use tokio::sync::oneshot;

use super::client::Pusher;
use super::measure;

/// The program that is measured, built as this bench is.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_gridwatch");

/// The folder of the store.
pub const STORE: &str = "store";

/// How long it may take until the program listens, and until it has ended.
const STARTING: Duration = Duration::from_secs(120);
const STOPPING: Duration = Duration::from_secs(40);
/// How long a request may take; the program itself gives up sooner.
const ANSWERING: Duration = Duration::from_secs(90);
/// What is kept of the log.
const MOST_SAID: usize = 20;

/// Writes the configuration: the store, an address that is free, and more blocks. Gives its path.
pub fn configure(folder: &Path, more: &str) -> Result<PathBuf> {
    let path = folder.join("gridwatch.yaml");
    let text = format!("store: {{path: {STORE}}}\nserve: {{address: \"127.0.0.1:0\"}}\n{more}");
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// The program at work. It is ended when this is dropped.
pub struct Server {
    child: Child,
    address: String,
    client: Client,
    /// Tokens.
    ingest: String,
    metrics: String,
    said: Arc<Said>,
}

/// The newest lines of the log that tell of something amiss.
type Said = Mutex<VecDeque<String>>;

impl Server {
    /// Starts it with these blocks in its configuration; it listens when this returns.
    pub async fn start(folder: &Path, more: &str) -> Result<Self> {
        let config = configure(folder, more)?;
        let (ingest, metrics) = (token(&config, "ingest")?, token(&config, "metrics")?);
        // The service closes what idles for 30 s.
        gridwatch::tls::provide();
        let client = Client::builder()
            .no_proxy()
            .timeout(ANSWERING)
            .pool_idle_timeout(Duration::from_secs(10))
            .build()?;
        let mut child = Command::new(PROGRAM)
            .args(["run", "--log", "json", "--config"])
            .arg(&config)
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {PROGRAM}"))?;
        let said = Arc::new(Said::default());
        let (starting, started) = oneshot::channel();
        if let Some(log) = child.stderr.take() {
            let said = Arc::clone(&said);
            thread::spawn(move || follow(log, starting, &said));
        }
        let mut server = Self {
            child,
            address: String::new(),
            client,
            ingest,
            metrics,
            said,
        };
        match tokio::time::timeout(STARTING, started).await {
            Ok(Ok(address)) => server.address = address,
            _ => bail!("gridwatch did not start:\n{}", server.said()),
        }
        Ok(server)
    }

    /// What sends events to it.
    pub fn pusher(&self) -> Pusher {
        let url = format!("http://{}/api/v1/events", self.address);
        Pusher::new(self.client.clone(), url, self.ingest.clone())
    }

    pub async fn metrics(&self) -> Result<Metrics> {
        let url = format!("http://{}/metrics", self.address);
        let request = self.client.get(url).bearer_auth(&self.metrics);
        let answer = request.send().await?.error_for_status()?;
        Ok(Metrics::read(&answer.text().await?))
    }

    /// What the log tells of that is amiss; empty if nothing is.
    pub fn said(&self) -> String {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.iter().map(|line| format!("{line}\n")).collect()
    }

    pub fn cpu_seconds(&self) -> f64 {
        measure::cpu_seconds(self.child.id())
    }

    pub fn resident_bytes(&self) -> u64 {
        measure::resident_bytes(self.child.id())
    }

    /// Asks it to end; gives how long that took.
    pub async fn stop(mut self) -> Result<Duration> {
        let watch = Instant::now();
        let asked = Command::new("kill")
            .arg(self.child.id().to_string())
            .status()
            .context("cannot run kill")?;
        ensure!(asked.success(), "gridwatch cannot be asked to end");
        loop {
            if let Some(status) = self.child.try_wait()? {
                ensure!(status.success(), "gridwatch ended badly:\n{}", self.said());
                return Ok(watch.elapsed());
            }
            ensure!(watch.elapsed() < STOPPING, "gridwatch does not end");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A token of a role, made as anybody makes one.
fn token(config: &Path, role: &str) -> Result<String> {
    let ran = Command::new(PROGRAM)
        .args(["token", "create", "--role", role, "--config"])
        .arg(config)
        .output()
        .with_context(|| format!("cannot start {PROGRAM}"))?;
    let amiss = String::from_utf8_lossy(&ran.stderr);
    ensure!(ran.status.success(), "there is no token: {amiss}");
    Ok(String::from_utf8(ran.stdout)?.trim().to_owned())
}

/// Reads the log to its end: tells where the program listens, and keeps what is amiss.
fn follow(log: ChildStderr, starting: oneshot::Sender<String>, said: &Said) {
    let mut starting = Some(starting);
    for line in BufReader::new(log).lines().map_while(|line| line.ok()) {
        // What is no record is said by a program that ends.
        let record: Value = serde_json::from_str(&line).unwrap_or_default();
        let text = |name: &str| record[name].as_str();
        if text("message") == Some("gridwatch runs")
            && let Some(address) = text("address")
            && let Some(starting) = starting.take()
        {
            // Whoever waited may have given up.
            let _ = starting.send(address.to_owned());
        }
        if matches!(text("level"), None | Some("ERROR")) {
            let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
            said.push_back(line);
            if said.len() > MOST_SAID {
                said.pop_front();
            }
        }
    }
}

/// What `/metrics` says: values by name and labels, as they are written there.
pub struct Metrics(HashMap<String, f64>);

impl Metrics {
    fn read(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let values = lines.filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        });
        Self(values.collect())
    }

    /// 0 for what was never counted.
    pub fn get(&self, name: &str) -> f64 {
        self.0.get(name).copied().unwrap_or(0.0)
    }

    /// The sum over all labels.
    pub fn sum(&self, name: &str) -> f64 {
        let is_of = |series: &str| series.split('{').next() == Some(name);
        let values = self.0.iter().filter(|(series, _)| is_of(series));
        values.map(|(_, value)| value).sum()
    }

    /// The mean of a histogram since the metrics before; `labels` are empty, or stand in `{}`.
    pub fn mean_since(&self, before: &Self, name: &str, labels: &str) -> f64 {
        let since = |part: &str| {
            let series = format!("{name}_{part}{labels}");
            self.get(&series) - before.get(&series)
        };
        since("sum") / since("count").max(1.0)
    }
}
