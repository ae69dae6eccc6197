//! Routing: which tables can have rows of which actions.
//!
//! Conditions on the action alone are decided once for each action there is, not for each event. A
//! rule whose actions do not occur is not looked at.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, DictionaryArray, Int32Array, StringArray};
use arrow::datatypes::Int32Type;
use datafusion::error::Result;

use crate::detect::graph::{ExpressionId, Graph, Source, TableId};

/// What is known of actions.
#[derive(Debug, Default)]
pub(super) struct Router {
    /// All conditions on actions, in order.
    conditions: Vec<ExpressionId>,
    /// For each action, which of them it meets.
    known: HashMap<Box<str>, Arc<[bool]>>,
}

/// Whoever makes up actions shall not fill the memory.
const MOST_KNOWN: usize = 10_000;

/// For the actions of a batch, by their codes.
#[derive(Debug)]
pub(super) struct Routes {
    conditions: Vec<ExpressionId>,
    met: Vec<Arc<[bool]>>,
    /// By table.
    may_have: Vec<bool>,
}

impl Router {
    pub fn new(graph: &Graph) -> Self {
        let mut conditions: Vec<ExpressionId> = graph
            .tables
            .iter()
            .filter_map(|table| match &table.source {
                Source::Filter(filter) => Some(filter.actions.iter().copied()),
                _ => None,
            })
            .flatten()
            .collect();
        conditions.sort_unstable();
        conditions.dedup();
        Self {
            conditions,
            known: HashMap::new(),
        }
    }

    /// The routes for the actions of this column, which is a dictionary; none without actions.
    ///
    /// # Errors
    /// When a condition on actions fails.
    pub fn routes(&mut self, graph: &Graph, actions: Option<&ArrayRef>) -> Result<Routes> {
        let mut met = Vec::new();
        if let Some(actions) = actions.filter(|_| !self.conditions.is_empty()) {
            let values = actions.as_dictionary::<Int32Type>().values();
            let values = values.as_string::<i32>();
            self.learn(graph, values)?;
            let unknown: Arc<[bool]> = Arc::from(vec![false; self.conditions.len()]);
            met = values
                .iter()
                .map(|action| {
                    let known = self.known.get(action.unwrap_or_default());
                    Arc::clone(known.unwrap_or(&unknown))
                })
                .collect();
        }
        let mut routes = Routes {
            conditions: self.conditions.clone(),
            met,
            may_have: Vec::new(),
        };
        routes.may_have = graph
            .tables
            .iter()
            .map(|table| match &table.source {
                Source::Filter(filter) if !filter.actions.is_empty() => {
                    routes.allowed(&filter.actions).contains(&true)
                }
                _ => true,
            })
            .collect();
        Ok(routes)
    }

    /// Decides the conditions for actions that were not seen before.
    fn learn(&mut self, graph: &Graph, values: &StringArray) -> Result<()> {
        let unknown: Vec<&str> = values
            .iter()
            .flatten()
            .filter(|action| !self.known.contains_key(*action))
            .collect();
        if unknown.is_empty() {
            return Ok(());
        }
        if !self.known.is_empty() && self.known.len() + unknown.len() > MOST_KNOWN {
            self.known.clear();
            return self.learn(graph, values);
        }
        let codes: Int32Array = (0..unknown.len() as i32).collect();
        let texts = Arc::new(StringArray::from(unknown.clone()));
        let actions: ArrayRef = Arc::new(DictionaryArray::try_new(codes, texts)?);
        let mut met = vec![Vec::with_capacity(self.conditions.len()); unknown.len()];
        for condition in &self.conditions {
            let fields = vec![Arc::clone(&actions)];
            let truth = graph.expressions[*condition].evaluate(fields, unknown.len())?;
            for (row, met) in met.iter_mut().enumerate() {
                let truth = truth.as_boolean_opt();
                met.push(truth.is_some_and(|t| t.is_valid(row) && t.value(row)));
            }
        }
        for (action, met) in unknown.into_iter().zip(met) {
            self.known.insert(action.into(), met.into());
        }
        Ok(())
    }
}

impl Routes {
    /// By code, whether the action meets all of these conditions.
    pub fn allowed(&self, conditions: &[ExpressionId]) -> Vec<bool> {
        let at: Vec<usize> = conditions
            .iter()
            .filter_map(|condition| self.conditions.binary_search(condition).ok())
            .collect();
        let meets = |met: &Arc<[bool]>| at.iter().all(|at| met[*at]);
        self.met.iter().map(meets).collect()
    }

    /// Whether the table may have rows at all.
    pub fn may_have(&self, table: TableId) -> bool {
        self.may_have[table]
    }
}
