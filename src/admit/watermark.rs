//! The watermark: the time before which every event is in, as far as is known.
//!
//! Each source claims a watermark of its own; that of the log is the least claim of those that hold
//! it back. It never goes back, and stands on whole seconds, as Slack's events do.
//!
//! | source | claims | holds back |
//! |---|---|---|
//! | pushed | its newest event less `lateness`; after as long without input the second after it; from then on, if that event was young when it came, the clock less `lateness` | until it is silent and its events were old |
//! | walked | what its finished walks say is complete | until it fails, or makes no progress for `stall` |

use std::collections::BTreeMap;

use crate::event::time::MICROS;

/// An event that came so soon after it happened shows that its source follows the present;
/// microseconds.
const YOUNG: i64 = 300 * MICROS;

/// A clock that gains so much on another, in microseconds, was set.
const STEP: i64 = MICROS;

/// How a source gets its events; times in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Somebody sends them, nearly in order.
    Pushed { lateness: i64 },
    /// It walks through a list, the newest first, again and again.
    Walked,
}

/// What is remembered of a source from one run to the next; times in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Its newest event.
    pub newest: Option<i64>,
    /// How long that event had been under way.
    pub age: i64,
    /// Every event of this source before it is in.
    pub claim: Option<i64>,
}

/// A span for which a source did not vouch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    pub source: String,
    /// From where its events may be missing, in microseconds.
    pub from: i64,
    /// Up to where; `None` while it lasts.
    pub to: Option<i64>,
}

impl Progress {
    /// After events came at `now`, the newest of them of this time.
    pub fn with(mut self, newest: i64, now: i64) -> Self {
        if self.newest.is_none_or(|known| newest > known) {
            self.newest = Some(newest);
            self.age = now.saturating_sub(newest);
        }
        self
    }
}

#[derive(Debug)]
struct Source {
    kind: Kind,
    progress: Progress,
    /// When it last gave something, by the clock.
    last_heard: i64,
    /// Until when, by the clock, it does not follow the clock: it may have been kept from giving anything.
    held_until: i64,
    has_failed: bool,
    /// Where its gap begins.
    gap: Option<i64>,
}

/// Whether a source holds the watermark back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Active,
    /// It has nothing to say, and nothing is missed.
    Inactive,
    /// It should have something to say.
    Stalled,
}

/// The watermark of all sources.
#[derive(Debug)]
pub struct Watermarks {
    sources: BTreeMap<String, Source>,
    stall: i64,
    watermark: i64,
}

impl Watermarks {
    /// Without sources, at the watermark of an earlier run; microseconds.
    pub fn new(stall: i64, watermark: i64) -> Self {
        Self {
            sources: BTreeMap::new(),
            stall,
            watermark,
        }
    }

    /// Adds a source that is heard of from `now` on.
    pub fn add(&mut self, name: &str, kind: Kind, progress: Progress, now: i64) {
        let source = Source {
            kind,
            progress,
            last_heard: now,
            held_until: i64::MIN,
            has_failed: false,
            gap: None,
        };
        self.sources.insert(name.to_owned(), source);
    }

    /// Every event before it is in; microseconds, `i64::MIN` before the first event.
    pub fn watermark(&self) -> i64 {
        self.watermark
    }

    /// Each source, and before which time its events are in, as far as it has said so; microseconds.
    pub fn claims(&self) -> impl Iterator<Item = (&str, i64)> {
        let claims = self.sources.iter();
        claims.filter_map(|(name, source)| Some((name.as_str(), source.progress.claim?)))
    }

    /// What is to be remembered of a source.
    pub fn progress(&self, name: &str) -> Option<Progress> {
        self.sources.get(name).map(|source| source.progress)
    }

    /// A pushed source gave events, the newest of them of this time.
    pub fn received(&mut self, name: &str, newest: i64, now: i64) {
        let Some(source) = self.sources.get_mut(name) else {
            return;
        };
        source.last_heard = now;
        source.progress = source.progress.with(newest, now);
        if let Kind::Pushed { lateness } = source.kind {
            source.claim(newest.saturating_sub(lateness));
        }
    }

    /// The clock was set forward by so much, in microseconds, or back: nobody was silent for that.
    pub fn stepped(&mut self, by: i64) {
        if by.abs() < STEP {
            return;
        }
        for source in self.sources.values_mut() {
            source.last_heard = source.last_heard.saturating_add(by);
            source.held_until = source.held_until.saturating_add(by);
        }
    }

