//! The table `anomalies`: what was found, read page by page.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, StringViewArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
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
use rusqlite::types::Value;
use rusqlite::{Connection, params};

use crate::event::schema::UTC;
use crate::store::state::{read_only, state_error};
use crate::store::{Error, Paths, Reader};

/// Rows that are read in one go, and held in memory.
const PAGE_ROWS: i64 = 1024;

/// What had been found when it was opened.
#[derive(Debug)]
pub(super) struct Anomalies {
    schema: SchemaRef,
    paths: Paths,
    /// The row found last.
    last: i64,
}

impl Anomalies {
    /// # Errors
    /// When the state cannot be read.
    pub fn of(reader: &Reader) -> std::result::Result<Self, Error> {
        let last = reader.read("read the anomalies", |connection| {
            let query = "SELECT coalesce(max(rowid), 0) FROM anomaly";
            connection.query_row(query, [], |row| row.get(0))
        })?;
        Ok(Self {
            schema: schema(),
            paths: reader.paths().clone(),
            last,
        })
    }
}

/// The columns, which are called as they are in the state.
fn schema() -> SchemaRef {
    let text = || DataType::Utf8View;
    let time = || DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into()));
    let columns = [
        ("id", text()),
        ("rule", text()),
        ("level", text()),
        ("order_time", time()),
        ("event_time", time()),
        ("event_id", text()),
        ("exception", text()),
        ("shadow", DataType::Boolean),
        ("found_at", time()),
        ("record", text()),
    ];
    let fields = columns.map(|(name, data_type)| Field::new(name, data_type, name == "exception"));
    Arc::new(Schema::new(fields.to_vec()))
}

#[async_trait]
impl TableProvider for Anomalies {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = match projection {
            Some(columns) => Arc::new(self.schema.project(columns)?),
            None => Arc::clone(&self.schema),
        };
        let pages = Pages {
            schema: Arc::clone(&schema),
            paths: self.paths.clone(),
            last: self.last,
        };
        let partitions: Vec<Arc<dyn PartitionStream>> = vec![Arc::new(pages)];
        let scan = StreamingTableExec::try_new(schema, partitions, None, [], false, limit)?;
        Ok(Arc::new(scan))
    }
}

/// All rows, those columns of them.
#[derive(Debug)]
struct Pages {
    schema: SchemaRef,
    paths: Paths,
    last: i64,
}

impl PartitionStream for Pages {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let cursor = Cursor {
            schema: Arc::clone(&self.schema),
            paths: self.paths.clone(),
            connection: None,
            read: 0,
            last: self.last,
        };
        let schema = Arc::clone(&self.schema);
        Box::pin(RecordBatchStreamAdapter::new(schema, stream::iter(cursor)))
    }
}

/// Goes from page to page. Each is a transaction of its own, so that a query that takes its time does
/// not keep the service from tidying up its state.
struct Cursor {
    schema: SchemaRef,
    paths: Paths,
    connection: Option<Connection>,
    /// The row read last.
    read: i64,
    /// Where it ends.
    last: i64,
}

impl Iterator for Cursor {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.read >= self.last {
            return None;
        }
        let page = self.page();
        if page.is_err() {
            self.read = self.last;
        }
        page.map_err(|error| DataFusionError::External(Box::new(error)))
            .transpose()
    }
}

impl Cursor {
    /// The next page; `None` if there is none.
    fn page(&mut self) -> std::result::Result<Option<RecordBatch>, Error> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => read_only(&self.paths)?,
        };
        let rows = self
            .rows(&connection)
            .map_err(state_error(&self.paths.state(), "read the anomalies"))?;
        self.connection = Some(connection);
        let Some((last, _)) = rows.last() else {
            self.read = self.last;
            return Ok(None);
        };
        self.read = *last;
        let columns = self.schema.fields().iter().enumerate();
        let columns = columns.map(|(at, field)| {
            let values = rows.iter().map(|(_, values)| &values[at]);
            column(field.data_type(), values)
        });
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let schema = Arc::clone(&self.schema);
        let batch = RecordBatch::try_new_with_options(schema, columns.collect(), &options);
        batch
            .map(Some)
            .map_err(|error| Error::Query(error.to_string()))
    }

    /// Rows with their numbers.
    fn rows(&self, connection: &Connection) -> rusqlite::Result<Vec<(i64, Vec<Value>)>> {
        let width = self.schema.fields().len();
        let names = self.schema.fields().iter();
        let names: String = names.map(|field| format!(", {}", field.name())).collect();
        let mut query = connection.prepare_cached(&format!(
            "SELECT rowid{names} FROM anomaly WHERE rowid > ? AND rowid <= ? ORDER BY rowid LIMIT ?"
        ))?;
        let rows = query.query_map(params![self.read, self.last, PAGE_ROWS], |row| {
            let values = (1..=width).map(|at| row.get(at));
            let values = values.collect::<rusqlite::Result<Vec<Value>>>()?;
            Ok((row.get(0)?, values))
        })?;
        rows.collect()
    }
}

fn column<'a>(data_type: &DataType, values: impl Iterator<Item = &'a Value>) -> ArrayRef {
    match data_type {
        DataType::Timestamp(..) => {
            let times = values.map(integer).collect::<TimestampMicrosecondArray>();
            Arc::new(times.with_timezone(UTC))
        }
        DataType::Boolean => {
            let truths = values.map(|value| integer(value).map(|number| number != 0));
            Arc::new(truths.collect::<BooleanArray>())
        }
        _ => Arc::new(values.map(text).collect::<StringViewArray>()),
    }
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Integer(number) => Some(*number),
        _ => None,
    }
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}
