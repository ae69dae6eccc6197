//! Slack's audit log through the poller and the service, from a fake Slack that fails in every way.
//!
//! Most tests run the service in this process, with time that goes by as fast as both sides can: see
//! [`grid::Grid`]. Some run the program itself in real time. `GRIDWATCH_LONG_TESTS=1` tries more and larger
//! ones.
//!
//! What connectors of Slack's audit log are known to fail at, and where it is tried:
//!
//! | failure | test |
//! |---|---|
//! | the wrong host answers with a page of HTML | `connector::a_page_of_html_is_none_of_slacks` |
//! | success without `ok` counts as failure | `connector::success_says_no_ok` |
//! | `next_cursor` is absent | `connector::a_walk_ends_with_an_empty_cursor_or_with_none` |
//! | an empty page ends the walk | `faults::strange_cursors_lose_and_double_nothing` |
//! | `ip_address` is empty | `connector::an_empty_address_is_no_address` |
//! | a cursor expires, and HTTP 400 comes for ever | `connector::a_cursor_that_expired_is_given_up` |
//! | a cursor goes along without `oldest` | `connector::each_page_is_asked_for_with_the_same_span` |
//! | 30 actions are not all | `connector::all_actions_come_without_a_list_of_them` |
//! | `action_timestamp` in other units, fields that a model lacks | `connector::what_slack_writes_is_kept_as_it_is` |
//! | other apps use up the organisation's limit | `connector::other_apps_may_use_up_the_limit` |
//! | the wait after 429 is not kept | `faults::limits_are_kept_and_lose_nothing` |
//! | the newest come first, and the boundary's second is lost or doubled | `once::a_second_may_hold_more_than_a_page` |
//! | events come late | `late::what_comes_late_comes` |
//! | it takes minutes | `end_to_end::a_theft_is_told_within_seconds` |

mod allow;
mod backfill;
mod connector;
mod end_to_end;
mod faults;
mod grid;
mod late;
mod lists;
mod once;
mod outage;
mod time;

use gridwatch::simulate::slack::{Act, Fault};

use super::service::{LOG, PATIENCE, RUNTIME, Service, finding, wait_for};
use super::{Folder, Ran, gridwatch};

/// In microseconds.
const SECOND: i64 = 1_000_000;

/// Whether the environment asks for tests that take long.
fn is_long() -> bool {
    std::env::var_os("GRIDWATCH_LONG_TESTS").is_some()
}

/// After so many calls of the log, this happens to so many.
fn fault(after: u32, times: u32, act: Act) -> Fault {
    Fault {
        on: "logs",
        after,
        times,
        act,
    }
}
