//! A fold as a window function of DataFusion.

use std::any::Any;
use std::marker::PhantomData;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringViewArray};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::function::{PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::{
    PartitionEvaluator, Signature, Volatility, WindowUDF, WindowUDFImpl,
};

use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Literal;

use super::{Argument, Arguments, Common, Days, Fold, Memory, Texts};
use crate::detect::days::day_of;

/// `name(arguments) OVER (PARTITION BY key ORDER BY order_time, event_time, event_id)`: NULL, or
/// what the fold found as JSON text. The frame does not matter.
pub(super) fn function<F: Fold>(days: &Arc<Days>) -> Arc<WindowUDF> {
    let types = F::ARGUMENTS
        .iter()
        .map(|argument: &Argument| argument.data_type());
    Arc::new(WindowUDF::from(Keyed::<F> {
        signature: Signature::exact(types.collect(), Volatility::Immutable),
        days: Arc::clone(days),
        fold: PhantomData,
    }))
}

#[derive(Debug)]
struct Keyed<F> {
    signature: Signature,
    days: Arc<Days>,
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
        arguments: PartitionEvaluatorArgs<'_>,
    ) -> Result<Box<dyn PartitionEvaluator>> {
        let constants = arguments.input_exprs().iter().map(constant);
        let common = F::Common::new(&constants.collect::<Vec<_>>());
        let common = common.map_err(DataFusionError::Execution)?;
        Ok(Box::new(Evaluator::<F> {
            days: Arc::clone(&self.days),
            common,
        }))
    }

    fn field(&self, arguments: WindowUDFFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::new(Field::new(
            arguments.name(),
            DataType::Utf8View,
            true,
        )))
    }
}

/// What an argument is, if it is the same for all rows.
fn constant(expression: &Arc<dyn PhysicalExpr>) -> Option<ScalarValue> {
    let any: &dyn Any = expression.as_ref();
    any.downcast_ref::<Literal>()
        .map(|literal| literal.value().clone())
}

#[derive(Debug)]
struct Evaluator<F: Fold> {
    days: Arc<Days>,
    common: F::Common,
}

impl<F: Fold> PartitionEvaluator for Evaluator<F> {
    fn evaluate_all(&mut self, values: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
        let arguments = Arguments::of::<F>(values)?;
        let (mut memory, mut texts) = (Memory::default(), Texts::default());
        let mut day = i64::MIN;
        let found = (0..rows).map(|row| {
            let time = F::TIME.and_then(|argument| arguments.integer(argument, row));
            if let Some(today) = time.map(day_of).filter(|today| *today != day) {
                day = today;
                let days = self.common.name().and_then(|name| self.days.get(name));
                let model = days.and_then(|days| days.get(&day)).cloned();
                self.common.turn(&model.unwrap_or_default());
            }
            let found = F::step(&mut memory, &mut texts, &arguments, row, &self.common);
            found.map(|found| serde_json::to_string(&found)).transpose()
        });
        let column: StringViewArray = found
            .collect::<std::result::Result<_, _>>()
            .map_err(|error| DataFusionError::External(Box::new(error)))?;
        Ok(Arc::new(column))
    }
}
