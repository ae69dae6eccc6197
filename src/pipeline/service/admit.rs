//! Admission: all sources meet, the log gets its order, and what came is on disk before anybody is told.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

use arrow::array::{AsArray, RecordBatch};
use serde_json::json;

use super::evaluate::Step;
use super::ingest::{Arrival, Covered, Encoded, Request};
use super::repeats::Repeats;
use super::state::{ADMITTING, Shared, TELLING};
use super::{Error, timed_out};
use crate::admit::known::{Key, Known};
use crate::admit::watermark::{Gap, Progress, Watermarks};
use crate::admit::{Arrivals, Fate, Limits, Moment, Together};
use crate::clock::Stopwatch;
use crate::event::order::compacted;
use crate::event::reject::Reject;
use crate::event::schema::{Column, ColumnSet};
use crate::event::time::rfc3339;
use crate::serve::{Receipt, Refusal};
use crate::store::tail::{self, Decision};
use crate::store::{self, Admit, Block, Control, Reached, Reader, Refused, Store};

/// How often the clock is looked at when nothing comes.
const TICK: Duration = Duration::from_millis(100);
/// The newest events that are known by heart.
const KNOWN_EVENTS: usize = 2_000_000;
/// How often a store that is amiss is tried when nothing comes.
const PROBE: Duration = Duration::from_secs(1);
/// Rows that are committed together, where there are so many.
const GROUP_ROWS: usize = 1 << 16;

pub(super) struct Admission {
    store: Arc<Store>,
    reader: Arc<Reader>,
    shared: Arc<Shared>,
    watermarks: Watermarks,
    limits: Limits,
    known: Known,
    steps: Sender<Step>,
    /// The watermark that evaluation knows of.
    announced: i64,
    /// Gaps that are not written yet.
    gaps: Vec<Control>,
    /// What walks came upon that is no event.
    refused: Repeats,
    /// Since a store that is amiss was last tried.
    probed: Stopwatch,
    /// Both clocks as they were at the last tick.
    ticked: Option<(i64, i64)>,
}

/// What became of a request, until it is on disk.
struct Decided {
    source: Arc<str>,
    walked: Option<Covered>,
    newest: Option<i64>,
    /// What is written, and the batch that it was made of.
    blocks: Vec<(Block, RecordBatch)>,
    refused: Vec<Refused>,
    /// What a walk came upon that is no event.
    repeats: HashSet<u64>,
    /// The events that joined the log.
    keys: Together,
    receipt: Receipt,
}

impl Admission {
    /// With the newest events of the log known by heart.
    pub fn new(
        store: Arc<Store>,
        reader: Arc<Reader>,
        shared: Arc<Shared>,
        watermarks: Watermarks,
        limits: Limits,
        steps: Sender<Step>,
    ) -> Result<Self, Error> {
        let mut known = Known::new(KNOWN_EVENTS);
        let (floor, newest) = reader.newest(KNOWN_EVENTS as u64 / 4)?;
        known.raise_floor(floor);
        for (time, id) in newest {
            known.insert(time, Key::of(&id));
        }
        shared
            .tail_rows
            .store(reader.totals()?.tail_rows, Ordering::Relaxed);
        Ok(Self {
            store,
            reader,
            shared,
            watermarks,
            limits,
            known,
            steps,
            announced: i64::MIN,
            gaps: Vec::new(),
            refused: Repeats::default(),
            probed: Stopwatch::start(),
            ticked: None,
        })
    }

    /// Admits what comes until nobody can send anything any more.
    pub fn run(mut self, requests: &Receiver<Request>) {
        loop {
            match requests.recv_timeout(TICK) {
                Ok(first) => {
                    let arrivals = self.gather(first, requests);
                    if !arrivals.is_empty() {
                        self.admit(arrivals);
                    }
                }
                Err(error) if timed_out(error) => {}
                Err(_) => break,
            }
            if !self.tick() {
                break;
            }
        }
        // The last second of what came is over, if its source says so.
        self.tick();
    }

