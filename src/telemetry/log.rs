//! The log: records on standard error, one a line.
//!
//! Much of what is logged was written by whoever is being watched. So that no name, agent or line of
//! input can forge a record or steer a terminal, whatever a record holds beyond its own end of line is
//! escaped where it is written out, and not where it is logged.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::str::FromStr;

use tracing::Dispatch;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

/// How records are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One object a line.
    Json,
}

/// A word that names no format of the log.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no log format: use text or json")]
pub struct UnknownFormat(String);

impl FromStr for LogFormat {
    type Err = UnknownFormat;

    fn from_str(word: &str) -> Result<Self, UnknownFormat> {
        match word {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(UnknownFormat(word.to_owned())),
        }
    }
}

/// What is logged if `RUST_LOG` does not say.
const USUAL: &str = "info";

/// Logs to standard error from now on: what `RUST_LOG` asks for, else from `info` on. If logging was
/// set up before, it stays as it is.
pub fn start_logging(format: LogFormat) {
    let asked = std::env::var("RUST_LOG").unwrap_or_default();
    let (filter, problem) = filter(&asked);
    // Whoever came first keeps it.
    let _ = dispatch(format, filter, io::stderr).try_init();
    if let Some(problem) = problem {
        tracing::warn!(
            "RUST_LOG `{asked}` is no filter ({problem}): {USUAL} counts; \
             write a level, or gridwatch=debug"
        );
    }
}

/// The filter that is asked for; if it is none, the usual one and what is wrong.
fn filter(asked: &str) -> (EnvFilter, Option<String>) {
    if asked.trim().is_empty() {
        return (EnvFilter::new(USUAL), None);
    }
    match EnvFilter::try_new(asked) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new(USUAL), Some(error.to_string())),
    }
}

fn dispatch<W: Write + 'static>(
    format: LogFormat,
    filter: EnvFilter,
    out: impl Fn() -> W + Send + Sync + 'static,
) -> Dispatch {
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(move || Record { format, out: out() })
        .with_ansi(false)
        // The writer escapes more, and all of it alike.
        .with_ansi_sanitization(false)
        // It would print, and printing to a closed standard error panics.
        .log_internal_errors(false);
    match format {
        LogFormat::Text => Dispatch::new(log.finish()),
        LogFormat::Json => {
            let log = log.json().flatten_event(true).with_span_list(false);
            Dispatch::new(log.finish())
        }
    }
}

/// Takes one record, which is handed over in one piece.
struct Record<W> {
    format: LogFormat,
    out: W,
}

impl<W: Write> Write for Record<W> {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        let shown = printable(&String::from_utf8_lossy(record), self.format);
        // Nowhere else to tell.
        let _ = self.out.write_all(shown.as_bytes());
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The record on one line, with control characters, and those that turn the direction of writing,
/// escaped: as `\u{…}`, or as JSON does it.
fn printable(record: &str, format: LogFormat) -> String {
    let (record, end) = match record.strip_suffix('\n') {
        Some(record) => (record, "\n"),
        None => (record, ""),
    };
    let mut shown = String::with_capacity(record.len() + end.len());
    for c in record.chars() {
        if !is_unsafe(c) {
            shown.push(c);
            continue;
        }
        // Writing to a string cannot fail. All of these are one unit of UTF-16.
        let _ = match format {
            LogFormat::Text => write!(shown, "\\u{{{:x}}}", u32::from(c)),
            LogFormat::Json => write!(shown, "\\u{:04x}", u32::from(c)),
        };
    }
    shown.push_str(end);
    shown
}

fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    const ACTOR: &str = "a\u{1b}[2J\r\n2026 ERROR forged\u{202e}\u{9b}\tb\u{7f}";

    fn logged(format: LogFormat) -> String {
        let kept = Kept::default();
        let out = kept.clone();
        let dispatch = dispatch(format, EnvFilter::new(USUAL), move || out.clone());
        tracing::dispatcher::with_default(&dispatch, || {
            tracing::info!(actor = %ACTOR, "somebody came: {ACTOR}");
        });
        String::from_utf8(kept.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn nothing_that_is_logged_forges_a_record_or_steers_a_terminal() {
        let escaped = "a\\u{1b}[2J\\u{d}\\u{a}2026 ERROR forged\\u{202e}\\u{9b}\\u{9}b\\u{7f}";
        let text = logged(LogFormat::Text);
        assert!(text.contains(&format!("somebody came: {escaped}")));
        assert!(text.contains(&format!("actor={escaped}")), "{text}");
        let json = logged(LogFormat::Json);
        for log in [&text, &json] {
            let record = log.strip_suffix('\n').unwrap();
            assert!(!record.chars().any(is_unsafe), "{record}");
        }
        let record: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(record["actor"], ACTOR);
        assert_eq!(record["message"], format!("somebody came: {ACTOR}"));
    }

    #[test]
    fn a_wrong_filter_is_told_and_does_not_silence_the_log() {
        for (asked, is_wrong) in [("", false), ("gridwatch=debug,warn", false), ("=[", true)] {
            assert_eq!(filter(asked).1.is_some(), is_wrong, "{asked}");
        }
    }

    #[test]
    fn logging_is_set_up_once() {
        start_logging(LogFormat::Text);
        start_logging(LogFormat::Json);
    }

    #[test]
    fn an_unknown_format_is_named() {
        assert_eq!("json".parse::<LogFormat>().unwrap(), LogFormat::Json);
        let error = "xml".parse::<LogFormat>().unwrap_err().to_string();
        assert_eq!(error, "`xml` is no log format: use text or json");
    }
}