    /// Nothing can be taken in just now. Whoever sends events needs time to send them again, so the clock
    /// alone moves nothing on for a while.
    pub fn hold(&mut self, now: i64) {
        for source in self.sources.values_mut() {
            source.last_heard = now;
            source.held_until = now.saturating_add(self.stall);
        }
    }

    /// A walked source finished a walk, after which all its events before this time are in, if it says so.
    pub fn walked(&mut self, name: &str, complete_to: Option<i64>, now: i64) {
        self.going_on(name, now);
        if let Some((source, time)) = self.sources.get_mut(name).zip(complete_to) {
            source.claim(time);
        }
    }

    /// A source that has not failed: a long walk gave another page, for instance.
    pub fn going_on(&mut self, name: &str, now: i64) {
        if let Some(source) = self.sources.get_mut(name) {
            source.last_heard = now;
            source.has_failed = false;
        }
    }

    /// A source cannot give events for the time being.
    pub fn failed(&mut self, name: &str) {
        if let Some(source) = self.sources.get_mut(name) {
            source.has_failed = true;
        }
    }

    /// Moves the watermark on, as far as the sources and the clock allow; gives the gaps that open or
    /// close.
    pub fn tick(&mut self, now: i64) -> Vec<Gap> {
        let (mut active, mut others) = (None::<i64>, None::<i64>);
        let mut gaps = Vec::new();
        let mut is_missing = false;
        for (name, source) in &mut self.sources {
            let standing = source.tick(now, self.stall);
            let claim = source.progress.claim;
            match (standing, claim) {
                (Standing::Active, Some(claim)) => {
                    active = Some(active.map_or(claim, |least| least.min(claim)));
                }
                (Standing::Active, None) => active = Some(i64::MIN),
                (Standing::Inactive, claim) => others = others.max(claim),
                (Standing::Stalled, _) => is_missing = true,
            }
            gaps.extend(source.gap(name, standing, self.watermark));
        }
        // A silent source holds nothing back, but its events are in; a missing one vouches for nothing.
        let next = active.or(others.filter(|_| !is_missing));
        self.watermark = self.watermark.max(next.unwrap_or(i64::MIN));
        gaps
    }
}

impl Source {
    fn claim(&mut self, time: i64) {
        let second = time.div_euclid(MICROS).saturating_mul(MICROS);
        self.progress.claim = self.progress.claim.max(Some(second));
    }

    fn tick(&mut self, now: i64, stall: i64) -> Standing {
        // The clock may have been set back.
        self.last_heard = self.last_heard.min(now);
        let silent = now.saturating_sub(self.last_heard);
        match self.kind {
            Kind::Walked if self.has_failed || silent >= stall => Standing::Stalled,
            Kind::Walked => Standing::Active,
            Kind::Pushed { lateness } => {
                let Some(newest) = self.progress.newest else {
                    return Standing::Inactive;
                };
                if silent < lateness.max(1) {
                    return Standing::Active;
                }
                self.claim(newest.saturating_add(MICROS));
                if self.progress.age >= YOUNG {
                    return Standing::Inactive;
                }
                if now >= self.held_until {
                    self.claim(now.saturating_sub(lateness));
                }
                Standing::Active
            }
        }
    }

