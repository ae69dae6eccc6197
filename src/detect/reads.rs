//! What a rule reads: the events, or what the rules over events found.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::datasource::{ViewTable, provider_as_source};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, col, lit};
use datafusion::sql::sqlparser::ast::visit_relations;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion_functions_json::udfs::{json_as_text_udf, json_get_str_udf};

use crate::event::schema::{Column, ColumnSet};

/// A table that rules read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Table {
    #[default]
    Events,
    /// The anomalies of rules over events that are on and that no exception bars. A row has the columns
    /// of the triggering event, except that `event_id` is the anomaly's id, `order_time` is when it was
    /// known (`wait` after the event) and `details` is its record; and a few of the record's fields.
    Anomalies,
}

/// Columns that anomalies have beside those of events, each with the record's field that it is.
const FIELDS: [(&str, &str); 4] = [
    ("rule", "rule"),
    ("anomaly_level", "level"),
    ("anomaly_key", "key"),
    ("reasons", "reason"),
];

impl Table {
    pub fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Anomalies => "anomalies",
        }
    }

    /// The table of this name.
    pub fn by_name(name: &str) -> Option<Self> {
        [Self::Events, Self::Anomalies]
            .into_iter()
            .find(|table| table.name() == name)
    }

    /// The names of its columns.
    pub fn columns(self) -> Vec<String> {
        let own = ColumnSet::all();
        let own = own.iter().map(|column| column.name().to_owned());
        let fields = FIELDS.iter().map(|(name, _)| (*name).to_owned());
        match self {
            Self::Events => own.collect(),
            Self::Anomalies => own.chain(fields).collect(),
        }
    }

    /// The table that a query reads; both, if it reads both, and nothing for what is no query.
    pub fn of(sql: &str) -> Vec<Self> {
        let parsed = Parser::parse_sql(&GenericDialect {}, sql).unwrap_or_default();
        let mut names = BTreeSet::new();
        let walked = visit_relations(&parsed, |name| {
            let last = name.0.last().and_then(|part| part.as_ident());
            names.extend(last.map(|name| name.value.to_ascii_lowercase()));
            ControlFlow::<()>::Continue(())
        });
        debug_assert!(walked.is_continue());
        let named = names.iter().filter_map(|name| Self::by_name(name));
        named.collect()
    }
}

/// The table of anomalies over the rows that stand for them.
pub(super) fn anomalies(rows: Arc<dyn TableProvider>) -> Result<ViewTable> {
    let own = ColumnSet::all();
    let own = own.iter().map(|column| col(column.name()));
    let fields = FIELDS.iter().map(|(name, field)| {
        let function = match *field {
            "reason" => json_as_text_udf(),
            _ => json_get_str_udf(),
        };
        let details = col(Column::Details.name());
        function.call(vec![details, lit(*field)]).alias(*name)
    });
    let columns: Vec<Expr> = own.chain(fields).collect();
    let name = Table::Events.name();
    let plan = LogicalPlanBuilder::scan(name, provider_as_source(rows), None)?
        .project(columns)?
        .build()?;
    Ok(ViewTable::new(plan, None))
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn tables_are_found_by_their_names() {
        for (sql, tables) in [
            ("SELECT * FROM events", &[Table::Events][..]),
            (
                "SELECT * FROM (SELECT 1 FROM Anomalies) e",
                &[Table::Anomalies],
            ),
            (
                "WITH a AS (SELECT * FROM events) SELECT * FROM a, public.anomalies",
                &[Table::Anomalies, Table::Events],
            ),
            ("SELECT 'FROM anomalies' FROM other", &[]),
            ("SELECT FROM WHERE", &[]),
        ] {
            assert_eq!(Table::of(sql), tables, "{sql}");
        }
    }
}
