//! What one person does in one clock hour.

use super::Organisation;
use super::agent::{Agent, Family};
use super::attack::FIRST_SEVERE_REASON;
use super::calendar::{HOUR, is_plateau, local_day, weekday};
use super::dice::{Dice, Purpose};
use super::event::{Action, By, Form, Key, Record};
use super::name::video;
use super::person::{Person, TEAM_SIZE};
use super::session::{Context, Device};

/// Chance that a working person does anything in an hour of the plateau; a sixth of it at night.
const ACTIVE: f64 = 0.62;
/// Active hours of a workday on average: 11 hours of plateau, 13 of night.
const ACTIVE_HOURS: f64 = ACTIVE * (11.0 + 13.0 / 6.0);
const WEEKEND: f64 = 0.15;
/// On 60 % of the days somebody downloads nothing; on the others this many on average, negative
/// binomial with k = 0.4, of which the spread between people is a part.
const DOWNLOADS: f64 = 15.0;
const DOWNLOAD_SHAPE: f64 = 0.5;
/// Apps that call in a person's name.
pub(super) const APPS: u8 = 6;

/// Weights of what people do, but for downloads and sign-ins.
const MIX: &[(Action, u32)] = &[
    (Action::CanvasOpened, 180),
    (Action::ChannelPreview, 160),
    (Action::ListCellUpdated, 130),
    (Action::FileShared, 80),
    (Action::FileUploaded, 75),
    (Action::CanvasEdited, 70),
    (Action::ChannelJoin, 50),
    (Action::HuddleJoined, 45),
    (Action::HuddleLeft, 40),
    (Action::ListOpened, 40),
    (Action::MessageTombstoned, 30),
    (Action::ListRowCreated, 25),
    (Action::ChannelLeave, 20),
    (Action::CanvasCreated, 10),
    (Action::FileDeleted, 6),
    (Action::ProfileUpdated, 4),
    (Action::ChannelCreated, 3),
    (Action::FileLinkCreated, 2),
];

/// Appends the person's events that begin in that hour (counted from the plan's start), in no
/// order. Some may end after it.
pub(super) fn hour(org: &Organisation, number: u32, hour: u32, out: &mut Vec<Record>) {
    let person = org.person(number);
    let begin = org.start + i64::from(hour) * HOUR;
    let mut scribe = Scribe {
        org,
        person: &person,
        hour,
        begin,
        dice: Dice::new(org.seed, Purpose::Hour, number.into(), hour.into()),
        next: 0,
        out,
    };
    for device in Device::OWN {
        scribe.sign_in(device);
    }
    let city = org.clock_city(&person, begin + HOUR / 2);
    let day = local_day(begin, city);
    let presence = if weekday(day) >= 5 {
        WEEKEND
    } else if org.day(&person, day).works {
        1.0
    } else {
        0.02
    };
    let is_busy = is_plateau(&person, begin + HOUR / 2, city);
    let share = if is_busy { 1.0 } else { person.night / 6.0 };
    if scribe.dice.chance((ACTIVE * presence * share).min(0.95)) {
        scribe.work(day, is_busy);
    }
}

struct Scribe<'a> {
    org: &'a Organisation,
    person: &'a Person,
    hour: u32,
    begin: i64,
    dice: Dice,
    /// Number of the next event within the hour.
    next: u32,
    out: &'a mut Vec<Record>,
}

