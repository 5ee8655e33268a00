//! Standard output: lines that stay, and on a terminal a picture below them that is redrawn in place.
//!
//! What is shown is *not* decided here.

use std::io::{self, IsTerminal, Write};

use anyhow::{Context, Result};

/// Standard output of the demo.
pub(super) struct Screen {
    paint: Paint,
    live: bool,
    /// Lines of the picture that is shown now.
    drawn: usize,
}

/// Colours, where they are wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paint {
    colour: bool,
}

impl Screen {
    /// Redraws only on a terminal; colours only there and without `NO_COLOR`.
    pub(super) fn stdout() -> Self {
        let live = io::stdout().is_terminal();
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            paint: Paint {
                colour: live && !no_colour,
            },
            live,
            drawn: 0,
        }
    }

    /// Whether pictures are shown.
    pub(super) const fn is_live(&self) -> bool {
        self.live
    }

    pub(super) const fn paint(&self) -> Paint {
        self.paint
    }

    /// Writes lines that stay.
    pub(super) fn say(&mut self, text: &str) -> Result<()> {
        let erase = self.erase();
        put(&format!("{erase}{text}\n"))
    }

    /// Replaces the picture. Nothing is shown where nobody looks.
    pub(super) fn show(&mut self, picture: &[String]) -> Result<()> {
        if !self.live {
            return Ok(());
        }
        let width = terminal_size::terminal_size().map_or(80, |(width, _)| usize::from(width.0));
        let mut text = self.erase();
        for line in picture {
            text.push_str(&cut(line, width));
            text.push('\n');
        }
        self.drawn = picture.len();
        put(&text)
    }

    /// What takes the picture away.
    fn erase(&mut self) -> String {
        match std::mem::take(&mut self.drawn) {
            0 => String::new(),
            lines => format!("\x1b[{lines}A\x1b[J"),
        }
    }
}

fn put(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .context("cannot write to standard output")
}

/// The line without what does not fit, or it would break and the redrawing with it. Colours take no room.
fn cut(line: &str, width: usize) -> String {
    let mut shown = String::new();
    let mut room = width;
    let mut escape = false;
    for character in line.chars() {
        if character == '\x1b' {
            escape = true;
        }
        if escape {
            shown.push(character);
            escape = character != 'm';
        } else if room > 0 {
            shown.push(character);
            room -= 1;
        }
    }
    shown
}

impl Paint {
    pub(super) fn red(self, text: &str) -> String {
        self.with("31", text)
    }

    pub(super) fn green(self, text: &str) -> String {
        self.with("32", text)
    }

    pub(super) fn yellow(self, text: &str) -> String {
        self.with("33", text)
    }

    pub(super) fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    pub(super) fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.colour {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    /// Without colours, for tests of what is shown.
    #[cfg(test)]
    pub(super) const PLAIN: Self = Self { colour: false };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_cut_and_its_colour_ends() {
        let line = format!("ab{}", Paint { colour: true }.red("cdef"));
        assert_eq!(cut(&line, 4), "ab\x1b[31mcd\x1b[0m");
        assert_eq!(cut("weiß", 4), "weiß");
    }

    #[test]
    fn without_colours_text_is_as_it_was() {
        assert_eq!(Paint::PLAIN.red("lost"), "lost");
    }
}
