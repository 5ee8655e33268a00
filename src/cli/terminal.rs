//! Standard output: colours only where they are wanted, and redrawing only on a terminal.

use std::io::{self, IsTerminal, Write};

use super::CliError;

/// Standard output. Styles in the text are taken out unless it is a terminal that wants them (`NO_COLOR`, `TERM`).
pub(super) struct Terminal {
    out: anstream::AutoStream<io::Stdout>,
    live: bool,
}

impl Terminal {
    /// The standard output of this process.
    pub(super) fn stdout() -> Self {
        Self {
            out: anstream::AutoStream::auto(io::stdout()),
            live: io::stdout().is_terminal(),
        }
    }

    /// Whether somebody looks at it, so that a picture can be redrawn in place.
    pub(super) const fn is_live(&self) -> bool {
        self.live
    }

    /// Writes text.
    pub(super) fn print(&mut self, text: &str) -> Result<(), CliError> {
        self.out.write_all(text.as_bytes())?;
        Ok(self.out.flush()?)
    }

    /// Replaces the screen by text.
    pub(super) fn redraw(&mut self, text: &str) -> Result<(), CliError> {
        // Past the filter, which would take cursor movements out together with the colours.
        let mut raw = io::stdout();
        raw.write_all(b"\x1b[H\x1b[2J")?;
        raw.flush()?;
        self.print(text)
    }
}
