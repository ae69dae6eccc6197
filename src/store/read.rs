//! Reading the log: archive and tail as one, while it is being written.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::TimestampMicrosecondType;
use rayon::prelude::*;
use rusqlite::{Connection, OptionalExtension};

use super::commit::EVALUATED;
use super::segment::{self, Segment};
use super::state::{read_only, state_error};
use super::{Error, Paths, tail};
use crate::admit::watermark::Progress;
use crate::event::schema::{Column, ColumnSet};

/// A store that is only read; the service may be at work on it.
#[derive(Debug)]
pub struct Reader {
    paths: Paths,
    connection: Mutex<Connection>,
}

/// How much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub tail_rows: u64,
    pub segments: u64,
    pub segment_rows: u64,
}

/// Which events are looked at; times in microseconds, both ends count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    All,
    /// From this order time on.
    OrderFrom(i64),
    Event(i64, i64),
}

/// Where the rows of the log are, as of one moment; the newest of them are held in memory, compressed.
#[derive(Debug)]
pub struct View {
    paths: Paths,
    pub(super) segments: Vec<Segment>,
    blocks: Vec<Stored>,
}

/// A block as it stands in the tail.
#[derive(Debug)]
struct Stored {
    order: (i64, i64),
    events: Vec<u8>,
    admission: Vec<u8>,
}

/// Rows of the log that are read together.
#[derive(Clone, Copy, Debug)]
pub struct Piece {
    /// The least and the greatest order time; microseconds.
    pub order: (i64, i64),
    place: Place,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Segment(usize),
    Block(usize),
}

