//! Events that Slack lists long after they happened.

use super::SECOND;
use super::grid::{Grid, How, Row, event};

/// An event that is listed late; in seconds.
struct Delayed {
    id: &'static str,
    happens: i64,
    delay: i64,
    /// By then it is in.
    found: i64,
    is_late: bool,
}

/// In the order in which they are listed. A poll finds the first, the second look the next, and the walk
/// through the past, every 600 s, the others.
const DELAYED: [Delayed; 4] = [
    Delayed {
        id: "delayed-30s",
        happens: 400,
        delay: 30,
        found: 465,
        is_late: false,
    },
    Delayed {
        id: "delayed-5m",
        happens: 400,
        delay: 300,
        found: 770,
        is_late: false,
    },
    Delayed {
        id: "delayed-20m",
        happens: -400,
        delay: 1_200,
        found: 1_290,
        is_late: true,
    },
    Delayed {
        id: "delayed-5h",
        happens: -17_200,
        delay: 18_000,
        found: 1_290,
        is_late: true,
    },
];

fn row(grid: &Grid, id: &str) -> Option<Row> {
    grid.rows().into_iter().find(|row| row.id == id)
}

#[test]
fn what_comes_late_comes() {
    let mut grid = Grid::new(How {
        since: -21_600,
        poll: 20,
        ..How::default()
    });
    grid.add_all("new", (-21_600..1_200).step_by(60));
    for delayed in &DELAYED {
        let line = event(delayed.id, delayed.happens, "U1");
        let added = grid.fake.add_delayed(&line, delayed.delay * SECOND);
        added.unwrap();
    }
    grid.start();
    let mut now = 0;
    for Delayed {
        id,
        happens,
        delay,
        found,
        is_late,
    } in DELAYED
    {
        let before = happens + delay - 1;
        if before > now {
            grid.run_to(before);
            assert!(
                row(&grid, id).is_none(),
                "{id} was seen before it was listed"
            );
        }
        now = now.max(found);
        grid.run_to(now);
        let row = row(&grid, id).unwrap_or_else(|| panic!("{id} is missing"));
        assert_eq!(row.is_late, is_late, "{row:?}");
        // What is very late is judged where it belongs, all else at the watermark.
        let is_moved = row.order_time > row.event_time;
        assert!(!(is_late && is_moved), "{row:?}");
        assert!(is_late || is_moved || delay < 60, "{row:?}");
    }
    grid.assert_complete("late events");
    grid.assert_polite("late events");
    let rows = grid.rows().into_iter();
    let on_time = rows.filter(|row| !row.id.starts_with("delayed-"));
    for row in on_time {
        assert!(!row.is_late && row.order_time == row.event_time, "{row:?}");
    }
}
