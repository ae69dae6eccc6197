//! Where events come from.

use std::collections::BTreeMap;

use super::block::{Blocks, Check};

/// A source, by its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Programs send events to `POST /api/v1/events`.
    Push {
        /// An event may come so many seconds after a newer one and is still waited for.
        lateness_secs: u32,
    },
}

#[derive(Clone, Copy)]
enum Type {
    Push,
}

const TYPES: &[(&str, Type)] = &[("push", Type::Push)];

const LATENESS_SECS: u32 = 1;

impl Source {
    /// Its type, as the file writes it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Push { .. } => "push",
        }
    }
}

/// The sources by name; if nothing is said of sources, one called `push`.
pub(super) fn read(blocks: Option<Blocks>, check: &mut Check) -> BTreeMap<String, Source> {
    let Some(blocks) = blocks else {
        let push = Source::Push {
            lateness_secs: LATENESS_SECS,
        };
        return BTreeMap::from([(push.kind().to_owned(), push)]);
    };
    let mut sources = BTreeMap::new();
    for (name, block) in blocks {
        check.name("source", &name, block.referenced);
        let mut settings = check.open(block.value, block.referenced);
        // What else may be written depends on the type.
        let Some(kind) = settings.word("type", "type of source", TYPES, None) else {
            continue;
        };
        let source = match kind {
            Type::Push => Source::Push {
                lateness_secs: settings.number("lateness_secs", 0..=3_600, LATENESS_SECS),
            },
        };
        settings.finish();
        sources.insert(name, source);
    }
    sources
}
