//! What the programs of a run become for the live engine: one graph in which equal parts are one.
//!
//! A *table* is a stream of rows: the events, those of another table for which a condition holds, or
//! those of another table once it is known what followed them. An *expression* is computed from an
//! event's columns and from what windows gave. A *call* is a window function over a table; the calls
//! over one table and one partition make up a *group*, which shares its rows and cursors; groups
//! with one partition share their keys, whatever their tables.
//!
//! Projections and aliases are gone: every expression is written in terms of events and calls, so
//! what two rules compute alike is computed once. *Levels* put everything in order: a window over
//! what a window gave stands one level higher.

mod call;
mod doubt;
mod expression;
mod relation;

use std::collections::HashMap;

use arrow::datatypes::DataType;
use datafusion::logical_expr::Expr;

pub(super) use self::call::{Call, Frame, Function, Kind, constant};
pub(super) use self::expression::Expression;
use super::plan::Planner;
use super::{Error, Program};
use crate::event::schema::{COLUMNS, Column, ColumnSet};

/// Positions in the lists of a [`Graph`].
pub(super) type ExpressionId = usize;
pub(super) type TableId = usize;
pub(super) type SpaceId = usize;
pub(super) type GroupId = usize;
pub(super) type CallId = usize;

/// The table of all events.
pub(super) const EVENTS: TableId = 0;

/// A column that expressions read: an event's own, or what a call gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Field(usize);

impl Field {
    pub fn event(column: Column) -> Self {
        Self(column as usize)
    }

    pub fn call(call: CallId) -> Self {
        Self(COLUMNS.len() + call)
    }

    pub fn as_event(self) -> Option<Column> {
        COLUMNS.get(self.0).map(|(column, _)| *column)
    }

    pub fn as_call(self) -> Option<CallId> {
        self.0.checked_sub(COLUMNS.len())
    }

    /// Its name in expressions.
    pub fn name(self) -> String {
        match self.as_event() {
            Some(column) => column.name().to_owned(),
            None => format!("${}", self.0),
        }
    }

    fn by_name(name: &str) -> Option<Self> {
        match name.strip_prefix('$') {
            Some(number) => number.parse().ok().map(Self),
            None => Column::by_name(name).map(Self::event),
        }
    }
}

