//! Everything that a fake Slack knows and has seen, and how it answers.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::answer::{Answer, Reply};
use super::asked::{Api, Asked};
use super::fault::Script;
use super::limit::Limit;
use super::log::Log;
use super::options::{Options, Person, Profile};
use super::query::Query;
use super::session::Sessions;
use super::web::Allowed;
use super::{Call, audit, web};
use crate::clock::Clock;

/// The only token that is good.
pub(super) const TOKEN: &str = "xoxp-0000000000-simulated";

/// When a call comes, in microseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// By the time of day.
    pub now: i64,
    pub steady: i64,
}

/// What the server and the handles share.
pub(super) struct Site {
    pub clock: Clock,
    state: Mutex<State>,
}

pub(super) struct State {
    pub options: Options,
    pub log: Log,
    pub script: Script,
    pub calls: Vec<Call>,
    pub is_revoked: bool,
    /// By the name of the method.
    pub limits: HashMap<&'static str, Limit>,
    /// Last pages of `logs` that were answered.
    pub last_pages: u64,
    pub sessions: Sessions,
    pub allowed: Allowed,
    /// Those that were posted, the oldest first.
    pub messages: Vec<Value>,
    /// Ids of the direct messages that were opened.
    pub conversations: HashSet<String>,
}

impl Site {
    pub fn new(options: Options, clock: Clock) -> io::Result<Self> {
        let state = State {
            options,
            log: Log::new()?,
            script: Script::default(),
            calls: Vec::new(),
            is_revoked: false,
            limits: HashMap::new(),
            last_pages: 0,
            sessions: Sessions::default(),
            allowed: Allowed::default(),
            messages: Vec::new(),
            conversations: HashSet::new(),
        };
        Ok(Self {
            clock,
            state: Mutex::new(state),
        })
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers a call and enters it. It may read a large file.
    pub fn answer(&self, asked: &Asked) -> Reply {
        let moment = Moment {
            now: self.clock.now(),
            steady: self.clock.steady(),
        };
        let mut state = self.state();
        let act = state.script.act_on(&asked.method, asked.has_cursor());
        let instead = act.as_ref().and_then(|act| act.instead(asked.api));
        let mut answer = instead.unwrap_or_else(|| match asked.api {
            Api::Audit => audit::answer(&mut state, asked, act.as_ref(), moment),
            Api::Web => web::answer(&mut state, asked, moment),
        });
        if let Some(spoilt) = act.as_ref().and_then(|act| act.spoil(&answer.body)) {
            answer.body = spoilt;
        }
        let call = state.call(asked, moment, &answer);
        state.calls.push(call);
        let now = moment.now;
        Reply { answer, act, now }
    }
}

impl State {
    fn call(&self, asked: &Asked, moment: Moment, answer: &Answer) -> Call {
        let is_of_logs = asked.api == Api::Audit && asked.method == "logs";
        let arguments = asked.arguments.as_ref().ok().filter(|_| is_of_logs);
        let most = self.options.most_entries;
        Call {
            at: moment.steady,
            method: asked.method.clone(),
            status: answer.status,
            query: arguments.and_then(|arguments| Query::read(arguments, most).ok()),
        }
    }

    /// Whose the token is.
    pub fn owner(&self) -> Profile {
        let owner = self.options.people.first();
        owner.map_or_else(Profile::nobody, Profile::from)
    }

    /// The member of this id.
    pub fn person(&self, id: &str) -> Option<&Person> {
        self.options.people.iter().find(|person| person.id == id)
    }

    /// The member of this id, or whoever has acted under it.
    pub fn profile(&self, id: &str) -> Option<Profile> {
        let member = self.person(id).map(Profile::from);
        member.or_else(|| self.sessions.profile(id).cloned())
    }

    /// Takes note of what happened up to `now`.
    ///
    /// # Errors
    /// When the events cannot be read.
    pub fn read_sessions(&mut self, now: i64) -> io::Result<()> {
        let Self { log, sessions, .. } = self;
        log.read_new(now, |line| sessions.note(line))
    }
}
