//! The store: the log as it was admitted, and what became of it.
//!
//! ```text
//! <path>/state.db          SQLite: tail, manifest, control records, anomalies, outbox, tokens
//! <path>/events/date=…/    Parquet: the archive
//! <path>/snapshots/        what rules remember, as of a watermark
//! <path>/lock              held by the one process that writes events
//! ```
//!
//! Two kinds of transaction carry the promise that nothing is lost or doubled. *Admit* holds events
//! and the cursor of their source; then the source is answered. *Advance* holds the evaluated
//! watermark and the anomalies of that step. *Seal* moves events from the tail to the archive: first
//! the file is there and on disk, then one transaction names it and drops the tail's blocks. A file
//! that no transaction names is an orphan, and goes at the next start.

mod archive;
mod backfill;
mod commit;
mod dead_letter;
mod feed;
mod list;
mod mark;
mod outbox;
pub mod query;
pub mod read;
mod segment;
pub mod snapshot;
mod state;
mod table;
pub mod tail;
pub mod token;

use std::io;
use std::path::{Path, PathBuf};

pub use self::archive::{Fresh, Sealed};
pub use self::backfill::{Backfill, Reached};
pub use self::commit::{Admit, Advance, Control, Found, Refused};
pub use self::dead_letter::{Choice, DeadLetter};
pub use self::feed::FeedBlock;
pub use self::list::ListChange;
pub use self::mark::Mark;
pub use self::outbox::{Entry, Refusal};
pub use self::read::{Reader, Totals};
pub use self::state::{Lock, Store};
pub use self::tail::{Admission, Block};

/// Why the store cannot do what it should.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{path}: {error}; {}", remedy(error))]
    Io { path: String, error: io::Error },
    #[error("{path}: cannot {doing}: {error}; {}", state_remedy(error))]
    State {
        path: String,
        doing: &'static str,
        error: rusqlite::Error,
    },
    #[error("{path} is used by another gridwatch; stop it first, or name another `store.path`")]
    Locked { path: String },
    #[error("there is no store in {path}; `gridwatch run` makes one")]
    Missing { path: String },
    #[error(
        "{path} was written by a newer gridwatch (version {found}, this one reads {known}); use that one"
    )]
    Newer {
        path: String,
        found: i64,
        known: i64,
    },
    #[error("{what} is damaged: {reason}; restore it from a backup")]
    Damaged { what: String, reason: String },
    #[error("the archive cannot be read: {0}")]
    Query(String),
}

/// What is to be done about an error of the system.
fn remedy(error: &io::Error) -> &'static str {
    use io::ErrorKind as K;
    match error.kind() {
        K::NotFound => "it was there before: restore it from a backup",
        K::NotADirectory | K::AlreadyExists => "name a folder as `store.path`",
        K::PermissionDenied | K::ReadOnlyFilesystem => {
            "grant write permission on the folder, or run as its owner"
        }
        _ => "check that the folder can be written and that its disk has space",
    }
}

/// What is to be done about an error of SQLite.
fn state_remedy(error: &rusqlite::Error) -> &'static str {
    use rusqlite::ErrorCode as C;
    match error.sqlite_error_code() {
        Some(C::DiskFull) => "free some space on its disk",
        Some(C::ReadOnly | C::PermissionDenied | C::CannotOpen) => {
            "grant write permission on the folder, or run as its owner"
        }
        Some(C::DatabaseCorrupt | C::NotADatabase) => "it is damaged, restore it from a backup",
        Some(C::DatabaseBusy | C::DatabaseLocked) => "another process writes to it, try again",
        _ => "check its disk",
    }
}

impl Error {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.display().to_string();
        |error| Self::Io { path, error }
    }
}

/// Where things are in the folder of a store.
#[derive(Clone, Debug)]
pub struct Paths(PathBuf);

impl Paths {
    pub fn new(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    pub fn folder(&self) -> &Path {
        &self.0
    }

    fn state(&self) -> PathBuf {
        self.0.join("state.db")
    }

    fn events(&self) -> PathBuf {
        self.0.join("events")
    }

    fn snapshots(&self) -> PathBuf {
        self.0.join("snapshots")
    }

    fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }
}