/// A stream of rows.
#[derive(Debug)]
pub(super) struct Table {
    pub source: Source,
    pub level: usize,
    /// The programs that need it.
    pub users: Vec<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Source {
    Events,
    /// The rows of another table for which all conditions hold.
    Filter(Filter),
    /// The rows of a group's table, when its frames have ended.
    Delayed(GroupId),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Filter {
    pub parent: TableId,
    /// Conditions on the action alone, which are decided once for each action; only over events.
    pub actions: Vec<ExpressionId>,
    /// Conditions on events that cost next to nothing: computed for all events, once.
    pub cheap: Vec<ExpressionId>,
    /// The others, computed where those hold.
    pub rest: Vec<ExpressionId>,
}

/// The keys of all groups that part their rows alike.
#[derive(Debug)]
pub(super) struct Space {
    pub partition: Vec<ExpressionId>,
    /// If the key holds a pane of time: which part of it, and how long a pane is in microseconds.
    /// No row comes once its pane is over.
    pub pane: Option<(usize, i64)>,
}

/// Calls over one table in one partition.
#[derive(Debug)]
pub(super) struct Group {
    pub table: TableId,
    pub space: SpaceId,
    pub level: usize,
    /// How far its frames look ahead, in microseconds.
    pub wait: i64,
    pub calls: Vec<CallId>,
    /// What must be kept of a row until its frames have ended.
    pub carried: Vec<Field>,
}

/// Where a program's rows come out.
#[derive(Debug)]
pub(super) struct Output {
    pub table: TableId,
    /// Names and values of the result's columns.
    pub columns: Vec<(String, ExpressionId)>,
    /// The call that remembers the events that formed a finding, and the key to ask it by.
    pub recall: Option<(CallId, Vec<ExpressionId>)>,
    /// How long after its `order_time` a row comes out, in microseconds.
    pub wait: i64,
}

/// All programs of a run. Lists are in order of dependency.
#[derive(Debug, Default)]
pub(super) struct Graph {
    pub expressions: Vec<Expression>,
    pub tables: Vec<Table>,
    pub spaces: Vec<Space>,
    pub groups: Vec<Group>,
    pub calls: Vec<Call>,
    /// One for each program.
    pub outputs: Vec<Output>,
    known_expressions: HashMap<Expr, ExpressionId>,
    known_tables: HashMap<Source, TableId>,
}

impl Graph {
    /// Compiles the programs.
    ///
    /// # Errors
    /// The first program that cannot be compiled, with the reason and the remedy.
    pub fn new(planner: &Planner, programs: &[&Program]) -> Result<Self, (usize, Error)> {
        let mut graph = Self::default();
        graph.table(Source::Events, 0);
        for (at, program) in programs.iter().enumerate() {
            graph.add(planner, program).map_err(|error| (at, error))?;
        }
        graph.find_users();
        for at in 0..programs.len() {
            graph.check_tables(at).map_err(|error| (at, error))?;
        }
        graph.prune();
        graph.find_carried();
        Ok(graph)
    }

    /// The columns of events that anything here reads, besides those that order is decided by.
    pub fn columns(&self) -> ColumnSet {
        let used = self.expressions.iter().filter(|e| e.is_used);
        let read = used.flat_map(|expression| &expression.reads);
        read.filter_map(|field| field.as_event()).collect()
    }

    /// How many levels there are.
    pub fn levels(&self) -> usize {
        let tables = self.tables.iter().map(|table| table.level);
        let groups = self.groups.iter().map(|group| group.level);
        tables.chain(groups).max().unwrap_or(0) + 1
    }

    /// How long after their `order_time` the rows of a table come out, in microseconds.
    pub fn behind(&self, table: TableId) -> i64 {
        match self.tables[self.root(table)].source {
            Source::Delayed(group) => {
                self.groups[group].wait + self.behind(self.groups[group].table)
            }
            _ => 0,
        }
    }

    /// The table whose rows this one's are, or are some of, as they come in.
    pub fn root(&self, mut table: TableId) -> TableId {
        while let Source::Filter(filter) = &self.tables[table].source {
            table = filter.parent;
        }
        table
    }

    fn data_type(&self, field: Field) -> DataType {
        match (field.as_event(), field.as_call()) {
            (Some(column), _) => column.data_type(),
            (_, Some(call)) => self.calls[call].output.clone(),
            _ => DataType::Null,
        }
    }

    /// The level at which the value of the field is there.
    fn field_level(&self, field: Field) -> usize {
        field
            .as_call()
            .map_or(0, |call| self.groups[self.calls[call].group].level + 1)
    }

    fn level(&self, expressions: impl IntoIterator<Item = ExpressionId>) -> usize {
        let fields = expressions
            .into_iter()
            .flat_map(|id| &self.expressions[id].reads);
        fields.map(|f| self.field_level(*f)).max().unwrap_or(0)
    }

    fn table(&mut self, source: Source, level: usize) -> TableId {
        if let Some(known) = self.known_tables.get(&source) {
            return *known;
        }
        let id = self.tables.len();
        self.known_tables.insert(source.clone(), id);
        let users = Vec::new();
        self.tables.push(Table {
            source,
            level,
            users,
        });
        id
    }

    fn space(&mut self, partition: Vec<ExpressionId>, pane: Option<(usize, i64)>) -> SpaceId {
        let known = self.spaces.iter().position(|s| s.partition == partition);
        known.unwrap_or_else(|| {
            self.spaces.push(Space { partition, pane });
            self.spaces.len() - 1
        })
    }

    fn group(&mut self, table: TableId, space: SpaceId, level: usize, wait: i64) -> GroupId {
        let known = self.groups.iter().position(|group| {
            (group.table, group.space, group.level, group.wait) == (table, space, level, wait)
        });
        known.unwrap_or_else(|| {
            self.groups.push(Group {
                table,
                space,
                level,
                wait,
                calls: Vec::new(),
                carried: Vec::new(),
            });
            self.groups.len() - 1
        })
    }

    /// The call of the group that does the same, or this one.
    fn call(&mut self, call: Call) -> CallId {
        let calls = &self.groups[call.group].calls;
        let known = calls
            .iter()
            .find(|known| self.calls[**known].is_same(&call));
        if let Some(known) = known {
            return *known;
        }
        let id = self.calls.len();
        self.groups[call.group].calls.push(id);
        self.calls.push(call);
        id
    }

    /// Drops the calls that no program needs.
    fn prune(&mut self) {
        for group in &mut self.groups {
            group
                .calls
                .retain(|call| !self.calls[*call].users.is_empty());
        }
    }

    /// Enters each program at all that it needs.
    fn find_users(&mut self) {
        for program in 0..self.outputs.len() {
            let output = &self.outputs[program];
            let mut tables = vec![output.table];
            let mut expressions: Vec<ExpressionId> =
                output.columns.iter().map(|(_, e)| *e).collect();
            let mut calls: Vec<CallId> = Vec::new();
            if let Some((call, key)) = &output.recall {
                calls.push(*call);
                expressions.extend(key);
            }
            loop {
                if let Some(expression) = expressions.pop() {
                    self.expressions[expression].is_used = true;
                    let reads = self.expressions[expression].reads.iter();
                    calls.extend(reads.filter_map(|field| field.as_call()));
                } else if let Some(table) = tables.pop() {
                    if self.tables[table].users.last() == Some(&program) {
                        continue;
                    }
                    self.tables[table].users.push(program);
                    match &self.tables[table].source {
                        Source::Events => {}
                        Source::Delayed(group) => {
                            tables.push(self.groups[*group].table);
                            calls.extend(&self.groups[*group].calls);
                        }
                        Source::Filter(filter) => {
                            tables.push(filter.parent);
                            expressions.extend(filter.expressions());
                        }
                    }
                } else if let Some(call) = calls.pop() {
                    if self.calls[call].users.last() == Some(&program) {
                        continue;
                    }
                    self.calls[call].users.push(program);
                    expressions.extend(&self.calls[call].arguments);
                    if let Function::Lag {
                        default: Some(default),
                        ..
                    } = self.calls[call].function
                    {
                        expressions.push(default);
                    }
                    let group = &self.groups[self.calls[call].group];
                    expressions.extend(&self.spaces[group.space].partition);
                    tables.push(group.table);
                } else {
                    break;
                }
            }
        }
    }

    /// Whether the tables of days that a program asks for have names of their own.
    fn check_tables(&self, program: usize) -> Result<(), Error> {
        let calls = self
            .calls
            .iter()
            .filter(|call| call.users.contains(&program));
        let mut names: Vec<String> = calls.filter_map(|call| call.function.table()).collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            None => Ok(()),
            Some(pair) => Err(Error::Refused(format!(
                "two functions keep tables by the name `{}`: give each a name of its own",
                pair[0]
            ))),
        }
    }

    /// Finds what groups that look ahead must keep of their rows, the last group first: what a later
    /// one keeps an earlier one must have given it.
    fn find_carried(&mut self) {
        for group in (0..self.groups.len()).rev() {
            let source = Source::Delayed(group);
            let Some(delayed) = self.known_tables.get(&source).copied() else {
                continue;
            };
            let mut fields: Vec<Field> = Vec::new();
            let read = |expressions: &[ExpressionId], fields: &mut Vec<Field>| {
                for id in expressions {
                    fields.extend(&self.expressions[*id].reads);
                }
            };
            for (id, table) in self.tables.iter().enumerate() {
                if let Source::Filter(filter) = &table.source
                    && !table.users.is_empty()
                    && self.root(id) == delayed
                {
                    read(&filter.expressions().collect::<Vec<_>>(), &mut fields);
                }
            }
            for (id, other) in self.groups.iter().enumerate() {
                if !other.calls.is_empty() && self.root(other.table) == delayed {
                    read(&self.spaces[other.space].partition, &mut fields);
                    for call in &other.calls {
                        read(&self.calls[*call].arguments, &mut fields);
                    }
                    if id > group {
                        fields.extend(&other.carried);
                    }
                }
            }
            for output in &self.outputs {
                if self.root(output.table) == delayed {
                    let columns: Vec<_> = output.columns.iter().map(|(_, id)| *id).collect();
                    read(&columns, &mut fields);
                    if let Some((_, key)) = &output.recall {
                        read(key, &mut fields);
                    }
                }
            }
            fields
                .extend([Column::OrderTime, Column::EventTime, Column::EventId].map(Field::event));
            // What the group itself gives, or one that comes after it, is not there yet.
            fields.retain(|field| {
                field.as_call().is_none_or(|call| {
                    let giver = self.calls[call].group;
                    giver != group && self.root(self.groups[giver].table) != delayed
                })
            });
            fields.sort_unstable();
            fields.dedup();
            self.groups[group].carried = fields;
        }
    }
}

impl Filter {
    pub fn expressions(&self) -> impl Iterator<Item = ExpressionId> {
        self.actions
            .iter()
            .chain(&self.cheap)
            .chain(&self.rest)
            .copied()
    }
}
