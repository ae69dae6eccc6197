//! Where anomalies go, besides the store, which keeps them all.

use std::collections::{BTreeMap, HashMap};
use std::path::{Component, Path, PathBuf};

use super::block::{Blocks, Check};

/// A sink, by its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sink {
    /// A file, one anomaly a line.
    File {
        /// From the folder of the configuration file. No two sinks share one.
        path: PathBuf,
        format: Format,
        /// A file of so many MiB is put aside for a new one.
        rotate_mib: u32,
    },
}

/// The form in which an anomaly is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Our own record, as JSON.
    Native,
}

#[derive(Clone, Copy)]
enum Type {
    File,
}

const TYPES: &[(&str, Type)] = &[("file", Type::File)];

const FORMATS: &[(&str, Format)] = &[("native", Format::Native)];

impl Sink {
    /// Its type, as the file writes it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::File { .. } => "file",
        }
    }
}

/// The path without what leads nowhere: `./out` is `out`.
fn plain(path: &Path) -> PathBuf {
    path.components()
        .filter(|part| *part != Component::CurDir)
        .collect()
}

/// The sinks by name.
pub(super) fn read(blocks: Option<Blocks>, check: &mut Check) -> BTreeMap<String, Sink> {
    let mut sinks = BTreeMap::new();
    // Who writes to which file.
    let mut writers: HashMap<PathBuf, String> = HashMap::new();
    for (name, block) in blocks.unwrap_or_default() {
        let place = block.referenced;
        check.name("sink", &name, place);
        let mut settings = check.open(block.value, place);
        // What else may be written depends on the type.
        let Some(kind) = settings.word("type", "type of sink", TYPES, None) else {
            continue;
        };
        let sink = match kind {
            Type::File => {
                let path = settings.path("path", "anomalies.ndjson");
                let default = Some(Format::Native);
                let format = settings.word("format", "format", FORMATS, default);
                if let Some(other) = writers.insert(plain(&path), name.clone()) {
                    let message = format!(
                        "sink `{name}` writes to {}, as `{other}` does: give each a `path` of its own",
                        path.display()
                    );
                    settings.problem(place, message);
                }
                Sink::File {
                    path,
                    format: format.unwrap_or(Format::Native),
                    rotate_mib: settings.number("rotate_mib", 1..=1_048_576, 256),
                }
            }
        };
        settings.finish();
        sinks.insert(name, sink);
    }
    sinks
}
