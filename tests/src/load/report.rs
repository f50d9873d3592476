//! What clients have seen: exact counts, one line for each kind of client.
//!
//! Invariant: every request is answered, retried or failed, so the three add up to those
//! that were sent; one that could not be sent, for want of a connection, has failed.

use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    time::{Duration, Instant},
};

use crate::process::Pid;

/// How a client connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// HTTP/1.1, one connection for as long as the server keeps it.
    Kept,
    /// HTTP/1.1, a connection for each request.
    Fresh,
    /// HTTP/2, requests at the same time on one connection.
    Http2 { streams: usize },
}

/// What the clients have seen.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub tallies: BTreeMap<Kind, Tally>,
    /// In the order in which they came.
    pub failures: Vec<Failure>,
    /// The worker of each open connection, where that was asked for.
    pub workers: BTreeMap<SocketAddr, Pid>,
}

/// What the clients of one kind have seen.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Connections opened.
    pub connections: usize,
    /// How often a client found that nobody listens any more.
    pub refused: usize,
    /// Requests sent, and those for which there was no connection.
    pub sent: usize,
    /// With status 200 and the expected content.
    pub answered: usize,
    /// Not processed, as the server has said, and asked again on another connection.
    pub retried: usize,
    pub failed: usize,
    /// Of those that failed: the connection or stream broke before the whole response.
    pub reset: usize,
    /// Answers by their bodies.
    pub bodies: BTreeMap<String, usize>,
    /// From the request to the end of each answer.
    times: Times,
}

/// How long each of many things took.
#[derive(Clone, Debug, Default)]
pub struct Times {
    micros: Vec<u32>,
}

/// A request that was not answered as expected.
#[derive(Clone, Debug)]
pub struct Failure {
    pub kind: Kind,
    pub fault: Fault,
    /// Which worker held the connection, if that is known.
    pub worker: Option<Pid>,
    pub reason: String,
    pub at: Instant,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    NoConnection,
    /// Closed or reset before the end of the response, the request being sent.
    Reset,
    /// No whole response for too long.
    Silence,
    /// Another one than 200.
    Status,
    /// Not what it should be.
    Content,
}

impl Report {
    pub(super) fn of(kinds: impl Iterator<Item = Kind>) -> Self {
        let tallies = kinds.map(|kind| (kind, Tally::default())).collect();
        Self { tallies, ..Self::default() }
    }

    pub(super) fn retried(&mut self, kind: Kind) {
        let tally = self.tally(kind);
        tally.sent += 1;
        tally.retried += 1;
    }

    pub(super) fn tally(&mut self, kind: Kind) -> &mut Tally {
        self.tallies.entry(kind).or_default()
    }

    pub(super) fn failed(&mut self, kind: Kind, fault: Fault, worker: Option<Pid>, reason: String) {
        let tally = self.tally(kind);
        tally.sent += 1;
        tally.failed += 1;
        tally.reset += usize::from(fault == Fault::Reset);
        self.failures.push(Failure { kind, fault, worker, reason, at: Instant::now() });
    }

    fn sum(&self, of: impl Fn(&Tally) -> usize) -> usize {
        self.tallies.values().map(of).sum()
    }

    #[must_use]
    pub fn sent(&self) -> usize {
        self.sum(|tally| tally.sent)
    }

    #[must_use]
    pub fn answered(&self) -> usize {
        self.sum(|tally| tally.answered)
    }

    #[must_use]
    pub fn refused(&self) -> usize {
        self.sum(|tally| tally.refused)
    }

    /// Answers with this body.
    #[must_use]
    pub fn with_body(&self, body: &str) -> usize {
        self.sum(|tally| tally.bodies.get(body).copied().unwrap_or_default())
    }

    /// Nothing failed.
    ///
    /// # Panics
    /// When something did.
    pub fn assert_no_failure(&self) {
        assert!(self.failures.is_empty(), "{self}");
    }

    /// Nothing failed, and there was always somebody who listened.
    ///
    /// # Panics
    /// When something did, or when there was nobody.
    pub fn assert_flawless(&self) {
        self.assert_no_failure();
        assert_eq!(self.refused(), 0, "{self}");
    }

