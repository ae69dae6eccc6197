//! How much memory the state takes, and for which program.

use super::Live;
use crate::detect::graph::{CallId, Graph, GroupId};

/// State of one program, or of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Keys that have state; for a program those of its largest partition.
    pub keys: usize,
    /// Rows that frames still need.
    pub rows: u64,
    /// About how much memory; what programs share is parted equally among them.
    pub bytes: usize,
}

impl Live {
    /// What all programs take together, and what each takes.
    pub fn usage(&self) -> (Usage, Vec<Usage>) {
        let mut total = Usage::default();
        let mut each = vec![Usage::default(); self.programs.len()];
        let graph = &self.graph;
        for (space, _) in graph.spaces.iter().enumerate() {
            let shards = self.shards.iter().map(|shard| &shard.spaces[space]);
            let keys = shards.clone().map(|keys| keys.count()).sum();
            let bytes: usize = shards.map(|keys| keys.bytes()).sum();
            total.keys = total.keys.max(keys);
            total.bytes += bytes;
            let groups = (0..graph.groups.len()).filter(|at| graph.groups[*at].space == space);
            let users = users(graph, groups);
            for user in &users {
                each[*user].keys = each[*user].keys.max(keys);
                each[*user].bytes += bytes / users.len();
            }
        }
        for (at, group) in graph.groups.iter().enumerate() {
            let windows = self.shards.iter().map(|shard| &shard.windows[at]);
            let rows: u64 = windows.clone().map(|window| window.rows()).sum();
            let (mut calls, mut shared) = (vec![0; group.calls.len()], 0);
            for window in windows {
                let (slots, common) = window.bytes();
                shared += common;
                for (all, slot) in calls.iter_mut().zip(slots) {
                    *all += slot;
                }
            }
            total.rows += rows;
            total.bytes += shared + calls.iter().sum::<usize>();
            let of_group = users(graph, std::iter::once(at));
            for user in &of_group {
                each[*user].rows += rows;
                each[*user].bytes += shared / of_group.len();
            }
            for (call, bytes) in group.calls.iter().zip(calls) {
                let of_call = &graph.calls[*call].users;
                for user in of_call {
                    each[*user].bytes += bytes / of_call.len();
                }
            }
        }
        (total, each)
    }
}

/// The programs that need some call of these groups, each once.
fn users(graph: &Graph, groups: impl Iterator<Item = GroupId>) -> Vec<usize> {
    let calls = groups.flat_map(|group| &graph.groups[group].calls);
    let users = |call: &CallId| graph.calls[*call].users.iter().copied();
    let mut users: Vec<usize> = calls.flat_map(users).collect();
    users.sort_unstable();
    users.dedup();
    users
}
