//! What rules may remember in all, and what becomes of those that can go no further.

use super::Live;

/// The fewest rows after which memory is looked at again; there are as many rows as keys between, so
/// that looking costs each row next to nothing.
const LEAST_ROWS: usize = 1 << 16;

/// How much memory the state may take.
#[derive(Debug)]
pub(super) struct Budget {
    bytes: usize,
    /// Rows until memory is looked at.
    rows: usize,
}

impl Budget {
    pub fn new(bytes: usize) -> Self {
        Self {
            bytes,
            rows: LEAST_ROWS,
        }
    }
}

impl Live {
    /// Limits what all programs together may remember. If it is not enough, the program that takes
    /// most fails, and the others go on: nothing is forgotten in silence.
    #[must_use]
    pub fn with_budget(mut self, bytes: usize) -> Self {
        self.budget = Budget::new(bytes);
        self
    }

    /// Looks at memory, if enough rows came since it was looked at last.
    pub(super) fn keep_to_budget(&mut self, rows: usize) {
        self.budget.rows = self.budget.rows.saturating_sub(rows);
        if self.budget.rows > 0 || self.budget.bytes == usize::MAX {
            return;
        }
        loop {
            let (total, each) = self.usage();
            self.budget.rows = total.keys.max(LEAST_ROWS);
            if total.bytes <= self.budget.bytes {
                return;
            }
            let alive = (0..each.len()).filter(|at| self.failures[*at].is_none());
            let Some(most) = alive.max_by_key(|at| each[*at].bytes) else {
                return;
            };
            let mib = |bytes: usize| bytes.div_ceil(1 << 20);
            self.failures[most] = Some(format!(
                "all rules together may remember {} MiB and took {} MiB, of which this one took {} MiB \
                 ({} keys, {} rows): narrow its condition, shorten its windows, or raise the limit",
                mib(self.budget.bytes),
                mib(total.bytes),
                mib(each[most].bytes),
                each[most].keys,
                each[most].rows,
            ));
            self.stop_failed();
        }
    }

    /// Frees what only programs need that failed.
    pub(super) fn stop_failed(&mut self) {
        for (at, group) in self.graph.groups.iter().enumerate() {
            let is_dead = |position: &usize| {
                let users = &self.graph.calls[group.calls[*position]].users;
                users.iter().all(|user| self.failures[*user].is_some())
            };
            let dead: Vec<usize> = (0..group.calls.len()).filter(is_dead).collect();
            if dead.is_empty() {
                continue;
            }
            for shard in &mut self.shards {
                shard.stop(at, group, dead.iter().copied());
            }
        }
    }
}
