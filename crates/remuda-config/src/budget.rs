//! How a worker's memory is divided.
//!
//! Pure. Invariant: what guests may have, what their pools keep resident between two of them,
//! and what the process itself needs are together `workers.memory`.

use std::ops::RangeInclusive;

/// The part of `workers.memory` that is not for guests: the process itself, compiled code,
/// connections and their buffers, and what the pools keep resident.
const RESERVE_PERCENT: u64 = 25;

/// An idle worker has about 20 MiB.
const LEAST_RESERVE: u64 = 32 << 20;

/// What an instance costs beside its memories and tables: the stack that its guest runs on,
/// the store, buffers of its request.
pub const INSTANCE_BYTES: u64 = 64 << 10;

/// The part of the guests' memory that one of several routes may take, as it is with places.
const ROUTE_PERCENT: u64 = 75;

/// The part of the reserve that the pools may keep resident.
const RESIDUE_PERCENT: u64 = 50;

/// Resident bytes that the pools may keep for one instance: more is not worth the copy that
/// resets it, less is a page fault for each page of even a small guest.
const KEPT: RangeInclusive<u64> = 128 << 10..=5 << 18;

/// The parts of a worker's memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuestBudget {
    /// All memories and tables of all instances together.
    pub guests: u64,
    /// What is resident between two instances, as far as it needs nobody's leave.
    pub residue: u64,
    /// What is kept of one instance.
    pub kept: u64,
}

impl GuestBudget {
    /// Divides `memory` for so many instances.
    #[must_use]
    pub fn of(memory: u64, instances: u32) -> Self {
        let share = u128::from(memory) * u128::from(RESERVE_PERCENT) / 100;
        let reserve = u64::try_from(share).unwrap_or(u64::MAX).max(LEAST_RESERVE).min(memory);
        let residue = reserve / 100 * RESIDUE_PERCENT;
        let kept = (residue / u64::from(instances.max(1))).clamp(*KEPT.start(), *KEPT.end());
        Self { guests: memory - reserve, residue, kept }
    }

    /// Bytes that the guests of one of so many routes may hold together.
    #[must_use]
    pub fn share_of_route(self, routes: usize) -> u64 {
        if routes > 1 { self.guests / 100 * ROUTE_PERCENT } else { self.guests }
    }

    /// Whether so many instances can leave more behind than there is room for.
    #[must_use]
    pub fn may_overflow(self, instances: u32) -> bool {
        self.kept.saturating_mul(u64::from(instances)) > self.residue
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn a_quarter_is_reserved_and_half_of_that_may_stay_resident() {
        let budget = GuestBudget::of(4096 * MIB, 1050);
        assert_eq!(budget.guests, 3072 * MIB);
        assert_eq!(budget.share_of_route(1), 3072 * MIB);
        assert!(budget.share_of_route(2).abs_diff(2304 * MIB) < MIB);
        assert!(budget.residue.abs_diff(512 * MIB) < MIB);
        assert!(budget.kept > 480 << 10 && !budget.may_overflow(1050));
    }

    #[test]
    fn a_small_worker_reserves_what_a_process_needs() {
        let budget = GuestBudget::of(96 * MIB, 1050);
        assert_eq!(budget.guests, 64 * MIB);
        assert_eq!(budget.kept, 128 << 10);
        assert!(budget.may_overflow(1050));
        assert_eq!(GuestBudget::of(16 * MIB, 1050).guests, 0);
    }

    #[test]
    fn few_instances_keep_no_more_than_is_worth_it() {
        let budget = GuestBudget::of(4096 * MIB, 60);
        assert_eq!(budget.kept, 5 * MIB / 4);
        assert!(!budget.may_overflow(60));
    }
}