impl Reader {
    /// Opens the store in a folder.
    ///
    /// # Errors
    /// [`Error::Missing`] if there is none; when it cannot be read.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let paths = Paths::new(folder);
        let connection = Mutex::new(read_only(&paths)?);
        Ok(Self { paths, connection })
    }

    pub(super) fn paths(&self) -> &Paths {
        &self.paths
    }

    pub(super) fn read<T>(
        &self,
        doing: &'static str,
        act: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        let mut connection = self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let run = || {
            // All that is read is of one moment.
            let transaction = connection.transaction()?;
            act(&transaction)
        };
        run().map_err(state_error(&self.paths.state(), doing))
    }

    /// All rows before it are judged; microseconds, `None` before the first step.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn evaluated(&self) -> Result<Option<i64>, Error> {
        self.read("read the watermark", |connection| {
            let query = "SELECT value FROM meta WHERE name = ?";
            connection
                .query_row(query, [EVALUATED], |row| row.get(0))
                .optional()
        })
    }

    /// The last step of the watermark that anything depends on.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn watermark(&self) -> Result<Option<i64>, Error> {
        self.read("read the watermark", |connection| {
            let query = "SELECT max(watermark) FROM control WHERE kind = 'watermark'";
            connection.query_row(query, [], |row| row.get(0))
        })
    }

    /// What is remembered of the sources.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn sources(&self) -> Result<Vec<(String, Progress)>, Error> {
        self.read("read the sources", |connection| {
            let mut query = connection.prepare("SELECT name, newest, age, claim FROM source")?;
            let rows = query.query_map([], |row| {
                let progress = Progress {
                    newest: row.get(1)?,
                    age: row.get(2)?,
                    claim: row.get(3)?,
                };
                Ok((row.get(0)?, progress))
            })?;
            rows.collect()
        })
    }

    /// The control records of a kind, the oldest first: watermark and body.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn control(&self, kind: &str) -> Result<Vec<(i64, String)>, Error> {
        self.read("read the control records", |connection| {
            let mut query = connection
                .prepare("SELECT watermark, body FROM control WHERE kind = ? ORDER BY seq")?;
            let rows = query.query_map([kind], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect()
        })
    }

    /// How much there is.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn totals(&self) -> Result<Totals, Error> {
        self.read("count the events", |connection| {
            let one = |sql: &str| connection.query_row(sql, [], |row| row.get(0));
            Ok(Totals {
                tail_rows: one("SELECT coalesce(sum(rows), 0) FROM tail")?,
                segments: one("SELECT count(*) FROM segment")?,
                segment_rows: one("SELECT coalesce(sum(rows), 0) FROM segment")?,
            })
        })
    }

    /// The records of all anomalies, in the order of time, event id and rule; those that exceptions bar
    /// are left out.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn anomalies(&self) -> Result<Vec<String>, Error> {
        self.read("read the anomalies", |connection| {
            let mut query = connection.prepare(
                "SELECT record FROM anomaly WHERE exception IS NULL \
                 ORDER BY order_time, event_time, event_id, rule",
            )?;
            let rows = query.query_map([], |row| row.get(0))?;
            rows.collect()
        })
    }

    /// A time at or before the first event that is not before `from`, and not before `from` itself;
    /// `None` if there is no such event. Microseconds.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn next_event(&self, from: i64) -> Result<Option<i64>, Error> {
        self.read("read the manifest", |connection| {
            let query = "SELECT max(?1, min(first_event)) FROM \
                         (SELECT first_event, last_event FROM segment UNION ALL \
                         SELECT first_event, last_event FROM tail) WHERE last_event >= ?1";
            connection.query_row(query, [from], |row| row.get(0))
        })
    }

    /// Where the rows of a span are. What the view holds stays readable while the service goes on.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn view(&self, span: Span) -> Result<View, Error> {
        let (condition, one, other) = match span {
            Span::All => ("?1 = ?2", 0, 0),
            Span::OrderFrom(first) => ("last_order >= ?1 AND ?2 = 0", first, 0),
            Span::Event(first, last) => ("last_event >= ?1 AND first_event <= ?2", first, last),
        };
        let (segments, blocks) = self.read("read the manifest", |connection| {
            let mut query = connection.prepare(&format!(
                "SELECT path, rows, bytes, first_order, last_order, first_event, last_event \
                 FROM segment WHERE {condition} ORDER BY first_event, id"
            ))?;
            let segments = query.query_map([one, other], |row| {
                Ok(Segment {
                    path: row.get(0)?,
                    rows: row.get(1)?,
                    bytes: row.get(2)?,
                    order: (row.get(3)?, row.get(4)?),
                    event: (row.get(5)?, row.get(6)?),
                })
            })?;
            let segments = segments.collect::<rusqlite::Result<Vec<_>>>()?;
            let mut query = connection.prepare(&format!(
                "SELECT first_order, last_order, events, admission \
                 FROM tail WHERE {condition} ORDER BY seq"
            ))?;
            let blocks = query.query_map([one, other], |row| {
                Ok(Stored {
                    order: (row.get(0)?, row.get(1)?),
                    events: row.get(2)?,
                    admission: row.get(3)?,
                })
            })?;
            Ok((segments, blocks.collect::<rusqlite::Result<Vec<_>>>()?))
        })?;
        Ok(View {
            paths: self.paths.clone(),
            segments,
            blocks,
        })
    }

    /// Reads all of the archive, to find out which file is damaged.
    ///
    /// # Errors
    /// The first that is.
    pub fn check_segments(&self) -> Result<(), Error> {
        let view = self.view(Span::All)?;
        for segment in &view.segments {
            let path = view.path(segment);
            for batch in segment::read(&path, ColumnSet::all())? {
                batch.map_err(segment::damaged(&path))?;
            }
        }
        Ok(())
    }

    /// The rows with all columns of the events of these times and ids, in no particular order.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn find(
        &self,
        events: &[(i64, &str)],
        columns: ColumnSet,
    ) -> Result<Vec<RecordBatch>, Error> {
        let named: ColumnSet = [Column::EventTime, Column::EventId].into_iter().collect();
        let columns = columns.union(named);
        let times = events.iter().map(|(time, _)| *time);
        let (Some(first), Some(last)) = (times.clone().min(), times.clone().max()) else {
            return Ok(Vec::new());
        };
        let sorted: BTreeSet<i64> = times.clone().collect();
        let times: Arc<HashSet<i64>> = Arc::new(times.collect());
        let ids = events.iter().map(|(_, id)| (*id).to_owned());
        let ids: Arc<HashSet<String>> = Arc::new(ids.collect());
        let view = self.view(Span::Event(first, last))?;
        let mut found = Vec::new();
        for segment in &view.segments {
            if sorted
                .range(segment.event.0..=segment.event.1)
                .next()
                .is_none()
            {
                continue;
            }
            let path = self.paths.folder().join(&segment.path);
            for batch in segment::find(&path, columns, &times, &ids)? {
                found.push(batch.map_err(segment::damaged(&path))?);
            }
        }
        for block in &view.blocks {
            let batch = block.rows(columns)?;
            let at = batch[Column::EventTime.name()].as_primitive::<TimestampMicrosecondType>();
            let id = batch[Column::EventId.name()].as_string_view();
            let is_wanted =
                |row: usize| times.contains(&at.value(row)) && ids.contains(id.value(row));
            let wanted = (0..batch.num_rows()).map(|row| Some(is_wanted(row)));
            let wanted: BooleanArray = wanted.collect();
            if wanted.true_count() > 0 {
                let rows = filter_record_batch(&batch, &wanted);
                found.push(rows.map_err(|error| Error::Query(error.to_string()))?);
            }
        }
        found.retain(|batch| batch.num_rows() > 0);
        Ok(found)
    }

    /// The numbers of the oldest blocks of the tail, about so many rows and one block at least.
    pub(super) fn oldest_blocks(&self, most_rows: u64) -> Result<Vec<i64>, Error> {
        self.read("read the tail", |connection| {
            let mut query = connection.prepare_cached("SELECT seq, rows FROM tail ORDER BY seq")?;
            let mut rows = query.query([])?;
            let (mut blocks, mut count) = (Vec::new(), 0);
            while let Some(row) = rows.next()? {
                blocks.push(row.get(0)?);
                count += row.get::<_, u64>(1)?;
                if count >= most_rows {
                    break;
                }
            }
            Ok(blocks)
        })
    }

    /// Whether the tail holds all of these blocks.
    pub(super) fn holds_blocks(&self, first: i64, last: i64) -> Result<bool, Error> {
        self.read("read the tail", |connection| {
            let query = "SELECT count(*) = ?2 - ?1 + 1 FROM tail WHERE seq BETWEEN ?1 AND ?2";
            connection.query_row(query, [first, last], |row| row.get(0))
        })
    }

    /// Whether no event ever came.
    pub(super) fn is_new(&self) -> Result<bool, Error> {
        self.read("read the tail", |connection| {
            let query = "SELECT NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'tail')";
            connection.query_row(query, [], |row| row.get(0))
        })
    }

    /// A number that no other store has.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn id(&self) -> Result<i64, Error> {
        self.read("read the state", |connection| {
            let query = "SELECT value FROM meta WHERE name = 'id'";
            connection.query_row(query, [], |row| row.get(0))
        })
    }

    /// The rows of a block of the tail.
    pub(super) fn block(&self, number: i64) -> Result<RecordBatch, Error> {
        let (events, admission): (Vec<u8>, Vec<u8>) = self.read("read the tail", |connection| {
            let mut query =
                connection.prepare_cached("SELECT events, admission FROM tail WHERE seq = ?")?;
            query.query_row([number], |row| Ok((row.get(0)?, row.get(1)?)))
        })?;
        tail::decode(&events, &admission, ColumnSet::all())
    }

    pub(super) fn segment_paths(&self) -> Result<HashSet<String>, Error> {
        self.read("read the manifest", |connection| {
            let mut query = connection.prepare("SELECT path FROM segment")?;
            let rows = query.query_map([], |row| row.get(0))?;
            rows.collect()
        })
    }

    /// The newest events, at least so many where there are: the time from which on all are among them,
    /// and each with its time and id.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn newest(&self, least: u64) -> Result<(i64, Vec<(i64, String)>), Error> {
        let first = self.read("read the manifest", |connection| {
            let mut query = connection.prepare(
                "SELECT first_event, rows FROM segment UNION ALL SELECT first_event, rows FROM tail \
                 ORDER BY 1 DESC",
            )?;
            let mut rows = query.query([])?;
            let mut count = 0;
            while let Some(row) = rows.next()? {
                count += row.get::<_, u64>(1)?;
                if count >= least {
                    return row.get(0);
                }
            }
            Ok(i64::MIN)
        })?;
        let view = self.view(Span::Event(first, i64::MAX))?;
        let columns = [Column::EventTime, Column::EventId].into_iter().collect();
        let mut events = Vec::new();
        for piece in view.pieces() {
            for batch in view.load(piece, columns)? {
                let times =
                    batch[Column::EventTime.name()].as_primitive::<TimestampMicrosecondType>();
                let ids = batch[Column::EventId.name()].as_string_view();
                let named = times.values().iter().zip(ids);
                let named = named.filter(|(time, _)| **time >= first);
                events.extend(named.map(|(time, id)| (*time, id.unwrap_or_default().to_owned())));
            }
        }
        Ok((first, events))
    }
}

