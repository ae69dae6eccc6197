//! Keyed functions at work: what the fold remembers of each key.

use std::hint::black_box;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringViewBuilder};
use datafusion::error::{DataFusionError, Result};

use serde::{Deserialize, Serialize};

use super::numbered::grow;
use super::slot::{Input, Stepping, Stored, from_bytes};
use super::value::Texts;
use crate::detect::function::volume::{Model, Sums};
use crate::detect::function::{Arguments, Common, Fold, Memory};
use crate::event::time::MICROS;

/// So many rows ahead memories are brought near, that none has to be waited for.
const AHEAD: usize = 16;

/// No event comes so many seconds after its time and is judged live.
const MOST_DELAY: i64 = 86_400;

/// One memory a key that was seen.
#[derive(Debug)]
pub(crate) struct Folding<F: Fold> {
    held: Held,
    results: StringViewBuilder,
    common: F::Common,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Held {
    memories: Vec<Memory>,
    texts: Texts,
}

impl<F: Fold> Folding<F> {
    pub fn new(common: F::Common) -> Self {
        Self {
            held: Held::default(),
            results: StringViewBuilder::new(),
            common,
        }
    }
}

impl<F: Fold> Stepping for Folding<F> {
    fn grow(&mut self, keys: usize) {
        grow(&mut self.held.memories, keys);
    }

    fn run(&mut self, input: &Input, rows: Range<usize>, keys: &[u32]) -> Result<()> {
        let arguments = Arguments::of::<F>(&input.arrays)?;
        let Held { memories, texts } = &mut self.held;
        for (rows, keys) in chunks(rows, AHEAD).zip(keys.chunks(AHEAD)) {
            let near = keys.iter().map(|key| memories[*key as usize].touch());
            black_box(near.fold(0, |sum, word| sum ^ word));
            for (row, key) in rows.zip(keys) {
                match F::step(
                    &mut memories[*key as usize],
                    texts,
                    &arguments,
                    row,
                    &self.common,
                ) {
                    None => self.results.append_null(),
                    Some(found) => {
                        let json = serde_json::to_string(&found)
                            .map_err(|error| DataFusionError::External(Box::new(error)))?;
                        self.results.append_value(json);
                    }
                }
            }
        }
        Ok(())
    }

    fn is_over(&self, key: u32, time: i64) -> bool {
        // A delayed event is dated a little before its `order_time`.
        let second = time.div_euclid(MICROS) - MOST_DELAY;
        let memory = self.held.memories.get(key as usize);
        memory.is_none_or(|memory| memory.is_over(second))
    }

    fn forget(&mut self, key: u32) {
        let Held { memories, texts } = &mut self.held;
        if let Some(memory) = memories.get_mut(key as usize) {
            F::release(memory, texts);
            *memory = Memory::default();
        }
    }

    fn turn(&mut self, model: &Arc<Model>) {
        self.common.turn(model);
    }

    fn bring(&self, midnight: i64, sums: &mut Sums) {
        for memory in &self.held.memories {
            self.common.bring(memory, midnight, sums);
        }
    }

    fn take(&mut self) -> ArrayRef {
        Arc::new(self.results.finish())
    }

    fn bytes(&self) -> usize {
        let Held { memories, texts } = &self.held;
        memories.iter().map(Memory::bytes).sum::<usize>()
            + memories.capacity() * size_of::<Memory>()
            + texts.bytes()
    }

    fn save(&self) -> Stored<Vec<u8>> {
        postcard::to_stdvec(&self.held)
    }

    fn load(&mut self, bytes: &[u8]) -> Stored<()> {
        self.held = from_bytes(bytes)?;
        Ok(())
    }
}

/// A range in parts of at most this length.
fn chunks(range: Range<usize>, length: usize) -> impl Iterator<Item = Range<usize>> {
    let end = range.end;
    range
        .step_by(length)
        .map(move |start| start..(start + length).min(end))
}
