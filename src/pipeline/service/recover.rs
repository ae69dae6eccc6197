//! Taking up where the service was left: a snapshot and what came after it, or the log alone.

use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::TimestampMicrosecondType;
use sha2::{Digest, Sha256};

use super::Error;
use crate::clock::Stopwatch;
use crate::event::schema::{Column, ColumnSet};
use crate::pipeline::engine::Engine;
use crate::pipeline::kept::{Kept, Ruleset, in_time};
use crate::pipeline::{Job, days, defect};
use crate::rule::Rule;
use crate::store::read::Span;
use crate::store::{Admit, Control, Reader, Store};

/// The engine as it was when the last step was written, with the rows that were not judged then; and how
/// many rows it was handed once more.
///
/// # Errors
/// When the log cannot be read, or a rule not run.
pub(super) fn engine(
    job: &Job<'_>,
    store: &Store,
    reader: &Arc<Reader>,
) -> Result<(Engine, usize), Error> {
    let watch = Stopwatch::start();
    let evaluated = reader.evaluated()?.unwrap_or(i64::MIN);
    let mut engine = restored(job, store, reader, evaluated)?;
    let from = engine.watermark();
    let rows = replay(job, &mut engine, reader, evaluated)?;
    // Of a rule that is new or was changed.
    let controls = days::controls(job.rules, &job.recorded_days, engine.days());
    if !controls.is_empty() {
        store.admit(&Admit {
            control: &controls,
            ..Admit::default()
        })?;
    }
    if rows > 0 {
        let seconds = watch.elapsed().as_secs_f64();
        tracing::info!(
            rows,
            seconds,
            from_snapshot = from > i64::MIN,
            "took up where it was left"
        );
    }
    Ok((engine, rows))
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
        if *of != fingerprint(job, reader.id()?) {
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

/// What the state of rules depends on, besides the log of this store.
pub(super) fn fingerprint(job: &Job<'_>, store: i64) -> Vec<u8> {
    let mut hasher = Sha256::new();
    hasher.update(store.to_le_bytes());
    hasher.update(env!("CARGO_PKG_VERSION"));
    for rule in job.rules {
        hasher.update(format!("{} {}\n", rule.name, rule.version));
    }
    hasher.update(job.lists.written());
    hasher.finalize().to_vec()
}

/// Notes which rules run, where that has changed; gives by rule from which watermark on it counts.
///
/// # Errors
/// When the store cannot be read or written.
pub(super) fn ruleset(
    rules: &[Rule],
    store: &Store,
    reader: &Reader,
) -> Result<Vec<Option<i64>>, Error> {
    let watermark = reader.evaluated()?.unwrap_or(i64::MIN);
    let before = Ruleset::recorded(reader)?;
    let ruleset = Ruleset::with(before.as_ref(), rules, watermark);
    if before.as_ref() != Some(&ruleset) {
        store.record(Control {
            watermark,
            kind: Ruleset::KIND,
            // Texts and numbers.
            body: serde_json::to_string(&ruleset).unwrap_or_default(),
        })?;
    }
    Ok(ruleset.since(rules))
}
