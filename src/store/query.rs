//! Asking the store, which no question changes.
//!
//! There are two tables: `events`, which is archive and tail as one, and `anomalies`. SQL may read
//! them, and nothing else: no file, no setting, no other table. What a query holds on to is limited;
//! what does not fit goes to temporary files, where DataFusion can put it there.

mod anomalies;

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::SessionState;
use datafusion::execution::{SendableRecordBatchStream, SessionStateBuilder, SessionStateDefaults};
use datafusion::logical_expr::registry::FunctionRegistry;
use datafusion::logical_expr::{Expr, cast, col};
use datafusion::optimizer::Optimizer;
use datafusion::prelude::{SQLOptions, SessionConfig, SessionContext};

use self::anomalies::Anomalies;
use super::Reader;
use super::read::Span;
use crate::event::schema::{Column, ColumnSet};

const EVENTS: &str = "events";
const ANOMALIES: &str = "anomalies";

/// Why a query gives no answer, or not all of it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is wrong as it is written, or as its values are.
    #[error("{0}")]
    Refused(String),
    #[error("the query needs more memory: {0}; narrow it, or raise `memory.query_mib`")]
    Memory(String),
    #[error("the query cannot be run to its end: {0}; check the disks of the store and of {temp}", temp = temporary())]
    Io(String),
    #[error("the query failed, which is a defect: {0}")]
    Defect(String),
    #[error(transparent)]
    Store(#[from] super::Error),
}

/// Where temporary files go.
fn temporary() -> String {
    std::env::temp_dir().display().to_string()
}

/// How much of the machine a query may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub threads: usize,
    /// For sorting, grouping and joining; what is only read through does not count.
    pub memory_bytes: usize,
}

impl Limits {
    /// Parts into which a query is cut: no more than have the memory to get anywhere.
    fn partitions(self) -> usize {
        const LEAST_BYTES: usize = 128 << 20;
        self.threads.min(self.memory_bytes / LEAST_BYTES).max(1)
    }

    /// Rows that are looked at together. An event takes about a KiB, and a batch of them an eighth of
    /// the memory at most.
    fn batch_rows(self) -> usize {
        (self.memory_bytes / 8 / 1024).clamp(256, 8192)
    }

    /// What every sort keeps free for merging.
    fn sort_bytes(self) -> usize {
        const MOST_BYTES: usize = 10 << 20;
        (self.memory_bytes / self.partitions() / 8).min(MOST_BYTES)
    }
}

/// A store as it was at one moment, to be asked.
pub struct Query {
    context: SessionContext,
}

impl Query {
    /// Over the events of a span, and all anomalies.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn new(reader: &Reader, span: Span, limits: Limits) -> Result<Self, Error> {
        let context = SessionContext::new_with_state(state(limits)?);
        let events = reader.view(span)?.into_table();
        context.register_table(EVENTS, Arc::new(events))?;
        context.register_table(ANOMALIES, Arc::new(Anomalies::of(reader)?))?;
        Ok(Self { context })
    }

    /// What a query in SQL returns; errors of the stream become ours by `From`. Needs a runtime of
    /// tokio, as its stream does.
    ///
    /// # Errors
    /// [`Error::Refused`] if it is no query over these tables.
    pub async fn sql(&self, sql: &str) -> Result<SendableRecordBatchStream, Error> {
        let state = self.context.state();
        let plan = state.create_logical_plan(sql).await;
        let plan = plan.map_err(|error| with_tables(&error))?;
        options().verify_plan(&plan).map_err(|error| {
            let reason = text(error.find_root());
            Error::Refused(format!(
                "a query changes nothing: write a SELECT ({reason})"
            ))
        })?;
        let frame = self.context.execute_logical_plan(plan).await?;
        Ok(frame.execute_stream().await?)
    }

    /// The events that the filter lets through, those columns of them, in the order of time and id.
    /// Texts come as `LargeUtf8`.
    ///
    /// # Errors
    /// When it cannot be planned, which is a defect of the filter.
    pub async fn sorted(
        &self,
        filter: Expr,
        columns: ColumnSet,
    ) -> Result<SendableRecordBatchStream, Error> {
        let keys = [Column::EventTime, Column::EventId];
        let read = columns.union(keys.into_iter().collect());
        // A view keeps all that was read with it, and counts for as much as long as it waits to be
        // sorted; a copy does not.
        let copied = read.iter().map(|column| match column.data_type() {
            DataType::Utf8View => {
                cast(col(column.name()), DataType::LargeUtf8).alias(column.name())
            }
            _ => col(column.name()),
        });
        let copied: Vec<Expr> = copied.collect();
        let order = keys.map(|column| col(column.name()).sort(true, false));
        let names: Vec<&str> = columns.iter().map(Column::name).collect();
        let frame = self.context.table(EVENTS).await?;
        let frame = frame
            .filter(filter)?
            .select(copied)?
            .sort(Vec::from(order))?;
        Ok(frame.select_columns(&names)?.execute_stream().await?)
    }
}

