//! Where results go: standard output, or a file that is whole or not there.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use tempfile::NamedTempFile;

use super::Failure;
use super::show::printable;

/// Takes bytes as they are, and text as it can be shown: what goes to a terminal is made printable.
pub(super) struct Output {
    writer: BufWriter<Target>,
    is_terminal: bool,
}

enum Target {
    Standard(io::Stdout),
    /// Goes away unless it is finished, and is then called as it should be.
    File(NamedTempFile, PathBuf),
}

impl Output {
    pub fn standard() -> Self {
        let stdout = io::stdout();
        let is_terminal = stdout.is_terminal();
        Self::to(Target::Standard(stdout), is_terminal)
    }

    /// Begins the file of this path, under another name beside it; only its owner may read it.
    ///
    /// # Errors
    /// If there is something else of this name, or nothing can be written there.
    pub fn file(path: &Path) -> Result<Self, Failure> {
        let shown = path.display();
        // What is written to a device would take its place.
        if path.exists() && !path.is_file() {
            return Err(Failure::usage(anyhow!(
                "{shown} is no file: name another, or leave --output out and redirect standard output"
            )));
        }
        let name = path.file_name().unwrap_or_default();
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let mut prefix = name.to_owned();
        prefix.push(".");
        let made = tempfile::Builder::new()
            .prefix(&prefix)
            .suffix(".tmp")
            .tempfile_in(folder);
        let file = made.with_context(|| format!("cannot write {shown}"));
        let target = Target::File(file.map_err(Failure::io)?, path.to_owned());
        Ok(Self::to(target, false))
    }

    fn to(target: Target, is_terminal: bool) -> Self {
        Self {
            writer: BufWriter::with_capacity(1 << 16, target),
            is_terminal,
        }
    }

    pub fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Writes whole lines, or a part of one.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn text(&mut self, text: &str) -> io::Result<()> {
        if !self.is_terminal {
            return self.writer.write_all(text.as_bytes());
        }
        for line in text.split_inclusive('\n') {
            let (content, end) = match line.strip_suffix('\n') {
                Some(content) => (content, "\n"),
                None => (line, ""),
            };
            write!(self.writer, "{}{end}", printable(content))?;
        }
        Ok(())
    }

    /// Sees to it that all is written, and that a file is on disk under its name.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(self) -> io::Result<()> {
        let target = self.writer.into_inner();
        match target.map_err(|error| error.into_error())? {
            Target::Standard(mut stdout) => stdout.flush(),
            Target::File(file, path) => {
                file.as_file().sync_all()?;
                file.persist(path).map_err(|error| error.error)?;
                Ok(())
            }
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Standard(stdout) => stdout.write(bytes),
            Self::File(file, _) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Standard(stdout) => stdout.flush(),
            Self::File(file, _) => file.flush(),
        }
    }
}

/// JSON values, each on a line of its own or all in one array.
#[derive(Default)]
pub(super) struct Values {
    is_array: bool,
    is_begun: bool,
}

impl Values {
    pub fn lines() -> Self {
        Self::default()
    }

    pub fn array() -> Self {
        Self {
            is_array: true,
            is_begun: false,
        }
    }

    /// Writes one more value, which must not go over several lines.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&mut self, value: &str, out: &mut Output) -> io::Result<()> {
        let before = match (self.is_array, self.is_begun) {
            (true, false) => "[\n",
            (true, true) => ",\n",
            (false, _) => "",
        };
        self.is_begun = true;
        out.text(before)?;
        out.text(value)?;
        out.text(if self.is_array { "" } else { "\n" })
    }

    /// Ends the array.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn end(&self, out: &mut Output) -> io::Result<()> {
        match (self.is_array, self.is_begun) {
            (true, false) => out.text("[]\n"),
            (true, true) => out.text("\n]\n"),
            (false, _) => Ok(()),
        }
    }
}
