//! CPU quota and memory limit of the container.
//!
//! Purpose: the smallest limit of the process's control group and all its ancestors, for
//! each of them binds. Owner: `Machine::read`. Invariant: a file that is missing or not
//! understood is no limit.

use std::path::Path;

use super::{
    cgroup::{Groups, Version, groups},
    text,
};

/// Cores' worth of CPU time.
pub(super) fn quota(root: &Path) -> Option<f64> {
    let groups = groups(root, "cpu");
    groups.iter().flat_map(quotas).map(|(_, quota)| quota).reduce(f64::min)
}

/// Bytes.
pub(super) fn memory(root: &Path) -> Option<u64> {
    let limit = |version, folder: &Path| match version {
        Version::One => bytes(&text(&folder.join("memory.limit_in_bytes"))?),
        Version::Two => bytes(&text(&folder.join("memory.max"))?),
    };
    groups(root, "memory")
        .iter()
        .flat_map(|groups| groups.folders.iter().map(|folder| (groups.version, folder)))
        .filter_map(|(version, folder)| limit(version, folder))
        .min()
}

/// The folders that have a quota, with it.
pub(super) fn quotas(groups: &Groups) -> impl Iterator<Item = (&Path, f64)> {
    let quota = |folder: &Path| match groups.version {
        Version::One => {
            let quota = text(&folder.join("cpu.cfs_quota_us"))?;
            cores(&quota, &text(&folder.join("cpu.cfs_period_us"))?)
        }
        Version::Two => {
            let both = text(&folder.join("cpu.max"))?;
            let (quota, period) = both.trim().split_once(' ')?;
            cores(quota, period)
        }
    };
    groups.folders.iter().filter_map(move |folder| Some((folder.as_path(), quota(folder)?)))
}

/// Both in microseconds; without a quota, v2 says `max` and v1 -1.
fn cores(quota: &str, period: &str) -> Option<f64> {
    let (quota, period): (u64, u64) = (quota.trim().parse().ok()?, period.trim().parse().ok()?);
    (quota > 0 && period > 0).then(|| quota as f64 / period as f64)
}

/// Without a limit, v2 says `max` and v1 the highest multiple of the page size that fits.
fn bytes(limit: &str) -> Option<u64> {
    const UNLIMITED: u64 = 1 << 60;
    limit.trim().parse().ok().filter(|bytes| (1..UNLIMITED).contains(bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{bytes, cores};

    #[test]
    fn quotas_are_quotients() {
        for (quota, period, expected) in [
            ("200000", "100000\n", Some(2.0)),
            ("50000\n", "100000\n", Some(0.5)),
            ("1000", "1000000", Some(0.001)),
            ("max", "100000", None),
            ("-1\n", "100000\n", None),
            ("0", "100000", None),
            ("1", "0", None),
            ("", "", None),
        ] {
            assert_eq!(cores(quota, period), expected, "{quota:?} {period:?}");
        }
    }

    #[test]
    fn a_limit_that_no_machine_reaches_is_none() {
        for (text, expected) in [
            ("1073741824\n", Some(1 << 30)),
            ("max\n", None),
            ("9223372036854771712\n", None),
            ("9223372036854710272\n", None),
            ("18446744073709551615", None),
            ("0", None),
            ("-1", None),
            ("1G", None),
        ] {
            assert_eq!(bytes(text), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_stands_there_is_a_sane_limit_or_none(
            left in "[0-9a-z -]{0,22}", right in "[0-9a-z -]{0,22}", any in any::<String>(),
        ) {
            for (left, right) in [(&left, &right), (&any, &right), (&left, &any)] {
                if let Some(cores) = cores(left, right) {
                    prop_assert!(cores.is_finite() && cores > 0.0);
                }
                prop_assert_ne!(bytes(left), Some(0));
            }
        }
    }
}