fn state(limits: Limits) -> Result<SessionState, DataFusionError> {
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(FairSpillPool::new(limits.memory_bytes)))
        .build_arc()?;
    let config = SessionConfig::new()
        .with_target_partitions(limits.partitions())
        .with_batch_size(limits.batch_rows())
        .with_sort_spill_reservation_bytes(limits.sort_bytes())
        // It tells of these tables and of DataFusion's defaults.
        .with_information_schema(true)
        // It evaluates what stands behind a filter, JSON functions for instance, on every row.
        .set_bool(
            "datafusion.optimizer.enable_leaf_expression_pushdown",
            false,
        );
    // With it some queries of several windows cannot be planned (DataFusion 55.2), as with rules.
    let mut rules = Optimizer::new().rules;
    rules.retain(|rule| rule.name() != "common_sub_expression_eliminate");
    // Neither formats of files nor factories of tables: there is nothing else to read or write.
    let mut scalars = SessionStateDefaults::default_scalar_functions();
    scalars.retain(|function| !MULTIPLYING.contains(&function.name()));
    let mut state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_optimizer_rules(rules)
        .with_expr_planners(SessionStateDefaults::default_expr_planners())
        .with_scalar_functions(scalars)
        .with_higher_order_functions(SessionStateDefaults::default_higher_order_functions())
        .with_aggregate_functions(SessionStateDefaults::default_aggregate_functions())
        .with_window_functions(SessionStateDefaults::default_window_functions())
        .with_table_function_list(SessionStateDefaults::default_table_functions())
        .build();
    datafusion_functions_json::register_all(&mut state as &mut dyn FunctionRegistry)?;
    Ok(state)
}

/// What makes much of little, past all accounts of memory.
const MULTIPLYING: [&str; 5] = ["repeat", "lpad", "rpad", "array_repeat", "array_resize"];

/// No DDL, no DML, no statements.
fn options() -> SQLOptions {
    SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false)
}

/// What is wrong with a query, and the tables if it asks for something that there is not.
fn with_tables(error: &DataFusionError) -> Error {
    let root = error.find_root();
    let reason = text(root);
    let is_unknown = match root {
        DataFusionError::SchemaError(..) => true,
        DataFusionError::Plan(_) => reason.starts_with("table '") || reason.starts_with("column '"),
        _ => false,
    };
    if is_unknown {
        let reason = reason.trim_end_matches('.');
        Error::Refused(format!(
            "{reason}; the tables are {EVENTS} and {ANOMALIES}: DESCRIBE {EVENTS} shows the columns"
        ))
    } else {
        Error::Refused(reason)
    }
}

impl From<DataFusionError> for Error {
    fn from(error: DataFusionError) -> Self {
        use DataFusionError as D;
        let root = error.find_root();
        let text = text(root);
        match root {
            D::Plan(_)
            | D::SchemaError(..)
            | D::SQL(..)
            | D::Configuration(_)
            | D::NotImplemented(_)
            | D::Execution(_)
            | D::ArrowError(..) => Self::Refused(text),
            D::ResourcesExhausted(_) => Self::Memory(text),
            D::Internal(_) | D::ExecutionJoin(_) => Self::Defect(text),
            _ => Self::Io(text),
        }
    }
}

/// What DataFusion says, without the kind of error before it.
fn text(error: &DataFusionError) -> String {
    let text = match error {
        DataFusionError::SQL(error, _) => error.to_string(),
        DataFusionError::Internal(reason) => reason.clone(),
        other => other.message().into_owned(),
    };
    let text = text.split(DataFusionError::BACK_TRACE_SEP).next();
    text.unwrap_or_default()
        .replace("datafusion.public.", "")
        .replace('\n', " ")
}
