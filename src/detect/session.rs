//! What rule SQL may use: a table, lists, and functions that always give the same answer.

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::config::Dialect;
use datafusion::error::Result;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::session_state::SessionState;
use datafusion::execution::{SessionStateBuilder, SessionStateDefaults};
use datafusion::logical_expr::registry::FunctionRegistry;
use datafusion::logical_expr::{LogicalPlan, Volatility};
use datafusion::optimizer::Optimizer;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, visit_expressions_mut,
};

use super::aggregate::{self, Moment};
use super::function::Days;
use super::{Table, function, lookup, marked, reads};
use crate::event::schema::Column;
use crate::list::Lists;

/// DataFusion's functions that rules may call, besides its operators, those of
/// `datafusion-functions-json` and our own. All are immutable, and none makes much of little: no
/// clock, no randomness, no `repeat`, `lpad` or table function.
const FUNCTIONS: &[&str] = &[
    // aggregates, used as windows
    "avg",
    "bool_and",
    "bool_or",
    "count",
    "max",
    "min",
    "stddev",
    "sum",
    // windows
    "first_value",
    "lag",
    "last_value",
    "row_number",
    // conditions
    "coalesce",
    "greatest",
    "least",
    "nullif",
    "nvl",
    // numbers
    "abs",
    "ceil",
    "exp",
    "floor",
    "ln",
    "log10",
    "log2",
    "power",
    "round",
    "signum",
    "sqrt",
    "trunc",
    // text
    "ascii",
    "btrim",
    "character_length",
    "concat",
    "concat_ws",
    "contains",
    "ends_with",
    "initcap",
    "left",
    "levenshtein",
    "lower",
    "ltrim",
    "octet_length",
    "regexp_count",
    "regexp_like",
    "regexp_match",
    "regexp_replace",
    "replace",
    "reverse",
    "right",
    "rtrim",
    "split_part",
    "starts_with",
    "strpos",
    "substr",
    "translate",
    "upper",
    // time
    "arrow_cast",
    "date_bin",
    "date_part",
    "date_trunc",
    "get_field",
    "to_timestamp",
    "to_timestamp_micros",
    "to_timestamp_seconds",
    "to_unixtime",
];

/// A session over these rows, which are its `events` or stand for its `anomalies`, and these lists, with
/// so many partitions and the memory and temporary files of `runtime`.
///
/// # Errors
/// When DataFusion refuses the table or a function, which is a defect of this program.
pub fn context(
    rows: Arc<dyn TableProvider>,
    lists: &Lists,
    days: &Arc<Days>,
    partitions: usize,
    runtime: Arc<RuntimeEnv>,
) -> Result<SessionContext> {
    let context = SessionContext::new_with_state(state(lists, days, partitions, runtime)?);
    let anomalies = reads::anomalies(Arc::clone(&rows))?;
    context.register_table(Table::Anomalies.name(), Arc::new(anomalies))?;
    context.register_table(Table::Events.name(), rows)?;
    Ok(context)
}

fn state(
    lists: &Lists,
    days: &Arc<Days>,
    partitions: usize,
    runtime: Arc<RuntimeEnv>,
) -> Result<SessionState> {
    let is_allowed = |name: &str, volatility: Volatility| {
        FUNCTIONS.contains(&name) && volatility == Volatility::Immutable
    };
    let mut scalars = SessionStateDefaults::default_scalar_functions();
    scalars.retain(|function| is_allowed(function.name(), function.signature().volatility));
    scalars.extend(lookup::all(lists));
    scalars.push(marked::function(lists.marks()));
    let mut aggregates = SessionStateDefaults::default_aggregate_functions();
    aggregates.retain(|function| {
        is_allowed(function.name(), function.signature().volatility)
            && Moment::by_name(function.name()).is_none()
    });
    aggregates.extend(aggregate::all());
    let mut windows = SessionStateDefaults::default_window_functions();
    windows.retain(|function| is_allowed(function.name(), function.signature().volatility));
    windows.extend(function::all(days));
    let config = SessionConfig::new()
        .with_target_partitions(partitions)
        .with_information_schema(false)
        // Suppression sorts little, while the sorts below it hold all the memory they may.
        .with_sort_spill_reservation_bytes(1 << 20)
        // It evaluates what stands behind a filter, JSON functions for instance, on every row.
        .set_bool(
            "datafusion.optimizer.enable_leaf_expression_pushdown",
            false,
        );
    // It takes a common part out of some windows of a node and not out of others, which the physical
    // planner then takes for windows of different orders (DataFusion 55.2).
    let mut rules = Optimizer::new().rules;
    rules.retain(|rule| rule.name() != "common_sub_expression_eliminate");
    let mut state = SessionStateBuilder::new()
        .with_config(config)
        .with_optimizer_rules(rules)
        .with_runtime_env(runtime)
        .with_expr_planners(SessionStateDefaults::default_expr_planners())
        .with_scalar_functions(scalars)
        .with_aggregate_functions(aggregates)
        .with_window_functions(windows)
        .build();
    datafusion_functions_json::register_all(&mut state as &mut dyn FunctionRegistry)?;
    Ok(state)
}

/// The plan of a query, as it was written; lists are asked about the time of each event.
///
/// # Errors
/// What DataFusion says is wrong with it.
pub async fn plan(state: &SessionState, sql: &str) -> Result<LogicalPlan> {
    let mut statement = state.sql_to_statement(sql, &Dialect::Generic)?;
    if let Statement::Statement(statement) = &mut statement {
        let walked = visit_expressions_mut(&mut **statement, |expression| {
            add_time(expression);
            ControlFlow::<()>::Continue(())
        });
        debug_assert!(walked.is_continue());
    }
    state.statement_to_plan(statement).await
}

/// Gives a question to a list, or for a mark, the time that it is about.
fn add_time(expression: &mut Expr) {
    let Expr::Function(function) = expression else {
        return;
    };
    let name = function.name.to_string().to_ascii_lowercase();
    if !lookup::NAMES.contains(&name.as_str()) && name != marked::NAME {
        return;
    }
    // One that a rule writes itself could ask about the future.
    if let FunctionArguments::List(list) = &mut function.args {
        let time = Expr::Identifier(Ident::new(Column::OrderTime.name()));
        list.args
            .push(FunctionArg::Unnamed(FunctionArgExpr::Expr(time)));
    }
}

/// The names of all functions that rules may call, for messages.
pub fn functions(state: &SessionState) -> Vec<String> {
    let mut names: Vec<String> = state
        .scalar_functions()
        .keys()
        .chain(state.aggregate_functions().keys())
        .chain(state.window_functions().keys())
        .cloned()
        .collect();
    names.sort_unstable();
    names
}
