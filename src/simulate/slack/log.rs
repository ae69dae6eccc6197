//! The events: their lines in a temporary file, the order of their times in memory.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;

use serde::Deserialize;
use serde_json::Value;

use super::cursor::Position;
use super::query::Query;

/// Microseconds.
const SECOND: i64 = 1_000_000;

/// Where an event is, and from when on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// Of its line, in bytes.
    offset: u64,
    /// When it is first seen, in microseconds.
    seen_from: i64,
    pub position: Position,
    /// Of its line without the line feed, in bytes.
    length: u32,
    /// The number of its action's name.
    action: u16,
    /// Whether [`Log::read_new`] has given it.
    is_read: bool,
}

/// A page's events, the newest first.
#[derive(Debug)]
pub(super) struct Page {
    pub entries: Vec<Entry>,
    /// Whether older ones fit the query too.
    pub has_more: bool,
}

/// Millions of events.
pub(super) struct Log {
    file: BufWriter<File>,
    /// Bytes in the file and its buffer.
    end: u64,
    /// By position, unless `is_sorted` is false.
    index: Vec<Entry>,
    is_sorted: bool,
    /// The numbers of the names that occur.
    actions: HashMap<String, u16>,
}

/// What is read of an event when it is added.
#[derive(Deserialize)]
struct Head<'a> {
    date_create: i64,
    #[serde(borrow, default)]
    action: Cow<'a, str>,
}

impl Log {
    const BUFFER_BYTES: usize = 1 << 20;

    /// An empty one.
    ///
    /// # Errors
    /// When there can be no temporary file.
    pub fn new() -> io::Result<Self> {
        let file = tempfile::tempfile()?;
        Ok(Self {
            file: BufWriter::with_capacity(Self::BUFFER_BYTES, file),
            end: 0,
            index: Vec::new(),
            is_sorted: true,
            actions: HashMap::new(),
        })
    }