    /// Moves the watermark on by the clock; false when nobody evaluates any more.
    fn tick(&mut self) -> bool {
        let now = self.shared.clock.now();
        let steady = self.shared.clock.steady();
        if let Some((before, steady_before)) = self.ticked.replace((now, steady)) {
            self.watermarks
                .stepped((now - before) - (steady - steady_before));
        }
        let is_taking = self.shared.has_begun() && !self.shared.is_amiss(ADMITTING);
        let gaps = if is_taking {
            self.watermarks.tick(now)
        } else {
            self.watermarks.hold(now);
            Vec::new()
        };
        let watermark = self.watermarks.watermark();
        for (name, claim) in self.watermarks.claims() {
            let lag = &self.shared.metrics.source_lag_seconds;
            lag.with_label_values(&[name])
                .set((now - claim) as f64 / 1e6);
        }
        for gap in gaps {
            self.shared.set_gap(&gap);
            self.gaps.push(control(&gap, watermark));
        }
        if !self.gaps.is_empty() {
            let written = self.store.admit(&Admit {
                control: &self.gaps,
                ..Admit::default()
            });
            if self.noted(written).is_some() {
                self.gaps.clear();
            }
        }
        if self.shared.is_amiss(ADMITTING) && self.probed.elapsed() >= PROBE {
            self.probed = Stopwatch::start();
            let written = self.store.probe(now);
            self.noted(written);
        }
        if watermark <= self.announced {
            return true;
        }
        self.announced = watermark;
        let seconds = watermark as f64 / 1e6;
        self.shared.metrics.admitted_watermark_seconds.set(seconds);
        self.steps.send(Step::Watermark(watermark)).is_ok()
    }

    /// What waits already, up to as much as is committed together. Heeds what is said of sources.
    fn gather(&mut self, first: Request, requests: &Receiver<Request>) -> Vec<Arrival> {
        let (mut rows, mut arrivals) = (0, Vec::new());
        let mut next = Some(first);
        while let Some(request) = next {
            match request {
                Request::Arrival(arrival) => {
                    rows += arrival.rows();
                    arrivals.push(arrival);
                }
                Request::GoesOn(source) => {
                    self.watermarks.going_on(&source, self.shared.clock.now());
                }
                Request::Fails(source) => self.watermarks.failed(&source),
            }
            next = (rows < GROUP_ROWS)
                .then(|| requests.try_recv().ok())
                .flatten();
        }
        arrivals
    }

    /// Admits events in one transaction, and answers each request.
    fn admit(&mut self, arrivals: Vec<Arrival>) {
        let watermark = self.watermarks.watermark();
        let moment = Moment {
            now: self.shared.clock.now(),
            watermark,
            limits: self.limits,
        };
        let mut together = Together::default();
        let mut decided: Vec<Decided> = Vec::with_capacity(arrivals.len());
        let mut answers = Vec::with_capacity(arrivals.len());
        for mut arrival in arrivals {
            let batches = std::mem::take(&mut arrival.batches);
            let rejects = std::mem::take(&mut arrival.rejects);
            let (one, rows) = (Decided::of(&arrival), arrival_rows(&batches));
            let Arrival {
                answer, mut room, ..
            } = arrival;
            match self.decide(one, batches, rejects, &moment, &mut together) {
                Ok(one) => {
                    room.shrink(one.blocks.iter().map(|(block, _)| block.rows).sum(), rows);
                    decided.push(one);
                    answers.push((answer, Arc::new(room)));
                }
                Err(error) => {
                    self.shared.set_amiss(TELLING, Some(error.to_string()));
                    let _ = answer.send(Err(refusal()));
                }
            }
        }
        let watch = Stopwatch::start();
        let written = self.write(&decided, &moment);
        let seconds = watch.elapsed().as_secs_f64();
        let Some(numbers) = self.noted(written) else {
            for (answer, _) in answers {
                // Whoever gave up waiting sends it again.
                let _ = answer.send(Err(refusal()));
            }
            return;
        };
        let mut numbers = numbers.into_iter();
        let metrics = &self.shared.metrics;
        metrics
            .commit_seconds
            .with_label_values(&["admit"])
            .observe(seconds);
        metrics.commits_total.with_label_values(&["admit"]).inc();
        let rows = decided.iter().flat_map(|one| &one.blocks);
        self.shared
            .admitted(rows.map(|(block, _)| block.rows).sum());
        let mut rooms = Vec::with_capacity(answers.len());
        for (one, (answer, room)) in decided.iter_mut().zip(answers) {
            self.shared.count(&one.source, &one.receipt, &one.refused);
            let _ = answer.send(Ok(std::mem::take(&mut one.receipt)));
            rooms.push(room);
        }
        for (one, room) in decided.into_iter().zip(rooms) {
            if let Some(newest) = one.newest {
                self.watermarks.received(&one.source, newest, moment.now);
            }
            if let Some(walked) = one.walked {
                self.watermarks
                    .walked(&one.source, walked.complete_to, moment.now);
            }
            for (time, key) in one.keys {
                self.known.insert(time, key);
            }
            for repeat in one.repeats {
                self.refused.insert(repeat);
            }
            for ((block, batch), number) in one.blocks.into_iter().zip(&mut numbers) {
                let rows = tail::admitted(&batch, &block.admission, ColumnSet::all());
                let rows = match rows {
                    Ok(rows) => rows,
                    // It was decoded with these very columns.
                    Err(error) => unreachable!("admitted columns do not fit their schema: {error}"),
                };
                // Few rows would keep the memory of all.
                let is_worth = 2 * rows.num_rows() >= batch.num_rows();
                let rows = if is_worth {
                    self.shared.fresh.insert(number, rows.clone());
                    rows
                } else {
                    compacted(&rows).unwrap_or(rows)
                };
                // Evaluation that is gone has said why.
                let _ = self.steps.send(Step::Rows(rows, Arc::clone(&room)));
            }
        }
    }

