//! The log as a table of DataFusion: the files of the archive and the tail beside them.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, DFSchema, ScalarValue, Statistics};
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::object_store::ObjectMeta;
use datafusion::object_store::path::Path;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::union::UnionExec;

use super::read::View;
use super::segment::Segment;
use crate::event::schema::{Column, ColumnSet, UTC};

/// The events of a view. Filters are taken to the files: what statistics and bloom filters rule out is
/// not read.
#[derive(Debug)]
pub struct Events {
    schema: SchemaRef,
    view: View,
}

impl View {
    /// The table of these rows.
    pub fn into_table(self) -> Events {
        Events {
            schema: ColumnSet::all().schema(),
            view: self,
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

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        // The tail is not filtered here.
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mut parts: Vec<Arc<dyn ExecutionPlan>> = Vec::new();
        if !self.view.segments.is_empty() {
            parts.push(self.files(state, projection, filters)?);
        }
        if parts.is_empty() || !self.view.is_sealed() {
            parts.push(self.tail(projection)?);
        }
        match <[_; 1]>::try_from(parts) {
            Ok([part]) => Ok(part),
            Err(parts) => UnionExec::try_new(parts),
        }
    }
}

impl Events {
    fn tail(&self, projection: Option<&Vec<usize>>) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = match projection {
            Some(columns) => Arc::new(self.schema.project(columns)?),
            None => Arc::clone(&self.schema),
        };
        let columns = schema.fields().iter();
        let columns = columns.filter_map(|field| Column::by_name(field.name()));
        let rows = self.view.tail(columns.collect());
        let rows = rows.map_err(|error| DataFusionError::External(Box::new(error)))?;
        Ok(MemorySourceConfig::try_new_exec(&[rows], schema, None)?)
    }

    fn files(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mut source = ParquetSource::new(Arc::clone(&self.schema))
            .with_table_parquet_options(state.table_options().parquet.clone())
            .with_pushdown_filters(true)
            .with_reorder_filters(true);
        if let Some(filter) = conjunction(filters.iter().cloned()) {
            let schema = DFSchema::try_from(Arc::clone(&self.schema))?;
            source = source.with_predicate(state.create_physical_expr(filter, &schema)?);
        }
        let files = self.view.segments.iter().map(|segment| self.file(segment));
        let files = files.collect::<Result<Vec<_>>>()?;
        let each = files
            .len()
            .div_ceil(state.config().target_partitions().max(1));
        let groups = files
            .chunks(each.max(1))
            .map(|files| FileGroup::new(files.to_vec()));
        let scan = FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), Arc::new(source))
            .with_file_groups(groups.collect())
            .with_projection_indices(projection.cloned())?
            .build();
        Ok(DataSourceExec::from_data_source(scan))
    }

    /// A segment, and what is known of it without opening it.
    fn file(&self, segment: &Segment) -> Result<PartitionedFile> {
        let path = std::path::absolute(self.view.path(segment))?;
        let location = Path::from_absolute_path(&path)
            .map_err(|error| DataFusionError::External(Box::new(error)))?;
        let file = PartitionedFile::new_from_meta(ObjectMeta {
            location,
            last_modified: Default::default(),
            size: segment.bytes,
            e_tag: None,
            version: None,
        });
        let columns = self.schema.fields().iter();
        let columns = columns.map(|field| match Column::by_name(field.name()) {
            Some(Column::EventTime) => range(segment.event),
            Some(Column::OrderTime) => range(segment.order),
            _ => ColumnStatistics::new_unknown(),
        });
        Ok(file.with_statistics(Arc::new(Statistics {
            num_rows: Precision::Exact(segment.rows as usize),
            total_byte_size: Precision::Absent,
            column_statistics: columns.collect(),
        })))
    }
}

fn range((first, last): (i64, i64)) -> ColumnStatistics {
    let time = |micros| {
        Precision::Exact(ScalarValue::TimestampMicrosecond(
            Some(micros),
            Some(UTC.into()),
        ))
    };
    ColumnStatistics {
        null_count: Precision::Exact(0),
        min_value: time(first),
        max_value: time(last),
        ..ColumnStatistics::new_unknown()
    }
}
