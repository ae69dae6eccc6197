use std::collections::BTreeSet;

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

use super::*;

const LIMIT: Limit = Limit {
    entries: 8,
    bytes: 100,
    declines: 3,
};

/// Batches of deliveries of these sizes; each is known by its position.
fn batches(sizes: &[usize], standing: Standing<usize>) -> Batches<usize> {
    Batches::of((0..sizes.len()).collect(), |at| sizes[*at], LIMIT, standing)
}

fn error() -> Error {
    Error {
        place: "there".to_owned(),
        reason: "it answered 403 Forbidden".to_owned(),
        remedy: "wait",
        retry_after: None,
    }
}

#[test]
fn a_batch_holds_what_fits_and_one_at_least() {
    for (sizes, expected) in [
        (vec![], None),
        (vec![1; 3], Some(3)),
        (vec![1; 9], Some(8)),
        (vec![40, 60, 1], Some(2)),
        (vec![40, 61, 1], Some(1)),
        (vec![500, 1], Some(1)),
    ] {
        let batches = batches(&sizes, Standing::default());
        let found = batches.upcoming().map(<[usize]>::len);
        assert_eq!(found, expected, "{sizes:?}");
    }
}

#[test]
fn what_came_before_a_failure_is_settled() {
    let mut batches = batches(&[1; 20], Standing::default());
    batches.note(Outcome::Taken);
    batches.note(Outcome::Failed(error()));
    assert_eq!(batches.upcoming(), None);
    let (report, _) = batches.into_parts();
    assert_eq!(report.settled, 8);
    assert!(report.error.is_some());
}

/// After a failure one goes alone until it is taken.
#[test]
fn what_failed_on_its_own_goes_alone() {
    let mut first = batches(&[1; 8], Standing::default());
    let outcomes = [
        Outcome::Taken,
        Outcome::Failed(error()),
        Outcome::Taken,
        Outcome::Taken,
    ];
    first.note_each(outcomes.into());
    let (report, mut standing) = first.into_parts();
    assert_eq!(report.settled, 1);
    for _ in 0..5 {
        let mut again = batches(&[1; 7], standing);
        assert_eq!(again.upcoming(), Some(&[0][..]));
        again.note_each(vec![Outcome::Failed(error())]);
        (_, standing) = again.into_parts();
    }
    let mut last = batches(&[1; 7], standing);
    last.note_each(vec![Outcome::Taken]);
    assert_eq!(last.upcoming(), Some(&[1, 2][..]));
}

/// The batches that are sent in one call, of which those are declined that hold one of these.
fn call(
    entries: &[usize],
    declined: &BTreeSet<usize>,
    standing: Standing<usize>,
) -> (Report, Standing<usize>, Vec<Vec<usize>>) {
    let mut batches = Batches::of(entries.to_vec(), |_| 1, LIMIT, standing);
    let mut sent = Vec::new();
    while let Some(batch) = batches.upcoming() {
        sent.push(batch.to_vec());
        let is_declined = batch.iter().any(|entry| declined.contains(entry));
        batches.note(if is_declined {
            Outcome::Declined(error())
        } else {
            Outcome::Taken
        });
    }
    let (report, standing) = batches.into_parts();
    (report, standing, sent)
}

#[test]
fn who_is_declined_while_another_is_taken_is_refused() {
    let declined = BTreeSet::from([0]);
    let mut standing = Standing::default();
    for expected in [
        vec![vec![0, 1, 2, 3]],
        vec![vec![0, 1]],
        vec![vec![0]],
        vec![vec![0]],
    ] {
        let (report, next, sent) = call(&[0, 1, 2, 3], &declined, standing);
        assert_eq!((report.settled, sent), (0, expected));
        assert!(report.error.is_some() && report.refused.is_empty());
        standing = next;
    }
    let (report, _, sent) = call(&[0, 1, 2, 3], &declined, standing);
    assert_eq!(sent, [vec![0], vec![1], vec![2, 3]]);
    let reason = "it answered 403 Forbidden, 3 times, and took another".to_owned();
    assert_eq!(report.refused, [(0, reason)]);
    assert_eq!(report.settled, 4);
}

#[test]
fn nothing_is_refused_while_nothing_is_taken() {
    let entries: Vec<usize> = (0..20).collect();
    let declined: BTreeSet<usize> = (0..20).collect();
    let mut standing = Standing::default();
    for _ in 0..100 {
        let (report, next, sent) = call(&entries, &declined, standing);
        assert_eq!((report.settled, report.refused), (0, Vec::new()));
        assert!(report.error.is_some());
        assert!(sent.len() <= 2, "{sent:?}");
        standing = next;
    }
}

