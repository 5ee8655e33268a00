//! What a person sees while something takes long: one line that counts on a terminal, a line every ten seconds
//! elsewhere. Results and errors are *not* printed here.

use std::{
    io::{IsTerminal, Write},
    time::Duration,
};

use tokio::time::Instant;

/// Where and how progress is shown. It always goes to standard error.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    terminal: bool,
    colour: bool,
}

impl Progress {
    /// Progress for this process: a counting line on a terminal, colours there unless `NO_COLOR` is set.
    pub fn detect() -> Self {
        let terminal = std::io::stderr().is_terminal();
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            terminal,
            colour: terminal && !no_colour,
        }
    }

    /// Says one line.
    pub fn say(&self, line: &str) {
        write(&format!("{line}\n"));
    }

    /// Runs `work` and shows how long it has taken so far: every second on a terminal, every ten seconds elsewhere.
    pub async fn during<T, E>(
        &self,
        what: &str,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let started = Instant::now();
        let every = Duration::from_secs(if self.terminal { 1 } else { 10 });
        let mut tick = tokio::time::interval_at(started + every, every);
        tokio::pin!(work);
        if !self.terminal {
            self.say(what);
        }
        let result = loop {
            tokio::select! {
                result = &mut work => break result,
                _ = tick.tick() => self.counting(what, started.elapsed()),
            }
        };
        let took = format!("{:.1} s", started.elapsed().as_secs_f64());
        let start_of_line = if self.terminal { "\r\x1b[K" } else { "" };
        let mark = if result.is_ok() {
            self.paint("32", "done")
        } else {
            self.paint("31", "failed")
        };
        write(&format!("{start_of_line}{what}: {mark} after {took}\n"));
        result
    }

    fn counting(self, what: &str, elapsed: Duration) {
        let seconds = elapsed.as_secs();
        if self.terminal {
            write(&format!("\r\x1b[K{what} … {seconds} s"));
        } else {
            write(&format!("{what} … {seconds} s\n"));
        }
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colour {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

fn write(text: &str) {
    let mut stderr = std::io::stderr().lock();
    // A closed standard error must not stop the testbed: there is nobody to tell.
    stderr
        .write_all(text.as_bytes())
        .and_then(|()| stderr.flush())
        .ok();
}
