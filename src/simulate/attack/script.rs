//! What an attacker does, step by step.

use super::super::calendar::MINUTE;
use super::super::dice::{Dice, Purpose};
use super::super::event::{Action, By, Form, Key, Record};
use super::{Attack, FIRST_SEVERE_REASON, Kind, LONGEST, Organisation, TOR_REASON};

impl Attack {
    /// Its events, in the order of time.
    pub(in crate::simulate) fn records(&self, org: &Organisation) -> Vec<Record> {
        let key = self.start as u64;
        let mut script = Script {
            org,
            attack: self,
            team: org.person(self.victim).team,
            dice: Dice::new(org.seed, Purpose::Victim, self.victim.into(), key),
            time: self.start,
            events: Vec::new(),
        };
        if self.signs_in {
            script.push(Action::UserLogin, self.victim.into());
        }
        match self.kind {
            Kind::BulkDownload => script.download(),
            Kind::SlackAnomaly => script.find(),
            Kind::StolenSession => script.look_around(12, 40, 30.0),
            _ => script.look_around(8, 30, 70.0),
        }
        script.events
    }
}

struct Script<'a> {
    org: &'a Organisation,
    attack: &'a Attack,
    team: u32,
    dice: Dice,
    /// Of the next event, in Unix seconds.
    time: i64,
    events: Vec<Record>,
}

impl Script<'_> {
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

    /// 150 to 600 distinct files within 40 minutes.
    fn download(&mut self) {
        let files = self.dice.between(150, 600) as u64;
        let duration = self.dice.between(15 * MINUTE, 39 * MINUTE);
        let newest = self.dice.below(500);
        let begin = self.time + 1;
        for number in 0..files {
            self.time = begin + duration * number as i64 / files as i64;
            let object = self.file(newest + number);
            self.push(Action::FileDownloaded, object);
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

    fn file(&self, age: u64) -> u64 {
        self.org.file(self.team, self.attack.start, age)
    }

    /// At most so long that all ends within the hour.
    fn wait(&mut self, mean_secs: f64) {
        let seconds = 1 + (mean_secs * self.dice.exponential()) as i64;
        self.time = (self.time + seconds).min(self.attack.start + LONGEST - 1);
    }

    fn push(&mut self, action: Action, object: u64) {
        let Attack {
            kind,
            victim,
            source,
            ..
        } = *self.attack;
        let number = Key::FIRST_OF_ATTACK + self.events.len() as u32;
        let by_slack = kind == Kind::SlackAnomaly;
        self.events.push(Record {
            key: Key::new(victim, self.attack.hour(self.org), number),
            object,
            session: source.session,
            time: (self.time - self.org.start) as u32,
            ip: source.ip,
            by: if by_slack {
                By::Slack(self.attack.previous_ip)
            } else {
                By::Actor
            },
            agent: source.agent,
            action,
            form: Form::Plain,
        });
    }
}