/// A queue may give one at a time. What was taken last shows whether the destination works.
#[test]
fn a_single_delivery_is_tried_against_what_was_taken_before() {
    let declined = BTreeSet::from([1]);
    let (_, mut standing, _) = call(&[0], &declined, Standing::default());
    for _ in 1..LIMIT.declines {
        let (report, next, sent) = call(&[1], &declined, standing);
        assert_eq!((report.settled, sent), (0, vec![vec![1]]));
        standing = next;
    }
    let (report, _, sent) = call(&[1], &declined, standing);
    assert_eq!(sent, [[1], [0]]);
    assert_eq!((report.settled, report.refused.len()), (1, 1));
}

#[test]
fn failures_that_no_status_tells_count_for_nothing() {
    let mut standing = Standing::default();
    for _ in 0..50 {
        let mut batches = batches(&[1; 3], standing);
        batches.note_each(vec![Outcome::Failed(error())]);
        let (report, next) = batches.into_parts();
        assert_eq!((report.settled, report.refused), (0, Vec::new()));
        standing = next;
    }
}

proptest! {
    /// Whether or not the receiver says which delivery spoils a batch, that one alone is refused, and
    /// all others are taken once and in order. If all are refused each of them costs one request.
    #[test]
    fn what_spoils_a_batch_is_refused_alone(
        sizes in vec(0_usize..60, 0..40),
        bad in prop_oneof![btree_set(0_usize..40, 0..6), Just((0..40).collect())],
        is_told in any::<bool>(),
    ) {
        let mut batches = batches(&sizes, Standing::default());
        let (mut taken, mut requests) = (Vec::new(), 0);
        while let Some(batch) = batches.upcoming() {
            requests += 1;
            prop_assert!(requests <= 200);
            let bytes: usize = batch.iter().map(|at| sizes[*at]).sum();
            prop_assert!(batch.len() <= LIMIT.entries);
            prop_assert!(bytes <= LIMIT.bytes || batch.len() == 1);
            let spoilt = batch.iter().position(|at| bad.contains(at));
            let outcome = match spoilt {
                None => {
                    taken.extend_from_slice(batch);
                    Outcome::Taken
                }
                Some(at) => Outcome::Refused {
                    at: is_told.then_some(at),
                    reason: "bad".to_owned(),
                },
            };
            batches.note(outcome);
        }
        let (report, _) = batches.into_parts();
        prop_assert_eq!(report.settled, sizes.len());
        let refused: Vec<usize> = report.refused.iter().map(|(at, _)| *at).collect();
        let (wanted, good): (Vec<usize>, Vec<usize>) =
            (0..sizes.len()).partition(|at| bad.contains(at));
        prop_assert_eq!(refused, wanted);
        if good.is_empty() {
            let halvings = LIMIT.entries.ilog2() as usize;
            prop_assert!(requests <= sizes.len() + halvings, "{} requests", requests);
        }
        prop_assert_eq!(taken, good);
    }

    /// Whatever is declined always, all others arrive, and nothing else is refused.
    #[test]
    fn what_is_declined_always_holds_nothing_up(
        declined in btree_set(0_usize..40, 0..12),
        at_once in 1_usize..20,
    ) {
        // The last is taken, and shows that the destination works.
        let all: Vec<usize> = (0..=40).collect();
        let (mut settled, mut calls) = (0, 0);
        let (mut taken, mut refused) = (BTreeSet::new(), BTreeSet::new());
        // One was taken before, as whoever gives one at a time needs it.
        let mut standing = Standing {
            taken: Some(40),
            ..Standing::default()
        };
        while settled < all.len() {
            calls += 1;
            prop_assert!(calls <= 500);
            let entries = &all[settled..all.len().min(settled + at_once)];
            let (report, next, sent) = call(entries, &declined, standing);
            let sent = sent.into_iter();
            let whole = sent.filter(|batch| batch.iter().all(|entry| !declined.contains(entry)));
            taken.extend(whole.flatten());
            refused.extend(report.refused.iter().map(|(at, _)| settled + at));
            settled += report.settled;
            standing = next;
        }
        prop_assert_eq!(&refused, &declined);
        let good = all.into_iter().filter(|entry| !declined.contains(entry));
        prop_assert_eq!(taken, good.collect::<BTreeSet<usize>>());
    }
}
