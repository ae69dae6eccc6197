//! Checks a program before it runs: what its SQL may say and what it must return.
//!
//! A rule is one SELECT of projections, filters and windows over `events`. All else is refused with
//! the reason and the remedy; nothing is approximated.

mod window;

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::DataFusionError;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::Optimizer;
use datafusion::optimizer::simplify_expressions::SimplifyExpressions;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::prelude::SessionContext;

use super::graph::Graph;
use super::table::Events;
use super::{Error, Program, Table, column, finding, session};
use crate::config::yaml::nearest;
use crate::event::schema::{Column, ColumnSet};
use crate::event::time::MICROS;
use crate::list::Lists;

/// Plans rules against the table's columns, and tries them on two made-up events.
pub struct Planner {
    /// The organisation's, as IANA calls it.
    time_zone: String,
    context: SessionContext,
    runtime: tokio::runtime::Runtime,
}

/// What a program reads.
#[derive(Clone, Copy, Debug)]
pub struct Reads {
    /// Those of `events`.
    pub columns: ColumnSet,
    /// How far back its windows look, one after the other, in microseconds; `None` if one of them looks
    /// back without end.
    pub reach: Option<i64>,
}

impl Planner {
    /// For rules that ask no lists.
    ///
    /// # Errors
    /// When DataFusion or the thread that it needs cannot be set up.
    pub fn new() -> Result<Self, Error> {
        Self::with_lists(&Lists::default())
    }

    /// For rules that ask these lists.
    ///
    /// # Errors
    /// When DataFusion or the thread that it needs cannot be set up.
    pub fn with_lists(lists: &Lists) -> Result<Self, Error> {
        let table = Arc::new(Events::sample());
        let runtime = Arc::new(RuntimeEnv::default());
        let context = session::context(table, lists, &Arc::default(), 1, runtime);
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        Ok(Self {
            time_zone: "UTC".to_owned(),
            context: context.map_err(|error| Error::Failed(error.to_string()))?,
            runtime: runtime.map_err(|error| Error::Failed(error.to_string()))?,
        })
    }

    /// For an organisation whose clocks are in this zone, which must be one of IANA's; in UTC otherwise.
    #[must_use]
    pub fn in_zone(self, time_zone: impl Into<String>) -> Self {
        let time_zone = time_zone.into();
        Self { time_zone, ..self }
    }

    /// The organisation's time zone, as IANA calls it.
    pub fn time_zone(&self) -> &str {
        &self.time_zone
    }

    /// Checks the program; says what it reads.
    ///
    /// # Errors
    /// [`Error::Refused`] with what is wrong and what to write instead.
    pub fn check(&self, program: &Program) -> Result<Reads, Error> {
        let plan = self.plan(&program.sql)?;
        for name in column::REQUIRED
            .into_iter()
            .chain(program.key.iter().map(String::as_str))
        {
            if plan.schema().field_with_unqualified_name(name).is_err() {
                return Err(refused(format!(
                    "the query does not return `{name}`: add it to its SELECT list"
                )));
            }
        }
        for field in plan.schema().fields() {
            check_type(field.name(), field.data_type())?;
        }
        let graph = self.check_live(program)?;
        for batch in self.try_out(plan.clone())? {
            finding::read(program, &batch)?;
        }
        let mut columns = self.columns_read(&plan)?.union(graph.columns());
        if let Some(members) = &program.members {
            columns = columns.union(self.columns_read(&self.plan(&members.sql)?)?);
        }
        Ok(Reads {
            columns,
            reach: graph.reach(),
        })
    }

    /// The program as it runs event by event, if it does, and waits as long as it says.
    fn check_live(&self, program: &Program) -> Result<Graph, Error> {
        let graph = Graph::new(self, &[program]).map_err(|(_, error)| error)?;
        let ahead = graph.outputs.iter().map(|output| output.wait).max();
        let ahead = ahead.unwrap_or(0);
        if ahead == program.wait_micros {
            return Ok(graph);
        }
        let seconds = |micros: i64| micros as f64 / MICROS as f64;
        Err(refused(format!(
            "its windows look {}s ahead, and `wait` says {}s: write wait: {}s",
            seconds(ahead),
            seconds(program.wait_micros),
            seconds(ahead)
        )))
    }

