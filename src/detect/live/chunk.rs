//! A part of the rows at hand: which of them each table has, and their columns, each made when it is
//! first asked for.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, RecordBatch, UInt32Array, new_null_array,
};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{cast, take};
use arrow::datatypes::{Int32Type, Schema, TimestampMicrosecondType};
use datafusion::error::Result;

use super::route::Routes;
use crate::detect::graph::{
    Call, EVENTS, ExpressionId, Field, Filter, Function, Graph, GroupId, Source, TableId,
};
use crate::detect::shard::{ByShard, Encoding, parted};
use crate::detect::window::{Input, Prepared, Values};
use crate::event::schema::Column;

/// Rows of some tables; those of one root table are in canonical order, and rows of one time are
/// never parted.
#[derive(Debug)]
pub(super) struct Chunk {
    tables: Vec<Rows>,
    /// Which events meet a cheap condition.
    met: HashMap<ExpressionId, BooleanBuffer>,
    /// Which events have an action that meets these conditions.
    routed: HashMap<Vec<ExpressionId>, Arc<Vec<u32>>>,
    /// The events by the codes of their actions, once they are asked for.
    by_action: Option<ByAction>,
    /// What went wrong, by program.
    pub failures: Vec<(usize, String)>,
}

/// The rows of a table.
#[derive(Debug, Default)]
struct Rows {
    count: usize,
    /// Which of its parent's rows they are; a root has none.
    picks: Option<(TableId, UInt32Array)>,
    columns: HashMap<Field, ArrayRef>,
}

/// Rows in the order of the codes of their actions: with many rules each looks at its own rows alone.
#[derive(Debug)]
struct ByAction {
    rows: Vec<u32>,
    /// Where the rows of each code begin, and one more.
    starts: Vec<u32>,
}

impl ByAction {
    fn new(codes: &[i32], count: usize) -> Self {
        let (rows, starts) = parted(codes.iter().map(|code| *code as usize), count);
        Self { rows, starts }
    }

    /// The rows of the allowed codes, in their order.
    fn rows(&self, allowed: &[bool]) -> Vec<u32> {
        let codes = (0..allowed.len()).filter(|code| allowed[*code]);
        let parts = codes.map(|code| self.starts[code] as usize..self.starts[code + 1] as usize);
        let parts: Vec<_> = parts.filter(|part| !part.is_empty()).collect();
        let mut rows = Vec::with_capacity(parts.iter().map(ExactSizeIterator::len).sum());
        for part in &parts {
            rows.extend_from_slice(&self.rows[part.clone()]);
        }
        if parts.len() > 1 {
            rows.sort_unstable();
        }
        rows
    }
}

impl Chunk {
    pub fn new(graph: &Graph) -> Self {
        Self {
            tables: graph.tables.iter().map(|_| Rows::default()).collect(),
            met: HashMap::new(),
            routed: HashMap::new(),
            by_action: None,
            failures: Vec::new(),
        }
    }

    /// Gives a root table its rows.
    pub fn fill(&mut self, table: TableId, batch: &RecordBatch, fields: &[Field]) {
        let columns = fields.iter().copied().zip(batch.columns().iter().cloned());
        self.tables[table] = Rows {
            count: batch.num_rows(),
            picks: None,
            columns: columns.collect(),
        };
    }

    pub fn rows(&self, table: TableId) -> usize {
        self.tables[table].count
    }

    /// Adds a column of a table.
    pub fn add(&mut self, table: TableId, field: Field, column: ArrayRef) {
        self.tables[table].columns.insert(field, column);
    }

    fn column(&mut self, table: TableId, field: Field) -> Result<ArrayRef> {
        if let Some(column) = self.tables[table].columns.get(&field) {
            return Ok(Arc::clone(column));
        }
        let Some((parent, picks)) = self.tables[table].picks.clone() else {
            let name = field.name();
            return Err(datafusion::error::DataFusionError::Internal(format!(
                "table {table} has no column {name}"
            )));
        };
        let column = take(&self.column(parent, field)?, &picks, None)?;
        self.tables[table]
            .columns
            .insert(field, Arc::clone(&column));
        Ok(column)
    }

    /// The values of an expression for the rows of a table.
    fn evaluate(&mut self, graph: &Graph, table: TableId, id: ExpressionId) -> Result<ArrayRef> {
        let expression = &graph.expressions[id];
        if let Some(field) = expression.bare {
            return self.column(table, field);
        }
        let fields = expression
            .reads
            .iter()
            .map(|field| self.column(table, *field));
        let fields = fields.collect::<Result<Vec<_>>>()?;
        expression.evaluate(fields, self.tables[table].count)
    }

