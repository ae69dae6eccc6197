//! The data folder.

use std::path::PathBuf;

use serde_saphyr::Location;

use super::block::{Block, Check};

/// Where `run` keeps what it has to, for how long, and how often it tidies up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// The folder, from that of the configuration file.
    pub path: PathBuf,
    /// Events and anomalies older than so many days are deleted.
    pub retain_days: u32,
    /// Very late events are judged if they are at most so many days old.
    pub repair_days: u32,
    /// Admitted events become a segment of the archive after so many seconds,
    pub seal_secs: u32,
    /// or when they are so many, whichever comes first.
    pub seal_rows: u32,
    /// What rules remember is written down every so many seconds; a start replays what came after.
    pub snapshot_secs: u32,
}

impl Store {
    pub(super) fn read(block: Option<Block>, check: &mut Check) -> Self {
        let mut settings = check.open(block, Location::UNKNOWN);
        let store = Self {
            path: settings.path("path", "./gridwatch-data"),
            retain_days: settings.number("retain_days", 1..=36_500, 400),
            repair_days: settings.number("repair_days", 1..=36_500, 45),
            seal_secs: settings.number("seal_secs", 1..=3_600, 60),
            seal_rows: settings.number("seal_rows", 1_024..=4_194_304, 131_072),
            snapshot_secs: settings.number("snapshot_secs", 1..=86_400, 300),
        };
        settings.finish();
        store
    }
}
