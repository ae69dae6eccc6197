//! Attacks by fetching, sharing and looking into very much.

use super::super::super::calendar::{DAY, MINUTE};
use super::super::super::event::Action;
use super::super::super::session::Device;
use super::super::SLOW_DAYS;
use super::Script;

impl Script<'_> {
    /// As many distinct files as were counted, within a time between these.
    pub(super) fn download(&mut self, shortest: i64, longest: i64) {
        let Some(haul) = self.attack.haul else {
            return;
        };
        let secs = self.dice.between(shortest, longest);
        let newest = self.dice.below(500);
        self.evenly(haul.files.into(), secs, |script, number| {
            let file = script.file(newest + number);
            script.push(Action::FileDownloaded, file);
        });
    }

    /// A short look around first, all within the hour.
    pub(super) fn look_and_download(&mut self) {
        self.look_around(3, 8, 30.0);
        let latest = self.attack.start + 20 * MINUTE;
        let pause = self.dice.between(MINUTE, 10 * MINUTE);
        self.time = self.time.min(latest) + pause;
        self.download(10 * MINUTE, 25 * MINUTE);
    }

    /// On each of the days at the same hour, from wherever the person is just then.
    pub(super) fn download_slowly(&mut self) {
        let Some(haul) = self.attack.haul else {
            return;
        };
        let (org, files) = (self.org, u64::from(haul.files));
        let person = org.person(self.attack.victim);
        for day in 0..SLOW_DAYS {
            self.time = self.attack.start + day * DAY;
            let newer = day as u64 * files;
            self.evenly(files, 50 * MINUTE, |script, number| {
                let context = org.context(&person, Device::Desktop, false, script.time);
                if let Some(context) = context {
                    script.context = context;
                    let file = script.file(newer + number);
                    script.push(Action::FileDownloaded, file);
                }
            });
        }
    }

    /// 40 to 120 distinct channels within 40 minutes, if there are so many.
    pub(super) fn join_channels(&mut self) {
        let channels = self.org.channels();
        let count = (self.dice.between(40, 120) as u64).min(channels);
        let first = self.dice.below(channels);
        let secs = self.dice.between(15 * MINUTE, 39 * MINUTE);
        self.evenly(count, secs, |script, number| {
            let action = if script.dice.chance(0.6) {
                Action::ChannelPreview
            } else {
                Action::ChannelJoin
            };
            script.push(action, (first + number) % channels);
        });
    }

    /// 60 to 200 distinct files within 50 minutes.
    pub(super) fn share_files(&mut self) {
        let count = self.dice.between(60, 200) as u64;
        let secs = self.dice.between(20 * MINUTE, 49 * MINUTE);
        self.evenly(count, secs, |script, number| {
            let file = script.file(number);
            script.push(Action::FileSharedOutside, file);
        });
    }

    /// 3 to 8 files within half an hour.
    pub(super) fn spread_malware(&mut self) {
        let count = self.dice.between(3, 8) as u64;
        let secs = self.dice.between(5 * MINUTE, 29 * MINUTE);
        self.evenly(count, secs, |script, number| {
            let file = script.file(number);
            script.push(Action::FileMalware, file);
        });
    }

    /// Links to 1 to 3 files.
    pub(super) fn link_secrets(&mut self) {
        for _ in 0..self.dice.between(1, 3) {
            self.wait(60.0);
            let age = self.dice.below(2_000);
            let file = self.file(age);
            self.push(Action::SensitiveLink, file);
        }
    }
}
