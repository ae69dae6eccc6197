//! From inputs to decoded batches, in the order of the inputs.
//!
//! ```text
//! reader thread          rayon                      calling thread
//! bytes ─► chunks ──► decode, enrich ──► (in order) rejects, batches
//! ```
//!
//! Everything between is bounded: at most [`IN_FLIGHT`] chunks are under way, so a slow consumer
//! slows the reader.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use arrow::array::RecordBatch;

use super::Error;
use crate::enrich::Enricher;
use crate::event::decode::{self, Decoded};
use crate::event::frame::{Chunk, Framer};
use crate::event::reject::Reject;
use crate::event::schema::ColumnSet;

/// Bytes of a chunk, and of one read.
const CHUNK_BYTES: usize = 2 << 20;
const READ_BYTES: usize = 256 << 10;
/// Chunks between the reader and whoever takes the batches.
const IN_FLIGHT: usize = 8;

/// Something to read events from.
pub struct Input {
    /// As people know it; it stands in rejects and errors.
    pub name: String,
    pub reader: Box<dyn Read + Send>,
    /// Reads it from its beginning once more, where that is possible.
    pub again: Option<Again>,
}

/// Opens an input once more.
pub type Again = Box<dyn Fn() -> io::Result<Box<dyn Read + Send>> + Send>;

/// What takes the batches and rejects of a run.
pub(super) trait Take {
    /// # Errors
    /// To end the run.
    fn batch(&mut self, batch: RecordBatch) -> Result<(), Error>;

    /// # Errors
    /// To end the run.
    fn reject(&mut self, reject: Reject) -> Result<(), Error>;
}

/// Reads all inputs, one after the other, with these columns.
pub(super) fn read(
    inputs: Vec<(String, Box<dyn Read + Send>)>,
    enricher: &Arc<Enricher>,
    columns: ColumnSet,
    taker: &mut dyn Take,
) -> Result<(), Error> {
    let (sender, receiver) = sync_channel(IN_FLIGHT);
    thread::scope(|scope| {
        let reading = scope.spawn(move || read_all(inputs, enricher, columns, &sender));
        // The receiver goes with this closure: if it ends early, the reader notices and stops.
        let take = move || -> Result<(), Error> {
            for (input, decoded) in receiver {
                // A worker that went away has panicked, which the pool reports.
                let Ok(Decoded { batch, rejects }) = decoded.recv() else {
                    continue;
                };
                for mut refused in rejects {
                    refused.input = input.to_string();
                    taker.reject(refused)?;
                }
                taker.batch(batch)?;
            }
            Ok(())
        };
        let taken = take();
        match reading.join() {
            Ok(read) => read.and(taken),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// A chunk under way: its input, and where its rows will come from.
type Pending = (Arc<str>, Receiver<Decoded>);

/// Reads the inputs one after the other and has their chunks decoded.
fn read_all(
    inputs: Vec<(String, Box<dyn Read + Send>)>,
    enricher: &Arc<Enricher>,
    columns: ColumnSet,
    sender: &SyncSender<Pending>,
) -> Result<(), Error> {
    let mut framer = Framer::new(CHUNK_BYTES);
    let mut buffer = vec![0; READ_BYTES];
    let mut chunks = Vec::new();
    for (name, mut reader) in inputs {
        let input: Arc<str> = name.into();
        loop {
            let bytes = match reader.read(&mut buffer) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => {
                    let input = input.to_string();
                    return Err(Error::Read { input, source });
                }
            };
            if bytes == 0 {
                framer.finish(&mut chunks);
            } else {
                framer.push(&buffer[..bytes], &mut chunks);
            }
            for chunk in chunks.drain(..) {
                let decoded = start(chunk, enricher, columns);
                if sender.send((Arc::clone(&input), decoded)).is_err() {
                    // Nobody takes them any more.
                    return Ok(());
                }
            }
            if bytes == 0 {
                break;
            }
        }
    }
    Ok(())
}

/// Has a chunk decoded and enriched by the thread pool.
fn start(chunk: Chunk, enricher: &Arc<Enricher>, columns: ColumnSet) -> Receiver<Decoded> {
    let (sender, receiver) = sync_channel(1);
    let enricher = Arc::clone(enricher);
    rayon::spawn(move || {
        let Decoded { batch, rejects } =
            decode::decode(chunk, columns.union(Enricher::inputs(columns)));
        let batch = enricher.enrich(&batch, columns);
        // If nobody waits for it any more, the run has ended.
        let _ = sender.send(Decoded { batch, rejects });
    });
    receiver
}
