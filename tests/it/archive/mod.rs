//! What is kept can be asked and taken out, all of it and unchanged.

mod export;
mod query;

use std::path::Path;
use std::sync::Arc;

use gridwatch::enrich::Enricher;
use gridwatch::enrich::network::Networks;
use gridwatch::event::decode::decode_raw;
use gridwatch::event::schema::ColumnSet;
use gridwatch::event::time::MICROS;
use gridwatch::store::tail::{self, Decision};
use gridwatch::store::{Admission, Admit, Block, Fresh, Reader, Store};
use serde_json::{Value, json};

use super::{Folder, Ran, anomalies, gridwatch};

/// An hour before Monday, 2026-03-02.
const START: i64 = 1_772_406_000;
/// One event every 20 minutes.
const STEP: i64 = 1_200;
const EVENTS: usize = 300;
const ACTIONS: [&str; 3] = ["user_login", "file_downloaded", "user_logout"];

fn event(n: usize) -> Value {
    let (who, what) = (n % 5, n % 7);
    let person = json!({
        "id": format!("U{who}"),
        "name": format!("Name {who}"),
        "email": format!("u{who}@example.com"),
    });
    json!({
        "id": format!("e{n:03}"),
        "date_create": START + n as i64 * STEP,
        "action": ACTIONS[n % 3],
        "actor": {"type": "user", "user": person},
        "entity": {"type": "file", "file": {"id": format!("F{what}"), "name": format!("File {what}")}},
        "context": {"ip_address": format!("198.51.100.{}", n % 9), "ua": "curl/8.5.0", "session_id": n},
        "details": {"n": n},
    })
}

/// A store, and the configuration that names it.
struct Kept(Folder);

impl Kept {
    /// Of these events so many are in the archive, the rest in the tail.
    fn with(events: &[String], sealed: usize) -> Self {
        let kept = Self(Folder::with(&[("gridwatch.yaml", "store: {path: data}\n")]));
        let store = kept.store();
        let reader = Reader::open(store.paths().folder()).unwrap();
        let (sealed, rest) = events.split_at(sealed);
        for lines in sealed.chunks(64) {
            admit(&store, lines);
            store.seal(&reader, 1, &Fresh::new(0)).unwrap();
        }
        for lines in rest.chunks(64) {
            admit(&store, lines);
        }
        let totals = reader.totals().unwrap();
        assert_eq!(totals.tail_rows, rest.len() as u64);
        assert_eq!(totals.segment_rows, sealed.len() as u64);
        kept
    }

    fn usual() -> (Self, Vec<String>) {
        let events: Vec<String> = (0..EVENTS).map(|n| event(n).to_string()).collect();
        (Self::with(&events, 192), events)
    }

    fn store(&self) -> Store {
        Store::open(Path::new(&self.0.path("data"))).unwrap()
    }

    fn run(&self, verb: &str, arguments: &[&str]) -> Ran {
        let config = self.0.path("gridwatch.yaml");
        let mut all = vec![verb, "--config", &config];
        all.extend(arguments);
        gridwatch(&all, b"")
    }

    fn query(&self, sql: &str) -> Vec<Value> {
        let ran = self.run("query", &[sql]);
        assert_eq!(ran.code, Some(0), "{sql}: {}", ran.err);
        anomalies(&ran.out)
    }
}

fn admit(store: &Store, lines: &[String]) {
    let columns = ColumnSet::all().iter().filter(|column| !column.enriched());
    let batch = decode_raw(lines.iter().map(String::as_str), columns.collect());
    let batch = Enricher::new(Networks::new()).enrich(&batch, ColumnSet::all());
    let admission = Admission {
        source: "push".to_owned(),
        arrival: (START + 1_000_000) * MICROS,
        fates: vec![Decision::Live(0); lines.len()],
    };
    let bytes = Arc::new(tail::encode(&batch).unwrap());
    let blocks = [Block::new(&batch, bytes, admission).unwrap()];
    let admit = Admit {
        blocks: &blocks.iter().collect::<Vec<_>>(),
        ..Admit::default()
    };
    store.admit(&admit).unwrap();
}

fn csv_rows(text: &str) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .from_reader(text.as_bytes());
    let records = reader.records().map(|record| record.unwrap());
    let cells = |record: csv::StringRecord| record.iter().map(str::to_owned).collect();
    records.map(cells).collect()
}
