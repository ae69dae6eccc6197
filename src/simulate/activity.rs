//! What one person does in one clock hour.

use super::Organisation;
use super::agent::{Agent, Family};
use super::attack::FIRST_SEVERE_REASON;
use super::calendar::{HOUR, is_plateau, local_day, weekday};
use super::city::{CITIES, STAFF};
use super::dice::Purpose;
use super::event::{Action, By, Form, Record};
use super::name::video;
use super::person::Person;
use super::scribe::Scribe;
use super::session::{Context, Device, expires};

/// Chance that a working person does anything in an hour of the plateau; a sixth of it at night.
pub(super) const ACTIVE: f64 = 0.62;
/// Active hours of a workday on average: 11 hours of plateau, 13 of night.
const ACTIVE_HOURS: f64 = ACTIVE * (11.0 + 13.0 / 6.0);
const WEEKEND: f64 = 0.15;
/// Chance of a wrong password at each sign-in, and again after each failure.
const MISTYPES: f64 = 0.02;
/// Chance, at a sign-in on the computer, that the password is forgotten: on 0.4 % of the workdays.
const FORGETS: f64 = 0.03;
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

/// Appends the events that the person causes in the ordinary way and that begin in that hour
/// (counted from the plan's start), in no order. Some may end after it.
pub(super) fn ordinary(org: &Organisation, person: &Person, hour: u32, out: &mut Vec<Record>) {
    let mut scribe = Scribe::new(org, person, hour, (Purpose::Hour, 0), out);
    let begin = scribe.begin;
    if !person.stay.is_active(begin) && !person.stay.is_active(begin + HOUR - 1) {
        return;
    }
    for device in Device::OWN {
        scribe.sign_in(device);
    }
    let city = org.clock_city(person, begin + HOUR / 2);
    let day = local_day(begin, city);
    let presence = if weekday(day) >= 5 {
        WEEKEND
    } else if org.day(person, day).works {
        1.0
    } else {
        0.02
    };
    let is_busy = is_plateau(person, begin + HOUR / 2, city);
    let share = if is_busy { 1.0 } else { person.night / 6.0 };
    if scribe.dice.chance((ACTIVE * presence * share).min(0.95)) {
        scribe.work(day, is_busy);
    }
}

impl Scribe<'_> {
    /// All of an active hour.
    fn work(&mut self, day: i64, is_busy: bool) {
        let volume = self.org.volume(self.person, day);
        let rate = self.person.rate * volume.factor * self.dice.gamma(1.5) / ACTIVE_HOURS;
        for _ in 0..self.dice.poisson(rate) {
            self.episode(is_busy);
        }
        for _ in 0..self.dice.poisson(volume.downloads / ACTIVE_HOURS) {
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
        if let (Some(context), true) = (context, colleague != self.person.number)
            && let Some(record) = self.push(time, Action::ChannelJoin, channel, context)
        {
            record.by = By::Inviter(colleague);
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
        if let Some(record) = self.push(time, action, object, context) {
            record.by = By::App(app as u8);
        }
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

    /// An administrator's work: some 13 things a month, so that five apps are installed where 1,000
    /// people are.
    fn administrate(&mut self, is_busy: bool) {
        const APPS_IN_USE: u64 = 90;
        let (action, is_on_app) = match self.dice.below(100) {
            0..45 => (Action::LogsSearched, false),
            45..65 => (Action::SessionReset, false),
            65..83 => (Action::GuestCreated, false),
            83..90 => (Action::AppApproved, true),
            90..96 => (Action::AppInstalled, true),
            96..98 => (Action::AppScopesExpanded, true),
            _ => (Action::AppUninstalled, true),
        };
        let of = if is_on_app {
            APPS_IN_USE
        } else {
            self.org.users.into()
        };
        let (before, object) = (self.out.len(), self.dice.below(of));
        self.act(action, object, is_busy);
        let asks_for_much = matches!(action, Action::AppInstalled | Action::AppScopesExpanded)
            && self.dice.chance(0.05);
        if asks_for_much {
            for record in &mut self.out[before..] {
                record.form = Form::Wide;
            }
        }
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
    /// and some attempts fail.
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
        for _ in 0..self.failures(device, day, context.ip) {
            failed = (failed - self.dice.between(8, 60)).max(self.begin);
            let outside = Context {
                session: 0,
                ..context
            };
            self.push(failed, Action::UserLoginFailed, person, outside);
        }
        self.push(time, Action::UserLogin, person, context);
    }

    /// How many attempts fail before one succeeds, from the same address. In all some 10 % do, for
    /// who forgot a password tries it several times.
    fn failures(&mut self, device: Device, day: i64, address: u32) -> i64 {
        if device == Device::Desktop && self.dice.chance(FORGETS) {
            return self.dice.between(5, 9);
        }
        let is_expired = device == Device::Desktop && expires(self.person, device, day);
        if is_expired
            && self.org.world.is_office(self.person.city, address)
            && self.dice.chance(self.at_office())
        {
            return self.dice.between(1, 2);
        }
        let mut failures = 0;
        while self.dice.chance(MISTYPES) {
            failures += 1;
        }
        failures
    }

    /// Chance that somebody whose password has expired mistypes the new one in the office: so that
    /// three people on average do at each of its addresses, if so many are there, and rarely more
    /// than six.
    fn at_office(&self) -> f64 {
        /// Share of a city's people at one of four addresses: 70 % have a desk, 45 % of the days
        /// are spent there, 7 % are absent.
        const AT_ADDRESS: f64 = 0.7 * 0.45 * 0.93 / 4.0;
        let share = f64::from(CITIES[self.person.city].staff) / f64::from(STAFF);
        (3.0 / (f64::from(self.org.users) * share * AT_ADDRESS)).min(0.5)
    }
}
