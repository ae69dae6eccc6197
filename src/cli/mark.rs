use std::io::{self, Write};

use anyhow::anyhow;
use clap::Args;

use super::setup::{ConfigFile, Setup};
use super::{End, Failure, user};
use crate::clock::Clock;
use crate::list::mark::Verdict;
use crate::store::Store;

/// Says of an anomaly whether it was benign or an attack
///
/// What was benign, rules that learn take for usual at once; of an attack they never learn. It is noted with
/// the reason and the name of whoever says so, and counts from the moment at which the service has seen it,
/// within 2 seconds, or at its next start.
#[derive(Debug, Args)]
pub(super) struct Mark {
    /// The id of the anomaly: 32 hexadecimal digits
    #[arg(value_name = "ANOMALY_ID")]
    anomaly: String,
    /// benign, or attack
    verdict: Verdict,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    config: ConfigFile,
}

impl Mark {
    pub fn run(&self) -> Result<End, Failure> {
        let reason = self.reason.trim();
        if reason.is_empty() {
            return Err(Failure::usage(anyhow!("--reason is empty: say why")));
        }
        let setup = Setup::read(&self.config)?;
        let store = Store::open(&setup.store_path()).map_err(Failure::io)?;
        let id = self.anomaly.trim().to_ascii_lowercase();
        let now = Clock::system().now();
        let marked = store.mark(&id, self.verdict.as_str(), reason, &user(), now);
        if !marked.map_err(Failure::io)? {
            return Err(Failure::usage(anyhow!(
                "there is no anomaly `{id}` in the store: `gridwatch query \"SELECT id FROM anomalies\"` \
                 names them"
            )));
        }
        writeln!(io::stdout(), "{id} is marked {}", self.verdict).map_err(Failure::io)?;
        Ok(End::Good)
    }
}
