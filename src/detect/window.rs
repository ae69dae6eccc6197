//! Keyed windows: the live state of a group of calls in one shard.
//!
//! Rows come in canonical order. Those that frames of time need stand in one log; each frame has a
//! cursor at either end of it, so that what leaves a frame is found by reading on in the log, not by
//! looking at keys: an idle key costs nothing, and goes when its last row does. Nothing here decides
//! what a window means: what is let go of is what no frame can reach any more.

mod accumulate;
mod build;
mod fold;
mod id;
mod log;
mod members;
mod numbered;
mod recall;
mod slot;
mod step;
mod value;

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::concat_batches;
use serde::{Deserialize, Serialize};

pub(super) use self::fold::Folding;
use self::log::Log;
use self::members::Members;
pub(super) use self::numbered::Numbered as Keys;
use self::recall::Recall;
pub(super) use self::slot::{Input, Stepping, from_bytes};
use self::slot::{Sliding, Stored};
pub(super) use self::value::{Texts, Values, returned};
use super::function::volume::{Model, Sums};
use super::graph::Graph;
use super::shard::{ByShard, KeyColumn};
use crate::event::order;

/// What a batch of rows brings to a group; all shards read it. Everything is in the order of shards.
#[derive(Debug)]
pub(super) struct Prepared {
    pub shards: ByShard,
    /// Microseconds; ascending in each shard.
    pub times: Vec<i64>,
    pub keys: KeyColumn,
    /// For each call of the group what it reads.
    pub inputs: Vec<Input>,
    /// When the pane of each row is over, if there are panes; microseconds.
    pub pane_ends: Vec<i64>,
    /// What must be kept of the rows until their frames have ended.
    pub carried: Option<RecordBatch>,
}

/// A group of calls in one shard.
#[derive(Debug)]
pub(super) struct KeyedWindow {
    /// How long after their time rows come here, in microseconds.
    behind: i64,
    /// How far frames look ahead, in microseconds.
    wait: i64,
    /// By call: whether a key's state stays when its rows are gone.
    lasting: Vec<bool>,
    has_panes: bool,
    /// Whether rows stand in the log.
    keeps_rows: bool,
    slots: Vec<Slot>,
    held: Held,
    carried: VecDeque<RecordBatch>,
    /// Scratch: the members that the rows at hand belong to.
    rows: Vec<u32>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Held {
    log: Log,
    /// The first row of the log that has no results yet.
    judged: u64,
    members: Members,
    /// When panes are over, and the members that hold them.
    panes: VecDeque<(i64, u32)>,
    /// When idle members were looked for last, in days.
    day: i64,
}

/// Microseconds.
const DAY: i64 = 86_400 * crate::event::time::MICROS;

/// A call at work.
#[derive(Debug)]
enum Slot {
    Sliding(Box<dyn Sliding>),
    Stepping(Box<dyn Stepping>),
    Recall(Recall),
    /// Nobody needs it any more.
    Stopped,
}

impl KeyedWindow {
    /// The windows of a group of the graph.
    pub fn new(graph: &Graph, group: usize) -> Self {
        let group = &graph.groups[group];
        let behind = graph.behind(group.table);
        let calls = group.calls.iter().map(|call| &graph.calls[*call]);
        let slots: Vec<Slot> = calls.clone().map(build::slot).collect();
        let is_stepping = |slot: &Slot| matches!(slot, Slot::Stepping(_));
        Self {
            behind,
            wait: group.wait,
            lasting: calls.clone().map(build::is_lasting).collect(),
            has_panes: graph.spaces[group.space].pane.is_some(),
            keeps_rows: !slots.iter().all(is_stepping),
            slots,
            held: Held::default(),
            carried: VecDeque::new(),
            rows: Vec::new(),
        }
    }

    /// Takes the rows of this shard. Unless frames look ahead, each has its results now.
    ///
    /// # Errors
    /// When the input is not what a call reads.
    pub fn take(
        &mut self,
        keys: &mut Keys,
        batch: &Prepared,
        shard: usize,
    ) -> datafusion::error::Result<()> {
        let rows = batch.shards.range(shard);
        self.enter(keys, batch, rows.clone());
        let bound = self.held.members.bound();
        let first = self.held.log.end();
        for (slot, input) in self.slots.iter_mut().zip(&batch.inputs) {
            match slot {
                Slot::Sliding(slot) => {
                    slot.grow(bound);
                    slot.enter(input, rows.clone());
                }
                Slot::Stepping(slot) => {
                    slot.grow(bound);
                    slot.run(input, rows.clone(), &self.rows)?;
                }
                Slot::Recall(slot) => slot.enter(input, rows.clone()),
                Slot::Stopped => {}
            }
        }
        if !self.keeps_rows {
            return Ok(());
        }
        for (row, member) in rows.clone().zip(&self.rows) {
            self.held.log.push(batch.times[row], *member);
        }
        if self.wait == 0 {
            self.judge(first..self.held.log.end());
        } else if let Some(carried) = &batch.carried {
            // Texts of their own: these rows stay longer than the batch they came in.
            let rows = carried.slice(rows.start, rows.len());
            self.carried.push_back(order::compacted(&rows)?);
        }
        Ok(())
    }

