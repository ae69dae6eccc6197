//! What goes wrong on purpose, and when.

use std::time::Duration;

use bytes::Bytes;

use super::answer::Answer;
use super::asked::Api;

/// Something that goes wrong with calls of a method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The method's name: `logs`, `users.list`.
    pub on: &'static str,
    /// So many calls of it pass first, counted from when the fault was scripted, whatever other faults
    /// do to them.
    pub after: u32,
    /// So many calls it then acts on.
    pub times: u32,
    pub act: Act,
}

/// What happens instead of an answer, or to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// This HTTP status without a body.
    Status(u16),
    /// Too many calls, however few there were.
    RateLimited { retry_after_secs: u64 },
    /// The token is refused with HTTP 403.
    Forbidden,
    /// HTTP 200 with a page for people.
    Html,
    /// The connection is closed without an answer.
    HangUp,
    /// The answer's head and half of its body, then the connection is closed.
    CutBody,
    /// The whole answer in pieces, with so many real milliseconds before each.
    SlowBody { millis: u64 },
    /// The answer's head, then nothing for as long as the client waits.
    Stall,
    /// A body of the right length that is no JSON: its last byte is another.
    Malformed,
    /// A body that ends in the middle, with the length to match.
    Truncated,
    /// HTTP 400 `invalid_cursor`. Only calls with a cursor count for it.
    StaleCursor,
    /// `logs` only: the next cursor is the one that was sent, or one to the newest event.
    LoopCursor,
    /// `logs` only: no entries, and a next cursor to where the page should have begun.
    EmptyPage,
    /// `logs` only: the last 5 entries of the page come again on the next.
    DoubleEntries,
}

impl Act {
    /// What is answered in place of the true answer; `None` if that one is needed.
    pub(super) fn instead(&self, api: Api) -> Option<Answer> {
        match self {
            Self::Status(status) => Some(Answer::empty(*status)),
            Self::HangUp => Some(Answer::empty(0)),
            Self::RateLimited { retry_after_secs } => {
                Some(Answer::limited(api.limited(), *retry_after_secs))
            }
            Self::Forbidden => Some(Answer::error(403, "access_denied")),
            Self::Html => Some(Answer::html()),
            Self::StaleCursor => Some(Answer::error(400, "invalid_cursor")),
            _ => None,
        }
    }

    /// What becomes of a body whose length the head tells rightly.
    pub(super) fn spoil(&self, body: &Bytes) -> Option<Bytes> {
        let last = body.len().checked_sub(1)?;
        match self {
            Self::Malformed => Some([&body[..last], b"]"].concat().into()),
            Self::Truncated => Some(body.slice(..body.len() / 2)),
            _ => None,
        }
    }

    /// The pause before each piece of a slow body.
    pub(super) fn pause(&self) -> Option<Duration> {
        match self {
            Self::SlowBody { millis } => Some(Duration::from_millis(*millis)),
            _ => None,
        }
    }
}

/// The faults that wait, in order.
#[derive(Debug, Default)]
pub(super) struct Script(Vec<Fault>);

impl Script {
    pub fn append(&mut self, faults: impl IntoIterator<Item = Fault>) {
        let faults = faults.into_iter().filter(|fault| fault.times > 0);
        self.0.extend(faults);
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// What the first fault that is due does to this call.
    pub fn act_on(&mut self, method: &str, has_cursor: bool) -> Option<Act> {
        let mut act = None;
        for fault in &mut self.0 {
            let needs_cursor = fault.act == Act::StaleCursor;
            if fault.on != method || needs_cursor && !has_cursor {
                continue;
            }
            if fault.after > 0 {
                fault.after -= 1;
            } else if act.is_none() {
                fault.times -= 1;
                act = Some(fault.act.clone());
            }
        }
        self.0.retain(|fault| fault.times > 0);
        act
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(on: &'static str, after: u32, times: u32, act: Act) -> Fault {
        Fault {
            on,
            after,
            times,
            act,
        }
    }

    #[test]
    fn faults_act_in_order_each_on_its_own_calls() {
        let mut script = Script::default();
        script.append([
            fault("logs", 1, 2, Act::HangUp),
            fault("users.list", 0, 1, Act::Html),
            fault("logs", 0, 2, Act::Stall),
            fault("logs", 0, 0, Act::Forbidden),
            fault("logs", 6, 1, Act::Malformed),
        ]);
        assert_eq!(script.len(), 4);
        for (method, act) in [
            ("logs", Some(Act::Stall)),
            ("logs", Some(Act::HangUp)),
            ("logs", Some(Act::HangUp)),
            ("actions", None),
            ("logs", Some(Act::Stall)),
            ("logs", None),
            ("users.list", Some(Act::Html)),
            ("users.list", None),
            ("logs", None),
            ("logs", Some(Act::Malformed)),
            ("logs", None),
        ] {
            assert_eq!(script.act_on(method, false), act, "{method}");
        }
        assert_eq!(script.len(), 0);
    }

    #[test]
    fn a_stale_cursor_waits_for_a_call_with_one() {
        let mut script = Script::default();
        script.append([fault("logs", 1, 1, Act::StaleCursor)]);
        for (has_cursor, act) in [
            (false, None),
            (true, None),
            (false, None),
            (true, Some(Act::StaleCursor)),
            (true, None),
        ] {
            assert_eq!(script.act_on("logs", has_cursor), act);
        }
    }

    #[test]
    fn a_spoilt_body_is_no_json() {
        let body = Bytes::from_static(b"{\"entries\":[]}");
        for (act, spoilt) in [
            (Act::Malformed, "{\"entries\":[]]"),
            (Act::Truncated, "{\"entri"),
        ] {
            assert_eq!(act.spoil(&body).as_deref(), Some(spoilt.as_bytes()));
            assert_eq!(act.spoil(&Bytes::new()), None);
        }
        assert_eq!(Act::Stall.spoil(&body), None);
    }
}
