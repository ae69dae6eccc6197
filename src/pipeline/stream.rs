//! Sorted input: events are judged as they come, and no more of them is kept than rules need.

use std::io::{self, Read};

use arrow::array::RecordBatch;

use super::engine::Engine;
use super::read::{self, Take};
use super::{Error, Job, Outcome};
use crate::event::order::{Disorder, Stream};
use crate::event::reject::Reject;
use crate::event::time::MICROS;

/// Rows that are judged together, where there are so many.
const STEP_ROWS: usize = 1 << 15;
/// About what a row takes while it waits.
const ROW_BYTES: usize = 2048;

/// Runs the rules over the inputs.
///
/// # Errors
/// [`Error::Disorder`] if the events do not come in order of time; nothing was found then.
pub(super) fn run(
    inputs: Vec<(String, Box<dyn Read + Send>)>,
    job: &Job<'_>,
    reject: &mut dyn FnMut(&Reject) -> io::Result<()>,
) -> Result<Outcome, Error> {
    let columns = job.columns();
    let mut streaming = Streaming {
        job,
        stream: Stream::new(columns),
        latest: i64::MIN,
        engine: Engine::new(job)?,
        outcome: Outcome::default(),
        reject,
    };
    read::read(inputs, &job.enricher, columns, &mut streaming)?;
    let end = after(streaming.stream.latest()).saturating_add(job.quiet_micros);
    streaming.judge(end)?;
    let mut outcome = streaming.outcome;
    outcome.duplicates = streaming.stream.duplicates();
    streaming.engine.finish(job, end, &mut outcome)?;
    Ok(outcome)
}

/// The watermark of a log whose last event is of this time: the next whole second.
fn after(last: i64) -> i64 {
    last.div_euclid(MICROS)
        .saturating_add(1)
        .saturating_mul(MICROS)
}

struct Streaming<'a> {
    job: &'a Job<'a>,
    stream: Stream,
    /// The latest time before the batch at hand: what comes may lie a batch behind.
    latest: i64,
    engine: Engine,
    outcome: Outcome,
    reject: &'a mut (dyn FnMut(&Reject) -> io::Result<()> + 'a),
}

impl Take for Streaming<'_> {
    fn batch(&mut self, batch: RecordBatch) -> Result<(), Error> {
        self.outcome.events += batch.num_rows() as u64;
        let before = self.stream.latest();
        self.stream.push(batch)?;
        if self.stream.rows() < STEP_ROWS {
            return Ok(());
        }
        // So many of one time are better sorted, on disk if need be.
        if self.stream.rows() > (self.job.resources.memory_bytes / ROW_BYTES).max(4 * STEP_ROWS) {
            return Err(Disorder.into());
        }
        let watermark = before.div_euclid(MICROS).saturating_mul(MICROS);
        if watermark <= self.latest {
            return Ok(());
        }
        self.latest = watermark;
        self.judge(watermark)
    }

    fn reject(&mut self, reject: Reject) -> Result<(), Error> {
        self.outcome.rejects += 1;
        (self.reject)(&reject).map_err(Error::Reject)
    }
}

impl Streaming<'_> {
    /// Takes the next rows in canonical order and judges all before the watermark.
    fn take(&mut self, batch: RecordBatch, watermark: i64) -> Result<(), Error> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        self.engine.push(batch)?;
        self.engine.advance(self.job, watermark)
    }

    /// Judges what came before the watermark.
    fn judge(&mut self, watermark: i64) -> Result<(), Error> {
        let ready = self.stream.take(watermark).map_err(io::Error::other);
        let ready = ready.map_err(Error::Spill)?;
        self.take(ready, watermark)
    }
}