    /// What the program's windows most likely do not mean: that they test events against themselves, or
    /// decide nothing. Nothing for a program that does not compile.
    pub fn doubts(&self, program: &Program) -> Vec<String> {
        let graph = Graph::new(self, &[program]);
        graph.map_or_else(|_| Vec::new(), |graph| graph.doubts())
    }

    /// The names of the columns that a query returns.
    ///
    /// # Errors
    /// [`Error::Refused`] with what is wrong with it.
    pub fn output(&self, sql: &str) -> Result<Vec<String>, Error> {
        let plan = self.plan(sql)?;
        Ok(plan
            .schema()
            .fields()
            .iter()
            .map(|field| field.name().clone())
            .collect())
    }

    /// Whether a query gives no rows whatever the events are, as far as that shows in its text.
    pub fn is_empty(&self, sql: &str) -> bool {
        let plan = self.plan(sql).ok();
        let plan = plan.and_then(|plan| self.context.state().optimize(&plan).ok());
        plan.is_some_and(|plan| {
            let mut is_empty = false;
            let walked = plan.apply(|node| {
                is_empty |= matches!(node, LogicalPlan::EmptyRelation(_));
                Ok(TreeNodeRecursion::Continue)
            });
            walked.is_ok() && is_empty
        })
    }

    /// The names of the columns of a relation that an expression reads, sorted.
    ///
    /// # Errors
    /// [`Error::Refused`] with what is wrong with it.
    pub fn reads(&self, expression: &str, relation: &str) -> Result<Vec<String>, Error> {
        let plan = self.plan(&format!("SELECT {expression} AS value FROM {relation}"))?;
        let names: BTreeSet<String> = plan
            .expressions()
            .iter()
            .flat_map(Expr::column_refs)
            .map(|column| column.name().to_owned())
            .collect();
        Ok(names.into_iter().collect())
    }

    /// The type of an expression over the columns of a relation, which is given as SQL.
    ///
    /// # Errors
    /// [`Error::Refused`] with what is wrong with it.
    pub fn expression(&self, expression: &str, relation: &str) -> Result<DataType, Error> {
        let plan = self.plan(&format!("SELECT {expression} AS value FROM {relation}"))?;
        // The relation may have windows of its own, below one more projection.
        let has_window = plan
            .inputs()
            .first()
            .is_some_and(|input| matches!(input, LogicalPlan::Window(_)));
        if has_window {
            return Err(refused(
                "a window has no place here: use kind: sql".to_owned(),
            ));
        }
        let data_type = plan.schema().field(0).data_type().clone();
        self.try_out(plan)?;
        Ok(data_type)
    }

    /// Runs the plan on the made-up events: much shows only then.
    fn try_out(&self, plan: LogicalPlan) -> Result<Vec<RecordBatch>, Error> {
        let run = async {
            let frame = self.context.execute_logical_plan(plan).await?;
            frame.collect().await
        };
        let tried = self.runtime.block_on(run);
        tried.map_err(|error| refused(self.explain(&error)))
    }

    fn plan(&self, sql: &str) -> Result<LogicalPlan, Error> {
        let plan = self
            .runtime
            .block_on(session::plan(&self.context.state(), sql))
            .map_err(|error| refused(self.explain(&error)))?;
        options()
            .verify_plan(&plan)
            .map_err(|_| refused("only SELECT is allowed".to_owned()))?;
        if plan
            .get_parameter_names()
            .is_ok_and(|names| !names.is_empty())
        {
            return Err(refused(
                "a rule has no parameters such as $1: write the value".to_owned(),
            ));
        }
        check_nodes(&plan)?;
        let tables = Table::of(sql);
        if tables.len() != 1 {
            let message = match tables.len() {
                0 => "the query reads no table: add FROM events, or FROM anomalies",
                _ => "the query reads both events and anomalies: a rule reads one of them",
            };
            return Err(refused(message.to_owned()));
        }
        let state = self.context.state();
        let analyzed =
            state
                .analyzer()
                .execute_and_check(plan.clone(), state.config_options(), |_, _| {});
        check_windows(&analyzed.map_err(|error| refused(self.explain(&error)))?)?;
        Ok(plan)
    }