impl Stored {
    fn rows(&self, columns: ColumnSet) -> Result<RecordBatch, Error> {
        tail::decode(&self.events, &self.admission, columns)
    }
}

impl View {
    /// What there is to read, by the least order time.
    pub fn pieces(&self) -> Vec<Piece> {
        let segments = self.segments.iter().enumerate().map(|(at, segment)| Piece {
            order: segment.order,
            place: Place::Segment(at),
        });
        let blocks = self.blocks.iter().enumerate().map(|(at, block)| Piece {
            order: block.order,
            place: Place::Block(at),
        });
        let mut pieces: Vec<Piece> = segments.chain(blocks).collect();
        pieces.sort_by_key(|piece| piece.order.0);
        pieces
    }

    /// The rows of a piece, those columns of them, in batches.
    ///
    /// # Errors
    /// When a file is not there, or damaged.
    pub fn load(&self, piece: Piece, columns: ColumnSet) -> Result<Vec<RecordBatch>, Error> {
        match piece.place {
            Place::Segment(at) => {
                let path = self.paths.folder().join(&self.segments[at].path);
                let read = segment::read(&path, columns)?;
                read.collect::<Result<_, _>>()
                    .map_err(segment::damaged(&path))
            }
            Place::Block(at) => Ok(vec![self.blocks[at].rows(columns)?]),
        }
    }

    /// Whether all rows are in segments.
    pub(super) fn is_sealed(&self) -> bool {
        self.blocks.is_empty()
    }

    /// The rows that are not in a segment yet, those columns of them.
    pub(super) fn tail(&self, columns: ColumnSet) -> Result<Vec<RecordBatch>, Error> {
        let blocks = self.blocks.par_iter();
        blocks.map(|block| block.rows(columns)).collect()
    }

    pub(super) fn path(&self, segment: &Segment) -> std::path::PathBuf {
        self.paths.folder().join(&segment.path)
    }
}
