//! Tokens: what may do what, known by hashes.

use rusqlite::params;

use super::{Error, Reader, Store};

/// The SHA-256 of a token's text.
pub type Hash = [u8; 32];

impl Store {
    /// Enters a token that may act in this role.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add_token(&self, hash: &Hash, role: &str, by: &str, now: i64) -> Result<(), Error> {
        self.transaction("enter a token", |transaction| {
            transaction.execute(
                "INSERT INTO token (hash, role, created, created_by) VALUES (?, ?, ?, ?)",
                params![hash, role, now, by],
            )?;
            Ok(())
        })
    }
}

impl Reader {
    /// All tokens that count, with their roles.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn tokens(&self) -> Result<Vec<(Hash, String)>, Error> {
        self.read("read the tokens", |connection| {
            let mut query = connection.prepare_cached("SELECT hash, role FROM token")?;
            let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect()
        })
    }
}
