use clap::{Args, Subcommand};

use super::{End, Failure};

mod allow;
mod backfill;

/// Works with Slack beyond what the service does by itself
#[derive(Debug, Args)]
pub(super) struct Slack {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Backfill(backfill::Backfill),
    Allow(allow::Allow),
}

impl Slack {
    pub fn run(&self) -> Result<End, Failure> {
        match &self.verb {
            Verb::Backfill(backfill) => backfill.run(),
            Verb::Allow(allow) => allow.run(),
        }
    }
}
