use std::io::{self, Write};

use clap::{Args, Subcommand};

use super::setup::{ConfigFile, Setup};
use super::{End, Failure, user};
use crate::clock::{self, Clock};
use crate::serve::auth::{self, Role};
use crate::store::Store;

/// Makes tokens, with which programs may use the API
#[derive(Debug, Args)]
pub(super) struct Token {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Makes a token and prints it: it cannot be shown again
    ///
    /// Works before the first start, and while the service runs, which obeys it within 2 seconds. The
    /// store keeps the token's hash alone.
    Create {
        #[command(flatten)]
        config: ConfigFile,
        /// What the token is good for: ingest (push events), metrics, siem, viewer, analyst or owner
        #[arg(long)]
        role: Role,
    },
}

impl Token {
    pub fn run(&self) -> Result<End, Failure> {
        let Verb::Create { config, role } = &self.verb;
        let setup = Setup::read(config)?;
        let store = Store::open(&setup.store_path()).map_err(Failure::io)?;
        let token = auth::Token::create(clock::random().map_err(Failure::internal)?, *role);
        let hash = auth::hash(token.reveal());
        let now = Clock::system().now();
        store
            .add_token(&hash, role.as_str(), &user(), now)
            .map_err(Failure::io)?;
        writeln!(io::stdout(), "{}", token.reveal()).map_err(Failure::io)?;
        Ok(End::Good)
    }
}