    /// The gap that opens or closes now, if one does.
    fn gap(&mut self, name: &str, standing: Standing, watermark: i64) -> Option<Gap> {
        let is_stalled = standing == Standing::Stalled;
        let from = match self.gap {
            None if is_stalled => {
                let from = self.progress.claim.unwrap_or(watermark);
                self.gap = Some(from);
                return Some(Gap {
                    source: name.to_owned(),
                    from,
                    to: None,
                });
            }
            Some(from) if !is_stalled => from,
            _ => return None,
        };
        // It is back, and vouches for all up to its claim; the watermark went on without it up to here.
        self.gap = None;
        Some(Gap {
            source: name.to_owned(),
            from,
            to: Some(watermark.max(from)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = MICROS;
    const PUSHED: Kind = Kind::Pushed { lateness: S };
    const WALKED: Kind = Kind::Walked;

    fn of(sources: &[(&str, Kind)]) -> Watermarks {
        let mut all = Watermarks::new(60 * S, i64::MIN);
        for (name, kind) in sources {
            all.add(name, *kind, Progress::default(), 1_000 * S);
        }
        all
    }

    /// The watermark in seconds after the clock has come to this second.
    fn at(all: &mut Watermarks, now: i64) -> Option<i64> {
        let before = all.watermark();
        all.tick(now * S);
        assert!(all.watermark() >= before);
        Some(all.watermark())
            .filter(|w| *w > i64::MIN)
            .map(|w| w / S)
    }

    #[test]
    fn a_pushed_source_follows_its_events_then_the_clock() {
        let mut all = of(&[("push", PUSHED)]);
        assert_eq!(at(&mut all, 1_000), None);
        all.received("push", 999 * S, 1_000 * S);
        assert_eq!(at(&mut all, 1_000), Some(998));
        assert_eq!(at(&mut all, 1_001), Some(1_000), "its last second is over");
        assert_eq!(at(&mut all, 1_010), Some(1_009), "and time goes on");
        all.received("push", 1_005 * S, 1_010 * S);
        assert_eq!(at(&mut all, 1_010), Some(1_009), "and never back");
    }

    #[test]
    fn an_old_file_comes_to_its_end_and_no_further() {
        let mut all = of(&[("push", PUSHED)]);
        all.received("push", 100 * S, 1_000 * S);
        assert_eq!(at(&mut all, 1_000), Some(99));
        for now in [1_001, 1_500] {
            assert_eq!(at(&mut all, now), Some(101));
        }
    }

    #[test]
    fn a_silent_source_of_old_events_holds_nothing_back() {
        let mut all = of(&[("old", PUSHED), ("push", PUSHED)]);
        all.received("old", 100 * S, 1_000 * S);
        all.received("push", 999 * S, 1_000 * S);
        assert_eq!(at(&mut all, 1_000), Some(99));
        all.received("push", 1_000 * S, 1_001 * S);
        assert_eq!(at(&mut all, 1_001), Some(999));
    }

    #[test]
    fn two_old_files_end_at_the_later() {
        let mut all = of(&[("one", PUSHED), ("other", PUSHED)]);
        all.received("one", 100 * S, 1_000 * S);
        all.received("other", 200 * S, 1_000 * S);
        assert_eq!(at(&mut all, 1_000), Some(99));
        assert_eq!(at(&mut all, 1_002), Some(201));
    }

    #[test]
    fn a_walked_source_holds_back_until_it_stalls() {
        let mut all = of(&[("grid", WALKED), ("push", PUSHED)]);
        all.received("push", 999 * S, 1_000 * S);
        assert_eq!(at(&mut all, 1_000), None, "no walk is finished yet");
        all.walked("grid", Some(998 * S), 1_001 * S);
        assert_eq!(at(&mut all, 1_001), Some(998));
        all.received("push", 1_040 * S, 1_040 * S);
        all.going_on("grid", 1_050 * S);
        assert_eq!(at(&mut all, 1_100), Some(998), "a long walk makes progress");
        assert_eq!(at(&mut all, 1_110), Some(1_109), "and then none");
    }

    #[test]
    fn a_missing_source_opens_a_gap() {
        let mut all = of(&[("grid", WALKED)]);
        all.walked("grid", Some(998 * S), 1_000 * S);
        assert_eq!(all.tick(1_000 * S), []);
        all.failed("grid");
        let gap = |to| Gap {
            source: "grid".to_owned(),
            from: 998 * S,
            to,
        };
        assert_eq!(all.tick(1_001 * S), [gap(None)]);
        assert_eq!(all.tick(1_002 * S), []);
        assert_eq!(all.watermark(), 998 * S, "with no source left it stands");
        all.walked("grid", Some(1_028 * S), 1_031 * S);
        assert_eq!(all.tick(1_031 * S), [gap(Some(998 * S))]);
        assert_eq!(all.watermark(), 1_028 * S);
    }

    #[test]
    fn a_clock_that_is_set_makes_nobody_silent() {
        let mut all = of(&[("grid", WALKED)]);
        all.walked("grid", Some(998 * S), 1_000 * S);
        all.stepped(3_600 * S);
        assert_eq!(all.tick(4_601 * S), []);
        all.stepped(-3_600 * S);
        assert_eq!(all.tick(1_002 * S), []);
        assert_eq!(all.tick(1_061 * S).len(), 1, "and now it is");
    }

    #[test]
    fn what_was_known_is_taken_up_again() {
        let mut all = Watermarks::new(60 * S, 500 * S);
        let progress = Progress {
            newest: Some(499 * S),
            age: S,
            claim: Some(498 * S),
        };
        all.add("push", PUSHED, progress, 1_000 * S);
        assert_eq!(at(&mut all, 1_000), Some(500));
        assert_eq!(at(&mut all, 1_001), Some(1_000));
        assert_eq!(all.progress("push").unwrap().newest, Some(499 * S));
    }
}
