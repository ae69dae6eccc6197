//! What the poller would ask for, were an organisation of a size: no service, and pages without events.

use anyhow::{Result, anyhow, ensure};
use bytes::Bytes;
use gridwatch::event::time::MICROS;
use gridwatch::slack::audit::{MOST_ENTRIES, Page, Query};
use gridwatch::source::slack::{Moment, Next, Poller, Walked};

use super::{
    BEGIN, CALLS_PER_MINUTE, DAY, HOUR, LOOK_BACK, MINUTE, REWALK, asking, most_in_a_minute,
};
use crate::measure::{Spread, grouped, print_line};

/// How many events an organisation has in each second: as many in one as in the next, but for an hour of the
/// day.
struct Rates {
    /// Events a second.
    usual: f64,
    busy: f64,
    /// Any page's body begins like that.
    body: Bytes,
}

impl Rates {
    /// Events a second that a person has on average, some 43 a day, and in the busy hour.
    const EACH: f64 = 0.000_5;
    const EACH_BUSY: f64 = 0.003;
    const EVENT_BYTES: usize = 900;
    /// When the busy hour begins, after midnight.
    const BUSY_FROM: i64 = 10 * HOUR;

    fn of(people: u32) -> Self {
        let (mean, busy) = (
            f64::from(people) * Self::EACH,
            f64::from(people) * Self::EACH_BUSY,
        );
        // All that share a second are on one page.
        let most = usize::from(MOST_ENTRIES) + busy as usize + 2;
        Self {
            usual: (mean * 24.0 - busy) / 23.0,
            busy,
            body: vec![0; most * Self::EVENT_BYTES].into(),
        }
    }

    fn is_busy(time: i64) -> bool {
        let time = time.rem_euclid(DAY);
        (Self::BUSY_FROM..Self::BUSY_FROM + HOUR).contains(&time)
    }

    /// Events before this second since 1970.
    fn before(&self, second: i64) -> u64 {
        let (hour, day) = (HOUR / MICROS, DAY / MICROS);
        let (days, second) = (second.div_euclid(day), second.rem_euclid(day));
        let busy = (second - Self::BUSY_FROM / MICROS).clamp(0, hour);
        let busy = days * hour + busy;
        let usual = days * day + second - busy;
        (self.usual * usual as f64 + self.busy * busy as f64) as u64
    }

    /// What Slack would answer; a cursor is the second before which its page ends.
    fn page(&self, query: &Query, now: i64) -> Page {
        let oldest = query.oldest.unwrap_or(0);
        let cursor: Option<i64> = query.cursor.as_ref().and_then(|text| text.parse().ok());
        let latest = query.latest.unwrap_or(i64::MAX).min(now / MICROS);
        let mut second = cursor.map_or(latest, |cursor| latest.min(cursor - 1));
        let (mut entries, mut newest, mut last) = (0, None, None);
        while second >= oldest && entries < u64::from(query.limit) {
            let events = self.before(second + 1) - self.before(second);
            if events > 0 {
                newest = newest.or(Some(second));
                last = Some(second);
            }
            entries += events;
            second -= 1;
        }
        let has_more = second >= oldest && self.before(second + 1) > self.before(oldest);
        Page {
            body: self.body.slice(..entries as usize * Self::EVENT_BYTES),
            entries: entries as usize,
            newest,
            oldest: last,
            next_cursor: has_more.then(|| (second + 1).to_string()),
            server_time: Some(now / MICROS),
        }
    }
}

/// The poller at work for an organisation.
pub struct Reckoning {
    rates: Rates,
    poller: Poller,
    now: i64,
    calls: Vec<i64>,
    /// When polls had come up to the present.
    polls: Vec<i64>,
    /// Calls before the first of these.
    first_calls: usize,
    /// When second looks began.
    looks: Vec<i64>,
    /// How long each walk over the last hours took.
    walks: Vec<i64>,
    /// When the one under way began, and the last second of it.
    walk: Option<(i64, i64)>,
    /// The last second of what was asked for last; `None` for the present.
    latest: Option<i64>,
}

impl Reckoning {
    /// From a first start at midnight until a day after polls have come up to the present.
    pub fn of(people: u32) -> Self {
        let at = Moment {
            now: BEGIN,
            steady: BEGIN,
        };
        let mut reckoning = Self {
            rates: Rates::of(people),
            poller: Poller::new(asking(BEGIN), None, at),
            now: BEGIN,
            calls: Vec::new(),
            polls: Vec::new(),
            first_calls: 0,
            looks: Vec::new(),
            walks: Vec::new(),
            walk: None,
            latest: None,
        };
        while reckoning.now < reckoning.caught_up().map_or(BEGIN + 7 * DAY, |at| at + DAY) {
            reckoning.step();
        }
        reckoning
    }

