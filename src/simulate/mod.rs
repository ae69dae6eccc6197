//! A simulated organisation on Enterprise Grid: the audit events of its people, the networks they
//! use, and labelled attacks on them.
//!
//! ```text
//! seed ──► person ──► calendar ──► session ──► activity, errand, administration ─┐
//!      └─► network (CSV)                       attack ───────────────────────────┴─► sort by time
//!                                                 └─► label                render ──► NDJSON ◄─┘
//! ```
//!
//! A person is a pure function of (seed, number), what he does in a clock hour of (seed, number,
//! hour). So nothing is kept from one hour to the next but the events that run over its end: the
//! memory in use grows with the people, by some 50 bytes an event of one hour, not with the days.
//! Threads share the people and the lines of an hour in fixed parts, so their number does not show.
//!
//! Whatever the numbers stand for, measured or assumed, is said where they are used; nothing names
//! a real network, company or person.

mod activity;
mod administration;
mod agent;
mod attack;
mod calendar;
mod city;
mod daylight;
mod dice;
mod errand;
mod event;
mod habit;
mod label;
mod line;
mod name;
mod network;
mod object;
mod person;
mod render;
mod scribe;
mod season;
mod session;
pub mod slack;
mod stay;
#[cfg(test)]
mod tests;
mod volume;

use std::io::{self, Write};

use rayon::prelude::*;

use self::event::{Key, Record};
use self::line::Line;
use self::network::World;
use self::season::Season;

/// When plans start by default: 2026-03-02T00:00:00Z, a Monday, in Unix seconds.
pub const DEFAULT_START: i64 = 1_772_409_600;

/// What to simulate.
#[derive(Clone, Debug)]
pub struct Plan {
    /// People, from 1 to 67,108,864.
    pub users: u32,
    /// Whole days from `start`, up to 43,690.
    pub days: u32,
    /// Equal plans with equal seeds give equal bytes.
    pub seed: u64,
    /// Unix seconds of a UTC midnight, not negative; a Monday keeps weeks of travel whole.
    pub start: i64,
    /// How often whom is done harm.
    pub attacks: Attacks,
    /// With 14 days or more, the company's VPN moves to a provider that nobody had before, after
    /// three fifths of them: those who use it, 30 % of the people, come from there from one morning on,
    /// most with running sessions. Without it, addresses of theirs differ and nothing else.
    pub moves: bool,
    /// On the last two workdays of a quarter (or, with 14 days or more and no quarter's end among
    /// them, of the plan) a tenth of the people downloads 3 to 6 times as much. Without it, these
    /// downloads are missing and nothing else.
    pub surge: bool,
}

impl Plan {
    /// A plan with the default attacks that starts on Monday, 2026-03-02, UTC.
    pub fn new(users: u32, days: u32, seed: u64) -> Self {
        Self {
            users,
            days,
            seed,
            start: DEFAULT_START,
            attacks: Attacks::default(),
            moves: true,
            surge: true,
        }
    }
}

/// How many attacks there are: rates per 1,000 people in 30 days. Kinds that share a rate have equal
/// parts of it. Attacks take place from `first_day` on, each on other people, most of them while these
/// are at work.
#[derive(Clone, Debug, PartialEq)]
pub struct Attacks {
    /// Stolen credentials, used from another continent, another country of the same continent, and
    /// a city more than 500 km away in the same country.
    pub takeovers: f64,
    /// Stolen session cookies, used by a script on a rented machine while the victim goes on working.
    pub stolen_sessions: f64,
    /// Stolen cookies and tokens in a command-line tool on a rented machine.
    pub scripts: f64,
    /// Passwords tried on one person, with and without success, and on 20 to 60.
    pub guessed_passwords: f64,
    /// Sign-ins of an account that was deactivated, through Tor, and as 8 to 20 people who gave their
    /// passwords to a forged page.
    pub strange_sign_ins: f64,
    /// 3 to 12 times as many distinct files within 50 minutes as the person ever fetches in an hour,
    /// 30 to 600, half by insiders, half by thieves.
    pub bulk_downloads: f64,
    /// Twice as many as usual on each of 5 days, and 5 to 12 times as many just after a takeover from
    /// another continent.
    pub other_downloads: f64,
    /// Grave findings of Slack's own.
    pub slack_anomalies: f64,
    /// Very many channels looked into, very many files shared with another organisation, malicious
    /// files, public links to secrets; half by insiders, half by thieves.
    pub leaks: f64,
    /// Grave acts in an administrator's name, half from where the administrator is, half from
    /// elsewhere: an accomplice becomes administrator, an app gets wide scopes when it is installed or
    /// later, an export, private channels made public, the second factor, a rule against the loss of
    /// data and Slack's answers to its findings switched off, many people signed out.
    pub administration: f64,
    /// With 50 people and 7 days or more, at least one of each kind of takeover, a stolen session, a
    /// bulk download and a finding of Slack's within the last two days; with 400 people and 12 days or
    /// more, at least one of every kind.
    pub at_least_one: bool,
    /// So many of every kind, whatever the rates are, as long as there are people to attack.
    pub exactly: Option<u32>,
    /// The first day on which attacks take place, from 0: earlier there is no history to differ from.
    pub first_day: u32,
}

