//! Writes down what one person does in one clock hour.

use super::Organisation;
use super::agent::Family;
use super::calendar::HOUR;
use super::dice::{Dice, Purpose};
use super::event::{Action, By, Form, Key, Record};
use super::person::{Person, TEAM_SIZE};
use super::session::{Context, Device};

/// The events of an hour are numbered from 0; those of errands, of a quarter's end and those that
/// administrators cause begin with these numbers, so that none changes the others.
pub(super) const FIRST_OF_ERRANDS: u32 = Key::FIRST_OF_ATTACK / 8 * 4;
pub(super) const FIRST_OF_SURGE: u32 = Key::FIRST_OF_ATTACK / 8 * 5;
pub(super) const FIRST_BY_ADMINS: u32 = Key::FIRST_OF_ATTACK / 8 * 6;

pub(super) struct Scribe<'a> {
    pub(super) org: &'a Organisation,
    pub(super) person: &'a Person,
    hour: u32,
    /// Unix seconds.
    pub(super) begin: i64,
    pub(super) dice: Dice,
    /// Number of the next event within the hour.
    next: u32,
    pub(super) out: &'a mut Vec<Record>,
}

impl<'a> Scribe<'a> {
    /// For the hour counted from the plan's start; draws for that purpose, and numbers from `first`.
    pub(super) fn new(
        org: &'a Organisation,
        person: &'a Person,
        hour: u32,
        (purpose, first): (Purpose, u32),
        out: &'a mut Vec<Record>,
    ) -> Self {
        Self {
            org,
            person,
            hour,
            begin: org.start + i64::from(hour) * HOUR,
            dice: Dice::new(org.seed, purpose, person.number.into(), hour.into()),
            next: first,
            out,
        }
    }

    /// One event on one of the person's devices, at some moment of the hour.
    pub(super) fn act(&mut self, action: Action, object: u64, is_busy: bool) {
        let time = self.moment();
        let (device, on_carrier) = self.device(is_busy);
        if let Some(context) = self.context(device, on_carrier, time) {
            self.push(time, action, object, context);
        }
    }

    /// What an event on the device shows; the iOS app has two agents.
    pub(super) fn context(
        &mut self,
        device: Device,
        on_carrier: bool,
        time: i64,
    ) -> Option<Context> {
        let mut context = self.org.context(self.person, device, on_carrier, time)?;
        if context.agent.family == Family::Ios && self.dice.chance(0.15) {
            context.agent = context.agent.with(Family::IosNotification);
        }
        Some(context)
    }

    /// The device of one event, and whether it is on the carrier's network.
    pub(super) fn device(&mut self, is_busy: bool) -> (Device, bool) {
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

    pub(super) fn moment(&mut self) -> i64 {
        self.begin + self.dice.between(0, HOUR - 1)
    }

    /// A file of the person's team, most often a recent one.
    pub(super) fn file(&mut self) -> u64 {
        let age = self.dice.exponential() * 120.0;
        self.org.file(self.person.team, self.begin, age as u64)
    }

    /// A channel of the organisation; few have most of the visits.
    pub(super) fn channel(&mut self) -> u64 {
        let unit = self.dice.unit();
        (unit * unit * self.org.channels() as f64) as u64
    }

    /// Somebody of the person's team, perhaps the person.
    pub(super) fn colleague(&mut self) -> u32 {
        let first = self.person.team * TEAM_SIZE;
        let size = TEAM_SIZE.min(self.org.users - first);
        first + self.dice.below(size.into()) as u32
    }

    /// Writes the event down; `None` if the person has no account at that moment.
    pub(super) fn push(
        &mut self,
        time: i64,
        action: Action,
        object: u64,
        context: Context,
    ) -> Option<&mut Record> {
        let form = if self.dice.chance(0.004) {
            Form::Empty
        } else {
            Form::Plain
        };
        if !self.person.stay.is_active(time) {
            return None;
        }
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
        self.out.last_mut()
    }
}
