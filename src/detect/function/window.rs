//! A fold as a window function of DataFusion.

use std::marker::PhantomData;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringViewArray};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::function::{PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::{
    PartitionEvaluator, Signature, Volatility, WindowUDF, WindowUDFImpl,
};

use super::{Argument, Arguments, Fold, Memory, Texts};

/// `name(arguments) OVER (PARTITION BY key ORDER BY order_time, event_time, event_id)`: NULL, or
/// what the fold found as JSON text. The frame does not matter.
pub(super) fn function<F: Fold>() -> Arc<WindowUDF> {
    let types = F::ARGUMENTS
        .iter()
        .map(|argument: &Argument| argument.data_type());
    Arc::new(WindowUDF::from(Keyed::<F> {
        signature: Signature::exact(types.collect(), Volatility::Immutable),
        fold: PhantomData,
    }))
}

#[derive(Debug)]
struct Keyed<F> {
    signature: Signature,
    fold: PhantomData<F>,
}

// There is one of each fold.
impl<F> PartialEq for Keyed<F> {
    fn eq(&self, other: &Self) -> bool {
        self.signature == other.signature
    }
}

impl<F> Eq for Keyed<F> {}

impl<F: Fold> std::hash::Hash for Keyed<F> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        F::NAME.hash(state);
    }
}

impl<F: Fold> WindowUDFImpl for Keyed<F> {
    fn name(&self) -> &str {
        F::NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn partition_evaluator(
        &self,
        _: PartitionEvaluatorArgs<'_>,
    ) -> Result<Box<dyn PartitionEvaluator>> {
        Ok(Box::new(Evaluator::<F>(PhantomData)))
    }

    fn field(&self, arguments: WindowUDFFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::new(Field::new(
            arguments.name(),
            DataType::Utf8View,
            true,
        )))
    }
}

#[derive(Debug)]
struct Evaluator<F>(PhantomData<F>);

impl<F: Fold> PartitionEvaluator for Evaluator<F> {
    fn evaluate_all(&mut self, values: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
        let arguments = Arguments::of::<F>(values)?;
        let (mut memory, mut texts) = (Memory::default(), Texts::default());
        let found = (0..rows).map(|row| {
            let found = F::step(&mut memory, &mut texts, &arguments, row);
            found.map(|found| serde_json::to_string(&found)).transpose()
        });
        let column: StringViewArray = found
            .collect::<std::result::Result<_, _>>()
            .map_err(|error| DataFusionError::External(Box::new(error)))?;
        Ok(Arc::new(column))
    }
}
