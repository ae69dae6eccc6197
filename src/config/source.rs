//! Where events come from.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use jiff::{Span, SpanRelativeTo, Timestamp, civil};

use super::block::{Blocks, Check, Settings};
use super::endpoint::Endpoint;
use super::secret::Secret;

/// A source, by its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Programs send events to `POST /api/v1/events`.
    Push {
        /// An event may come so many seconds after a newer one and is still waited for.
        lateness_secs: u32,
    },
    /// Slack's Audit Logs API is asked again and again.
    Slack(Slack),
}

/// How Slack's Audit Logs API is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slack {
    pub token: Secret,
    pub audit_endpoint: Endpoint,
    /// From one poll to the next.
    pub poll_secs: u32,
    /// Where a first start begins.
    pub since: Since,
    /// How far each poll goes back behind the one before.
    pub overlap_secs: u32,
    /// How many hours are walked through again and again for what came late; 0 for none.
    pub rewalk_hours: u32,
    /// Per cent of the organisation's calls that are ours.
    pub budget_percent: u32,
    /// An event is in at most so many seconds after it happened, or counts as delayed.
    pub lag_secs: u32,
}

/// A moment from which on events are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// So many seconds before the start.
    Ago(i64),
    /// Unix seconds.
    At(i64),
}

#[derive(Clone, Copy)]
enum Type {
    Push,
    Slack,
}

const TYPES: &[(&str, Type)] = &[("push", Type::Push), ("slack", Type::Slack)];

const LATENESS_SECS: u32 = 1;
const AUDIT_ENDPOINT: &str = "https://api.slack.com/audit/v1/";
const DAY: i64 = 86_400;

impl Source {
    /// Its type, as the file writes it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Push { .. } => "push",
            Self::Slack(_) => "slack",
        }
    }
}

impl Since {
    /// In words: `now`, a span of time such as `24h`, a date or a moment.
    fn parse(text: &str) -> Option<Self> {
        if text == "now" {
            return Some(Self::Ago(0));
        }
        if let Ok(moment) = text.parse::<Timestamp>() {
            return Some(Self::At(moment.as_second()));
        }
        if let Ok(date) = text.parse::<civil::Date>() {
            let midnight = TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok()?;
            return Some(Self::At(midnight.as_second()));
        }
        let span: Span = text.parse().ok()?;
        let span = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
        (!span.is_negative()).then_some(Self::Ago(span.as_secs()))
    }
}

/// The sources by name; if nothing is said of sources, one called `push`.
pub(super) fn read(blocks: Option<Blocks>, check: &mut Check) -> BTreeMap<String, Source> {
    let Some(blocks) = blocks else {
        let push = Source::Push {
            lateness_secs: LATENESS_SECS,
        };
        return BTreeMap::from([(push.kind().to_owned(), push)]);
    };
    let mut sources = BTreeMap::new();
    for (name, block) in blocks {
        check.name("source", &name, block.referenced);
        let mut settings = check.open(block.value, block.referenced);
        // What else may be written depends on the type.
        let Some(kind) = settings.word("type", "type of source", TYPES, None) else {
            continue;
        };
        let source = match kind {
            Type::Push => Some(Source::Push {
                lateness_secs: settings.number("lateness_secs", 0..=3_600, LATENESS_SECS),
            }),
            Type::Slack => slack(&mut settings),
        };
        settings.finish();
        sources.extend(source.map(|source| (name, source)));
    }
    sources
}

fn slack(settings: &mut Settings<'_>) -> Option<Source> {
    let token = settings.secret("token", true);
    let audit_endpoint = settings.endpoint("audit_endpoint", AUDIT_ENDPOINT);
    let since = match settings.text("since") {
        None => Some(Since::Ago(DAY)),
        Some(text) => {
            let since = Since::parse(&text.value);
            if since.is_none() {
                let message = format!(
                    "`since` is `{}`: write a span of time such as 24h or 7d, a date such as 2026-11-01, \
                     or now",
                    text.value
                );
                settings.problem(text.referenced, message);
            }
            since
        }
    };
    let poll_secs = settings.number("poll_secs", 1..=3_600, 5);
    let overlap_secs = settings.number("overlap_secs", 0..=3_600, 60);
    let rewalk_hours = settings.number("rewalk_hours", 0..=168, 8);
    let budget_percent = settings.share("budget_share", 70);
    let lag_secs = settings.number("lag_secs", 0..=600, 2);
    Some(Source::Slack(Slack {
        token: token?,
        audit_endpoint: audit_endpoint?,
        poll_secs,
        since: since?,
        overlap_secs,
        rewalk_hours,
        budget_percent,
        lag_secs,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_in_several_ways() {
        for (text, since) in [
            ("now", Some(Since::Ago(0))),
            ("24h", Some(Since::Ago(DAY))),
            ("7d", Some(Since::Ago(7 * DAY))),
            ("1h 30m", Some(Since::Ago(5_400))),
            ("2026-03-02", Some(Since::At(1_772_409_600))),
            ("2026-03-02T01:00:00Z", Some(Since::At(1_772_413_200))),
            ("-24h", None),
            ("yesterday", None),
            ("24", None),
        ] {
            assert_eq!(Since::parse(text), since, "{text}");
        }
    }
}
