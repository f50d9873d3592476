//! How long a slot stays empty after a death.
//!
//! Pure. Owner: one [`Backoff`] per slot of the [fleet](crate::fleet).

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

/// A worker that lives shorter than this died early.
pub(crate) const EARLY: Duration = Duration::from_secs(5);

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(30);

/// Counts the early deaths of one slot.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    early_deaths: u32,
}

impl Backoff {
    /// How long to wait before the next attempt: not at all, unless the worker died early.
    pub(crate) fn after_death(&mut self, early: bool, jitter: &mut Jitter) -> Duration {
        if !early {
            self.early_deaths = 0;
            return Duration::ZERO;
        }
        let doubled = FIRST.saturating_mul(2_u32.saturating_pow(self.early_deaths));
        self.early_deaths = self.early_deaths.saturating_add(1);
        jitter.spread(doubled.min(LONGEST))
    }
}

/// A source of small differences, so that workers that died together do not start together.
#[derive(Debug)]
pub(crate) struct Jitter(u64);

impl Jitter {
    pub(crate) fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// Another sequence in every process.
    pub(crate) fn random() -> Self {
        Self::seeded(RandomState::new().hash_one(0))
    }

    /// Between half of `nominal` and all of it ("equal jitter", Brooker, "Exponential
    /// Backoff And Jitter", AWS Architecture Blog, 2015).
    fn spread(&mut self, nominal: Duration) -> Duration {
        let half = nominal / 2;
        half + half.mul_f64(f64::from(self.next()) / f64::from(u32::MAX))
    }

    /// A number from 0 to `most`, all of them equally likely.
    pub(crate) fn up_to(&mut self, most: u64) -> u64 {
        let share = f64::from(self.next()) / (f64::from(u32::MAX) + 1.0);
        (share * (most as f64 + 1.0)) as u64
    }

    /// The upper half of `SplitMix64` (Steele, Lea and Flood, OOPSLA 2014).
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_worker_that_lived_long_is_replaced_at_once() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.after_death(false, &mut Jitter::seeded(1)), Duration::ZERO);
    }

    #[test]
    fn a_long_life_makes_early_deaths_forgotten() {
        let (mut backoff, mut jitter) = (Backoff::default(), Jitter::seeded(1));
        for _ in 0..10 {
            backoff.after_death(true, &mut jitter);
        }
        backoff.after_death(false, &mut jitter);
        assert!(backoff.after_death(true, &mut jitter) <= FIRST);
    }

    #[test]
    fn numbers_up_to_a_most_reach_both_ends() {
        let mut jitter = Jitter::seeded(1);
        assert_eq!(jitter.up_to(0), 0);
        let drawn: std::collections::BTreeSet<_> = (0..200).map(|_| jitter.up_to(3)).collect();
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
    }

    #[test]
    fn two_sequences_of_jitter_differ() {
        let sequence = |seed| {
            let mut jitter = Jitter::seeded(seed);
            [0; 4].map(|_| jitter.next())
        };
        assert_ne!(sequence(1), sequence(2));
    }

    proptest! {
        #[test]
        fn waits_double_from_a_tenth_of_a_second_to_half_a_minute(deaths in 0_u32..200, seed: u64) {
            let (mut backoff, mut jitter) = (Backoff::default(), Jitter::seeded(seed));
            for _ in 0..deaths {
                backoff.after_death(true, &mut jitter);
            }
            let wait = backoff.after_death(true, &mut jitter);
            let nominal = (0.1 * 2_f64.powi(deaths.min(20) as i32)).min(30.0);
            prop_assert!(wait.as_secs_f64() >= nominal / 2.0 - 1e-6, "{wait:?} of {nominal}");
            prop_assert!(wait.as_secs_f64() <= nominal + 1e-6, "{wait:?} of {nominal}");
        }
    }
}
