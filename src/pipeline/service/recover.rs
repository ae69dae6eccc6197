//! Taking up where the service was left: a snapshot and what came after it, or the log alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::{filter_record_batch, not};
use arrow::datatypes::TimestampMicrosecondType;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Error;
use super::evaluate::Kept;
use crate::clock::Stopwatch;
use crate::event::schema::{Column, ColumnSet};
use crate::pipeline::engine::Engine;
use crate::pipeline::{Job, defect};
use crate::store::read::Span;
use crate::store::{Control, Reader, Store};

/// The engine as it was when the last step was written, with the rows that were not judged then.
///
/// # Errors
/// When the log cannot be read, or a rule not run.
pub(super) fn engine(job: &Job<'_>, store: &Store, reader: &Arc<Reader>) -> Result<Engine, Error> {
    let watch = Stopwatch::start();
    let evaluated = reader.evaluated()?.unwrap_or(i64::MIN);
    let mut engine = restored(job, store, reader, evaluated)?;
    let from = engine.watermark();
    let rows = replay(job, &mut engine, reader, evaluated)?;
    if rows > 0 {
        let seconds = watch.elapsed().as_secs_f64();
        tracing::info!(
            rows,
            seconds,
            from_snapshot = from > i64::MIN,
            "took up where it was left"
        );
    }
    record_rules(job, store, reader, evaluated)?;
    Ok(engine)
}

/// From the newest snapshot that fits, else from the beginning.
fn restored(
    job: &Job<'_>,
    store: &Store,
    reader: &Arc<Reader>,
    evaluated: i64,
) -> Result<Engine, Error> {
    let past = || Arc::new(Kept(Arc::clone(reader)));
    for snapshot in store.snapshots(evaluated)? {
        let mut engine = Engine::over(job, past())?;
        let Some((of, parts)) = snapshot.parts.split_first() else {
            continue;
        };
        if *of != fingerprint(job) {
            tracing::info!("the snapshot is of other rules; their state is built from the log");
            break;
        }
        match engine.restore(parts) {
            Ok(()) => return Ok(engine),
            Err(error) => tracing::warn!(%error, "a snapshot is left out"),
        }
    }
    Ok(Engine::over(job, past())?)
}

/// Hands over all rows from the engine's watermark on and judges those before `evaluated`; what they
/// cause is written already. Gives their number.
fn replay(
    job: &Job<'_>,
    engine: &mut Engine,
    reader: &Reader,
    evaluated: i64,
) -> Result<usize, Error> {
    let from = engine.watermark();
    let view = reader.view(Span::OrderFrom(from))?;
    let pieces = view.pieces();
    let mut rows = 0;
    for (at, piece) in pieces.iter().enumerate() {
        for batch in view.load(*piece, ColumnSet::all())? {
            let batch = in_time(batch)?;
            let batch = since(&batch, from)?;
            rows += batch.num_rows();
            engine.push(batch)?;
        }
        let next = pieces.get(at + 1).map_or(i64::MAX, |next| next.order.0);
        step(job, engine, next.min(evaluated))?;
    }
    step(job, engine, evaluated)?;
    Ok(rows)
}

fn step(job: &Job<'_>, engine: &mut Engine, watermark: i64) -> Result<(), Error> {
    if watermark > engine.watermark() {
        engine.advance(job, watermark)?;
        engine.records.drain().for_each(drop);
    }
    Ok(())
}

/// The rows that are judged live.
pub(super) fn in_time(batch: RecordBatch) -> Result<RecordBatch, Error> {
    let late = batch[Column::Late.name()].as_boolean();
    if late.true_count() == 0 {
        return Ok(batch);
    }
    let rows = not(late).and_then(|in_time| filter_record_batch(&batch, &in_time));
    Ok(rows.map_err(|error| defect(&error))?)
}

/// The rows from this order time on, in microseconds.
fn since(batch: &RecordBatch, from: i64) -> Result<RecordBatch, Error> {
    let times = batch[Column::OrderTime.name()].as_primitive::<TimestampMicrosecondType>();
    let wanted: BooleanArray = times
        .values()
        .iter()
        .map(|time| Some(*time >= from))
        .collect();
    let rows = filter_record_batch(batch, &wanted);
    Ok(rows.map_err(|error| defect(&error))?)
}

/// What the state of rules depends on, besides the log.
pub(super) fn fingerprint(job: &Job<'_>) -> Vec<u8> {
    let mut hasher = Sha256::new();
    hasher.update(env!("CARGO_PKG_VERSION"));
    for rule in job.rules {
        hasher.update(format!("{} {}\n", rule.name, rule.version));
    }
    hasher.update(job.lists.written());
    hasher.finalize().to_vec()
}

/// Which rules run, and from which watermark on each version counts.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::pipeline) struct Rules(pub BTreeMap<String, Version>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::pipeline) struct Version {
    pub version: String,
    /// Microseconds; none for one that ran from the beginning of the log.
    pub since: Option<i64>,
}

/// The control record of this kind has [`Rules`] for a body.
pub(in crate::pipeline) const RULES: &str = "rules";

/// Notes which rules run, where that has changed.
fn record_rules(
    job: &Job<'_>,
    store: &Store,
    reader: &Reader,
    watermark: i64,
) -> Result<(), Error> {
    let records = reader.control(RULES)?;
    let last = records.last();
    let known: Rules = last
        .and_then(|(_, body)| serde_json::from_str(body).ok())
        .unwrap_or_default();
    let since = Some(watermark).filter(|_| last.is_some());
    let rules = job.rules.iter().map(|rule| {
        let version = Version {
            version: rule.version.clone(),
            since,
        };
        let same = known.0.get(&rule.name);
        let same = same.filter(|known| known.version == rule.version);
        (rule.name.clone(), same.cloned().unwrap_or(version))
    });
    let rules = Rules(rules.collect());
    if rules == known && last.is_some() {
        return Ok(());
    }
    // Texts and numbers.
    let body = serde_json::to_string(&rules).unwrap_or_default();
    Ok(store.record(Control {
        watermark,
        kind: RULES,
        body,
    })?)
}