    /// Adds an event that is seen `delay` microseconds after its own time, but never before it.
    ///
    /// # Errors
    /// When the line is no event with a time, or cannot be written.
    pub fn add(&mut self, line: &str, delay: i64) -> io::Result<()> {
        let line = line.trim();
        let head: Head<'_> = serde_json::from_str(line).map_err(|error| {
            invalid(format!(
                "an event is no JSON object with whole seconds in `date_create` (column {}): \
                 add events as Slack writes them",
                error.column()
            ))
        })?;
        let position = Position {
            second: bounded(
                head.date_create,
                "an event's second is not within 1970 to 2106",
            )?,
            number: bounded(self.index.len(), "there are too many events")?,
        };
        let entry = Entry {
            offset: self.end,
            seen_from: (i64::from(position.second) * SECOND).saturating_add(delay.max(0)),
            position,
            length: bounded(line.len(), "an event is longer than 4 GiB")?,
            action: self.action(&head.action)?,
            is_read: false,
        };
        self.file.write_all(line.as_bytes())?;
        self.file.write_all(b"\n")?;
        self.end += line.len() as u64 + 1;
        let newest = self.index.last();
        self.is_sorted &= newest.is_none_or(|newest| newest.position < position);
        self.index.push(entry);
        Ok(())
    }

    fn action(&mut self, name: &str) -> io::Result<u16> {
        if let Some(number) = self.actions.get(name) {
            return Ok(*number);
        }
        let number = bounded(self.actions.len(), "there are too many different actions")?;
        self.actions.insert(name.to_owned(), number);
        Ok(number)
    }

    /// Whether an event has this action.
    pub fn has_action(&self, name: &str) -> bool {
        self.actions.contains_key(name)
    }

    /// How many events are seen at `now`, in microseconds.
    pub fn count(&self, now: i64) -> u64 {
        let seen = self.index.iter().filter(|entry| entry.seen_from <= now);
        seen.count() as u64
    }

    /// The newest events before the position that are seen at `now` and fit the query: as many as it
    /// asks for, and all that share the last one's second. Its cursor is not looked at.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn page(&mut self, query: &Query, before: Position, now: i64) -> io::Result<Page> {
        self.settle()?;
        let numbers = query
            .actions
            .iter()
            .filter_map(|name| self.actions.get(name));
        let actions: HashSet<u16> = numbers.copied().collect();
        let latest = query.latest.unwrap_or(i64::MAX);
        // Nothing is seen before its own time.
        let latest = latest.min(now.div_euclid(SECOND));
        let is_before =
            |entry: &Entry| entry.position < before && i64::from(entry.position.second) <= latest;
        let end = self.index.partition_point(is_before);
        let mut entries: Vec<Entry> = Vec::new();
        for entry in self.index[..end].iter().rev() {
            let second = entry.position.second;
            if query
                .oldest
                .is_some_and(|oldest| i64::from(second) < oldest)
            {
                break;
            }
            let is_asked = query.actions.is_empty() || actions.contains(&entry.action);
            if entry.seen_from > now || !is_asked || !self.concerns(entry, query)? {
                continue;
            }
            let is_full = entries.len() >= query.limit as usize;
            let is_tied = entries.last().map(|last| last.position.second) == Some(second);
            if is_full && !is_tied {
                let has_more = true;
                return Ok(Page { entries, has_more });
            }
            entries.push(*entry);
        }
        let has_more = false;
        Ok(Page { entries, has_more })
    }

    /// Whether the event is by and about whom the query names; only then its line is read.
    fn concerns(&self, entry: &Entry, query: &Query) -> io::Result<bool> {
        if query.actor.is_none() && query.entity.is_none() {
            return Ok(true);
        }
        let mut line = Vec::new();
        self.append(entry, &mut line)?;
        let event: Value = serde_json::from_slice(&line).unwrap_or_default();
        let actor = &event["actor"]["user"]["id"];
        let entity = &event["entity"];
        let entity = &entity[entity["type"].as_str().unwrap_or_default()]["id"];
        let fits = |wanted: &Option<String>, found: &Value| {
            let wanted = wanted.as_deref();
            wanted.is_none_or(|wanted| found.as_str() == Some(wanted))
        };
        Ok(fits(&query.actor, actor) && fits(&query.entity, entity))
    }

    /// Gives the lines of all events seen at `now`, the oldest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read_seen(&mut self, now: i64, mut give: impl FnMut(&[u8])) -> io::Result<()> {
        self.settle()?;
        let mut line = Vec::new();
        for entry in self.index.iter().filter(|entry| entry.seen_from <= now) {
            line.clear();
            self.append(entry, &mut line)?;
            give(&line);
        }
        Ok(())
    }

    /// Gives the lines of all events whose own time has come and that it has not given before, the
    /// oldest first: what happened takes effect before it is seen.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read_new(&mut self, now: i64, mut give: impl FnMut(&[u8])) -> io::Result<()> {
        self.settle()?;
        let is_past = |entry: &Entry| i64::from(entry.position.second) * SECOND <= now;
        let end = self.index.partition_point(is_past);
        let mut line = Vec::new();
        for at in 0..end {
            if !self.index[at].is_read {
                line.clear();
                self.append(&self.index[at], &mut line)?;
                give(&line);
                self.index[at].is_read = true;
            }
        }
        Ok(())
    }

    /// Appends the event's line. Events that were added since the last page cannot be read.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn append(&self, entry: &Entry, bytes: &mut Vec<u8>) -> io::Result<()> {
        let start = bytes.len();
        bytes.resize(start + entry.length as usize, 0);
        let file = self.file.get_ref();
        file.read_exact_at(&mut bytes[start..], entry.offset)
    }

    /// Writes what is in the buffer, and brings late events to their places.
    fn settle(&mut self) -> io::Result<()> {
        self.file.flush()?;
        if !self.is_sorted {
            // Two sorted runs, mostly, which this merges.
            self.index.sort_by_key(|entry| entry.position);
            self.is_sorted = true;
        }
        Ok(())
    }
}

fn bounded<T: TryFrom<U>, U>(number: U, problem: &str) -> io::Result<T> {
    T::try_from(number).map_err(|_| invalid(format!("{problem}: leave it out")))
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

#[cfg(test)]
mod tests;
