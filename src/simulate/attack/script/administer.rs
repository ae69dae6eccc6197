//! Attacks with an administrator's rights.

use super::super::super::calendar::MINUTE;
use super::super::super::event::{Action, Form};
use super::super::Kind;
use super::Script;

/// Every so-and-so-many-th channel is private.
const PRIVATE: u64 = 5;

impl Script<'_> {
    /// A look at the log perhaps, and then what the kind is named after.
    pub(super) fn administrate(&mut self) {
        for _ in 0..self.dice.below(3) {
            self.wait(40.0);
            self.push(Action::LogsSearched, 0);
        }
        self.wait(60.0);
        let number = self.dice.number();
        match self.attack.kind {
            Kind::PrivilegeEscalation => {
                for accomplice in &self.attack.others {
                    self.push(Action::RoleToAdmin, (*accomplice).into());
                }
            }
            Kind::WideApp => self.push_as(Action::AppInstalled, number, Form::Wide),
            Kind::ScopeCreep => self.push_as(Action::AppScopesExpanded, number, Form::Wide),
            Kind::Export => self.push(Action::ExportStarted, 0),
            Kind::MadePublic => self.open_channels(),
            Kind::WeakenedPolicy => self.push(Action::TwoFactorChanged, 0),
            Kind::DefenceOff => self.push(Action::DlpRuleOff, 0),
            Kind::ResponseOff => self.push(Action::ResponseChanged, 0),
            _ => {}
        }
    }

    /// 1 to 3 private channels.
    fn open_channels(&mut self) {
        for _ in 0..self.dice.between(1, 3) {
            let channel = PRIVATE * self.dice.below(self.org.channels() / PRIVATE);
            self.push(Action::ChannelMadePublic, channel);
            self.wait(30.0);
        }
    }

    /// 25 to 80 people are signed out within 40 minutes, if there are so many.
    pub(super) fn reset_sessions(&mut self) {
        let users = u64::from(self.org.users);
        let count = (self.dice.between(25, 80) as u64).min(users - 1);
        let after = u64::from(self.attack.victim) + 1;
        let first = self.dice.below(users - count);
        let secs = self.dice.between(15 * MINUTE, 39 * MINUTE);
        self.evenly(count, secs, |script, number| {
            // Counted from the next one on, so that nobody signs himself out.
            let person = (after + first + number) % users;
            script.push(Action::SessionReset, person);
        });
    }
}