    /// Writes it for whoever wants the figures, after what has been done meanwhile.
    #[expect(clippy::print_stderr, reason = "the figures are worth knowing")]
    pub fn print(&self, scenario: &str) {
        eprint!("{scenario}\n{self}");
    }
}

impl Tally {
    pub(super) fn answered(&mut self, body: String, elapsed: Duration) {
        self.sent += 1;
        self.answered += 1;
        *self.bodies.entry(body).or_default() += 1;
        self.times.push(elapsed);
    }

    /// The time within which a fraction of the answers has come; zero without answers.
    #[must_use]
    pub fn quantile(&self, fraction: f64) -> Duration {
        self.times.quantile(fraction)
    }
}

impl Times {
    pub(super) fn push(&mut self, elapsed: Duration) {
        self.micros.push(u32::try_from(elapsed.as_micros()).unwrap_or(u32::MAX));
    }

    #[must_use]
    pub fn count(&self) -> usize {
        self.micros.len()
    }

    /// The time that a fraction of them did not exceed; zero if there are none.
    #[must_use]
    pub fn quantile(&self, fraction: f64) -> Duration {
        let mut micros = self.micros.clone();
        micros.sort_unstable();
        let last = micros.len().saturating_sub(1);
        let rank = (last as f64 * fraction).round() as usize;
        Duration::from_micros(micros.get(rank).copied().unwrap_or_default().into())
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [median, p99, most] = [0.5, 0.99, 1.0].map(|fraction| self.quantile(fraction));
        write!(f, "p50 {median:.1?}, p99 {p99:.1?}, max {most:.1?}")
    }
}

/// Failures and bodies that are shown.
const SHOWN: usize = 5;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, tally) in &self.tallies {
            writeln!(f, "  {kind}: {tally}")?;
        }
        let first = self.failures.first().map(|failure| failure.at);
        for (failure, first) in self.failures.iter().zip(first.into_iter().cycle()).take(SHOWN) {
            writeln!(f, "    {:.1?} later: {failure}", failure.at - first)?;
        }
        Ok(())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kept => f.write_str("h1 kept alive"),
            Self::Fresh => f.write_str("h1 fresh"),
            Self::Http2 { streams } => write!(f, "h2 with {streams} streams"),
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connections, refused, sent, answered, retried, failed, reset, .. } = self;
        write!(f, "{sent} sent, {answered} answered, {retried} retried, {failed} failed, ")?;
        write!(f, "{reset} reset; {connections} connections, {refused} refused; ")?;
        write!(f, "{}", self.times)?;
        for (body, count) in self.bodies.iter().take(SHOWN) {
            write!(f, "; {count} x {body:?}")?;
        }
        let more = self.bodies.len().saturating_sub(SHOWN);
        if more > 0 { write!(f, "; {more} other bodies") } else { Ok(()) }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}: {}", self.kind, self.fault, self.reason)?;
        self.worker.map_or(Ok(()), |worker| write!(f, " (worker {})", worker.as_raw_pid()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_has_a_line_for_each_kind() {
        let mut report = Report::of([Kind::Kept, Kind::Fresh].into_iter());
        for millis in 1..=100 {
            report.tally(Kind::Kept).answered("ok\n".to_owned(), Duration::from_millis(millis));
        }
        report.failed(Kind::Fresh, Fault::Reset, None, "it broke".to_owned());
        let text = report.to_string();
        let lines: Vec<&str> = text.lines().collect();
        let kept = "  h1 kept alive: 100 sent, 100 answered, 0 retried, 0 failed, 0 reset; \
                    0 connections, 0 refused; p50 51.0ms, p99 99.0ms, max 100.0ms; 100 x \"ok\\n\"";
        assert_eq!(lines[0], kept);
        assert!(
            lines[1].starts_with("  h1 fresh: 1 sent, 0 answered, 0 retried, 1 failed, 1 reset")
        );
        assert_eq!(lines[2], "    0.0ns later: h1 fresh: Reset: it broke");
        assert_eq!((report.sent(), report.answered()), (101, 100));
    }
}
