//! When requests arrive.
//!
//! Purpose: the times of one thread's arrivals. Owner: the thread. Invariant: the arrivals of
//! all threads together are those of the plan: every n-th of even ones, or one of n
//! independent Poisson processes, whose sum is one again.

use std::time::Duration;

use crate::scenario::{Arrivals, Plan};

pub(super) struct Schedule<'a> {
    plan: &'a Plan,
    arrivals: Arrivals,
    threads: f64,
    /// The integral of the rate at the next arrival.
    mass: f64,
    random: fastrand::Rng,
}

impl<'a> Schedule<'a> {
    /// Of the thread `index` of so many.
    pub(super) fn new(
        plan: &'a Plan,
        arrivals: Arrivals,
        (index, threads): (usize, usize),
        random: fastrand::Rng,
    ) -> Self {
        let mut schedule = Self { plan, arrivals, threads: threads as f64, mass: 0.0, random };
        schedule.mass = match arrivals {
            // In the middle of the time in which one arrives.
            Arrivals::Even => index as f64 + 0.5,
            Arrivals::Random => schedule.step(),
        };
        schedule
    }

    /// How much of the integral lies between two arrivals. Stretched by the plan's own time,
    /// steps of an exponential distribution make a Poisson process whose rate follows the
    /// plan (Çinlar, Introduction to Stochastic Processes, 1975, 4.7).
    fn step(&mut self) -> f64 {
        match self.arrivals {
            Arrivals::Even => self.threads,
            // 1 − x, lest it be the logarithm of zero.
            Arrivals::Random => -(1.0 - self.random.f64()).ln() * self.threads,
        }
    }
}

impl Iterator for Schedule<'_> {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let at = self.plan.time_of(self.mass)?;
        self.mass += self.step();
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::scenario::Stage;

    fn plan(rate: f64, seconds: u64) -> Plan {
        let stage = |from, to| Stage {
            name: String::new(),
            duration: Duration::from_secs(seconds),
            from,
            to,
        };
        Plan::new(vec![stage(0.0, rate), stage(rate, rate)])
    }

    fn all(plan: &Plan, arrivals: Arrivals, threads: usize) -> Vec<Duration> {
        let mut all: Vec<_> = (0..threads)
            .flat_map(|index| {
                let random = fastrand::Rng::with_seed(index as u64);
                Schedule::new(plan, arrivals, (index, threads), random)
            })
            .collect();
        all.sort();
        all
    }

    #[test]
    fn random_arrivals_are_as_many_as_planned_and_as_uneven_as_chance() {
        let plan = plan(1000.0, 20);
        let arrivals = all(&plan, Arrivals::Random, 3);
        // 10 000 in the ramp, 20 000 after it; four standard deviations.
        assert!((arrivals.len() as f64 - 30_000.0).abs() < 4.0 * 30_000_f64.sqrt());
        let steady: Vec<_> = arrivals.iter().filter(|at| **at > Duration::from_secs(20)).collect();
        let gaps: Vec<_> =
            steady.windows(2).map(|pair| (*pair[1] - *pair[0]).as_secs_f64()).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        // Of an exponential distribution, mean and standard deviation are the same.
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.05, "{mean} {variance}");
    }

    proptest! {
        #[test]
        fn threads_share_even_arrivals_and_change_none(
            rate in 1.0_f64..3000.0, threads in 1_usize..9
        ) {
            let plan = plan(rate, 2);
            prop_assert_eq!(all(&plan, Arrivals::Even, threads), all(&plan, Arrivals::Even, 1));
            let count = all(&plan, Arrivals::Even, threads).len() as f64;
            prop_assert!((count - rate * 3.0).abs() <= 1.0, "{count} for {rate}");
        }
    }
}
