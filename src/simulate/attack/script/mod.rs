//! What an attacker does, step by step.

mod administer;
mod collect;
mod sign_in;

use super::super::Organisation;
use super::super::calendar::{HOUR, MINUTE};
use super::super::dice::{Dice, Purpose};
use super::super::event::{Action, By, Form, Key, Record};
use super::super::person::TEAM_SIZE;
use super::super::session::Context;
use super::{Attack, FIRST_SEVERE_REASON, Kind, TOR_REASON};

impl Attack {
    /// Its events, in the order of time.
    pub(in crate::simulate) fn records(&self, org: &Organisation) -> Vec<Record> {
        let key = self.start as u64;
        let mut script = Script {
            org,
            attack: self,
            dice: Dice::new(org.seed, Purpose::Victim, self.victim.into(), key),
            time: self.start,
            actor: self.victim,
            context: self.source,
            events: Vec::new(),
        };
        script.play();
        script.events.sort_by_key(|event| event.time);
        script.events
    }
}

struct Script<'a> {
    org: &'a Organisation,
    attack: &'a Attack,
    dice: Dice,
    /// Of the next event, in Unix seconds.
    time: i64,
    /// Who acts.
    actor: u32,
    /// What that shows.
    context: Context,
    events: Vec<Record>,
}

impl Script<'_> {
    fn play(&mut self) {
        let kind = self.attack.kind;
        let is_entered_later = matches!(
            kind,
            Kind::FailThenSuccess | Kind::DeactivatedLogin | Kind::PhishingCrowd
        );
        if self.attack.signs_in() && !is_entered_later {
            self.enter();
        }
        match kind {
            Kind::TravelContinent | Kind::TravelCountry | Kind::TravelFarCity | Kind::TorLogin => {
                self.look_around(8, 30, 70.0);
            }
            Kind::StolenSession => self.look_around(12, 40, 30.0),
            Kind::ScriptClient => self.look_around(12, 40, 15.0),
            Kind::FailThenSuccess => self.guess_and_enter(),
            Kind::BruteForce => self.guess(),
            Kind::DeactivatedLogin => self.use_deactivated(),
            Kind::PhishingCrowd => self.enter_as_many(),
            Kind::Spray => self.spray(),
            Kind::BulkDownload => self.download(10 * MINUTE, 49 * MINUTE),
            Kind::SlowDownload => self.download_slowly(),
            Kind::DownloadAfterTravel => self.look_and_download(),
            Kind::SlackAnomaly => self.find(),
            Kind::MassJoin => self.join_channels(),
            Kind::MassShare => self.share_files(),
            Kind::MalwareBurst => self.spread_malware(),
            Kind::SensitiveLink => self.link_secrets(),
            Kind::MassReset => self.reset_sessions(),
            _ => self.administrate(),
        }
    }

    /// Between `least` and `most` looks at channels, files and canvases, some seconds apart.
    fn look_around(&mut self, least: i64, most: i64, mean_secs: f64) {
        for _ in 0..self.dice.between(least, most) {
            self.wait(mean_secs);
            let age = self.dice.below(2_000);
            let (action, object) = match self.dice.below(20) {
                0..9 => (Action::ChannelPreview, self.dice.below(self.org.channels())),
                9..16 => (Action::FileDownloaded, self.file(age)),
                _ => (Action::CanvasOpened, self.file(age)),
            };
            self.push(action, object);
        }
    }

    /// Slack's own detectors find the attacker.
    fn find(&mut self) {
        let by_tor = self.org.world.tor.holds(self.attack.source.ip);
        for _ in 0..self.dice.between(1, 3) {
            let other = FIRST_SEVERE_REASON + self.dice.below(TOR_REASON - FIRST_SEVERE_REASON);
            let reason = if by_tor { TOR_REASON } else { other };
            self.push(Action::Anomaly, reason);
            self.wait(300.0);
        }
    }

    /// A file of the team of whoever acts.
    fn file(&self, age: u64) -> u64 {
        self.org
            .file(self.actor / TEAM_SIZE, self.attack.start, age)
    }

    /// At most so long that all ends within the hour.
    fn wait(&mut self, mean_secs: f64) {
        let seconds = 1 + (mean_secs * self.dice.exponential()) as i64;
        self.time = (self.time + seconds).min(self.attack.start + HOUR - 1);
    }

    /// So many acts, evenly over `secs` from the next second on; each is told its number.
    fn evenly(&mut self, count: u64, secs: i64, act: impl Fn(&mut Self, u64)) {
        let begin = self.time + 1;
        for number in 0..count {
            self.time = begin + secs * number as i64 / count as i64;
            act(self, number);
        }
    }

    fn push(&mut self, action: Action, object: u64) {
        self.push_as(action, object, Form::Plain);
    }

    fn push_as(&mut self, action: Action, object: u64, form: Form) {
        let Attack {
            kind, previous_ip, ..
        } = self.attack;
        let number = Key::FIRST_OF_ATTACK + self.events.len() as u32;
        let by_slack = *kind == Kind::SlackAnomaly;
        self.events.push(Record {
            key: Key::new(self.actor, self.attack.hour(self.org), number),
            object,
            session: self.context.session,
            time: (self.time - self.org.start) as u32,
            ip: self.context.ip,
            by: if by_slack {
                By::Slack(*previous_ip)
            } else {
                By::Actor
            },
            agent: self.context.agent,
            action,
            form,
        });
    }
}