    /// When polls first came up to the present.
    fn caught_up(&self) -> Option<i64> {
        self.polls.first().copied()
    }

    fn step(&mut self) {
        let at = Moment {
            now: self.now,
            steady: self.now,
        };
        match self.poller.next(at) {
            Next::Wait(until) => self.now = until,
            Next::Call(query) => {
                self.note_call(&query);
                self.poller.answered(self.rates.page(&query, self.now), at);
            }
            Next::Deliver(walked) => {
                self.note_end(&walked);
                self.poller.delivered(walked.complete_to);
            }
        }
    }

    /// Looks and walks begin with a first page that begins where they do, and do not reach the present.
    fn note_call(&mut self, query: &Query) {
        self.calls.push(self.now);
        self.latest = query.latest;
        let span = query.oldest.zip(query.latest);
        let Some((oldest, latest)) = span.filter(|_| query.cursor.is_none()) else {
            return;
        };
        let back = self.now / MICROS - oldest;
        if back == REWALK / MICROS {
            self.walk = Some((self.now, (self.now - LOOK_BACK) / MICROS));
        }
        let is_new = self.looks.last() != Some(&self.now);
        if back == LOOK_BACK / MICROS && latest > oldest && is_new {
            self.looks.push(self.now);
        }
    }

    /// Only polls vouch for anything, and only their last slice reaches the present.
    fn note_end(&mut self, walked: &Walked) {
        if walked.complete_to.is_some() {
            if self.latest.is_none() {
                if self.polls.is_empty() {
                    self.first_calls = self.calls.len();
                }
                self.polls.push(self.now);
            }
        } else if let Some((begun, last)) = self.walk
            && self.latest == Some(last)
        {
            self.walks.push(self.now - begun);
            self.walk = None;
        }
    }

    /// The table, for so many people as it was made for.
    ///
    /// # Errors
    /// When more calls would be made than may be, or polls never come up to the present.
    pub fn print(&self, people: u32) -> Result<()> {
        println!(
            "walk: {} people, {} bytes an event; a call takes no time\n",
            grouped(people.into()),
            Rates::EVENT_BYTES
        );
        let rate = |each: f64| format!("{:.1}", f64::from(people) * each);
        print_line("events/s, on average", rate(Rates::EACH));
        print_line("events/s, in the busy hour", rate(Rates::EACH_BUSY));
        let begun = self.caught_up();
        let begun =
            begun.ok_or_else(|| anyhow!("polls do not come up to the present in a week"))?;
        let took = (begun - BEGIN) as f64 / MINUTE as f64;
        print_line(
            "first start, 24 h back: caught up after, min",
            format!("{took:.1}"),
        );
        print_line("  calls of it", grouped(self.first_calls as u64));
        let per_minute = Spread::of(self.by_minute(begun));
        let calls = format!("{:.0} / {:.0}", per_minute.median(), per_minute.most());
        print_line("for a day after it: calls a minute (median / most)", calls);
        let most = most_in_a_minute(&self.calls);
        print_line("  at most in any 60 s", most);
        println!("in the busy hour (median / most)");
        print_line("  from one poll to the next, s", busy_gaps(&self.polls));
        print_line(
            "  from one second look to the next, s",
            busy_gaps(&self.looks),
        );
        let hours = self.walks.iter().map(|took| *took as f64 / HOUR as f64);
        let hours = Spread::of(hours);
        let hours = format!("{:.2} / {:.2}", hours.median(), hours.most());
        print_line("a walk over 8 h took, h (median / most)", hours);
        print_line("  such walks", self.walks.len());
        ensure!(
            most <= CALLS_PER_MINUTE as usize,
            "{most} calls would be made within 60 s; {CALLS_PER_MINUTE} may be"
        );
        Ok(())
    }

    /// Calls of each minute of a day from this time on, when polls had come up to the present.
    fn by_minute(&self, from: i64) -> Vec<f64> {
        let mut minutes = vec![0.0; (DAY / MINUTE) as usize];
        for at in &self.calls[self.first_calls..] {
            if let Some(calls) = minutes.get_mut(((at - from) / MINUTE) as usize) {
                *calls += 1.0;
            }
        }
        minutes
    }
}

/// The median and the most of what lies between times of the busy hour, in seconds.
fn busy_gaps(times: &[i64]) -> String {
    let pairs = times.windows(2);
    let busy = pairs.filter(|pair| pair.iter().all(|time| Rates::is_busy(*time)));
    let gaps = Spread::of(busy.map(|pair| (pair[1] - pair[0]) as f64 / 1e6));
    format!("{:.1} / {:.1}", gaps.median(), gaps.most())
}