    /// The same; if it fails, those programs do that need it, and all values are NULL.
    fn value(
        &mut self,
        graph: &Graph,
        table: TableId,
        id: ExpressionId,
        users: &[usize],
    ) -> ArrayRef {
        match self.evaluate(graph, table, id) {
            Ok(array) => array,
            Err(error) => {
                let message = error.strip_backtrace();
                let failed = users.iter().map(|user| (*user, message.clone()));
                self.failures.extend(failed);
                new_null_array(&graph.expressions[id].data_type, self.tables[table].count)
            }
        }
    }

    /// Finds the rows of a filtered table.
    pub fn filter(&mut self, graph: &Graph, routes: &Routes, table: TableId) {
        let Source::Filter(filter) = &graph.tables[table].source else {
            return;
        };
        let mut rows = Rows::default();
        if self.tables[filter.parent].count > 0 && routes.may_have(table) {
            match self.picked(graph, routes, filter) {
                Ok(picks) => {
                    rows.count = picks.len();
                    rows.picks = Some((filter.parent, picks));
                }
                Err(error) => {
                    let message = error.strip_backtrace();
                    let users = graph.tables[table].users.iter();
                    self.failures
                        .extend(users.map(|user| (*user, message.clone())));
                }
            }
        }
        self.tables[table] = rows;
    }

    /// The rows of the parent that meet all conditions.
    fn picked(&mut self, graph: &Graph, routes: &Routes, filter: &Filter) -> Result<UInt32Array> {
        let count = self.tables[filter.parent].count;
        let mut picks: Option<Vec<u32>> = None;
        if !filter.actions.is_empty() {
            picks = Some(self.routed(routes, filter)?.to_vec());
        }
        let mut rest: Vec<ExpressionId> = Vec::new();
        let mut mask: Option<BooleanBuffer> = None;
        for id in &filter.cheap {
            let few = picks.as_ref().is_some_and(|picks| picks.len() * 4 < count);
            if few && !self.met.contains_key(id) {
                rest.push(*id);
                continue;
            }
            let met = self.met(graph, *id)?;
            mask = Some(match mask {
                Some(mask) => &mask & &met,
                None => met,
            });
        }
        let mut picks = match (picks, mask) {
            (Some(mut picks), Some(mask)) => {
                picks.retain(|row| mask.value(*row as usize));
                picks
            }
            (Some(picks), None) => picks,
            (None, Some(mask)) => mask.set_indices_u32().collect(),
            (None, None) => (0..count as u32).collect(),
        };
        rest.extend(&filter.rest);
        for id in rest {
            if picks.is_empty() {
                break;
            }
            let rows: UInt32Array = picks.clone().into();
            let expression = &graph.expressions[id];
            let fields = expression.reads.iter().map(|field| {
                let column = self.column(filter.parent, *field)?;
                if picks.len() == count {
                    return Ok(column);
                }
                Ok(take(&column, &rows, None)?)
            });
            let fields = fields.collect::<Result<Vec<_>>>()?;
            let met = expression.evaluate(fields, picks.len())?;
            let met = truth(&met);
            if met.count_set_bits() < picks.len() {
                let kept = met.set_indices().map(|at| picks[at]);
                picks = kept.collect();
            }
        }
        Ok(picks.into())
    }

    /// The events whose action meets the filter's conditions.
    fn routed(&mut self, routes: &Routes, filter: &Filter) -> Result<Arc<Vec<u32>>> {
        if let Some(known) = self.routed.get(&filter.actions) {
            return Ok(Arc::clone(known));
        }
        let actions = self.column(EVENTS, Field::event(Column::Action))?;
        let codes = actions.as_dictionary::<Int32Type>().keys();
        let allowed = routes.allowed(&filter.actions);
        let by_action = self.by_action.get_or_insert_with(|| {
            // The column is the same for all rules.
            ByAction::new(codes.values(), allowed.len())
        });
        let rows = Arc::new(by_action.rows(&allowed));
        self.routed
            .insert(filter.actions.clone(), Arc::clone(&rows));
        Ok(rows)
    }

    /// Which events meet a cheap condition.
    fn met(&mut self, graph: &Graph, id: ExpressionId) -> Result<BooleanBuffer> {
        if let Some(known) = self.met.get(&id) {
            return Ok(known.clone());
        }
        let met = truth(&self.evaluate(graph, EVENTS, id)?);
        self.met.insert(id, met.clone());
        Ok(met)
    }