    /// The plan of a query, with all types settled and simplified, but otherwise as it was written.
    ///
    /// # Errors
    /// [`Error::Refused`] with what is wrong with it.
    pub(super) fn analyzed(&self, sql: &str) -> Result<LogicalPlan, Error> {
        let plan = self.plan(sql)?;
        let state = self.context.state();
        let options = state.config_options();
        let plan = state
            .analyzer()
            .execute_and_check(plan, options, |_, _| {})
            .map_err(|error| self.refuse(&error))?;
        Optimizer::with_rules(vec![Arc::new(SimplifyExpressions::new())])
            .optimize(plan, &state, |_, _| {})
            .map_err(|error| self.refuse(&error))
    }

    /// The expression in the form in which it is computed.
    ///
    /// # Errors
    /// [`Error::Refused`] with what is wrong with it.
    pub(super) fn physical(
        &self,
        expression: Expr,
        schema: &DFSchema,
    ) -> Result<Arc<dyn PhysicalExpr>, Error> {
        let state = self.context.state();
        let planned = state.create_physical_expr(expression, schema);
        planned.map_err(|error| self.refuse(&error))
    }

    /// DataFusion's error in words that a rule's author can use.
    pub(super) fn refuse(&self, error: &DataFusionError) -> Error {
        refused(self.explain(error))
    }

    fn columns_read(&self, plan: &LogicalPlan) -> Result<ColumnSet, Error> {
        let plan = self
            .context
            .state()
            .optimize(plan)
            .map_err(|error| refused(self.explain(&error)))?;
        let mut columns = ColumnSet::default();
        let walked = plan.apply(|node| {
            if let LogicalPlan::TableScan(scan) = node {
                let names = scan.projected_schema.fields().iter();
                let read = names.filter_map(|field| Column::by_name(field.name()));
                columns = columns.union(read.collect());
            }
            Ok(TreeNodeRecursion::Continue)
        });
        walked.map_err(|error| Error::Failed(error.to_string()))?;
        Ok(columns)
    }

    /// DataFusion's message, shortened to what a rule's author can use.
    fn explain(&self, error: &DataFusionError) -> String {
        let text = error.find_root().strip_backtrace();
        let text = text.lines().next().unwrap_or_default();
        if let Some((_, rest)) = text.split_once("Invalid function '") {
            let name = rest.split('\'').next().unwrap_or_default();
            let known = session::functions(&self.context.state());
            let near = nearest(name, known.iter().map(String::as_str));
            let hint = near
                .map(|near| format!("; did you mean `{near}`?"))
                .unwrap_or_default();
            return format!("`{name}` is not a function that rules may call{hint}");
        }
        if let Some((_, rest)) = text.split_once("No field named ") {
            let name = rest
                .split(['.', ' '])
                .next()
                .unwrap_or_default()
                .trim_matches(['"', ',']);
            let columns = Table::Anomalies.columns();
            let meant = WIRE_NAMES.iter().find(|(wire, _)| *wire == name);
            let meant = meant.map(|(_, column)| *column);
            let near = meant.or_else(|| nearest(name, columns.iter().map(String::as_str)));
            let hint = near
                .map(|near| format!("; did you mean `{near}`?"))
                .unwrap_or_default();
            return format!("there is no column `{name}`{hint}");
        }
        let prefixes = [
            "Error during planning: ",
            "SQL error: ",
            "Schema error: ",
            "type_coercion\n",
        ];
        prefixes
            .iter()
            .fold(text, |text, prefix| {
                text.strip_prefix(prefix).unwrap_or(text)
            })
            .to_owned()
    }
}