    /// Finds the members that the rows belong to; keys new to the group become members.
    fn enter(&mut self, keys: &mut Keys, batch: &Prepared, rows: Range<usize>) {
        let Held { members, panes, .. } = &mut self.held;
        let is_lasting = self.lasting.contains(&true);
        // First all look-ups, none of which waits for another's memory.
        self.rows.clear();
        self.rows.extend(rows.clone().map(|row| {
            let (hash, bytes) = batch.keys.get(row);
            let member = keys.find(hash, bytes).and_then(|key| members.find(key));
            member.unwrap_or(u32::MAX)
        }));
        for (row, member) in rows.zip(&mut self.rows) {
            if *member == u32::MAX {
                let (hash, bytes) = batch.keys.get(row);
                let key = keys.enter(hash, bytes);
                *member = members.enter(key, || keys.hold(key));
            }
            if is_lasting && members.reasons(*member) == 0 {
                members.hold(*member);
                if self.has_panes {
                    panes.push_back((batch.pane_ends[row], *member));
                }
            }
            if self.keeps_rows {
                members.hold(*member);
            }
        }
    }

    fn judge(&mut self, rows: Range<u64>) {
        for slot in &mut self.slots {
            if let Slot::Sliding(slot) = slot {
                slot.run(&self.held.log, rows.clone());
            }
        }
        self.held.judged = rows.end;
    }

    /// Judges the rows whose frames have ended at this watermark; gives what was carried for them, in
    /// the order of their results.
    ///
    /// # Errors
    /// When batches do not fit together, which is a defect.
    pub fn judge_waiting(
        &mut self,
        watermark: i64,
    ) -> datafusion::error::Result<Option<RecordBatch>> {
        let first = self.held.judged;
        let mut end = first;
        while end < self.held.log.end()
            && self.held.log.time(end) < watermark.saturating_sub(self.behind + self.wait)
        {
            end += 1;
        }
        if first == end {
            return Ok(None);
        }
        self.judge(first..end);
        let mut parts = Vec::new();
        let mut missing = (end - first) as usize;
        while missing > 0
            && let Some(front) = self.carried.pop_front()
        {
            let rows = front.num_rows().min(missing);
            parts.push(front.slice(0, rows));
            if rows < front.num_rows() {
                self.carried
                    .push_front(front.slice(rows, front.num_rows() - rows));
            }
            missing -= rows;
        }
        let Some(schema) = parts.first().map(RecordBatch::schema) else {
            return Ok(None);
        };
        Ok(Some(concat_batches(&schema, &parts)?))
    }

    /// The results of each call since they were taken last; none of those that are only asked.
    pub fn results(&mut self) -> Vec<Option<ArrayRef>> {
        let slots = self.slots.iter_mut();
        slots
            .map(|slot| match slot {
                Slot::Sliding(slot) => Some(slot.take()),
                Slot::Stepping(slot) => Some(slot.take()),
                Slot::Recall(_) | Slot::Stopped => None,
            })
            .collect()
    }

    /// Lets go of all that no row from the watermark on can reach.
    pub fn settle(&mut self, keys: &mut Keys, watermark: i64) {
        let time = watermark.saturating_sub(self.behind + self.wait);
        let mut first = self.held.log.end();
        for slot in &mut self.slots {
            match slot {
                Slot::Sliding(slot) => first = first.min(slot.settle(&self.held.log, time)),
                Slot::Stepping(_) | Slot::Stopped => {}
                Slot::Recall(slot) => first = first.min(slot.settle(&self.held.log, watermark)),
            }
        }
        if self.wait > 0 {
            first = first.min(self.held.judged);
        }
        for slot in &mut self.slots {
            match slot {
                Slot::Sliding(slot) => slot.trim(first),
                Slot::Stepping(_) | Slot::Stopped => {}
                Slot::Recall(slot) => slot.trim(first),
            }
        }
        while self.held.log.start() < first
            && let Some(member) = self.held.log.pop()
        {
            self.let_go(keys, member);
        }
        while let Some((_, member)) = self.held.panes.pop_front_if(|(end, _)| *end <= time) {
            self.let_go(keys, member);
        }
        let day = time.div_euclid(DAY);
        if self.held.day != day {
            self.held.day = day;
            self.let_idle_go(keys, time);
        }
    }

    /// Whether it holds nothing of any key.
    pub fn is_empty(&self) -> bool {
        self.held.members.is_empty() && self.held.log.start() == self.held.log.end()
    }

