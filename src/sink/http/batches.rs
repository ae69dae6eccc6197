//! Deliveries that share a request: how many go into one, and what to do when one of them spoils it.

use std::ops::Range;

use super::Outcome;
use crate::sink::Report;

/// How much goes into a request.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// Deliveries.
    pub entries: usize,
    /// Bytes before compression; a single delivery may have more.
    pub bytes: usize,
}

/// Deliveries that are cut into batches. One that is refused goes out again in smaller parts until that
/// delivery is alone which spoils it.
#[derive(Debug)]
pub struct Batches {
    /// Bytes of each delivery.
    sizes: Vec<usize>,
    limit: Limit,
    /// The most deliveries of the next batch.
    most: usize,
    report: Report,
}

impl Batches {
    /// Deliveries of so many bytes each.
    pub fn of(sizes: Vec<usize>, limit: Limit) -> Self {
        Self {
            sizes,
            limit,
            most: limit.entries,
            report: Report::default(),
        }
    }

    /// The positions of the next batch; `None` if all are settled, or one has failed.
    pub fn upcoming(&self) -> Option<Range<usize>> {
        let start = self.report.settled;
        if start >= self.sizes.len() || self.report.error.is_some() {
            return None;
        }
        let mut bytes = 0;
        let fitting = self.sizes[start..].iter().take(self.most);
        let fitting = fitting.take_while(|size| {
            bytes += **size;
            bytes <= self.limit.bytes
        });
        Some(start..start + fitting.count().max(1))
    }

    /// Notes what became of the upcoming batch.
    pub fn note(&mut self, outcome: Outcome) {
        let Some(batch) = self.upcoming() else {
            return;
        };
        match outcome {
            Outcome::Taken => self.settle(batch.len()),
            Outcome::Refused { at, reason } => {
                let known = at.filter(|at| *at < batch.len());
                match known.unwrap_or(batch.len() / 2) {
                    0 => {
                        self.report.refused.push((batch.start, reason));
                        self.settle(1);
                    }
                    before => self.most = before,
                }
            }
            Outcome::Failed(error) => self.report.error = Some(error),
        }
    }

    /// How far they came.
    pub fn into_report(self) -> Report {
        self.report
    }

    fn settle(&mut self, deliveries: usize) {
        self.report.settled += deliveries;
        self.most = self.limit.entries;
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_set, vec};
    use proptest::prelude::*;

    use super::*;
    use crate::sink::Error;

    const LIMIT: Limit = Limit {
        entries: 8,
        bytes: 100,
    };

    #[test]
    fn a_batch_holds_what_fits_and_one_at_least() {
        for (sizes, expected) in [
            (vec![], None),
            (vec![1; 3], Some(0..3)),
            (vec![1; 9], Some(0..8)),
            (vec![40, 60, 1], Some(0..2)),
            (vec![40, 61, 1], Some(0..1)),
            (vec![500, 1], Some(0..1)),
        ] {
            let batches = Batches::of(sizes.clone(), LIMIT);
            assert_eq!(batches.upcoming(), expected, "{sizes:?}");
        }
    }

    #[test]
    fn what_came_before_a_failure_is_settled() {
        let mut batches = Batches::of(vec![1; 20], LIMIT);
        batches.note(Outcome::Taken);
        batches.note(Outcome::Failed(Error {
            place: "there".to_owned(),
            reason: "busy".to_owned(),
            remedy: "wait",
            retry_after: None,
        }));
        assert_eq!(batches.upcoming(), None);
        let report = batches.into_report();
        assert_eq!(report.settled, 8);
        assert!(report.error.is_some());
    }

    proptest! {
        /// Whether or not the receiver says which delivery spoils a batch, that one alone is refused, and
        /// all others are taken once and in order.
        #[test]
        fn what_spoils_a_batch_is_refused_alone(
            sizes in vec(0_usize..60, 0..40),
            bad in btree_set(0_usize..40, 0..6),
            is_told in any::<bool>(),
        ) {
            let expected: Vec<usize> = (0..sizes.len()).collect();
            let mut batches = Batches::of(sizes.clone(), LIMIT);
            let (mut taken, mut requests) = (Vec::new(), 0);
            while let Some(batch) = batches.upcoming() {
                requests += 1;
                prop_assert!(requests <= 200);
                let bytes: usize = sizes[batch.clone()].iter().sum();
                prop_assert!(batch.len() <= LIMIT.entries);
                prop_assert!(bytes <= LIMIT.bytes || batch.len() == 1);
                let spoilt = batch.clone().position(|at| bad.contains(&at));
                batches.note(match spoilt {
                    None => {
                        taken.extend(batch);
                        Outcome::Taken
                    }
                    Some(at) => Outcome::Refused {
                        at: is_told.then_some(at),
                        reason: "bad".to_owned(),
                    },
                });
            }
            let report = batches.into_report();
            prop_assert_eq!(report.settled, sizes.len());
            let refused: Vec<usize> = report.refused.iter().map(|(at, _)| *at).collect();
            let (wanted, good): (Vec<usize>, Vec<usize>) =
                expected.into_iter().partition(|at| bad.contains(at));
            prop_assert_eq!(refused, wanted);
            prop_assert_eq!(taken, good);
        }
    }
}
