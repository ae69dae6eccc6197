//! Deliveries that share a request: how many go into one, and what to do when one of them spoils it.
//!
//! ```text
//! refused ──► sent again in smaller parts at once, until one delivery is alone
//! declined ─► sent again in smaller parts by and by; who is declined alone often enough is a suspect
//! suspect ──► another is sent alone: if it is taken the suspect is refused, else the destination is at fault
//! taken ────► the next batch may be twice as large
//! ```
//!
//! Whoever writes an event can write one that some filter before the destination never lets through. It
//! must not hold up what comes after it.

#[cfg(test)]
mod tests;

use std::ops::Range;

use super::Outcome;
use crate::sink::{Error, Report};

/// How much goes into a request.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// Deliveries.
    pub entries: usize,
    /// Bytes before compression; a single delivery may have more.
    pub bytes: usize,
    /// How often in a row the first delivery is declined alone until it is a suspect.
    pub declines: usize,
}

/// What a destination remembers from one call to the next.
#[derive(Debug)]
pub struct Standing<T> {
    /// The most deliveries of the next batch.
    most: usize,
    /// What was declined alone, and how often in a row.
    declined: Option<(T, usize)>,
    /// What was taken last.
    taken: Option<T>,
}

impl<T> Default for Standing<T> {
    fn default() -> Self {
        Self {
            most: usize::MAX,
            declined: None,
            taken: None,
        }
    }
}

/// Deliveries, as they are sent, that are cut into batches.
#[derive(Debug)]
pub struct Batches<T> {
    entries: Vec<T>,
    /// Bytes of each.
    sizes: Vec<usize>,
    limit: Limit,
    standing: Standing<T>,
    trial: Option<Trial<T>>,
    report: Report,
}

/// Whether the destination takes another delivery than the suspect, which is the first.
#[derive(Debug)]
struct Trial<T> {
    other: T,
    /// Whether it comes right after the suspect.
    is_next: bool,
    /// Why the suspect was declined, and how often.
    error: Error,
    declined: usize,
}

impl<T: Clone + PartialEq> Batches<T> {
    /// Deliveries in their order; `size` gives the bytes of one.
    pub fn of(
        entries: Vec<T>,
        size: impl Fn(&T) -> usize,
        limit: Limit,
        standing: Standing<T>,
    ) -> Self {
        Self {
            sizes: entries.iter().map(size).collect(),
            entries,
            limit,
            standing,
            trial: None,
            report: Report::default(),
        }
    }

    /// The next batch; `None` if all are settled, or one has failed.
    pub fn upcoming(&self) -> Option<&[T]> {
        match &self.trial {
            Some(trial) => Some(std::slice::from_ref(&trial.other)),
            None => Some(&self.entries[self.batch()?]),
        }
    }

    /// Notes what became of the upcoming batch.
    pub fn note(&mut self, outcome: Outcome) {
        if let Some(batch) = self.batch() {
            self.hear(batch, outcome);
        }
    }

    /// Notes what became of the upcoming batch if each of it was sent in a request of its own, in their
    /// order. What was taken after one that was not is sent again; first that one is sent alone.
    pub fn note_each(&mut self, outcomes: Vec<Outcome>) {
        for outcome in outcomes {
            let first = self.report.settled;
            let is_settled = matches!(outcome, Outcome::Taken | Outcome::Refused { .. });
            self.hear(first..first + 1, outcome);
            if !is_settled {
                self.standing.most = 1;
                break;
            }
        }
    }

    /// How far they came, and what to remember.
    pub fn into_parts(self) -> (Report, Standing<T>) {
        (self.report, self.standing)
    }

    /// The positions of the next batch.
    fn batch(&self) -> Option<Range<usize>> {
        let start = self.report.settled;
        if start >= self.sizes.len() || self.report.error.is_some() {
            return None;
        }
        let most = self.limit.entries.min(self.standing.most);
        let mut bytes = 0_usize;
        let fitting = self.sizes[start..].iter().take(most);
        let fitting = fitting.take_while(|size| {
            bytes = bytes.saturating_add(**size);
            bytes <= self.limit.bytes
        });
        Some(start..start + fitting.count().max(1))
    }

    fn hear(&mut self, batch: Range<usize>, outcome: Outcome) {
        match self.trial.take() {
            Some(trial) => self.conclude(trial, outcome),
            None => self.judge(batch, outcome),
        }
    }

    fn judge(&mut self, batch: Range<usize>, outcome: Outcome) {
        match outcome {
            Outcome::Taken => self.take(batch),
            Outcome::Refused { at, reason } => {
                let known = at.filter(|at| *at < batch.len());
                match known.unwrap_or(batch.len() / 2) {
                    0 => self.refuse(reason),
                    before => self.standing.most = before,
                }
            }
            Outcome::Declined(error) if batch.len() == 1 => self.decline(error),
            Outcome::Declined(error) => {
                self.standing.most = batch.len() / 2;
                self.report.error = Some(error);
            }
            Outcome::Failed(error) => self.report.error = Some(error),
        }
    }

    fn take(&mut self, batch: Range<usize>) {
        self.standing.most = self.standing.most.saturating_mul(2);
        self.standing.taken = self.entries.get(batch.end - 1).cloned();
        self.settle(batch.len());
    }

    /// Refuses the first for good.
    fn refuse(&mut self, reason: String) {
        self.report.refused.push((self.report.settled, reason));
        self.settle(1);
    }

    fn settle(&mut self, deliveries: usize) {
        self.report.settled += deliveries;
        self.standing.declined = None;
    }

    /// Notes that the first was declined alone. If it is a suspect another has its turn.
    fn decline(&mut self, error: Error) {
        let first = &self.entries[self.report.settled];
        let before = match self.standing.declined.take() {
            Some((entry, times)) if entry == *first => times,
            _ => 0,
        };
        let declined = before + 1;
        self.standing.most = 1;
        self.standing.declined = Some((first.clone(), declined));
        let turn = declined.checked_sub(self.limit.declines);
        match turn.and_then(|turn| self.other(turn)) {
            Some((other, is_next)) => {
                self.trial = Some(Trial {
                    other,
                    is_next,
                    error,
                    declined,
                });
            }
            None => self.report.error = Some(error),
        }
    }

    /// Another than the first, at each turn a different one, and whether it comes right after the first:
    /// several in a row may be declined, and no other may wait.
    fn other(&self, turn: usize) -> Option<(T, bool)> {
        let after = &self.entries[self.report.settled + 1..];
        let (next, further) = after.split_at(after.len().min(1));
        let next = next.iter().map(|entry| (entry, true));
        let others = self.standing.taken.iter().chain(further);
        let mut others = next.chain(others.map(|entry| (entry, false)));
        let turn = turn.checked_rem(others.clone().count())?;
        let (other, is_next) = others.nth(turn)?;
        Some((other.clone(), is_next))
    }

    fn conclude(&mut self, trial: Trial<T>, outcome: Outcome) {
        match outcome {
            Outcome::Taken => {
                let (why, times) = (trial.error.reason, trial.declined);
                self.refuse(format!("{why}, {times} times, and took another"));
                if trial.is_next {
                    let next = self.report.settled;
                    self.take(next..next + 1);
                }
            }
            // It may say when to come back.
            Outcome::Failed(error) => self.report.error = Some(error),
            Outcome::Declined(_) | Outcome::Refused { .. } => {
                self.report.error = Some(trial.error);
            }
        }
    }
}