    /// Lets go of members that are as if they had never been here; once a day, so that it costs each
    /// next to nothing.
    fn let_idle_go(&mut self, keys: &mut Keys, time: i64) {
        if self.has_panes || !self.lasting.contains(&true) {
            return;
        }
        for member in 0..self.held.members.bound() as u32 {
            let mut slots = self.slots.iter().zip(&self.lasting);
            let is_over = |(slot, is_lasting): (&Slot, &bool)| match slot {
                Slot::Stepping(slot) => slot.is_over(member, time),
                Slot::Sliding(_) => !is_lasting,
                Slot::Recall(_) | Slot::Stopped => true,
            };
            // That its state lasts is the only reason.
            if self.held.members.reasons(member) == 1 && slots.all(is_over) {
                self.let_go(keys, member);
            }
        }
    }

    /// There is one reason less to keep the member.
    fn let_go(&mut self, keys: &mut Keys, member: u32) {
        let Some(key) = self.held.members.release(member) else {
            return;
        };
        for slot in &mut self.slots {
            match slot {
                Slot::Sliding(slot) => slot.forget(member),
                Slot::Stepping(slot) => slot.forget(member),
                Slot::Recall(_) | Slot::Stopped => {}
            }
        }
        keys.release(key);
    }

    /// Stops the calls at these positions: what they hold is freed. Their results must not be read.
    pub fn stop(&mut self, keys: &mut Keys, calls: impl Iterator<Item = usize>) {
        for call in calls {
            self.slots[call] = Slot::Stopped;
        }
        let is_stopped = |slot: &Slot| matches!(slot, Slot::Stopped);
        if self.slots.iter().all(is_stopped) {
            let held = std::mem::take(&mut self.held);
            held.members.keys().for_each(|key| keys.release(key));
            self.carried.clear();
        }
    }

    /// A day begins, of which this is known to the call at this position.
    pub fn turn(&mut self, call: usize, model: &Arc<Model>) {
        if let Slot::Stepping(slot) = &mut self.slots[call] {
            slot.turn(model);
        }
    }

    /// Adds what keys bring to the table of a call.
    pub fn bring(&self, call: usize, midnight: i64, sums: &mut Sums) {
        if let Slot::Stepping(slot) = &self.slots[call] {
            slot.bring(midnight, sums);
        }
    }

    /// The events of a key that the call at this position remembers, the newest first.
    pub fn recall(&self, call: usize, key: u32, span: i64, time: i64) -> Vec<String> {
        match (&self.slots[call], self.held.members.find(key)) {
            (Slot::Recall(slot), Some(member)) => slot.find(&self.held.log, member, span, time),
            _ => Vec::new(),
        }
    }

    /// Rows that are kept.
    pub fn rows(&self) -> u64 {
        self.held.log.end() - self.held.log.start()
    }

    /// About how much memory each call takes, and what they share.
    pub fn bytes(&self) -> (Vec<usize>, usize) {
        let slots = self.slots.iter().map(|slot| match slot {
            Slot::Sliding(slot) => slot.bytes(),
            Slot::Stepping(slot) => slot.bytes(),
            Slot::Recall(slot) => slot.bytes(),
            Slot::Stopped => 0,
        });
        let carried: usize = self
            .carried
            .iter()
            .map(RecordBatch::get_array_memory_size)
            .sum();
        let held = &self.held;
        let shared = held.log.bytes()
            + held.members.bytes()
            + held.panes.capacity() * size_of::<(i64, u32)>()
            + carried;
        (slots.collect(), shared)
    }

    /// The whole state.
    pub fn save(&self) -> Stored<Saved> {
        let slots = self.slots.iter().map(|slot| match slot {
            Slot::Sliding(slot) => slot.save(),
            Slot::Stepping(slot) => slot.save(),
            Slot::Recall(slot) => slot.save(),
            Slot::Stopped => Ok(Vec::new()),
        });
        Ok(Saved {
            held: postcard::to_stdvec(&self.held)?,
            slots: slots.collect::<Stored<_>>()?,
            carried: self.carried.iter().cloned().collect(),
        })
    }

    /// Takes over a saved state of the same group.
    pub fn load(&mut self, saved: Saved) -> Stored<()> {
        self.held = from_bytes(&saved.held)?;
        if saved.slots.len() != self.slots.len() {
            return Err(postcard::Error::DeserializeBadEncoding);
        }
        for (slot, bytes) in self.slots.iter_mut().zip(&saved.slots) {
            match slot {
                slot if bytes.is_empty() => *slot = Slot::Stopped,
                Slot::Sliding(slot) => slot.load(bytes)?,
                Slot::Stepping(slot) => slot.load(bytes)?,
                Slot::Recall(slot) => slot.load(bytes)?,
                Slot::Stopped => {}
            }
        }
        self.carried = saved.carried.into();
        Ok(())
    }
}

/// The state of a group in one shard, in parts.
pub(super) struct Saved {
    pub held: Vec<u8>,
    pub slots: Vec<Vec<u8>>,
    pub carried: Vec<RecordBatch>,
}