    fn decide(
        &mut self,
        mut one: Decided,
        batches: Vec<Encoded>,
        rejects: Vec<Reject>,
        moment: &Moment,
        together: &mut Together,
    ) -> Result<Decided, store::Error> {
        for reject in rejects {
            self.refuse(&mut one, reject, "malformed", moment.now);
        }
        for Encoded { batch, events } in batches {
            let arrivals = Arrivals::of(&batch);
            let held = self.held(&batch, &arrivals.unsure(&self.known))?;
            let fates = arrivals.decide(moment, &self.known, &held, together, &mut one.keys);
            let mut decisions = Vec::with_capacity(fates.len());
            for (row, fate) in fates.into_iter().enumerate() {
                decisions.push(match fate {
                    Fate::Duplicate => {
                        one.receipt.duplicates += 1;
                        Decision::Dropped
                    }
                    Fate::Future => {
                        let line = batch[Column::Raw.name()].as_string_view().value(row);
                        let (time, _) = arrivals.at(row);
                        self.refuse(&mut one, future(line, time, moment), "future", moment.now);
                        Decision::Dropped
                    }
                    Fate::Admitted { order_time, late } => {
                        one.receipt.accepted += 1;
                        one.receipt.late += u64::from(late);
                        let (time, _) = arrivals.at(row);
                        if !late {
                            // It is judged when the watermark has passed where it stands.
                            one.newest = one.newest.max(Some(order_time));
                        }
                        match late {
                            true => Decision::Late,
                            false => Decision::Live(order_time.abs_diff(time)),
                        }
                    }
                });
            }
            let admission = store::Admission {
                source: one.source.to_string(),
                arrival: moment.now,
                fates: decisions,
            };
            if let Some(block) = Block::new(&batch, events, admission) {
                one.blocks.push((block, batch));
            }
        }
        together.extend(one.keys.iter().cloned());
        Ok(one)
    }

    /// What is no event is kept; once, however often a walk comes upon it.
    fn refuse(&mut self, one: &mut Decided, mut reject: Reject, kind: &'static str, now: i64) {
        if one.walked.is_some() {
            let repeat = Repeats::key(&reject);
            if self.refused.knows(repeat) || !one.repeats.insert(repeat) {
                return;
            }
        }
        reject.input = one.source.to_string();
        one.refused.push(Refused {
            source: one.source.to_string(),
            arrived: now,
            kind,
            // Texts and numbers.
            body: serde_json::to_string(&reject).unwrap_or_default(),
        });
        one.receipt.reject(reject);
    }

    /// Of these rows those that the log holds.
    fn held(&self, batch: &RecordBatch, rows: &[usize]) -> Result<HashSet<usize>, store::Error> {
        if rows.is_empty() {
            return Ok(HashSet::new());
        }
        let arrivals = named(batch);
        let events: Vec<(i64, &str)> = rows.iter().map(|row| arrivals[*row]).collect();
        let columns: ColumnSet = [Column::EventTime, Column::EventId].into_iter().collect();
        let found = self.reader.find(&events, columns)?;
        self.shared.set_amiss(TELLING, None);
        let found: HashSet<(i64, &str)> = found.iter().flat_map(named).collect();
        let rows = rows.iter().copied();
        Ok(rows.filter(|row| found.contains(&arrivals[*row])).collect())
    }

