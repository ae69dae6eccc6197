//! A round: a span of time, walked through from its beginning to its end in slices that fit into memory.

use super::walk::Walk;

/// What is walked through, one slice after the other.
#[derive(Debug)]
pub struct Round {
    /// Where the next slice begins, in Unix seconds.
    next: i64,
    /// The last second; `None` for all there is.
    end: Option<i64>,
    walk: Option<Walk>,
    /// Slices that were finished, and their pages.
    slices: u32,
    pages: u32,
}

/// How long slices are, learned from how many bytes they had.
#[derive(Debug)]
pub struct Slices {
    secs: i64,
    /// The most that the pages of one may take.
    most_bytes: usize,
}

/// A slice has at most so many seconds, and so many at first.
const LONGEST: i64 = 6 * 3_600;
const FIRST: i64 = 120;
/// From one slice to the next it grows at most so many times, and to so much of what it may take: there may
/// be more in the next than in the last.
const GROWTH: i64 = 4;
const FILL: f64 = 0.4;

impl Slices {
    pub fn new(most_bytes: usize) -> Self {
        Self {
            secs: FIRST,
            most_bytes,
        }
    }

    pub fn secs(&self) -> i64 {
        self.secs
    }

    /// Whether a walk takes too much; one of a single second may take what it wants.
    pub fn is_too_large(&self, walk: &Walk, now: i64) -> bool {
        walk.bytes() > self.most_bytes && length(walk, now) > 1
    }

    /// Learns from a slice that was walked through.
    pub fn learn(&mut self, walk: &Walk, now: i64) {
        let secs = length(walk, now);
        let fit = self.most_bytes as f64 * FILL / walk.bytes().max(1) as f64;
        let fit = (secs as f64 * fit) as i64;
        let grown = self.secs.saturating_mul(GROWTH);
        // A short one says little of longer ones.
        let least = if fit > secs { self.secs } else { 1 };
        self.secs = fit.clamp(least, grown.max(least)).clamp(1, LONGEST);
    }

    /// Learns from one that was too large.
    pub fn shorten(&mut self, walk: &Walk, now: i64) {
        self.secs = (length(walk, now) / GROWTH).max(1);
    }
}

fn length(walk: &Walk, now: i64) -> i64 {
    let (oldest, latest) = walk.span();
    latest.unwrap_or(now.max(oldest)) - oldest + 1
}

impl Round {
    /// From one second to the other, both within.
    pub fn new(begin: i64, end: Option<i64>) -> Self {
        Self {
            next: begin,
            end,
            walk: None,
            slices: 0,
            pages: 0,
        }
    }

    /// The walk that is under way, or the next; `now` is the clock in Unix seconds.
    pub fn walk(&mut self, slices: &Slices, now: i64) -> &mut Walk {
        let (next, end) = (self.next, self.end);
        self.walk.get_or_insert_with(|| {
            let last = next + slices.secs() - 1;
            let is_last = last >= end.unwrap_or(now);
            Walk::new(next, if is_last { end } else { Some(last) })
        })
    }

    /// The walk that is under way, if one is.
    pub fn under_way(&mut self) -> Option<&mut Walk> {
        self.walk.as_mut()
    }

    /// Gives up the walk under way; its slice is walked through anew.
    pub fn drop_walk(&mut self) {
        self.walk = None;
    }

    /// Takes the walk that is done, and goes on to the next slice.
    pub fn finish_walk(&mut self) -> Option<Walk> {
        let walk = self.walk.take()?;
        self.slices += 1;
        self.pages += walk.pages() as u32;
        self.next = match walk.span().1 {
            Some(latest) => latest + 1,
            None => i64::MAX,
        };
        Some(walk)
    }

    /// Whether all of it is walked through.
    pub fn is_over(&self) -> bool {
        self.walk.is_none() && self.next > self.end.unwrap_or(i64::MAX - 1)
    }

    /// Where the next slice begins, in Unix seconds.
    pub fn next(&self) -> i64 {
        self.next
    }

    /// Pages of what was walked through.
    pub fn pages(&self) -> u32 {
        self.pages
    }

    /// Whether it was walked through in one slice.
    pub fn is_single(&self) -> bool {
        self.slices == 1
    }
}