    /// What a group's windows need of its table's rows; `None` if there are none.
    pub fn prepare(
        &mut self,
        graph: &Graph,
        encodings: &[Encoding],
        id: GroupId,
    ) -> Result<Option<Prepared>> {
        let group = &graph.groups[id];
        let (table, space) = (group.table, &graph.spaces[group.space]);
        let count = self.tables[table].count;
        if count == 0 {
            return Ok(None);
        }
        let users: Vec<usize> = group
            .calls
            .iter()
            .flat_map(|call| graph.calls[*call].users.iter().copied())
            .collect();
        let parts = space.partition.iter();
        let parts: Vec<ArrayRef> = parts
            .map(|id| self.value(graph, table, *id, &users))
            .collect();
        let (shards, keys) = encodings[group.space].keys(&parts, count)?.by_shard()?;
        let pane_ends = match space.pane {
            Some((at, length)) => {
                let starts = cast(
                    &shards.arranged(&parts[at])?,
                    &Column::OrderTime.data_type(),
                )?;
                let starts = starts.as_primitive::<TimestampMicrosecondType>();
                starts.values().iter().map(|start| start + length).collect()
            }
            None => Vec::new(),
        };
        let times = self.column(table, Field::event(Column::OrderTime))?;
        let times = shards.arranged(&times)?;
        let times = times.as_primitive::<TimestampMicrosecondType>();
        let mut inputs = Vec::with_capacity(group.calls.len());
        for call in &group.calls {
            inputs.push(self.input(graph, table, &graph.calls[*call], &shards)?);
        }
        let carried = if group.carried.is_empty() {
            None
        } else {
            Some(shards.arranged_batch(&self.batch_of(table, &group.carried)?)?)
        };
        Ok(Some(Prepared {
            times: times.values().to_vec(),
            shards,
            keys,
            inputs,
            pane_ends,
            carried,
        }))
    }

    fn input(
        &mut self,
        graph: &Graph,
        table: TableId,
        call: &Call,
        shards: &ByShard,
    ) -> Result<Input> {
        let ids = call.arguments.iter();
        let mut arrays: Vec<ArrayRef> = ids
            .map(|id| {
                let array = self.value(graph, table, *id, &call.users);
                // A parameter is the same in every row.
                let is_parameter = graph.expressions[*id].reads.is_empty();
                Ok(if is_parameter {
                    array
                } else {
                    shards.arranged(&array)?
                })
            })
            .collect::<Result<_>>()?;
        let values = match (&call.function, arrays.first()) {
            (Function::Fold { .. }, _) | (_, None) => Values::None,
            (_, Some(first)) => Values::of(first, call.kind)?,
        };
        match &call.function {
            Function::Lag {
                default: Some(default),
                ..
            } => {
                let default = self.value(graph, table, *default, &call.users);
                arrays.push(shards.arranged(&default)?);
            }
            Function::Fold { .. } => {}
            _ => arrays.clear(),
        }
        Ok(Input { values, arrays })
    }

    /// Some fields of a table as a batch.
    fn batch_of(&mut self, table: TableId, fields: &[Field]) -> Result<RecordBatch> {
        let columns = fields.iter().map(|field| {
            let column = self.column(table, *field)?;
            Ok((field.name(), column))
        });
        batch(columns.collect::<Result<_>>()?)
    }

    /// Values of expressions for the rows of a table, by name.
    ///
    /// # Errors
    /// When one of them fails.
    pub fn result(
        &mut self,
        graph: &Graph,
        table: TableId,
        columns: &[(String, ExpressionId)],
    ) -> Result<RecordBatch> {
        let columns = columns.iter().map(|(name, id)| {
            let column = self.evaluate(graph, table, *id)?;
            Ok((name.clone(), column))
        });
        batch(columns.collect::<Result<_>>()?)
    }
}

/// The columns as a batch; there is at least one.
fn batch(columns: Vec<(String, ArrayRef)>) -> Result<RecordBatch> {
    let (names, columns): (Vec<String>, Vec<ArrayRef>) = columns.into_iter().unzip();
    let fields = names
        .iter()
        .zip(&columns)
        .map(|(name, column)| arrow::datatypes::Field::new(name, column.data_type().clone(), true));
    let schema = Schema::new(fields.collect::<Vec<_>>());
    Ok(RecordBatch::try_new(Arc::new(schema), columns)?)
}

/// Where a condition holds: NULL is not true.
fn truth(array: &ArrayRef) -> BooleanBuffer {
    match array.as_boolean_opt() {
        Some(truth) => match truth.nulls() {
            Some(valid) => truth.values() & valid.inner(),
            None => truth.values().clone(),
        },
        None => BooleanArray::new_null(array.len()).values().clone(),
    }
}
