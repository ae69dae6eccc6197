//! Events of a simulated organisation, over and over: each time of another second, with an id of its own.
//!
//! They are rendered once, so that whoever sends them has little to do, and shuffled, so that all people
//! are active at any time. What a person does, with what and from where, is as the organisation has it;
//! how often is not, since hours of it go by in a second.

use std::collections::HashSet;
use std::io::{self, Write};
use std::ops::Range;
use std::sync::Arc;

use anyhow::{Result, ensure};
use gridwatch::simulate::{self, Attacks, Plan};
use memchr::memmem;

/// The days that the lines are taken from, and of how many of their lines one is taken.
const DAYS: u32 = 2;
const STRIDE: usize = 8;

/// Where a line's id and its time stand, and what stands around them.
const ID: Range<usize> = 7..43;
const TIME: Range<usize> = 59..69;
const BEFORE_ID: &[u8] = b"{\"id\":\"";
const BEFORE_TIME: &[u8] = b"\",\"date_create\":";
/// What stands before the actor's id, and how long that is.
const BEFORE_ACTOR: &[u8] = b"\"actor\":{\"type\":\"user\",\"user\":{\"id\":\"";
const ACTOR_BYTES: usize = 11;

/// Whose numbers begin the ids of markers; feeds have lesser ones.
const MARKERS: u64 = 255;

/// Lines to take events from.
pub struct Pool {
    text: Vec<u8>,
    /// Where each line begins, and where the last one ends.
    starts: Vec<usize>,
    /// The organisation's networks as CSV.
    pub networks: Vec<u8>,
}

impl Pool {
    /// Of an organisation of so many people, none of whom does harm.
    pub fn simulated(people: u32) -> Result<Self> {
        let plan = Plan {
            attacks: Attacks::none(),
            ..Plan::new(people, DAYS, 1)
        };
        let (mut sample, mut networks) = (Sample::default(), Vec::new());
        simulate::write(
            &plan,
            &mut sample,
            &mut networks,
            &mut io::sink(),
            &mut |_| (),
        )?;
        let mut lines = sample.kept;
        ensure!(!lines.is_empty(), "so few people do nothing: take more");
        for at in (1..lines.len()).rev() {
            lines.swap(at, (mix(at as u64) % (at as u64 + 1)) as usize);
        }
        let mut pool = Self {
            text: Vec::with_capacity(lines.iter().map(Vec::len).sum()),
            starts: vec![0],
            networks,
        };
        for line in &lines {
            let is_known = line.starts_with(BEFORE_ID)
                && line.get(ID.end..TIME.start) == Some(BEFORE_TIME)
                && line.get(TIME.end) == Some(&b',')
                && actor_in(line).is_some();
            ensure!(
                is_known,
                "the simulated organisation writes its events otherwise by now: mend lines.rs"
            );
            pool.text.extend_from_slice(line);
            pool.starts.push(pool.text.len());
        }
        Ok(pool)
    }

    /// How many lines there are.
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// How many people act in them.
    pub fn actors(&self) -> usize {
        let actors: HashSet<&[u8]> = (0..self.len()).map(|line| self.actor(line)).collect();
        actors.len()
    }

    /// The id of a line's actor.
    pub fn actor(&self, line: usize) -> &[u8] {
        let line = self.line(line);
        // Every line was looked at.
        actor_in(line).map_or(&[], |place| &line[place])
    }

    fn line(&self, line: usize) -> &[u8] {
        &self.text[self.starts[line]..self.starts[line + 1]]
    }

    /// Appends a line as an event of this second (since 1970), with an id that only this number has.
    pub fn append(&self, line: usize, second: i64, number: u64, text: &mut Vec<u8>) {
        let start = text.len();
        text.extend_from_slice(self.line(line));
        stamp(&mut text[start..], second, number);
    }
}

/// Keeps a line of [`STRIDE`] that are written.
#[derive(Default)]
struct Sample {
    kept: Vec<Vec<u8>>,
    line: Vec<u8>,
    seen: usize,
}