impl Default for Attacks {
    /// Assumed: one account in 1,000 is taken over in a month, one person in 10,000 is an insider; of
    /// all else, less.
    fn default() -> Self {
        Self {
            takeovers: 1.0,
            stolen_sessions: 0.5,
            scripts: 0.1,
            guessed_passwords: 0.3,
            strange_sign_ins: 0.15,
            bulk_downloads: 0.2,
            other_downloads: 0.1,
            slack_anomalies: 0.5,
            leaks: 0.2,
            administration: 0.1,
            at_least_one: true,
            exactly: None,
            first_day: Self::FIRST_DAY,
        }
    }
}

impl Attacks {
    /// The seventh.
    const FIRST_DAY: u32 = 6;

    /// Nobody does harm. Everything else stays as it is with attacks, to the byte.
    pub fn none() -> Self {
        Self {
            takeovers: 0.0,
            stolen_sessions: 0.0,
            scripts: 0.0,
            guessed_passwords: 0.0,
            strange_sign_ins: 0.0,
            bulk_downloads: 0.0,
            other_downloads: 0.0,
            slack_anomalies: 0.0,
            leaks: 0.0,
            administration: 0.0,
            at_least_one: false,
            exactly: None,
            first_day: Self::FIRST_DAY,
        }
    }

    /// So many attacks of every kind, to measure what is found. One of each takes some 80 people, half
    /// of them in a spray; there should be several times as many.
    pub fn plenty(per_kind: u32) -> Self {
        Self {
            exactly: Some(per_kind),
            ..Self::none()
        }
    }
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Lines of events.
    pub events: u64,
    /// Attacks, each with a label.
    pub attacks: u64,
}

/// Writes the events as NDJSON in the order of time (several share a second), the networks as CSV
/// and the labels as NDJSON in the order of their start.
///
/// `progress` is told the number of events written so far, at least every 16,384 events. Work is
/// shared out on the current rayon pool; the writers are used by the calling thread alone, and are
/// flushed.
///
/// # Errors
///
/// An error of one of the writers, or a plan out of the bounds that its fields name.
pub fn write(
    plan: &Plan,
    events: &mut dyn Write,
    networks: &mut dyn Write,
    labels: &mut dyn Write,
    progress: &mut dyn FnMut(u64),
) -> io::Result<Totals> {
    let org = Organisation::new(plan)?;
    org.world.write(networks)?;
    networks.flush()?;
    let attacks = attack::place(&org, &plan.attacks);
    let mut pending = attacks.as_slice();
    let mut out = Output {
        org: &org,
        events,
        progress,
        written: 0,
        ready: Vec::new(),
        spare: Vec::new(),
    };
    // Events that begin in one hour and end in a later one.
    let mut carried = Vec::new();
    for hour in 0..org.days * 24 {
        let mut slot = std::mem::take(&mut carried);
        org.hour(hour, &mut slot);
        let starting = pending.partition_point(|attack| attack.hour(&org) <= hour);
        for attack in &pending[..starting] {
            let records = attack.records(&org);
            label::write(&org, attack, &records, labels)?;
            slot.extend(records);
        }
        pending = &pending[starting..];
        slot.par_sort_unstable_by_key(Record::order);
        let end = (hour + 1) * calendar::HOUR as u32;
        carried = slot.split_off(slot.partition_point(|record| record.time < end));
        out.write(&slot)?;
    }
    out.events.flush()?;
    labels.flush()?;
    Ok(Totals {
        events: out.written,
        attacks: attacks.len() as u64,
    })
}

