//! What admission promises, whatever comes and when.

use std::collections::HashSet;

use proptest::collection::vec;
use proptest::prelude::*;

use super::known::{Key, Known};
use super::watermark::{Kind, Progress, Watermarks};
use super::*;

const S: i64 = MICROS;

/// Something that happens to the sources.
#[derive(Clone, Debug)]
enum Happening {
    /// So many seconds pass.
    Passes(i64),
    /// A pushed source gives events, the newest of them so many seconds old.
    Pushes(usize, i64),
    /// A walked source finishes a walk that it began so many seconds ago.
    Walks(i64),
    Fails,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        4 => (0..20_i64).prop_map(Happening::Passes),
        1 => (20..400_i64).prop_map(Happening::Passes),
        4 => (0..2_usize, -100..1_000_i64).prop_map(|(at, age)| Happening::Pushes(at, age)),
        2 => (0..60_i64).prop_map(Happening::Walks),
        1 => Just(Happening::Fails),
    ]
}

const PUSHED: [&str; 2] = ["one", "other"];

proptest! {
    #[test]
    fn the_watermark_goes_on_in_whole_seconds_and_no_further_than_somebody_vouches(
        happenings in vec(happening(), 1..60),
        has_walked in any::<bool>(),
    ) {
        let mut now = 1_000_000 * S;
        let mut all = Watermarks::new(60 * S, i64::MIN);
        for name in PUSHED {
            all.add(name, Kind::Pushed { lateness: S }, Progress::default(), now);
        }
        if has_walked {
            all.add("grid", Kind::Walked, Progress::default(), now);
        }
        let mut open = HashSet::new();
        for happening in happenings {
            match happening {
                Happening::Passes(seconds) => now += seconds * S,
                Happening::Pushes(at, age) => all.received(PUSHED[at], now - age * S, now),
                Happening::Walks(age) => all.walked("grid", Some(now - (age + 2) * S), now),
                Happening::Fails => all.failed("grid"),
            }
            let before = all.watermark();
            for gap in all.tick(now) {
                // Each opens before it closes.
                let is_new = match gap.to {
                    None => open.insert(gap.source),
                    Some(to) => to >= gap.from && open.remove(&gap.source),
                };
                prop_assert!(is_new);
            }
            let after = all.watermark();
            prop_assert!(after >= before);
            let highest = all.claims().map(|(_, claim)| claim).max();
            prop_assert!(after == before || (after % S == 0 && Some(after) <= highest));
            // By the clock alone it never passes the present; a second of an event does, by that second.
            let newest = PUSHED.iter().filter_map(|name| all.progress(name)?.newest).max();
            prop_assert!(after <= now.max(newest.unwrap_or(now) + S));
        }
    }

    #[test]
    fn every_event_is_admitted_once_where_it_belongs(
        events in vec((900..1_100_i64, 0..20_u32), 1..80),
        batches in vec(1..9_usize, 1..20),
        most_known in 1..40_usize,
        steps in vec(0..30_i64, 1..20),
    ) {
        let limits = Limits { future: 20 * S, late: 50 * S, stall: 60 * S };
        let mut known = Known::new(most_known);
        let mut log: HashSet<(i64, u32)> = HashSet::new();
        let mut moment = Moment { now: 1_000 * S, watermark: 900 * S, limits };
        let mut rest = events.as_slice();
        for (size, step) in batches.iter().cycle().zip(steps.iter().cycle()) {
            if rest.is_empty() {
                break;
            }
            let (batch, others) = rest.split_at(rest.len().min(*size));
            rest = others;
            let times: Vec<i64> = batch.iter().map(|(second, _)| second * S).collect();
            let keys = batch.iter().map(|(_, id)| Key::of(&id.to_string())).collect();
            let arrivals = Arrivals { times: &times, keys };
            let unsure = arrivals.unsure(&known);
            let held = unsure.into_iter().filter(|row| log.contains(&batch[*row])).collect();
            let fates = arrivals.decide(&moment, &known, &held, &Together::default(), &mut Together::default());
            for ((second, id), fate) in batch.iter().zip(fates) {
                let time = second * S;
                match fate {
                    Fate::Future => prop_assert!(time > moment.now + limits.future),
                    Fate::Duplicate => prop_assert!(log.contains(&(*second, *id))),
                    Fate::Admitted { order_time, late } => {
                        prop_assert!(log.insert((*second, *id)), "{second} {id} twice");
                        prop_assert_eq!(late, time < moment.watermark - limits.late);
                        let expected = if late { time } else { time.max(moment.watermark) };
                        prop_assert_eq!(order_time, expected);
                        known.insert(time, Key::of(&id.to_string()));
                    }
                }
            }
            moment.now += step * S;
            moment.watermark += step * S;
        }
    }
}
