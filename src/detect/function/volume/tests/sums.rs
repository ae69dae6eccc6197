//! What people bring to a table may be added up on any shards and in any order.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::super::Table;
use super::{Common, DAY_SECS, Dice, MONDAY, Organisation, Shared, Sums, Wanted, wanted};

const PEOPLE: usize = 60;
const SHARDS: usize = 4;

/// The end of a day.
struct Evening {
    shared: Shared,
    midnight: i64,
    /// What each person brings.
    brought: Vec<Sums>,
    /// What follows from all of it.
    table: Table,
}

static EVENING: LazyLock<Evening> = LazyLock::new(|| {
    let windows = ["10m", "1h", "24h"].map(str::to_owned).to_vec();
    let settings = Wanted {
        windows,
        ..wanted()
    };
    let mut organisation = Organisation::new(&settings, PEOPLE, MONDAY);
    let mut dice = Dice::new(31);
    for day in 0..10 {
        if day > 0 {
            organisation.close();
        }
        // Some people do nothing.
        let rows = (0..PEOPLE).map(|person| {
            let count = dice.count(4.0, 0.5);
            (person, 36_000, [count, 2 * count, 3 * count])
        });
        organisation.take(&rows.collect::<Vec<_>>());
    }
    let midnight = i64::from(organisation.second(DAY_SECS));
    let mut together = Sums::default();
    let brought = organisation.memories.iter().map(|memory| {
        let mut sums = Sums::default();
        organisation.shared.bring(memory, midnight, &mut sums);
        organisation.shared.bring(memory, midnight, &mut together);
        sums
    });
    let brought = brought.collect();
    let table = organisation.shared.next(midnight, &together);
    Evening {
        shared: organisation.shared,
        midnight,
        brought,
        table,
    }
});

proptest! {
    #[test]
    fn sums_are_the_same_in_any_split_and_order(
        people in Just((0..PEOPLE).collect::<Vec<_>>()).prop_shuffle(),
        shards in prop::collection::vec(0..SHARDS, PEOPLE),
        order in Just((0..SHARDS).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let evening = &*EVENING;
        let mut parts = vec![Sums::default(); SHARDS];
        for person in people {
            parts[shards[person]].add(&evening.brought[person]);
        }
        let mut all = Sums::default();
        for shard in order {
            all.add(&parts[shard]);
        }
        let table = evening.shared.next(evening.midnight, &all);
        prop_assert_eq!(&table, &evening.table);
    }
}
