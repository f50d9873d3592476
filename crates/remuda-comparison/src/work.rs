//! What servers are given to do, what it is called, and how long it takes.

use std::time::Duration;

use clap::{ValueEnum, builder::PossibleValue};

use crate::{Choice, servers};

/// What is asked of servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    Text,
    Json,
    Stream,
    Echo,
    Wait,
    Beside,
    Hung,
    Overload,
    Start,
    Memory,
    Reload,
    Knee,
    Hello,
    Hash,
}

/// In the order of the page.
const ALL: [Work; 14] = [
    Work::Text,
    Work::Json,
    Work::Stream,
    Work::Echo,
    Work::Wait,
    Work::Beside,
    Work::Hung,
    Work::Overload,
    Work::Start,
    Work::Memory,
    Work::Reload,
    Work::Knee,
    Work::Hello,
    Work::Hash,
];

impl Work {
    /// What is measured when nothing else is said, and what docs/performance.md has.
    pub fn usual() -> Vec<Self> {
        ALL.into_iter().filter(|work| work.is_usual()).collect()
    }

    fn is_usual(self) -> bool {
        // It is about Remuda's executors rather than about other servers.
        self != Self::Hash
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
            Self::Stream => "stream",
            Self::Echo => "echo",
            Self::Wait => "wait",
            Self::Beside => "beside",
            Self::Hung => "hung",
            Self::Overload => "overload",
            Self::Start => "start",
            Self::Memory => "memory",
            Self::Reload => "reload",
            Self::Knee => "knee",
            Self::Hello => "hello",
            Self::Hash => "hash",
        }
    }

    fn summary(self) -> &'static str {
        match self {
            Self::Text => "14 bytes of text, 32 connections",
            Self::Json => "10 KiB of JSON made for each request, 32 connections",
            Self::Stream => "1 MiB in pieces of 64 KiB, 8 connections",
            Self::Echo => "64 KiB there and back, 16 connections",
            Self::Wait => "an upstream that takes 50 ms, 200 connections",
            Self::Beside => "routes beside guests that burn",
            Self::Hung => "routes beside one whose upstream never answers",
            Self::Overload => "ten times what a server can do, and whether it recovers",
            Self::Start => "from the start of a server to its first answer",
            Self::Memory => "what workers and waiting requests take",
            Self::Reload => "reloads while requests come",
            Self::Knee => "throughput and latency of Remuda over its number of workers",
            Self::Hello => "as text, with components that do nothing else",
            Self::Hash => "routes beside password hashes, by each of Remuda's executors",
        }
    }

    /// How often each server is measured: as often as its figures are looked at, and as its time
    /// allows.
    pub(crate) fn rounds(self) -> u32 {
        match self {
            // Its servers take ten seconds each.
            Self::Overload => 1,
            Self::Wait | Self::Beside | Self::Hung | Self::Memory | Self::Reload | Self::Hash => 2,
            Self::Text | Self::Json | Self::Stream | Self::Echo => 3,
            Self::Start | Self::Knee | Self::Hello => 3,
        }
    }

    /// One request over and over: what two revisions are compared by.
    pub fn is_plain(self) -> bool {
        matches!(self, Self::Text | Self::Json | Self::Stream | Self::Echo | Self::Wait)
    }

    /// Whether `--seconds` says how long it loads; others take as long as they take.
    pub fn is_timed(self) -> bool {
        !matches!(self, Self::Start | Self::Memory | Self::Reload)
    }

    /// What its servers are called.
    pub fn servers(self) -> Vec<String> {
        servers::of(self)
    }

    /// What one server takes in one round, roughly, with so many seconds of load: measured on
    /// two cores, its start and end included.
    pub fn time(self, seconds: f64) -> Duration {
        let (fixed, loads) = match self {
            Self::Text | Self::Json | Self::Hello => (0.7, 2.0),
            Self::Stream | Self::Echo => (0.8, 1.0),
            Self::Wait => (1.3, 1.0),
            Self::Beside => (7.8, 4.0),
            Self::Hash => (4.0, 2.0),
            Self::Hung => (1.9, 4.0),
            Self::Overload => (4.8, 5.0),
            Self::Start => (0.3, 0.0),
            Self::Memory => (2.8, 0.0),
            Self::Reload => (8.5, 0.0),
            Self::Knee => (1.5, 3.0),
        };
        Duration::from_secs_f64(fixed + loads * seconds)
    }

    /// What it takes with all its servers.
    fn whole(self) -> Duration {
        let choice = Choice::default();
        let servers = u32::try_from(self.servers().len()).unwrap_or(u32::MAX);
        self.time(choice.seconds()) * choice.rounds(self) * servers
    }
}

impl ValueEnum for Work {
    fn value_variants<'a>() -> &'a [Self] {
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let seconds = self.whole().as_secs();
        let length = if seconds < 90 { format!("{seconds} s") } else { minutes(self.whole()) };
        let usual = if self.is_usual() { "" } else { "; only when it is named" };
        let help = format!("{}; {length}{usual}", self.summary());
        Some(PossibleValue::new(self.name()).help(help))
    }
}

/// As one says it.
pub(crate) fn minutes(time: Duration) -> String {
    format!("{:.0} min", time.as_secs_f64() / 60.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The longest that anybody waits for a page.
    #[test]
    fn all_that_the_page_has_takes_less_than_25_minutes() {
        let whole: Duration = Work::usual().into_iter().map(Work::whole).sum();
        assert!(whole < Duration::from_secs(25 * 60), "{whole:?}");
    }

    #[test]
    fn what_does_not_take_very_long_is_measured_more_than_once() {
        let mut works = Work::usual().into_iter();
        assert!(works.all(|work| work.rounds() >= 2 || work.time(1.0).as_secs() >= 9));
    }

    #[test]
    fn help_tells_lengths_and_what_runs_only_when_named() {
        for work in ALL {
            let help = work.to_possible_value().unwrap().get_help().unwrap().to_string();
            assert!(help.contains(" min") || help.contains(" s"), "{help}");
            assert_eq!(help.contains("only when"), !Work::usual().contains(&work), "{help}");
        }
    }
}
