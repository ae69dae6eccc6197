//! A fake Slack on the loopback address, with the state that a real one would have.
//!
//! ```text
//!                   ┌► audit ─► query, cursor ─► log ───────┐
//! request ─► asked ─┤                                       ├─► answer ─► connection
//!                   └► web ───► people, sessions, messages ─┘     ▲
//!                                                               fault
//! ```
//!
//! It speaks the Audit Logs API and the methods of the Web API that gridwatch calls, with Slack's
//! limits, errors and oddities: a page may hold more than was asked for, a cursor remembers a place
//! but no filter, and the last page says so in two ways. What goes wrong beyond that is scripted as
//! [`Fault`]s.
//!
//! Time is that of the clock it is given. Only faults that take time take real time.

mod answer;
mod asked;
mod audit;
mod catalogue;
mod connection;
mod cursor;
mod device;
mod fault;
mod limit;
mod log;
mod options;
mod query;
mod record;
mod server;
mod session;
mod state;
#[cfg(test)]
mod tests;
mod web;

use std::fmt;
use std::io::{self, BufRead};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use self::fault::{Act, Fault};
pub use self::options::{Group, Options, Person, Role};
pub use self::query::Query;

use self::connection::{Line, Severable};
use self::state::{Site, TOKEN};
use crate::clock::Clock;

/// A call that was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// When it came, in steady microseconds of the clock.
    pub at: i64,
    /// The last part of the address: `logs`, `users.list`.
    pub method: String,
    /// HTTP's status; 0 if nothing was answered.
    pub status: u16,
    /// What a call of `logs` asked for, if it could be read.
    pub query: Option<Query>,
}

/// A running fake Slack. It stops listening when the last clone is dropped.
#[derive(Clone)]
pub struct FakeSlack {
    site: Arc<Site>,
    serving: Arc<Serving>,
}

struct Serving {
    address: SocketAddr,
    task: JoinHandle<io::Result<()>>,
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl FakeSlack {
    /// Listens on a free port of 127.0.0.1. The tokio runtime that calls this serves it.
    ///
    /// # Errors
    /// When no port or no temporary file can be opened.
    pub async fn start(options: Options, clock: Clock) -> io::Result<Self> {
        let site = Arc::new(Site::new(options, clock)?);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let router = server::router(Arc::clone(&site));
        let router = router.into_make_service_with_connect_info::<Line>();
        let serving = axum::serve(Severable(listener), router);
        let task = tokio::spawn(serving.into_future());
        let serving = Arc::new(Serving { address, task });
        Ok(Self { site, serving })
    }

    /// `http://127.0.0.1:PORT/audit/v1/`
    pub fn audit_endpoint(&self) -> String {
        format!("http://{}{}", self.serving.address, server::AUDIT)
    }

    /// `http://127.0.0.1:PORT/api/`
    pub fn web_endpoint(&self) -> String {
        format!("http://{}{}", self.serving.address, server::WEB)
    }

    /// The token that is good for everything, until it is revoked.
    pub fn token(&self) -> String {
        TOKEN.to_owned()
    }

    /// Refuses the token from now on.
    pub fn revoke_token(&self) {
        self.site.state().is_revoked = true;
    }

    /// Takes the token again.
    pub fn restore_token(&self) {
        self.site.state().is_revoked = false;
    }

    /// Adds an event as Slack writes it, in any order of time. It is seen from its own time on.
    ///
    /// # Errors
    /// When it is no JSON object with whole seconds as `date_create`, or cannot be written.
    pub fn add(&self, line: &str) -> io::Result<()> {
        self.add_delayed(line, 0)
    }

    /// Adds an event that is seen `delay` microseconds after its own time; a negative delay is none.
    /// Its session begins and ends in its own time.
    ///
    /// # Errors
    /// As [`FakeSlack::add`].
    pub fn add_delayed(&self, line: &str, delay: i64) -> io::Result<()> {
        self.site.state().log.add(line, delay)
    }

    /// Adds all lines that are not blank, and gives their number. `delay` gives the delay of each in
    /// microseconds by its number, from 0.
    ///
    /// # Errors
    /// When they cannot be read, or as [`FakeSlack::add`]; those before the error are added.
    pub fn load(
        &self,
        mut lines: impl BufRead,
        mut delay: impl FnMut(u64) -> i64,
    ) -> io::Result<u64> {
        let (mut line, mut number) = (String::new(), 0);
        while lines.read_line(&mut line)? > 0 {
            if !line.trim().is_empty() {
                self.add_delayed(&line, delay(number))?;
                number += 1;
            }
            line.clear();
        }
        Ok(number)
    }

    /// How many events can be seen by now.
    pub fn events(&self) -> u64 {
        let now = self.site.clock.now();
        self.site.state().log.count(now)
    }

    /// The ids of the events that can be seen by now, sorted; one that several share as often. Those
    /// that cannot be read are missing.
    pub fn ids(&self) -> Vec<String> {
        #[derive(Deserialize)]
        struct Event {
            id: String,
        }
        let now = self.site.clock.now();
        let mut ids = Vec::new();
        let give = |line: &[u8]| {
            let event = serde_json::from_slice(line);
            ids.extend(event.ok().map(|event: Event| event.id));
        };
        // A test that misses ids says so itself.
        let _ = self.site.state().log.read_seen(now, give);
        ids.sort_unstable();
        ids
    }

    /// Appends faults to those that wait.
    pub fn script(&self, faults: impl IntoIterator<Item = Fault>) {
        self.site.state().script.append(faults);
    }

    /// How many of the scripted faults are not used up.
    pub fn waiting_faults(&self) -> usize {
        self.site.state().script.len()
    }

    /// All calls so far, in the order in which they were answered. A call that is refused counts, and
    /// so does one of a method that there is not.
    pub fn calls(&self) -> Vec<Call> {
        self.site.state().calls.clone()
    }

    /// Other members from now on; the token is that of the first.
    pub fn set_people(&self, people: Vec<Person>) {
        self.site.state().options.people = people;
    }

    /// Other groups from now on.
    pub fn set_groups(&self, groups: Vec<Group>) {
        self.site.state().options.groups = groups;
    }

    /// The networks and the autonomous systems that Slack's own detections trust.
    pub fn allowed(&self) -> (Vec<String>, Vec<u32>) {
        let state = self.site.state();
        (state.allowed.cidrs.clone(), state.allowed.asns.clone())
    }

    /// The open sessions of this person by now, in the order of their numbers. Those that cannot be
    /// read are missing.
    pub fn sessions_of(&self, user: &str) -> Vec<u64> {
        let now = self.site.clock.now();
        let mut state = self.site.state();
        // A test that misses sessions says so itself.
        let _ = state.read_sessions(now);
        let open = state.sessions.open(Some(user));
        open.map(|open| open.id).collect()
    }

    /// The messages that were posted, the oldest first: the arguments of each call with its `ts`.
    pub fn messages(&self) -> Vec<Value> {
        self.site.state().messages.clone()
    }
}

impl fmt::Debug for FakeSlack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FakeSlack({})", self.serving.address)
    }
}
