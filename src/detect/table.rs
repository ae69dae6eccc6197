//! The table `events` over a log: reads only the columns that a query asks for.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, new_null_array,
};
use arrow::compute::{SortOptions, cast, concat};
use arrow::datatypes::{DataType, FieldRef, SchemaRef};
use arrow::error::ArrowError;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::TableType;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::expressions as physical;
use datafusion::physical_expr::{LexOrdering, Partitioning, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::stream;

use crate::event::order::{Collector, Log, Part};
use crate::event::schema::{Column, ColumnSet};

/// All columns stand in its schema; a query may read those that the log holds.
#[derive(Debug)]
pub(super) struct Events {
    schema: SchemaRef,
    log: Arc<Log>,
}

impl Events {
    pub fn over(log: Arc<Log>) -> Self {
        Self {
            schema: ColumnSet::all().schema(),
            log,
        }
    }

    /// A table of two made-up events, one with all columns and one with few, to try plans on.
    pub fn sample() -> Self {
        let schema = ColumnSet::all().schema();
        let columns = schema.fields().iter().map(sample);
        let log = columns
            .collect::<Result<Vec<_>, ArrowError>>()
            .and_then(|columns| RecordBatch::try_new(Arc::clone(&schema), columns))
            .map_err(std::io::Error::other)
            .and_then(|batch| {
                let mut collector = Collector::new(ColumnSet::all(), usize::MAX);
                collector.push(batch)?;
                collector.finish()
            });
        match log {
            Ok(log) => Self::over(Arc::new(log)),
            // The columns are made to fit the schema, and nothing is written.
            Err(error) => unreachable!("made-up events do not fit their schema: {error}"),
        }
    }
}

/// A value of the column, and NULL where that may be.
fn sample(field: &FieldRef) -> Result<ArrayRef, ArrowError> {
    let first: ArrayRef = match field.data_type() {
        DataType::Boolean => Arc::new(BooleanArray::from(vec![true])),
        DataType::Timestamp(..) => Arc::new(Int64Array::from(vec![0])),
        DataType::Int64 => Arc::new(Int64Array::from(vec![64_500])),
        DataType::Float64 => Arc::new(Float64Array::from(vec![0.5])),
        _ if field.name() == Column::Details.name() => Arc::new(StringArray::from(vec!["{}"])),
        _ => Arc::new(StringArray::from(vec!["a"])),
    };
    let first = cast(&first, field.data_type())?;
    let second = if field.is_nullable() {
        new_null_array(field.data_type(), 1)
    } else if field.name() == Column::EventId.name() {
        cast(&StringArray::from(vec!["b"]), field.data_type())?
    } else {
        Arc::clone(&first)
    };
    concat(&[&first, &second])
}

#[async_trait]
impl TableProvider for Events {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = match projection {
            Some(columns) => Arc::new(self.schema.project(columns)?),
            None => Arc::clone(&self.schema),
        };
        let partitions = state.config().target_partitions().max(1);
        let parts = self.log.parts(partitions).into_iter();
        let streams = parts.map(|part| -> Arc<dyn PartitionStream> {
            let (schema, log) = (Arc::clone(&schema), Arc::clone(&self.log));
            Arc::new(Stream { schema, log, part })
        });
        let order = self.order(&schema);
        let scan = StreamingTableExec::try_new(
            Arc::clone(&schema),
            streams.collect(),
            None,
            order.clone(),
            false,
            limit,
        )?;
        Ok(match order {
            // No two parts share an actor.
            Some(order) => {
                let actor = Arc::clone(&order.first().expr);
                let partitioning = Partitioning::Hash(vec![actor], partitions);
                Arc::new(scan.with_output_partitioning(partitioning)?)
            }
            None => Arc::new(scan),
        })
    }
}

impl Events {
    /// The order of every part, as far as the columns show it; `None` if it does not begin with the
    /// actor.
    fn order(&self, schema: &SchemaRef) -> Option<LexOrdering> {
        if !self.log.is_by_actor() {
            return None;
        }
        let order = [
            Column::ActorId,
            Column::OrderTime,
            Column::EventTime,
            Column::EventId,
        ];
        let known = order.iter().map_while(|column| {
            let at = schema.index_of(column.name()).ok()?;
            let column: Arc<dyn PhysicalExpr> = Arc::new(physical::Column::new(column.name(), at));
            let options = SortOptions {
                descending: false,
                nulls_first: false,
            };
            Some(PhysicalSortExpr::new(column, options))
        });
        LexOrdering::new(known)
    }
}

/// One part of the log.
#[derive(Debug)]
struct Stream {
    schema: SchemaRef,
    log: Arc<Log>,
    part: Part,
}

impl PartitionStream for Stream {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (schema, log, mut part) = (
            Arc::clone(&self.schema),
            Arc::clone(&self.log),
            self.part.clone(),
        );
        let batches = std::iter::from_fn(move || {
            let batch = log.next(&mut part)?;
            Some(
                batch
                    .map_err(Into::into)
                    .and_then(|batch| project(&batch, &schema)),
            )
        });
        Box::pin(RecordBatchStreamAdapter::new(
            Arc::clone(&self.schema),
            stream::iter(batches),
        ))
    }
}

fn project(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let columns = schema.fields().iter().map(|field| {
        batch
            .column_by_name(field.name())
            .map(Arc::clone)
            .ok_or_else(|| {
                DataFusionError::Internal(format!("column `{}` was not decoded", field.name()))
            })
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(
        Arc::clone(schema),
        columns,
        &options,
    )?)
}
