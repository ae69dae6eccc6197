//! Tables of days: what all keys together say, as of 00:00 UTC.
//!
//! When the watermark passes midnight, what every key brings is added up over all shards, and the table
//! that follows from the sums and the table of the day before holds for the day that begins. A table that
//! was recorded counts before one that is computed.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::function::Common;
use super::function::volume::{Model, Shared, Sums, Table};
use super::graph::{CallId, Function, Graph};
use super::shard::Shard;
use crate::event::time::MICROS;

/// Microseconds.
pub const DAY: i64 = 86_400 * MICROS;

/// The day of a time in microseconds, counted from 1970.
pub(super) fn day_of(time: i64) -> i64 {
    time.div_euclid(DAY)
}

/// A table of a rule, fixed at the beginning of a day.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Day {
    /// By which the rule knows it.
    pub name: String,
    /// Counted from 1970.
    pub day: i64,
    pub table: Table,
}

/// Tables that were recorded: by the name of the call, and the day.
pub type Recorded = BTreeMap<String, BTreeMap<i64, Table>>;

/// A call that asks tables of days.
#[derive(Debug)]
pub(super) struct Daily {
    group: usize,
    /// Its position in the group.
    place: usize,
    shared: Shared,
    /// The programs that need it.
    pub users: Vec<usize>,
    model: Arc<Model>,
    /// The day of the model.
    day: i64,
    recorded: BTreeMap<i64, Table>,
}

impl Daily {
    /// Those of a graph, each with the tables that were recorded for one of its programs.
    pub fn all(graph: &Graph, recorded: &[Recorded]) -> Vec<Self> {
        let groups = graph.groups.iter().enumerate();
        let calls = groups.flat_map(|(group, of)| {
            let places = of.calls.iter().enumerate();
            places.map(move |(place, call)| (group, place, *call))
        });
        calls
            .filter_map(|(group, place, call)| Self::new(graph, (group, place, call), recorded))
            .collect()
    }

    fn new(
        graph: &Graph,
        (group, place, call): (usize, usize, CallId),
        recorded: &[Recorded],
    ) -> Option<Self> {
        let call = &graph.calls[call];
        let Function::Fold { name, constants } = &call.function else {
            return None;
        };
        if !super::function::is_daily(name) {
            return None;
        }
        let shared = Shared::new(constants).ok()?;
        let of_user = |user: &usize| recorded.get(*user)?.get(shared.name()?).cloned();
        let known = call.users.iter().find_map(of_user);
        Some(Self {
            group,
            place,
            users: call.users.clone(),
            model: Arc::default(),
            day: i64::MIN,
            recorded: known.unwrap_or_default(),
            shared,
        })
    }

    /// Ends the day before this midnight, which is given in microseconds; all that came before it is judged.
    /// Gives the table of the day that begins, unless there was nobody of whom it could tell.
    pub fn close(&mut self, shards: &mut [Shard], midnight: i64) -> Option<Day> {
        let mut sums = Sums::default();
        for shard in shards.iter() {
            let mut part = Sums::default();
            shard.windows[self.group].bring(self.place, midnight / MICROS, &mut part);
            sums.add(&part);
        }
        let day = day_of(midnight);
        let table = match self.recorded.remove(&day) {
            Some(recorded) => recorded,
            None => self.shared.next(midnight / MICROS, &sums),
        };
        self.begin(shards, day, table.clone());
        let name = self.shared.name().unwrap_or_default().to_owned();
        (sums.people > 0).then_some(Day { name, day, table })
    }

    fn begin(&mut self, shards: &mut [Shard], day: i64, table: Table) {
        self.day = day;
        self.model = Arc::new(Model::of(table));
        self.shared.turn(&self.model);
        for shard in shards {
            shard.windows[self.group].turn(self.place, &self.model);
        }
    }

    /// The table that holds, to be saved.
    pub fn state(&self) -> (i64, Table) {
        (self.day, self.model.table().clone())
    }

    /// Takes over a saved table.
    pub fn restore(&mut self, shards: &mut [Shard], (day, table): (i64, Table)) {
        self.begin(shards, day, table);
    }

    /// How many active hours are known, and how many there must be, while that is too few.
    pub fn lacks(&self) -> Option<(u64, u64)> {
        self.shared.lacks()
    }
}
