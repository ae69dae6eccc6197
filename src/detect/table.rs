//! The table `events` over a log: reads only the columns that a query asks for.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::TableType;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::stream;

use crate::event::order::Log;
use crate::event::schema::ColumnSet;

/// All columns stand in its schema; a query may read those that the log holds.
#[derive(Debug)]
pub(super) struct Events {
    schema: SchemaRef,
    log: Option<Arc<Log>>,
}

impl Events {
    pub fn over(log: Arc<Log>) -> Self {
        Self {
            schema: ColumnSet::all().schema(),
            log: Some(log),
        }
    }

    /// A table without rows, to plan with.
    pub fn none() -> Self {
        Self {
            schema: ColumnSet::all().schema(),
            log: None,
        }
    }
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
        let parts = (0..partitions).map(|part| -> Arc<dyn PartitionStream> {
            Arc::new(Part {
                schema: Arc::clone(&schema),
                log: self.log.clone(),
                first: part,
                step: partitions,
            })
        });
        let scan = StreamingTableExec::try_new(
            Arc::clone(&schema),
            parts.collect(),
            None,
            [],
            false,
            limit,
        )?;
        Ok(Arc::new(scan))
    }
}

/// Every `step`th batch from the `first` on.
#[derive(Debug)]
struct Part {
    schema: SchemaRef,
    log: Option<Arc<Log>>,
    first: usize,
    step: usize,
}

impl PartitionStream for Part {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let schema = Arc::clone(&self.schema);
        let log = self.log.clone();
        let batches = log.as_ref().map_or(0, |log| log.batches());
        let positions = (self.first..batches).step_by(self.step);
        let read = move |at| match &log {
            Some(log) => project(&log.batch(at)?, &schema),
            None => Ok(RecordBatch::new_empty(Arc::clone(&schema))),
        };
        Box::pin(RecordBatchStreamAdapter::new(
            Arc::clone(&self.schema),
            stream::iter(positions.map(read)),
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
