//! One walk: pages of a span of time, the newest first, until there are no more.

use std::collections::HashSet;

use crate::slack::audit::{Page, Query};

/// A walk under way. Its pages are kept until it has all of them: what is between them may be missing
/// before.
#[derive(Debug)]
pub struct Walk {
    /// Unix seconds, both within.
    oldest: i64,
    latest: Option<i64>,
    /// In microseconds; `None` before the first page.
    begun: Option<i64>,
    cursor: Option<String>,
    /// Cursors that were followed.
    seen: HashSet<String>,
    pages: Vec<Page>,
    bytes: usize,
    /// Where it went on without a cursor, in Unix seconds.
    resumed: Option<i64>,
    /// Pages in a row that held nothing.
    empty: u32,
}

/// More pages in a row that hold nothing lead nowhere.
const MOST_EMPTY: u32 = 100;

/// How a walk goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There are more pages.
    More,
    Done,
    /// Its cursors lead nowhere.
    Stuck,
}

impl Walk {
    /// From the newest event, or this second, back to that.
    pub fn new(oldest: i64, latest: Option<i64>) -> Self {
        Self {
            oldest,
            latest,
            begun: None,
            cursor: None,
            seen: HashSet::new(),
            pages: Vec::new(),
            bytes: 0,
            resumed: None,
            empty: 0,
        }
    }

    /// What is asked for next: Slack's cursor remembers none of it, so it goes along every time.
    pub fn query(&self, limit: u16) -> Query {
        Query {
            oldest: Some(self.oldest),
            latest: self.resumed.or(self.latest),
            limit,
            cursor: self.cursor.clone(),
        }
    }

    /// Unix seconds, both within; `None` for what is newest.
    pub fn span(&self) -> (i64, Option<i64>) {
        (self.oldest, self.latest)
    }

    /// When it began, in microseconds.
    pub fn begun(&self) -> Option<i64> {
        self.begun
    }

    /// The bytes of its pages.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many pages it has.
    pub fn pages(&self) -> usize {
        self.pages.len()
    }

    /// Takes the page that was asked for; `asked` is when, in microseconds.
    pub fn take(&mut self, page: Page, asked: i64) -> Step {
        self.begun.get_or_insert(asked);
        let next = page.next_cursor.clone();
        // A filter that is not heeded would lead back to the beginning of all.
        let is_past = page.newest.is_some_and(|newest| newest < self.oldest);
        self.bytes += page.body.len();
        self.pages.push(page);
        self.empty = match self.pages.last() {
            Some(page) if page.entries == 0 => self.empty + 1,
            _ => 0,
        };
        match next.filter(|_| !is_past) {
            None => Step::Done,
            Some(_) if self.empty > MOST_EMPTY => Step::Stuck,
            Some(next) if self.seen.insert(next.clone()) => {
                self.cursor = Some(next);
                Step::More
            }
            Some(_) => self.resume(),
        }
    }

    /// Whether a cursor was sent along.
    pub fn has_cursor(&self) -> bool {
        self.cursor.is_some()
    }

    /// Goes on without the cursor, from the oldest second that was seen.
    pub fn resume(&mut self) -> Step {
        let oldest = self.pages.iter().filter_map(|page| page.oldest).min();
        let from = oldest.or(self.latest);
        self.cursor = None;
        self.seen.clear();
        if self.pages.is_empty() {
            return Step::More;
        }
        if from.is_none() || self.resumed == from {
            return Step::Stuck;
        }
        self.resumed = from;
        Step::More
    }

    /// Its pages, those with the oldest events first.
    pub fn into_pages(mut self) -> Vec<Page> {
        self.pages.reverse();
        self.pages
    }
}
