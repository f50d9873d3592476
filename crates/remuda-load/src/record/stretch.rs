//! The times of a run that are counted apart.
//!
//! Purpose: the stages, the one in which the warm-up ends in two parts. Owner: every recorder
//! and the book, which cut the same scenario alike. Invariant: a request belongs to the stretch
//! in which it was due (arrivals) or sent (users), however long its answer took and whatever
//! the interval of the series is.

use std::time::Duration;

use crate::scenario::Scenario;

/// A stage, or a part of one. Times count from the start of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) stage: usize,
    /// Whether it counts in the summary: it is after the warm-up.
    pub(crate) is_measured: bool,
    from: Duration,
    until: Duration,
}

/// All of them, in order and without a gap.
#[derive(Clone, Debug)]
pub(crate) struct Stretches(Vec<Stretch>);

impl Stretches {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        let mut stretches = Vec::new();
        let mut begin = Duration::ZERO;
        for (stage, duration) in
            scenario.plan.stages().iter().map(|stage| stage.duration).enumerate()
        {
            let end = begin + duration;
            let cut = scenario.warmup.clamp(begin, end);
            for (is_measured, from, until) in [(false, begin, cut), (true, cut, end)] {
                if from < until {
                    stretches.push(Stretch { stage, is_measured, from, until });
                }
            }
            begin = end;
        }
        Self(stretches)
    }

    /// The number of the one at this time; the last one when the plan is over.
    pub(crate) fn at(&self, time: Duration) -> usize {
        let last = self.0.len().saturating_sub(1);
        self.0.partition_point(|stretch| stretch.until <= time).min(last)
    }

    pub(crate) fn get(&self, number: usize) -> Option<Stretch> {
        self.0.get(number).copied()
    }

    /// How long a stage was measured in a run that ended at `end`.
    pub(crate) fn measured(&self, stage: usize, end: Duration) -> Duration {
        let own = self.0.iter().filter(|stretch| stretch.stage == stage && stretch.is_measured);
        own.map(|stretch| stretch.until.min(end).saturating_sub(stretch.from)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Raw;

    #[test]
    fn stages_are_cut_where_the_warm_up_ends() {
        let raw = "target = 'http://a'\nusers = 1\nramp_up = '1500ms'\nduration = '1s'\n\
                   warmup = '500ms'";
        let raw: Raw = toml::from_str(raw).unwrap();
        let stretches = Stretches::new(&Scenario::validate(raw).unwrap());
        let millis = Duration::from_millis;
        let at = |time| {
            let stretch = stretches.get(stretches.at(millis(time))).unwrap();
            (stretch.stage, stretch.is_measured)
        };
        let times = [0, 499, 500, 1499, 1500, 2499, 9000].map(at);
        let steady = (1, true);
        let expected = [(0, false), (0, false), (0, true), (0, true), steady, steady, steady];
        assert_eq!(times, expected);
        assert_eq!(stretches.measured(0, millis(9000)), millis(1000));
        assert_eq!(stretches.measured(1, millis(9000)), millis(1000));
        // One that ended before its time.
        assert_eq!(stretches.measured(0, millis(800)), millis(300));
        assert_eq!(stretches.measured(1, millis(800)), Duration::ZERO);
    }
}
