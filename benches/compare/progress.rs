//! How far a run is, in one line of a terminal, or a line for each server elsewhere.

use std::{
    io::{self, IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

/// Of one work, and how many others there are.
#[derive(Default)]
pub(crate) struct Progress {
    work: &'static str,
    total: usize,
    done: usize,
    started: Option<Instant>,
    /// What each work is expected to take, the first one first; empty where nobody knows.
    plan: Vec<Duration>,
    /// Which of them it is, from 1.
    at: usize,
}

impl Progress {
    /// Says how long all works take.
    pub(crate) fn plan(&mut self, plan: Vec<Duration>) {
        let whole = plan.iter().sum::<Duration>().as_secs();
        let works =
            if plan.len() == 1 { "one work".to_owned() } else { format!("{} works", plan.len()) };
        let _ =
            writeln!(io::stderr().lock(), "{works}, about {}:{:02} min", whole / 60, whole % 60);
        *self = Self { plan, ..Self::default() };
    }

    /// So many measurements are to come.
    pub(crate) fn begin(&mut self, work: &'static str, total: usize) {
        let (plan, at) = (std::mem::take(&mut self.plan), self.at + 1);
        *self = Self { work, total, done: 0, started: Some(Instant::now()), plan, at };
    }

    /// The next one is of this server.
    pub(crate) fn next(&mut self, server: &str) {
        self.done += 1;
        let elapsed = self.started.map(|started| started.elapsed()).unwrap_or_default();
        self.say(&self.line(server, elapsed));
    }

    fn line(&self, server: &str, elapsed: Duration) -> String {
        let works = match self.plan.len() {
            0 | 1 => String::new(),
            works => format!(" (work {} of {works})", self.at),
        };
        let left = self.left(elapsed).map_or(String::new(), |left| {
            format!(", {}:{:02} left", left.as_secs() / 60, left.as_secs() % 60)
        });
        format!("{}{works} {}/{}{left}: {server}", self.work, self.done, self.total)
    }

    /// All are done, or given up.
    pub(crate) fn end(&self) {
        if io::stderr().is_terminal() {
            // Nobody is left to read it when this fails.
            let _ = write!(io::stderr().lock(), "\r\x1b[K");
        }
    }

    /// Of this work, if its other measurements take as long as those before, and of those to come.
    fn left(&self, elapsed: Duration) -> Option<Duration> {
        let (done, left) = (self.done.saturating_sub(1), self.total + 1 - self.done);
        let own = match done {
            0 => *self.plan.get(self.at.checked_sub(1)?)?,
            done => elapsed.mul_f64(left as f64 / done as f64),
        };
        Some(own + self.plan.iter().skip(self.at).sum::<Duration>())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_this_work_and_those_to_come() {
        let plan = [60, 120, 30].map(Duration::from_secs).into();
        let mut progress = Progress { plan, ..Progress::default() };
        progress.begin("text", 4);
        progress.next("one");
        let first = progress.line("one", Duration::from_secs(1));
        assert_eq!(first, "text (work 1 of 3) 1/4, 3:30 left: one");
        progress.next("two");
        // Three of what took ten seconds.
        let second = progress.line("two", Duration::from_secs(10));
        assert_eq!(second, "text (work 1 of 3) 2/4, 3:00 left: two");
        progress.begin("knee", 1);
        progress.next("one");
        let last = progress.line("one", Duration::from_secs(1));
        assert_eq!(last, "knee (work 2 of 3) 1/1, 2:30 left: one");
    }

    #[test]
    fn nobody_knows_how_long_the_first_of_an_unplanned_work_takes() {
        let mut progress = Progress::default();
        progress.begin("text", 2);
        progress.next("one");
        assert_eq!(progress.line("one", Duration::from_secs(1)), "text 1/2: one");
        progress.next("two");
        assert_eq!(progress.line("two", Duration::from_secs(1)), "text 2/2, 0:01 left: two");
    }
}
