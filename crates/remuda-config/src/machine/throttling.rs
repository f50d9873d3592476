//! How often the container's quota held its processes back (S30).
//!
//! Purpose: the counters that the supervisor watches. Owner: read by the supervisor at
//! intervals. Invariant: counters of one group, the one whose quota binds.

use std::{path::Path, time::Duration};

use super::{
    cgroup::{Version, groups},
    limits::quotas,
    text,
};

/// Counters of a group since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Throttling {
    /// Enforcement periods in which the group wanted to run.
    pub periods: u64,
    /// Those of them in which it used up its quota, and was stopped.
    pub throttled: u64,
    /// How long it was stopped, all cores together.
    pub time: Duration,
}

impl Throttling {
    /// Reads `cpu.stat` of the group with the smallest quota, among that of this process
    /// and its ancestors. `None` when there is no quota, or no statistics of it.
    pub fn read(root: &Path) -> Option<Self> {
        let groups = groups(root, "cpu");
        let (_, folder, version) = groups
            .iter()
            .flat_map(|groups| {
                quotas(groups).map(|(folder, quota)| (quota, folder, groups.version))
            })
            .min_by(|(one, ..), (other, ..)| one.total_cmp(other))?;
        parse(&text(&folder.join("cpu.stat"))?, version)
    }

    /// What was counted since then. Another quota may have become the smallest one in
    /// between; counters that went back count as nothing.
    pub fn since(&self, before: &Self) -> Self {
        Self {
            periods: self.periods.saturating_sub(before.periods),
            throttled: self.throttled.saturating_sub(before.throttled),
            time: self.time.saturating_sub(before.time),
        }
    }
}

fn parse(stat: &str, version: Version) -> Option<Throttling> {
    let value = |name: &str| {
        stat.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
    };
    let time = match version {
        Version::One => Duration::from_nanos(value("throttled_time")?),
        Version::Two => Duration::from_micros(value("throttled_usec")?),
    };
    Some(Throttling { periods: value("nr_periods")?, throttled: value("nr_throttled")?, time })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::{Throttling, Version, parse};

    #[test]
    fn both_versions_are_read() {
        let expected = Throttling { periods: 100, throttled: 7, time: Duration::from_millis(350) };
        let one = "nr_periods 100\nnr_throttled 7\nthrottled_time 350000000\n";
        let two =
            "usage_usec 9\nnr_periods 100\nnr_throttled 7\nthrottled_usec 350000\nnr_bursts 0\n";
        assert_eq!(parse(one, Version::One), Some(expected));
        assert_eq!(parse(two, Version::Two), Some(expected));
        assert_eq!(parse("usage_usec 9\n", Version::Two), None);
        assert_eq!(parse(one, Version::Two), None);
    }

    #[test]
    fn what_went_back_counts_as_nothing() {
        let before = Throttling { periods: 10, throttled: 5, time: Duration::from_secs(1) };
        let now = Throttling { periods: 12, throttled: 4, time: Duration::from_secs(2) };
        let between = Throttling { periods: 2, throttled: 0, time: Duration::from_secs(1) };
        assert_eq!(now.since(&before), between);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(
            text in any::<String>(),
            stat in "(nr_periods|nr_throttled|throttled_usec)?[ 0-9\n-]{0,30}",
        ) {
            let _ = (parse(&text, Version::One), parse(&stat, Version::Two));
        }
    }
}
