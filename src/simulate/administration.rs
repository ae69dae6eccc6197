//! What administrators do to people: accounts end and begin again, roles change.

use super::Organisation;
use super::calendar::{DAY, HOUR, MINUTE, is_plateau, local_day, moment, workday_from};
use super::dice::{Dice, Purpose};
use super::event::{Action, By, Form, Key, Record};
use super::person::Person;
use super::scribe::FIRST_BY_ADMINS;
use super::session::{Context, Device};

/// Share of the people whose role changes in 30 days (assumed): half of them become administrators
/// of something, half are no longer.
const ROLES: f64 = 0.002;

/// Appends what an administrator does to the person in that hour (counted from the plan's start).
pub(super) fn hour(org: &Organisation, person: &Person, hour: u32, out: &mut Vec<Record>) {
    /// From the reactivation to the first sign-in.
    const BEFORE: i64 = 15 * MINUTE;
    const NUMBERS: u32 = Key::FIRST_OF_ATTACK - FIRST_BY_ADMINS;
    let begin = org.start + i64::from(hour) * HOUR;
    let stay = &person.stay;
    let back = stay.returned.map(|back| back.time - BEFORE);
    let steps = [
        stay.left.map(|time| (time, Action::UserDeactivated)),
        back.map(|time| (time, Action::UserReactivated)),
        org.role_change(person),
    ];
    for (number, (time, action)) in steps.into_iter().flatten().enumerate() {
        if (begin..begin + HOUR).contains(&time)
            && let Some((admin, context)) = org.admin_at_work(person.number, time)
        {
            // Several people may come to the same administrator in one hour.
            let spread = (person.number * 4 + number as u32) % NUMBERS;
            out.push(Record {
                key: Key::new(admin, hour, FIRST_BY_ADMINS + spread),
                object: person.number.into(),
                session: context.session,
                time: (time - org.start) as u32,
                ip: context.ip,
                by: By::Actor,
                agent: context.agent,
                action,
                form: Form::Plain,
            });
        }
    }
}

impl Organisation {
    /// When the person's role changes, in Unix seconds, and how.
    fn role_change(&self, person: &Person) -> Option<(i64, Action)> {
        let mut dice = Dice::new(self.seed, Purpose::Role, person.number.into(), 0);
        let share = ROLES * f64::from(self.days) / 30.0;
        if !dice.chance(share.min(0.5)) {
            return None;
        }
        let drawn = dice.below(self.days.into()) as i64;
        let day = workday_from(local_day(self.start, person.city) + drawn);
        let clock = day * DAY + dice.between(10 * HOUR, 17 * HOUR);
        let action = if dice.chance(0.5) {
            Action::RoleToAdmin
        } else {
            Action::RoleToUser
        };
        let time = moment(clock, person.city);
        person.stay.is_active(time).then_some((time, action))
    }

    /// An administrator other than the person who is at work at that moment, and what an event
    /// shows of him; the owner if there is none.
    fn admin_at_work(&self, person: u32, time: i64) -> Option<(u32, Context)> {
        /// So many people are looked at.
        const MOST: u32 = 1_000;
        let context = |admin: &Person| self.context(admin, Device::Desktop, false, time);
        let at_work = |number: u32| {
            let other = self.person(number);
            let is_at_work = other.is_admin && is_plateau(&other, time, other.city);
            let shown = if is_at_work { context(&other) } else { None };
            shown.map(|shown| (number, shown))
        };
        let owner = || context(&self.person(0)).map(|shown| (0, shown));
        (1..self.users.min(MOST))
            .map(|step| (person + step) % self.users)
            .find_map(at_work)
            .or_else(owner)
    }
}
