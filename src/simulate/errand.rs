//! What people do now and then, for good reasons, that looks like harm. All rates are assumed.

use super::Organisation;
use super::activity::ACTIVE;
use super::calendar::{
    DAY, HOUR, MINUTE, PLATEAU_MINUTES, is_plateau, local, local_day, moment, weekday,
};
use super::dice::{Dice, Purpose};
use super::event::{Action, Record};
use super::person::Person;
use super::scribe::{FIRST_OF_ERRANDS, FIRST_OF_SURGE, Scribe};
use super::session::{Context, Device};

/// Chances on a workday: one archive, and one malicious file, in a week where 2,000 people are, and
/// three channels made public in a month where 1,000 are.
const ARCHIVES: f64 = 1.0 / 10_000.0;
const MALWARE: f64 = 1.0 / 10_000.0;
const OPENED: f64 = 0.003 / 20.0;
/// Share of the workdays on which somebody's own program runs.
const SCRIPT_DAYS: f64 = 0.3;

/// Something that is done once on a day, within an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Errand {
    /// Many files of the team are fetched, to hand them over or to have them audited.
    Archive,
    /// Files are fetched for the weekly report.
    Report,
    /// The person's own program runs.
    Script,
    /// Files go to another organisation.
    Share,
    /// An uploaded file proves malicious.
    Malware,
    /// A private channel is made public.
    Open,
    /// The owner exports what was written.
    Export,
    /// Somebody new joins the channels that matter.
    Arrive,
}

/// Appends the person's errands that begin in that hour (counted from the plan's start), in no
/// order. Some may end after it.
pub(super) fn hour(org: &Organisation, person: &Person, hour: u32, out: &mut Vec<Record>) {
    let stream = (Purpose::Errand, FIRST_OF_ERRANDS);
    let mut scribe = Scribe::new(org, person, hour, stream, out);
    let Some(day) = scribe.workday() else {
        return;
    };
    for (time, errand) in org.errands(person, day) {
        if (scribe.begin..scribe.begin + HOUR).contains(&time) {
            scribe.run(errand, time);
        }
    }
}

/// Appends what a quarter's end adds to the person's downloads in that hour, in no order.
pub(super) fn surge(org: &Organisation, person: &Person, hour: u32, out: &mut Vec<Record>) {
    let stream = (Purpose::Surge, FIRST_OF_SURGE);
    let mut scribe = Scribe::new(org, person, hour, stream, out);
    let Some(day) = scribe.workday() else {
        return;
    };
    let more = org.surge(person, day) - 1.0;
    let is_busy = is_plateau(person, scribe.begin + HOUR / 2, person.city);
    if more <= 0.0 || !is_busy || !scribe.dice.chance(ACTIVE) {
        return;
    }
    let hours = ACTIVE * PLATEAU_MINUTES as f64 / 60.0;
    let usual = org.volume(person, day).downloads / hours;
    for _ in 0..scribe.dice.poisson(usual * more) {
        let file = scribe.file();
        scribe.act(Action::FileDownloaded, file, true);
    }
}

impl Organisation {
    /// What the person has to do on that workday, and when it begins, in Unix seconds.
    pub(super) fn errands(&self, person: &Person, day: i64) -> Vec<(i64, Errand)> {
        let number = person.number.into();
        let mut dice = Dice::new(self.seed, Purpose::ErrandDay, number, day as u64);
        let habits = &person.habits;
        let has_script = habits.script.is_some_and(|script| script.first_day <= day);
        let due = [
            (Errand::Archive, dice.chance(ARCHIVES)),
            (Errand::Report, habits.reports && weekday(day) == 0),
            (Errand::Script, dice.chance(SCRIPT_DAYS) && has_script),
            (Errand::Share, habits.shares.is_some()),
            (Errand::Malware, dice.chance(MALWARE)),
            (Errand::Open, dice.chance(OPENED)),
            (
                Errand::Export,
                person.number == 0 && self.is_export_day(day),
            ),
        ];
        let mut errands = Vec::new();
        for (errand, is_due) in due {
            let latest = if errand == Errand::Report { 60 } else { 540 };
            let minute = person.start_minute + dice.between(0, latest);
            if is_due {
                let clock = day * DAY + minute * MINUTE + dice.between(0, 59);
                errands.push((moment(clock, person.city), errand));
            }
        }
        let joined = person.stay.joined.filter(|joined| joined.day == day);
        errands.extend(joined.map(|joined| (joined.time, Errand::Arrive)));
        errands
    }
}

