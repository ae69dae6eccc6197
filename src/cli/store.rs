use std::io::{self, Write};

use anyhow::anyhow;
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
        /// All of them; for --resend and --drop, without a sink or numbers
        #[arg(long)]
        all: bool,
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
            all,
            resend,
            drop,
        } = &self.verb;
        let setup = Setup::read(config)?;
        let folder = setup.store_path();
        let reader = Reader::open(&folder).map_err(Failure::io)?;
        let choice = Choice {
            sink: sink.clone(),
            numbers: numbers.clone(),
        };
        let said = if *resend || *drop {
            if sink.is_none() && numbers.is_empty() && !all {
                return Err(Failure::usage(anyhow!(
                    "say which: numbers, --sink NAME, or --all"
                )));
            }
            if *resend {
                check_sinks(&setup, &reader, &choice)?;
            }
            let store = crate::store::Store::open(&folder).map_err(Failure::io)?;
            let (done, number) = if *resend {
                ("wait to be sent again", store.resend(&choice))
            } else {
                ("dropped", store.drop_dead(&choice))
            };
            format!("{} {done}\n", number.map_err(Failure::io)?)
        } else {
            listed(&reader, &choice)?
        };
        io::stdout()
            .write_all(said.as_bytes())
            .map_err(Failure::io)?;
        Ok(End::Good)
    }
}

/// That nothing is sent to a sink that is not there any more: nobody would take it.
fn check_sinks(setup: &Setup, reader: &Reader, choice: &Choice) -> Result<(), Failure> {
    let letters = reader.dead_letters(choice).map_err(Failure::io)?;
    let sinks = &setup.config().sinks;
    match letters
        .iter()
        .find(|letter| !sinks.contains_key(&letter.sink))
    {
        None => Ok(()),
        Some(letter) => Err(Failure::usage(anyhow!(
            "there is no sink `{}` in the configuration any more: name another by --sink, or drop its letters",
            letter.sink
        ))),
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
        format!("{}\n", escaped(&line.to_string()))
    });
    Ok(lines.collect())
}

/// JSON in which nothing is left that a terminal obeys or that turns the direction of text.
fn escaped(json: &str) -> String {
    let is_odd = |c: char| matches!(c, '\u{7f}'..='\u{9f}' | '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if is_odd(c) {
            out.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn what_a_terminal_obeys_is_escaped_and_stays_the_same_json() {
        let text = serde_json::json!({"a": "x\u{9b}31m\u{202e}y é"}).to_string();
        let shown = escaped(&text);
        assert!(!shown.contains('\u{9b}') && !shown.contains('\u{202e}') && shown.contains('é'));
        let read: serde_json::Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(read["a"], "x\u{9b}31m\u{202e}y é");
    }
}