/// The organisation, and the span of time that is simulated.
struct Organisation {
    seed: u64,
    users: u32,
    days: u32,
    /// Unix seconds.
    start: i64,
    world: World,
    season: Season,
}

impl Organisation {
    fn new(plan: &Plan) -> io::Result<Self> {
        let is_in_bounds = (1..=Key::MOST_PEOPLE).contains(&plan.users)
            && plan.days <= Key::MOST_HOURS / 24
            && (0..1 << 36).contains(&plan.start);
        if !is_in_bounds {
            let text =
                "a plan needs 1 to 67108864 users, at most 43690 days and a start after 1970";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        Ok(Self {
            seed: plan.seed,
            users: plan.users,
            days: plan.days,
            start: plan.start,
            world: World::new(plan.seed),
            season: Season::new(plan),
        })
    }

    /// Unix seconds after the last moment.
    fn end(&self) -> i64 {
        self.start + i64::from(self.days) * calendar::DAY
    }

    /// Appends what all people do in that hour, in the order of their numbers.
    fn hour(&self, hour: u32, slot: &mut Vec<Record>) {
        const PEOPLE: u32 = 1024;
        let parts: Vec<Vec<Record>> = (0..self.users.div_ceil(PEOPLE))
            .into_par_iter()
            .map(|part| {
                let mut records = Vec::new();
                for number in part * PEOPLE..((part + 1) * PEOPLE).min(self.users) {
                    let person = self.person(number);
                    activity::ordinary(self, &person, hour, &mut records);
                    errand::hour(self, &person, hour, &mut records);
                    errand::surge(self, &person, hour, &mut records);
                    administration::hour(self, &person, hour, &mut records);
                }
                records
            })
            .collect();
        slot.reserve(parts.iter().map(Vec::len).sum());
        for mut part in parts {
            slot.append(&mut part);
        }
    }
}

/// Renders one batch of lines while the last one is written.
struct Output<'a> {
    org: &'a Organisation,
    events: &'a mut dyn Write,
    progress: &'a mut dyn FnMut(u64),
    written: u64,
    ready: Vec<Vec<u8>>,
    spare: Vec<Vec<u8>>,
}

impl Output<'_> {
    /// Lines of one part, and of all the parts that are rendered at once.
    const PART: usize = 1024;
    const BATCH: usize = 16 * Self::PART;

    fn write(&mut self, records: &[Record]) -> io::Result<()> {
        for batch in records.chunks(Self::BATCH) {
            let (org, mut next) = (self.org, std::mem::take(&mut self.spare));
            rayon::in_place_scope(|scope| {
                scope.spawn(|_| render_batch(org, batch, &mut next));
                self.drain()
            })?;
            self.spare = std::mem::replace(&mut self.ready, next);
            self.written += batch.len() as u64;
            (self.progress)(self.written);
        }
        self.drain()
    }

    /// Writes what is ready; the buffers are kept for the next batch.
    fn drain(&mut self) -> io::Result<()> {
        for part in &mut self.ready {
            self.events.write_all(part)?;
            part.clear();
        }
        Ok(())
    }
}

/// Fills one buffer for each part of the batch.
fn render_batch(org: &Organisation, batch: &[Record], buffers: &mut Vec<Vec<u8>>) {
    let parts = batch.len().div_ceil(Output::PART);
    buffers.resize_with(parts.max(buffers.len()), Vec::new);
    batch
        .par_chunks(Output::PART)
        .zip(buffers.par_iter_mut())
        .for_each(|(records, buffer)| {
            let mut line = Line::new(std::mem::take(buffer));
            for record in records {
                render::event(org, record, &mut line);
            }
            *buffer = line.into_buffer();
        });
}