impl Scribe<'_> {
    /// The person's local day, if it is worked and this may be an hour of the work.
    fn workday(&self) -> Option<i64> {
        let Person {
            city, start_minute, ..
        } = *self.person;
        let day = local_day(self.begin, city);
        let minute = local(self.begin, city).rem_euclid(DAY) / MINUTE;
        let hours = start_minute - 60..start_minute + PLATEAU_MINUTES;
        (hours.contains(&minute) && self.org.day(self.person, day).works).then_some(day)
    }

    fn run(&mut self, errand: Errand, time: i64) {
        match errand {
            Errand::Archive => self.fetch(time, (40, 150), (15, 55)),
            Errand::Report => self.fetch(time, (30, 60), (5, 30)),
            Errand::Script => self.script(time),
            Errand::Share => self.share(time),
            Errand::Malware => {
                let file = self.file();
                self.on_desktop(time, Action::FileMalware, file);
            }
            Errand::Open => {
                // Those are the private ones.
                let channel = self.channel() / 5 * 5;
                self.on_desktop(time, Action::ChannelMadePublic, channel);
            }
            Errand::Export => self.on_desktop(time, Action::ExportStarted, 0),
            Errand::Arrive => self.arrive(time),
        }
    }

    /// So many files of the team (least, most), within so many minutes (least, most).
    fn fetch(&mut self, time: i64, files: (i64, i64), minutes: (i64, i64)) {
        let count = self.dice.between(files.0, files.1);
        let secs = self.dice.between(minutes.0, minutes.1) * MINUTE;
        let newest = self.dice.below(300);
        for number in 0..count {
            let age = newest + number as u64;
            let file = self.org.file(self.person.team, self.begin, age);
            self.on_desktop(time + secs * number / count, Action::FileDownloaded, file);
        }
    }

    /// From where the person works, with a token of the person's.
    fn script(&mut self, time: i64) {
        const ACTIONS: [Action; 5] = [
            Action::FileUploaded,
            Action::FileUploaded,
            Action::FileDownloaded,
            Action::FileShared,
            Action::ListRowCreated,
        ];
        let (org, person) = (self.org, self.person);
        let desktop = org.context(person, Device::Desktop, false, time);
        let (Some(script), Some(desktop)) = (person.habits.script, desktop) else {
            return;
        };
        let context = Context {
            agent: org.agent(person.number, script.family, time),
            session: org.token(person.number),
            ..desktop
        };
        let mut now = time;
        for _ in 0..self.dice.between(4, 25) {
            let (action, file) = (ACTIONS[self.dice.index(ACTIONS.len())], self.file());
            self.push(now, action, file, context);
            now += self.dice.between(1, 20);
        }
    }

    fn share(&mut self, time: i64) {
        let (least, most) = self.person.habits.shares.unwrap_or((1, 1));
        let count = self.dice.between(least, most);
        let secs = self.dice.between(1, 40) * MINUTE;
        for number in 0..count {
            let file = self.file();
            self.on_desktop(
                time + secs * number / count,
                Action::FileSharedOutside,
                file,
            );
        }
    }

    /// 10 to 25 channels within the first hour.
    fn arrive(&mut self, time: i64) {
        const SECS: i64 = 50 * MINUTE;
        let count = self.dice.between(10, 25);
        let first = self.channel();
        for number in 0..count {
            let channel = (first + number as u64) % self.org.channels();
            let at = time + 2 * MINUTE + SECS * number / count;
            self.on_desktop(at, Action::ChannelJoin, channel);
        }
    }

    fn on_desktop(&mut self, time: i64, action: Action, object: u64) {
        if let Some(context) = self.context(Device::Desktop, false, time) {
            self.push(time, action, object, context);
        }
    }
}
