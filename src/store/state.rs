//! The SQLite file: opened, brought to the version of this program, and written by one at a time.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use super::{Error, Paths};

/// By version, what brings a file from the version before to it.
const MIGRATIONS: [&str; 3] = [
    include_str!("schema.sql"),
    include_str!("schema2.sql"),
    include_str!("schema3.sql"),
];

/// How long a writer waits for another process.
const BUSY: Duration = Duration::from_secs(10);

/// A store that can be written. Any number of processes may have it open; events are written by
/// the one that holds the [`Lock`].
#[derive(Debug)]
pub struct Store {
    paths: Paths,
    connection: Mutex<Connection>,
}

/// The right to write events; given up when it is dropped, or the process ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Store {
    /// Opens the store in a folder, which is made if it is not there. Only its owner may read it.
    ///
    /// # Errors
    /// When the folder cannot be used, the file is damaged, or of a newer version.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let paths = Paths::new(folder);
        for folder in [folder, &paths.events(), &paths.snapshots()] {
            let mut builder = DirBuilder::new();
            let made = builder.recursive(true).mode(0o700).create(folder);
            made.map_err(Error::io(folder))?;
        }
        let path = paths.state();
        // SQLite would make it readable for all.
        let made = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&path);
        made.map_err(Error::io(&path))?;
        let failed = state_error(&path, "open the state");
        let mut connection = Connection::open(&path).map_err(failed)?;
        prepare(&mut connection, &path)?;
        Ok(Self {
            paths,
            connection: Mutex::new(connection),
        })
    }

    /// Takes the right to write events.
    ///
    /// # Errors
    /// [`Error::Locked`] if another process has it.
    pub fn lock(&self) -> Result<Lock, Error> {
        let path = self.paths.lock();
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path);
        let file = file.map_err(Error::io(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(Lock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(Error::Locked {
                path: self.paths.folder().display().to_string(),
            }),
            Err(TryLockError::Error(source)) => Err(Error::io(&path)(source)),
        }
    }

    /// Brings all that was written into the one file, if nobody reads it just now.
    pub fn checkpoint(&self) {
        let connection = self.connection.lock();
        let connection = connection.unwrap_or_else(PoisonError::into_inner);
        // Nothing is lost where it cannot: SQLite does it when the file is opened next.
        let _ = connection.pragma_query(None, "wal_checkpoint(truncate)", |_| Ok(()));
    }

    pub fn paths(&self) -> &Paths {
        &self.paths
    }

    /// Does something in one transaction: all of it happens, or nothing.
    pub(super) fn transaction<T>(
        &self,
        doing: &'static str,
        act: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        let mut connection = self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let run = || {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let done = act(&transaction)?;
            transaction.commit()?;
            Ok(done)
        };
        run().map_err(state_error(&self.paths.state(), doing))
    }
}

/// A connection that can only read.
///
/// # Errors
/// [`Error::Missing`] if there is no store; when it is damaged, or of another version.
pub(super) fn read_only(paths: &Paths) -> Result<Connection, Error> {
    let path = paths.state();
    if !fs::exists(&path).map_err(Error::io(&path))? {
        return Err(Error::Missing {
            path: paths.folder().display().to_string(),
        });
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || {
        let connection = Connection::open_with_flags(&path, flags)?;
        connection.busy_timeout(BUSY)?;
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        Ok((connection, version))
    };
    let (connection, version) = open().map_err(state_error(&path, "read the state"))?;
    if version == 0 {
        return Err(Error::Missing {
            path: paths.folder().display().to_string(),
        });
    }
    check_version(&path, version)?;
    Ok(connection)
}

fn prepare(connection: &mut Connection, path: &Path) -> Result<(), Error> {
    let failed = || state_error(path, "open the state");
    let set = || {
        connection.busy_timeout(BUSY)?;
        // Blocks of events are large; pages of them keep the tree flat.
        connection.pragma_update(None, "page_size", 16_384)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "full")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.set_prepared_statement_cache_capacity(64);
        connection.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))
    };
    let version = set().map_err(failed())?;
    check_version(path, version)?;
    let mut migrate = || {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Another process may have been faster.
        let version: u32 =
            transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
        for migration in &MIGRATIONS[MIGRATIONS.len().min(version as usize)..] {
            transaction.execute_batch(migration)?;
        }
        transaction.pragma_update(None, "user_version", MIGRATIONS.len() as i64)?;
        transaction.commit()
    };
    if version as usize == MIGRATIONS.len() {
        return Ok(());
    }
    migrate().map_err(failed())
}

fn check_version(path: &Path, found: i64) -> Result<(), Error> {
    let known = MIGRATIONS.len() as i64;
    if found <= known {
        return Ok(());
    }
    Err(Error::Newer {
        path: path.display().to_string(),
        found,
        known,
    })
}

pub(super) fn state_error(
    path: &Path,
    doing: &'static str,
) -> impl FnOnce(rusqlite::Error) -> Error {
    let path = path.display().to_string();
    move |error| Error::State { path, doing, error }
}
