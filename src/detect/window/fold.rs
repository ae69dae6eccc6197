//! Keyed functions at work: the fold's state of each key.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringViewBuilder};
use datafusion::error::{DataFusionError, Result};

use super::slot::{Input, Stepping, Stored, from_bytes};
use crate::detect::function::{Arguments, Fold};

/// One state a key that was seen.
#[derive(Debug)]
pub(crate) struct Folding<F: Fold> {
    states: Vec<Option<Box<F::State>>>,
    results: StringViewBuilder,
}

impl<F: Fold> Folding<F> {
    pub fn new() -> Self {
        Self {
            states: Vec::new(),
            results: StringViewBuilder::new(),
        }
    }
}

impl<F: Fold> Stepping for Folding<F> {
    fn grow(&mut self, keys: usize) {
        if keys > self.states.len() {
            self.states.resize_with(keys, || None);
        }
    }

    fn run(&mut self, input: &Input, rows: Range<usize>, keys: &[u32]) -> Result<()> {
        let arguments = Arguments::of::<F>(&input.arrays)?;
        for (row, key) in rows.zip(keys) {
            let state = self.states[*key as usize].get_or_insert_default();
            match F::step(state, &arguments, row) {
                None => self.results.append_null(),
                Some(found) => {
                    let json = serde_json::to_string(&found)
                        .map_err(|error| DataFusionError::External(Box::new(error)))?;
                    self.results.append_value(json);
                }
            }
        }
        Ok(())
    }

    fn forget(&mut self, key: u32) {
        if let Some(state) = self.states.get_mut(key as usize) {
            *state = None;
        }
    }

    fn take(&mut self) -> ArrayRef {
        Arc::new(self.results.finish())
    }

    fn bytes(&self) -> usize {
        let states = self.states.iter().flatten();
        states
            .map(|state| size_of::<F::State>() + F::bytes(state))
            .sum::<usize>()
            + self.states.capacity() * size_of::<usize>()
    }

    fn save(&self) -> Stored<Vec<u8>> {
        postcard::to_stdvec(&self.states)
    }

    fn load(&mut self, bytes: &[u8]) -> Stored<()> {
        self.states = from_bytes(bytes)?;
        Ok(())
    }
}
