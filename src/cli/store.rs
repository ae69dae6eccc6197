use std::io::{self, Write};

use clap::{Args, Subcommand};
use serde_json::json;

use super::setup::{ConfigFile, Setup};
use super::{End, Failure};
use crate::event::time::rfc3339;
use crate::store::{Choice, Reader};

/// Looks after what is kept
#[derive(Debug, Args)]
pub(super) struct Store {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Shows what sinks refused for good, one JSON object a line; sends it again, or drops it
    DeadLetters {
        #[command(flatten)]
        config: ConfigFile,
        /// Of this sink alone
        #[arg(long, value_name = "NAME")]
        sink: Option<String>,
        /// With these numbers alone, as they are shown
        #[arg(value_name = "NUMBER")]
        numbers: Vec<i64>,
        /// Hands the anomalies among them to their sinks once more; a running service does so at once
        #[arg(long, conflicts_with = "drop")]
        resend: bool,
        /// Forgets them; anomalies and events stay in the store
        #[arg(long)]
        drop: bool,
    },
}

impl Store {
    pub fn run(&self) -> Result<End, Failure> {
        let Verb::DeadLetters {
            config,
            sink,
            numbers,
            resend,
            drop,
        } = &self.verb;
        let folder = Setup::read(config)?.store_path();
        let choice = Choice {
            sink: sink.clone(),
            numbers: numbers.clone(),
        };
        let said = if *resend || *drop {
            let store = crate::store::Store::open(&folder).map_err(Failure::io)?;
            let (done, number) = if *resend {
                ("sent again", store.resend(&choice))
            } else {
                ("dropped", store.drop_dead(&choice))
            };
            format!("{} {done}\n", number.map_err(Failure::io)?)
        } else {
            let reader = Reader::open(&folder).map_err(Failure::io)?;
            listed(&reader, &choice)?
        };
        io::stdout()
            .write_all(said.as_bytes())
            .map_err(Failure::io)?;
        Ok(End::Good)
    }
}

fn listed(reader: &Reader, choice: &Choice) -> Result<String, Failure> {
    let letters = reader.dead_letters(choice).map_err(Failure::io)?;
    let lines = letters.into_iter().map(|letter| {
        let line = json!({
            "number": letter.seq,
            "sink": letter.sink,
            "anomaly": letter.anomaly,
            "event": letter.event,
            "reason": letter.reason,
            "refused_at": rfc3339(letter.refused_at),
        });
        format!("{line}\n")
    });
    Ok(lines.collect())
}
