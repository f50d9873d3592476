//! How far a run is, in one line of a terminal, or a line for each server elsewhere.

use std::{
    io::{self, IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

/// Of one work.
#[derive(Default)]
pub(crate) struct Progress {
    work: &'static str,
    total: usize,
    done: usize,
    started: Option<Instant>,
}

impl Progress {
    /// So many measurements are to come.
    pub(crate) fn begin(&mut self, work: &'static str, total: usize) {
        *self = Self { work, total, done: 0, started: Some(Instant::now()) };
    }

    /// The next one is of this server.
    pub(crate) fn next(&mut self, server: &str) {
        self.done += 1;
        let left = self.started.map(|started| self.left(started.elapsed()));
        let left = left.filter(|_| self.done > 1).map_or(String::new(), |left| {
            format!(", {}:{:02} left", left.as_secs() / 60, left.as_secs() % 60)
        });
        self.say(&format!("{} {}/{}{left}: {server}", self.work, self.done, self.total));
    }

    /// All are done, or given up.
    pub(crate) fn end(&self) {
        if io::stderr().is_terminal() {
            // Nobody is left to read it when this fails.
            let _ = write!(io::stderr().lock(), "\r\x1b[K");
        }
    }

    /// If the others take as long as those before.
    fn left(&self, elapsed: Duration) -> Duration {
        let (done, left) = (self.done.saturating_sub(1).max(1), self.total + 1 - self.done);
        elapsed.mul_f64(left as f64 / done as f64)
    }

    fn say(&self, line: &str) {
        let mut stderr = io::stderr().lock();
        let _ = if stderr.is_terminal() {
            write!(stderr, "\r\x1b[K{line}")
        } else {
            writeln!(stderr, "{line}")
        };
        let _ = stderr.flush();
    }
}
