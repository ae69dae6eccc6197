//! Small blocks of the service: where it listens, which events it admits, how much memory it may take.

use std::net::{Ipv4Addr, SocketAddr};

use serde_saphyr::Location;

use super::block::{Block, Check};

/// The server of pages, API and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Serve {
    pub address: SocketAddr,
}

impl Serve {
    pub(super) fn read(block: Option<Block>, check: &mut Check) -> Self {
        let mut settings = check.open(block, Location::UNKNOWN);
        let mut address = SocketAddr::from((Ipv4Addr::LOCALHOST, 7070));
        if let Some(text) = settings.text("address") {
            match text.value.parse() {
                Ok(written) => address = written,
                Err(_) => {
                    let message = format!(
                        "`{}` is no address: write an IP address and a port, such as 127.0.0.1:7070 or \
                         \"[::1]:7070\"",
                        text.value
                    );
                    settings.problem(text.referenced, message);
                }
            }
        }
        settings.finish();
        Self { address }
    }
}

/// What becomes of events whose time does not fit, whatever their source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admission {
    /// An event dated more than so many seconds ahead of our clock is a reject.
    pub future_secs: u32,
    /// A source that makes no progress for so many seconds no longer holds the watermark back.
    pub stall_secs: u32,
    /// An event more than so many seconds behind the watermark is left to a repair.
    pub late_max_secs: u32,
}

impl Admission {
    pub(super) fn read(block: Option<Block>, check: &mut Check) -> Self {
        let mut settings = check.open(block, Location::UNKNOWN);
        let admission = Self {
            future_secs: settings.number("future_secs", 1..=86_400, 120),
            stall_secs: settings.number("stall_secs", 1..=86_400, 60),
            late_max_secs: settings.number("late_max_secs", 1..=86_400, 600),
        };
        settings.finish();
        admission
    }
}

/// Memory, in MiB each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    /// For events on their way from a source to the rules.
    pub ingest_mib: u32,
    /// For what rules remember.
    pub state_mib: u32,
    /// For one query over the archive.
    pub query_mib: u32,
}

impl Memory {
    pub(super) fn read(block: Option<Block>, check: &mut Check) -> Self {
        /// A TiB.
        const MOST: u32 = 1_048_576;
        let mut settings = check.open(block, Location::UNKNOWN);
        let memory = Self {
            ingest_mib: settings.number("ingest_mib", 1..=MOST, 512),
            state_mib: settings.number("state_mib", 1..=MOST, 4_096),
            query_mib: settings.number("query_mib", 1..=MOST, 1_024),
        };
        settings.finish();
        memory
    }
}
