//! Pages of Slack's audit log.

use crate::event::frame::{Chunk, Framer};

/// Bytes of a chunk.
const CHUNK_BYTES: usize = 2 << 20;

/// Cuts a page into chunks of whole events.
pub fn cut(body: &[u8]) -> Vec<Chunk> {
    let mut framer = Framer::new(CHUNK_BYTES);
    let mut chunks = Vec::new();
    framer.push(body, &mut chunks);
    framer.finish(&mut chunks);
    chunks
}
