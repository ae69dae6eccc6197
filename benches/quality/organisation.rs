//! A generated organisation: its events in a temporary file, its networks and labels in memory.

use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;

use anyhow::{Context, Result};
use gridwatch::simulate::{self, Plan};
use tempfile::TempDir;

use super::label::Label;

pub struct Organisation {
    pub events: PathBuf,
    /// How many events there are.
    pub count: u64,
    /// As CSV.
    pub networks: String,
    pub labels: Vec<Label>,
    /// It goes when this is dropped.
    _folder: TempDir,
}

impl Organisation {
    pub fn generate(plan: &Plan) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("gridwatch-bench-")
            .tempdir()
            .context("cannot make a temporary folder; set TMPDIR to a place where one can be")?;
        let events = folder.path().join("events.ndjson");
        let mut file = BufWriter::new(File::create(&events)?);
        let (mut networks, mut labels) = (Vec::new(), Vec::new());
        let totals = simulate::write(plan, &mut file, &mut networks, &mut labels, &mut |_| ())
            .context("cannot write the organisation; it takes some gigabytes in TMPDIR")?;
        Ok(Self {
            events,
            count: totals.events,
            networks: String::from_utf8(networks)?,
            labels: Label::read_all(&labels)?,
            _folder: folder,
        })
    }
}
