//! The table `events` over a log: reads only the columns that a query asks for.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::SortOptions;
use arrow::datatypes::SchemaRef;
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

use crate::event::order::{Log, Part};
use crate::event::schema::{Column, ColumnSet};

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
        let parts = match &self.log {
            Some(log) => log.parts(partitions).into_iter().map(Some).collect(),
            None => vec![None; partitions],
        };
        let streams = parts.into_iter().map(|part| -> Arc<dyn PartitionStream> {
            Arc::new(Stream {
                schema: Arc::clone(&schema),
                log: self.log.clone().zip(part),
            })
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
        self.log.as_ref().filter(|log| log.is_by_actor())?;
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

/// One part of the log, or no rows.
#[derive(Debug)]
struct Stream {
    schema: SchemaRef,
    log: Option<(Arc<Log>, Part)>,
}

impl PartitionStream for Stream {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let schema = Arc::clone(&self.schema);
        let mut rest = self.log.clone();
        let batches = std::iter::from_fn(move || {
            let (log, part) = rest.as_mut()?;
            Some(
                log.next(part)?
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