    fn write(&self, decided: &[Decided], moment: &Moment) -> Result<Vec<i64>, store::Error> {
        let mut blocks = Vec::new();
        let (mut refused, mut sources) = (Vec::new(), BTreeMap::new());
        for one in decided {
            blocks.extend(one.blocks.iter().map(|(block, _)| block));
            refused.extend(&one.refused);
            let before = sources.get(&*one.source).copied();
            if let Some(before) = before.or_else(|| self.watermarks.progress(&one.source)) {
                let after = one.progress(before, moment.now);
                sources.insert(one.source.to_string(), after);
            }
        }
        let sources: Vec<_> = sources.into_iter().collect();
        let backfills: Vec<Reached> = decided.iter().filter_map(Decided::reached).collect();
        let watermark = Some(moment.watermark).filter(|time| *time > i64::MIN);
        self.store.admit(&Admit {
            blocks: &blocks,
            refused: &refused,
            sources: &sources,
            watermark,
            control: &[],
            backfills: &backfills,
            now: moment.now,
        })
    }

    /// Notes how a commit went; gives what it gave.
    fn noted<T>(&self, written: Result<T, store::Error>) -> Option<T> {
        if let Err(error) = &written {
            let failures = &self.shared.metrics.commit_failures_total;
            failures.with_label_values(&["admit"]).inc();
            self.shared.set_amiss(ADMITTING, Some(error.to_string()));
        } else {
            self.shared.set_amiss(ADMITTING, None);
        }
        written.ok()
    }
}

/// What is answered when nothing can be written.
fn refusal() -> Refusal {
    Refusal::Unavailable {
        reason: "the events cannot be stored, and none of them was; see /-/ready".to_owned(),
        retry_after_secs: 5,
    }
}

impl Decided {
    fn of(arrival: &Arrival) -> Self {
        Self {
            source: Arc::clone(&arrival.source),
            walked: arrival.walked,
            newest: None,
            blocks: Vec::new(),
            refused: Vec::new(),
            repeats: HashSet::new(),
            keys: Together::default(),
            receipt: Receipt::default(),
        }
    }

    /// What is remembered of its source once it is in.
    fn progress(&self, before: Progress, now: i64) -> Progress {
        let mut after = self.newest.map_or(before, |at| before.with(at, now));
        after.claim = after
            .claim
            .max(self.walked.and_then(|walked| walked.complete_to));
        after
    }

    /// How far its back-fill has come, if it was a part of one.
    fn reached(&self) -> Option<Reached> {
        let (id, second) = self.walked?.reached?;
        Some(Reached {
            id,
            second,
            events: self.receipt.accepted,
        })
    }
}

fn arrival_rows(batches: &[Encoded]) -> usize {
    batches.iter().map(|one| one.batch.num_rows()).sum()
}

/// Each row by event time and id.
fn named(batch: &RecordBatch) -> Vec<(i64, &str)> {
    let times = batch[Column::EventTime.name()]
        .as_primitive::<arrow::datatypes::TimestampMicrosecondType>();
    let ids = batch[Column::EventId.name()].as_string_view();
    let rows = times.values().iter().copied().zip(ids);
    rows.map(|(time, id)| (time, id.unwrap_or_default()))
        .collect()
}

fn future(line: &str, time: i64, moment: &Moment) -> Reject {
    let ahead = (time - moment.now) / 1_000_000;
    let reason = format!(
        "`date_create` is {}, {ahead} s ahead of the clock; check the clocks of sender and receiver",
        rfc3339(time),
    );
    Reject::of_event(line, reason)
}

fn control(gap: &Gap, watermark: i64) -> Control {
    let time = |time: i64| (time > i64::MIN).then(|| rfc3339(time));
    let (from, to) = (time(gap.from), gap.to.and_then(time));
    Control {
        watermark,
        kind: "gap",
        body: json!({"source": gap.source, "from": from, "to": to}).to_string(),
    }
}
