use std::collections::BTreeMap;

use proptest::prelude::*;

use arrow::array::AsArray;

use super::*;
use crate::event::decode::decode_raw;

/// An event as a line: the same id and time with another `mark` is the same event.
fn line((id, time, mark): &(u8, u8, u8)) -> String {
    let actor = match id % 4 {
        0 => String::new(),
        actor => format!(r#","actor":{{"type":"user","user":{{"id":"U{actor}"}}}}"#),
    };
    format!(r#"{{"id":"e{id}","date_create":{time},"action":"a{mark}"{actor}}}"#)
}

fn log(batches: &[Vec<String>], budget: usize) -> Log {
    let mut columns = columns();
    columns.insert(Column::Action);
    columns.insert(Column::ActorId);
    let mut collector = Collector::new(columns, budget);
    for lines in batches {
        let batch = decode_raw(lines.iter().map(String::as_str), columns);
        collector.push(batch).unwrap();
    }
    collector.finish().unwrap()
}

/// Every line of the log, sorted. Checks that its parts are what they promise to be.
fn lines(log: &Log, parts: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut owners: BTreeMap<String, usize> = BTreeMap::new();
    for (number, mut part) in log.parts(parts).into_iter().enumerate() {
        let mut last: Option<(bool, String, i64, String)> = None;
        while let Some(batch) = log.next(&mut part) {
            let batch = batch.unwrap();
            assert_eq!(&batch.schema(), log.schema());
            let text = |name: &str, row| {
                let column = batch[name].as_string_view();
                column.is_valid(row).then(|| column.value(row).to_owned())
            };
            for row in 0..batch.num_rows() {
                let actor = text("actor_id", row);
                let time = Keys::of(&batch).order_time.value(row);
                let id = text("event_id", row).unwrap_or_default();
                let next = if log.is_by_actor() {
                    let name = actor.clone().unwrap_or_default();
                    assert_eq!(
                        *owners.entry(format!("{actor:?}")).or_insert(number),
                        number
                    );
                    (actor.is_none(), name, time, id)
                } else {
                    (false, String::new(), time, id)
                };
                assert!(
                    last.as_ref().is_none_or(|last| *last < next),
                    "{last:?} {next:?}"
                );
                last = Some(next);
                lines.extend(text("raw", row));
            }
        }
    }
    lines.sort();
    assert_eq!(lines.len(), log.rows());
    lines
}

#[test]
fn an_empty_log_is_a_log() {
    let log = log(&[], 0);
    assert_eq!(lines(&log, 3), [""; 0]);
    assert_eq!(log.raw(&[(0, 0, "e1")]).unwrap(), [None]);
}

#[test]
fn of_two_copies_the_smaller_stays() {
    let batches = [
        vec![line(&(1, 5, 2)), line(&(1, 6, 2))],
        vec![line(&(1, 5, 1)), line(&(1, 5, 2))],
    ];
    for budget in [usize::MAX, 0] {
        let log = log(&batches, budget);
        assert_eq!(lines(&log, 1), [line(&(1, 5, 1)), line(&(1, 6, 2))]);
        assert_eq!(
            log.duplicates(),
            Duplicates {
                dropped: 2,
                differing: 2
            }
        );
        assert_eq!(log.is_on_disk(), budget == 0);
    }
}

proptest! {
    /// In memory and on disk, in whatever order and batches, every event is there once, and found.
    #[test]
    fn every_event_once(
        events in prop::collection::vec((0..20_u8, 0..10_u8, 0..3_u8), 0..200),
        split in 1..50_usize,
        parts in 1..6_usize,
        budget in prop::sample::select(vec![0_usize, 4096, usize::MAX]),
    ) {
        let mut wanted: BTreeMap<(u8, u8), String> = BTreeMap::new();
        for event in &events {
            let line = line(event);
            let known = wanted.entry((event.0, event.1)).or_insert_with(|| line.clone());
            if line < *known {
                *known = line;
            }
        }
        let batches: Vec<Vec<String>> =
            events.chunks(split).map(|events| events.iter().map(line).collect()).collect();
        let log = log(&batches, budget);
        let mut all: Vec<String> = wanted.values().cloned().collect();
        all.sort();
        prop_assert_eq!(lines(&log, parts), all);
        prop_assert_eq!(log.duplicates().dropped as usize, events.len() - wanted.len());
        for ((id, time), line) in wanted {
            let micros = i64::from(time) * 1_000_000;
            prop_assert_eq!(log.raw(&[(micros, micros, &format!("e{id}"))]).unwrap(), [Some(line)]);
        }
        prop_assert_eq!(log.raw(&[(3_000_000, 3_000_000, "nobody")]).unwrap(), [None]);
    }
}