impl Scribe<'_> {
    /// All of an active hour.
    fn work(&mut self, day: i64, is_busy: bool) {
        let number = self.person.number.into();
        let mut today = Dice::new(self.org.seed, Purpose::Volume, number, day as u64);
        let volume = today.gamma(4.0);
        let downloads = if today.chance(0.4) {
            DOWNLOADS * self.person.downloads * today.gamma(DOWNLOAD_SHAPE)
        } else {
            0.0
        };
        let rate = self.person.rate * volume * self.dice.gamma(1.5) / ACTIVE_HOURS;
        for _ in 0..self.dice.poisson(rate) {
            self.episode(is_busy);
        }
        for _ in 0..self.dice.poisson(downloads / ACTIVE_HOURS) {
            let object = self.file();
            self.act(Action::FileDownloaded, object, is_busy);
        }
        if self.dice.chance(0.015) {
            self.play(is_busy);
        }
        if self.person.is_admin && self.dice.chance(0.08) {
            self.administrate(is_busy);
        }
        if self.dice.chance(0.000_06) {
            self.finding(is_busy);
        }
    }

    /// One thing that people do.
    fn episode(&mut self, is_busy: bool) {
        // Apps call in the person's name, from where they are hosted.
        if self.dice.chance(0.05) {
            return self.app_call();
        }
        let action = self.action();
        let object = match action {
            Action::ChannelPreview
            | Action::ChannelJoin
            | Action::ChannelLeave
            | Action::MessageTombstoned => self.channel(),
            Action::ChannelCreated => self.org.channels() + (self.dice.number() >> 24),
            Action::ProfileUpdated => self.person.number.into(),
            _ => self.file(),
        };
        match action {
            Action::FileUploaded if self.dice.chance(0.75) => self.server_side(object, is_busy),
            Action::ChannelJoin if self.dice.chance(0.3) => self.invited(object),
            _ => self.act(action, object, is_busy),
        }
    }

    fn action(&mut self) -> Action {
        let total: u32 = MIX.iter().map(|(_, weight)| weight).sum();
        let mut left = self.dice.below(total.into()) as u32;
        for (action, weight) in MIX {
            if left < *weight {
                return *action;
            }
            left -= weight;
        }
        Action::CanvasOpened
    }

    /// One event on one of the person's devices, at some moment of the hour.
    fn act(&mut self, action: Action, object: u64, is_busy: bool) {
        let time = self.moment();
        let (device, on_carrier) = self.device(is_busy);
        if let Some(context) = self.context(device, on_carrier, time) {
            self.push(time, action, object, context);
        }
    }

    /// A step of Slack's servers that follows an upload: it shows nothing of the person's device.
    fn server_side(&mut self, object: u64, is_busy: bool) {
        let before = self.out.len();
        self.act(Action::FileUploaded, object, is_busy);
        for record in &mut self.out[before..] {
            record.agent = Agent::NONE;
            record.form = Form::Loopback;
            record.session = 0;
        }
    }

    /// The person joins a channel because a colleague invited him: the context is the colleague's.
    fn invited(&mut self, channel: u64) {
        let colleague = self.colleague();
        let inviter = self.org.person(colleague);
        let time = self.moment();
        let context = self.org.context(&inviter, Device::Desktop, false, time);
        if let (Some(context), true) = (context, colleague != self.person.number) {
            self.push(time, Action::ChannelJoin, channel, context);
            self.last(|record| record.by = By::Inviter(colleague));
        }
    }

    fn app_call(&mut self) {
        const ACTIONS: [(Action, bool); 5] = [
            (Action::FileUploaded, false),
            (Action::FileShared, false),
            (Action::CanvasEdited, false),
            (Action::ListRowCreated, false),
            (Action::ChannelJoin, true),
        ];
        let (action, on_channel) = ACTIONS[self.dice.index(ACTIONS.len())];
        let object = if on_channel {
            self.channel()
        } else {
            self.file()
        };
        let app = self.dice.below(APPS.into());
        let exit = self.org.world.hosting[app as usize * 3 % self.org.world.hosting.len()];
        let family = if app.is_multiple_of(2) {
            Family::PythonSlack
        } else {
            Family::PythonAiohttp
        };
        let time = self.moment();
        let context = Context {
            ip: exit.address(app + self.dice.below(4)),
            agent: self.org.agent(app as u32, family, time),
            session: 0,
        };
        self.push(time, action, object, context);
        self.last(|record| record.by = By::App(app as u8));
    }

    /// A video, fetched piece by piece: many events, one file.
    fn play(&mut self, is_busy: bool) {
        let (device, on_carrier) = self.device(is_busy);
        let object = video(self.file());
        let mut time = self.moment();
        let Some(mut context) = self.context(device, on_carrier, time) else {
            return;
        };
        if matches!(context.agent.family, Family::Ios | Family::IosNotification) {
            context.agent = context.agent.with(Family::MediaPlayer);
        }
        for _ in 0..self.dice.between(3, 20) {
            self.push(time, Action::FileDownloaded, object, context);
            time += self.dice.between(0, 4);
        }
    }

    fn administrate(&mut self, is_busy: bool) {
        let action = match self.dice.below(10) {
            0..5 => Action::LogsSearched,
            5..7 => Action::SessionReset,
            7..9 => Action::GuestCreated,
            _ => Action::AppApproved,
        };
        let object = self.dice.below(self.org.users.into());
        self.act(action, object, is_busy);
    }

    /// Slack's own detectors find something where there is nothing.
    fn finding(&mut self, is_busy: bool) {
        let before = self.out.len();
        let object = self.dice.below(FIRST_SEVERE_REASON);
        self.act(Action::Anomaly, object, is_busy);
        let previous = self
            .org
            .context(self.person, Device::Phone, true, self.begin);
        let delay = self.dice.between(47, 53) as u32;
        for record in &mut self.out[before..] {
            record.time += delay;
            record.by = By::Slack(previous.map_or(0, |context| context.ip));
        }
    }

    /// A new session on the device, if it begins in this hour: the old one may end with a sign-out,
    /// and 3 to 8 % of the attempts fail.
    fn sign_in(&mut self, device: Device) {
        let day = local_day(self.begin, self.person.city);
        let this_hour = self.begin..self.begin + HOUR;
        let at = self.org.sign_in(self.person, device, day);
        let Some(time) = at.filter(|at| this_hour.contains(at)) else {
            return;
        };
        let Some(context) = self.context(device, false, time) else {
            return;
        };
        let person = self.person.number.into();
        if self.dice.chance(0.35) {
            let earlier = (time - self.dice.between(40, 300)).max(self.begin);
            if let Some(old) = self.context(device, false, earlier) {
                self.push(earlier, Action::UserLogout, person, old);
            }
        }
        let mut failed = time;
        while self.dice.chance(0.055) {
            failed = (failed - self.dice.between(8, 60)).max(self.begin);
            let outside = Context {
                session: 0,
                ..context
            };
            self.push(failed, Action::UserLoginFailed, person, outside);
        }
        self.push(time, Action::UserLogin, person, context);
    }

    fn context(&mut self, device: Device, on_carrier: bool, time: i64) -> Option<Context> {
        let mut context = self.org.context(self.person, device, on_carrier, time)?;
        if context.agent.family == Family::Ios && self.dice.chance(0.15) {
            context.agent = context.agent.with(Family::IosNotification);
        }
        Some(context)
    }

    /// The device of one event, and whether it is on the carrier's network.
    fn device(&mut self, is_busy: bool) -> (Device, bool) {
        if self.person.uses_carrier && self.dice.chance(0.25) {
            return (Device::Phone, true);
        }
        let (phone, browser) = if is_busy { (0.2, 0.15) } else { (0.6, 0.1) };
        let device = match self.dice.unit() {
            unit if unit < phone && self.person.phone.is_some() => Device::Phone,
            unit if unit > 1.0 - browser && self.person.browser.is_some() => Device::Browser,
            _ => Device::Desktop,
        };
        (device, false)
    }

    fn moment(&mut self) -> i64 {
        self.begin + self.dice.between(0, HOUR - 1)
    }

    /// A file of the person's team, most often a recent one.
    fn file(&mut self) -> u64 {
        let age = self.dice.exponential() * 120.0;
        self.org.file(self.person.team, self.begin, age as u64)
    }

    /// A channel of the organisation; few have most of the visits.
    fn channel(&mut self) -> u64 {
        let unit = self.dice.unit();
        (unit * unit * self.org.channels() as f64) as u64
    }

    fn colleague(&mut self) -> u32 {
        let first = self.person.team * TEAM_SIZE;
        let size = TEAM_SIZE.min(self.org.users - first);
        first + self.dice.below(size.into()) as u32
    }

    fn push(&mut self, time: i64, action: Action, object: u64, context: Context) {
        let form = if self.dice.chance(0.004) {
            Form::Empty
        } else {
            Form::Plain
        };
        self.out.push(Record {
            key: Key::new(self.person.number, self.hour, self.next),
            object,
            session: context.session,
            time: (time - self.org.start) as u32,
            ip: context.ip,
            by: By::Actor,
            agent: context.agent,
            action,
            form,
        });
        self.next += 1;
    }

    fn last(&mut self, change: impl FnOnce(&mut Record)) {
        if let Some(record) = self.out.last_mut() {
            change(record);
        }
    }
}