impl Write for Sample {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(piece);
            if !piece.ends_with(b"\n") {
                continue;
            }
            if self.seen.is_multiple_of(STRIDE) {
                self.kept.push(std::mem::take(&mut self.line));
            }
            self.line.clear();
            self.seen += 1;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Events without end, for one client.
pub struct Feed {
    pool: Arc<Pool>,
    at: usize,
    next: u64,
}

impl Feed {
    /// Feeds of different numbers, all below [`MARKERS`], share no ids.
    pub fn new(pool: &Arc<Pool>, number: u64) -> Self {
        Self {
            pool: Arc::clone(pool),
            at: mix(number) as usize % pool.len(),
            next: number << 40,
        }
    }

    /// The next events as NDJSON, all of this second.
    pub fn batch(&mut self, events: usize, second: i64) -> Vec<u8> {
        let mut text = Vec::with_capacity(events << 10);
        for _ in 0..events {
            self.pool.append(self.at, second, self.next, &mut text);
            self.at = (self.at + 1) % self.pool.len();
            self.next += 1;
        }
        text
    }
}

/// Appends an event that [`super::rules::marker`] finds, and gives its id.
pub fn marker(number: u64, second: i64, text: &mut Vec<u8>) -> String {
    let start = text.len();
    let line = format!(
        r#"{{"id":"00000000-0000-4000-8000-000000000000","date_create":0000000000,"action":"file_downloaded","actor":{{"type":"user","user":{{"id":"U0MARKER000","name":"Marker","email":"marker@corp.example","team":"T0MARKER000"}}}},"entity":{{"type":"file","file":{{"id":"F{number:010}","name":"marker-{number}","filetype":"text","title":"marker-{number}"}}}},"context":{{"location":{{"type":"workspace","id":"T0MARKER000","name":"Example","domain":"example"}},"ua":"Mozilla\/5.0 (X11; Linux x86_64; rv:147.0) Gecko\/20100101 Firefox\/147.0","ip_address":"192.0.2.7","session_id":11111111111}}}}"#
    );
    text.extend_from_slice(line.as_bytes());
    text.push(b'\n');
    stamp(&mut text[start..], second, MARKERS << 40 | number);
    String::from_utf8_lossy(&text[start..][ID]).into_owned()
}

/// Makes another the actor of a line; an id has as many bytes as the next.
pub fn rename(line: &mut [u8], actor: &str) {
    if let Some(place) = actor_in(line)
        && place.len() == actor.len()
    {
        line[place].copy_from_slice(actor.as_bytes());
    }
}

fn actor_in(line: &[u8]) -> Option<Range<usize>> {
    let start = memmem::find(line, BEFORE_ACTOR)? + BEFORE_ACTOR.len();
    let place = start..start + ACTOR_BYTES;
    (line.get(place.end) == Some(&b'"')).then_some(place)
}

/// Writes time and id of an event. Numbers below 2⁴⁸ give different ids, in which nothing repeats that
/// would help to compress them.
fn stamp(line: &mut [u8], second: i64, number: u64) {
    let mut left = second.max(0) as u64;
    for digit in line[TIME].iter_mut().rev() {
        *digit = b'0' + (left % 10) as u8;
        left /= 10;
    }
    let (scattered, id) = (mix(number), &mut line[ID]);
    // The rest says which form of UUID it is.
    hex(&mut id[..8], scattered);
    hex(&mut id[9..13], scattered >> 32);
    hex(&mut id[15..18], scattered >> 48);
    hex(&mut id[24..], unique(number));
}

/// Writes the lowest digits of a number, as many as there is room for.
fn hex(room: &mut [u8], mut number: u64) {
    for digit in room.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(number & 0xf) as usize];
        number >>= 4;
    }
}

/// A bijection of the numbers below 2⁴⁸: odd factors and the shift by half lose nothing.
fn unique(number: u64) -> u64 {
    const MASK: u64 = (1 << 48) - 1;
    let number = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) & MASK;
    (number ^ (number >> 24)).wrapping_mul(0xbf58_476d_1ce4_e5b9) & MASK
}

/// SplitMix64 (Steele, Lea and Flood, 2014), so that neighbours have nothing in common.
pub fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
