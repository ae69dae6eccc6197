//! Attacks by signing in, or by trying to.

use super::super::super::calendar::{DAY, HOUR, MINUTE};
use super::super::super::event::Action;
use super::super::super::session::{Context, Device};
use super::super::source::forged_family;
use super::Script;

impl Script<'_> {
    /// A sign-in.
    pub(super) fn enter(&mut self) {
        self.push(Action::UserLogin, self.actor.into());
    }

    /// A sign-in that fails: there is no session.
    fn fail(&mut self) {
        let session = std::mem::take(&mut self.context.session);
        self.push(Action::UserLoginFailed, self.actor.into());
        self.context.session = session;
    }

    /// 5 to 30 passwords within a quarter of an hour, and one that fits.
    pub(super) fn guess_and_enter(&mut self) {
        let count = self.dice.between(5, 30) as u64;
        let secs = self.dice.between(MINUTE, 15 * MINUTE);
        self.evenly(count, secs, |script, _| script.fail());
        self.wait(20.0);
        self.enter();
        self.look_around(8, 30, 60.0);
    }

    /// 15 to 60 passwords within five minutes.
    pub(super) fn guess(&mut self) {
        let count = self.dice.between(15, 60) as u64;
        let secs = self.dice.between(MINUTE, 290);
        self.evenly(count, secs, |script, _| script.fail());
    }

    /// One password on everybody, within 25 minutes.
    pub(super) fn spray(&mut self) {
        let people: Vec<u32> = self.attack.people().collect();
        let secs = self.dice.between(10 * MINUTE, 24 * MINUTE);
        self.evenly(people.len() as u64, secs, |script, number| {
            script.actor = people[number as usize];
            script.fail();
        });
    }

    /// An administrator deactivates the account; 1 to 30 minutes later it is used; an hour after it
    /// was deactivated it is given back.
    pub(super) fn use_deactivated(&mut self) {
        let (start, victim) = (self.attack.start, self.attack.victim);
        self.by_admin(start, Action::UserDeactivated);
        self.actor = victim;
        self.context = self.attack.source;
        self.time = start + self.dice.between(MINUTE, 30 * MINUTE);
        self.enter();
        self.look_around(5, 20, 40.0);
        let later = start + HOUR + self.dice.between(0, 10 * MINUTE);
        self.by_admin(later, Action::UserReactivated);
    }

    /// The administrator's act on the victim, from the administrator's own computer.
    fn by_admin(&mut self, time: i64, action: Action) {
        let Some(admin) = self.attack.others.first() else {
            return;
        };
        let person = self.org.person(*admin);
        // Where nothing connects just then, it did before.
        let at = |time| self.org.context(&person, Device::Desktop, false, time);
        let Some(context) = at(time).or_else(|| at(self.attack.start)) else {
            return;
        };
        (self.time, self.actor, self.context) = (time, *admin, context);
        self.push(action, self.attack.victim.into());
    }

    /// Within 40 minutes everybody signs in through the forged page, and the forger looks around.
    pub(super) fn enter_as_many(&mut self) {
        let (start, ip) = (self.attack.start, self.attack.source.ip);
        let day = start.div_euclid(DAY);
        for person in self.attack.people() {
            let is_first = person == self.attack.victim;
            let delay = if is_first {
                0
            } else {
                self.dice.between(MINUTE, 39 * MINUTE)
            };
            self.time = start + delay;
            let family = forged_family(&self.org.person(person));
            self.actor = person;
            self.context = Context {
                ip,
                agent: self.org.agent(person, family, self.time),
                session: self.org.session_number(person, Device::Foreign, day),
            };
            self.enter();
            self.look_around(1, 4, 60.0);
        }
    }
}