/// What fields are called in Slack's events and by others, and the columns that they are.
const WIRE_NAMES: [(&str, &str); 14] = [
    ("id", "event_id"),
    ("date_create", "event_time"),
    ("timestamp", "event_time"),
    ("time", "event_time"),
    ("actor", "actor_id"),
    ("user", "actor_id"),
    ("user_id", "actor_id"),
    ("email", "actor_email"),
    ("entity", "entity_id"),
    ("ip_address", "ip"),
    ("ua", "user_agent"),
    ("session", "session_id"),
    ("location", "location_name"),
    ("app", "app_id"),
];

/// What SQL may do at all: no DDL, no DML, no statements.
pub(super) fn options() -> SQLOptions {
    SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false)
}

fn refused(reason: String) -> Error {
    Error::Refused(reason)
}

/// What runs in bounded state: projections, filters and windows.
fn check_nodes(plan: &LogicalPlan) -> Result<(), Error> {
    let mut found: Option<&'static str> = None;
    let walked = plan.apply_with_subqueries(|node| {
        found = found.or_else(|| offence(node));
        node.apply_expressions(|expression| {
            expression.apply(|part| {
                if let Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_) = part {
                    found =
                        Some("a subquery inside an expression: use a window over the same rows");
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    walked.map_err(|error| Error::Failed(error.to_string()))?;
    if let Some(offence) = found {
        return Err(refused(format!("a rule may not use {offence}")));
    }
    Ok(())
}

/// Every window looks back, in one order.
fn check_windows(plan: &LogicalPlan) -> Result<(), Error> {
    let mut found: Option<String> = None;
    let walked = plan.apply(|node| {
        node.apply_expressions(|expression| {
            expression.apply(|part| {
                if let Expr::WindowFunction(window) = part {
                    found = found.take().or_else(|| window::offence(window));
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    walked.map_err(|error| Error::Failed(error.to_string()))?;
    match found {
        Some(offence) => Err(refused(format!("a rule may not use {offence}"))),
        None => Ok(()),
    }
}

/// What a result column may be.
fn check_type(name: &str, data_type: &DataType) -> Result<(), Error> {
    let is_text = match data_type {
        DataType::Dictionary(_, values) => values.is_string(),
        other => other.is_string(),
    };
    let is_time = matches!(data_type, DataType::Timestamp(..));
    let wanted = match name {
        column::EVENT_ID | column::LEVEL | column::REASON | column::FINDING if !is_text => "text",
        column::EVENT_TIME | column::ORDER_TIME if !is_time => "a time",
        _ if data_type.is_nested() => "one value: use json_get_str, json_get_int or json_get_float",
        _ => return Ok(()),
    };
    Err(refused(format!(
        "column `{name}` is {data_type}, and it must be {wanted}"
    )))
}

/// Why the node is not allowed, with the remedy.
fn offence(node: &LogicalPlan) -> Option<&'static str> {
    match node {
        LogicalPlan::Projection(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::Window(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::TableScan(_) => None,
        LogicalPlan::Aggregate(_) => {
            Some("GROUP BY or an aggregate without OVER: write it as a window, count(*) OVER (…)")
        }
        LogicalPlan::Distinct(distinct) if matches!(**distinct.input(), LogicalPlan::Union(_)) => {
            offence(distinct.input())
        }
        LogicalPlan::Distinct(_) => Some("DISTINCT: keep the first row, row_number() OVER (…) = 1"),
        LogicalPlan::Sort(_) => Some("ORDER BY at the end: findings come in the order of time"),
        LogicalPlan::Limit(_) => Some("LIMIT: use `suppress`, or row_number() OVER (…) <= n"),
        LogicalPlan::Join(_) => Some("a join: use windows over the same rows"),
        LogicalPlan::Union(_) => Some("UNION: write one condition with OR, or two rules"),
        LogicalPlan::Subquery(_) => Some("a subquery inside an expression"),
        LogicalPlan::Values(_) | LogicalPlan::EmptyRelation(_) => {
            Some("rows that are not events: add FROM events")
        }
        LogicalPlan::Unnest(_) => Some("unnest: read one element with json_get_str(details, …)"),
        LogicalPlan::RecursiveQuery(_) => Some("a recursive query"),
        _ => Some("anything but one SELECT over `events`"),
    }
}
