//! How many users, or arrivals per second, there are at every moment of a run.
//!
//! Purpose: a piecewise linear level over time, and the three questions about it: how high
//! it is, when it is above a mark (a user's time), and when its integral reaches an amount
//! (an arrival). Owner: the scenario. Invariant: the answers are computed from the stages
//! alone, so that threads which never talk agree on them.

use std::time::Duration;

/// A stretch of time in which the level goes from one value to another.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    pub name: String,
    /// Never zero.
    pub duration: Duration,
    pub from: f64,
    pub to: f64,
}

impl Stage {
    /// Whether the level stays the same, above zero.
    #[must_use]
    pub fn is_steady(&self) -> bool {
        self.from == self.to && self.to > 0.0
    }

    /// Units of the integral in this stage.
    fn mass(&self) -> f64 {
        f64::midpoint(self.from, self.to) * self.duration.as_secs_f64()
    }
}

/// The stages of a run, one after the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan(Vec<Stage>);

impl Plan {
    #[must_use]
    pub fn new(stages: Vec<Stage>) -> Self {
        Self(stages)
    }

    #[must_use]
    pub fn stages(&self) -> &[Stage] {
        &self.0
    }

    #[must_use]
    pub fn duration(&self) -> Duration {
        self.0.iter().map(|stage| stage.duration).sum()
    }

    /// The highest level.
    #[must_use]
    pub fn peak(&self) -> f64 {
        self.0.iter().map(|stage| stage.from.max(stage.to)).fold(0.0, f64::max)
    }

    /// The stage at a moment after the start; the last one when the plan is over.
    #[must_use]
    pub fn stage_at(&self, at: Duration) -> usize {
        let mut end = Duration::ZERO;
        for (index, stage) in self.0.iter().enumerate() {
            end += stage.duration;
            if at < end {
                return index;
            }
        }
        self.0.len().saturating_sub(1)
    }

    /// The level at a moment after the start.
    #[must_use]
    pub fn level(&self, at: Duration) -> f64 {
        let mut start = Duration::ZERO;
        for stage in &self.0 {
            if at < start + stage.duration {
                let share = (at - start).as_secs_f64() / stage.duration.as_secs_f64();
                return stage.from + (stage.to - stage.from) * share;
            }
            start += stage.duration;
        }
        0.0
    }

    /// When the level is at least `mark` (above zero): disjoint, in order, from and until.
    #[must_use]
    pub fn times_above(&self, mark: f64) -> Vec<(Duration, Duration)> {
        let mut times: Vec<(Duration, Duration)> = Vec::new();
        let mut start = Duration::ZERO;
        for stage in &self.0 {
            let end = start + stage.duration;
            // Where the line crosses the mark.
            let crossing = || {
                let share = (mark - stage.from) / (stage.to - stage.from);
                start + stage.duration.mul_f64(share.clamp(0.0, 1.0))
            };
            let above = match (stage.from >= mark, stage.to >= mark) {
                (true, true) => Some((start, end)),
                (false, true) => Some((crossing(), end)),
                (true, false) => Some((start, crossing())),
                (false, false) => None,
            };
            if let Some((from, until)) = above.filter(|(from, until)| from < until) {
                match times.last_mut() {
                    Some(last) if last.1 == from => last.1 = until,
                    _ => times.push((from, until)),
                }
            }
            start = end;
        }
        times
    }

    /// When the integral of the level reaches `mass`: with a level in arrivals per second,
    /// when that many have arrived. `None` when the plan ends before.
    #[must_use]
    pub fn time_of(&self, mass: f64) -> Option<Duration> {
        let (mut left, mut start) = (mass, Duration::ZERO);
        for stage in &self.0 {
            if left <= stage.mass() && stage.mass() > 0.0 {
                return Some(start + solve(stage, left).min(stage.duration));
            }
            left -= stage.mass();
            start += stage.duration;
        }
        None
    }
}

/// When `from·t + (to − from)·t²/2d` is `mass`, in the form that divides by no small
/// difference (the citardauq formula), for a stage may be level or nearly so.
fn solve(stage: &Stage, mass: f64) -> Duration {
    let slope = (stage.to - stage.from) / stage.duration.as_secs_f64();
    let root = (stage.from * stage.from + 2.0 * slope * mass).max(0.0).sqrt();
    let time = if mass == 0.0 { 0.0 } else { 2.0 * mass / (stage.from + root) };
    // At the very end of a ramp to nothing, rounding can leave an infinity.
    Duration::try_from_secs_f64(time).unwrap_or(stage.duration)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plan(stages: &[(f64, f64, f64)]) -> Plan {
        let stage = |(seconds, from, to): &(f64, f64, f64)| Stage {
            name: String::new(),
            duration: Duration::from_secs_f64(*seconds),
            from: *from,
            to: *to,
        };
        Plan::new(stages.iter().map(stage).collect())
    }

    /// The default scenario.
    fn trapezoid() -> Plan {
        plan(&[(30.0, 0.0, 50.0), (60.0, 50.0, 50.0), (30.0, 50.0, 0.0)])
    }

    #[test]
    fn the_level_rises_stays_and_falls() {
        let plan = trapezoid();
        let level = |seconds| plan.level(Duration::from_secs(seconds));
        assert_eq!([level(0), level(15), level(30), level(89)], [0.0, 25.0, 50.0, 50.0]);
        assert_eq!([level(105), level(120)], [25.0, 0.0]);
        assert_eq!(plan.stage_at(Duration::from_secs(30)), 1);
        assert_eq!(plan.stage_at(Duration::from_secs(500)), 2);
    }

    #[test]
    fn a_user_has_one_time_over_all_stages() {
        let times = trapezoid().times_above(25.0);
        assert_eq!(times, [(Duration::from_secs(15), Duration::from_secs(105))]);
        assert!(trapezoid().times_above(50.5).is_empty());
    }

    #[test]
    fn a_user_leaves_and_returns() {
        let times = plan(&[(1.0, 4.0, 4.0), (1.0, 1.0, 1.0), (1.0, 4.0, 4.0)]).times_above(3.5);
        let seconds = Duration::from_secs;
        assert_eq!(times, [(seconds(0), seconds(1)), (seconds(2), seconds(3))]);
    }

    #[test]
    fn arrivals_follow_a_ramp() {
        // 0 to 100 a second in 10 s: half t², times 10.
        let plan = plan(&[(10.0, 0.0, 100.0)]);
        let at = plan.time_of(125.0).unwrap();
        assert!((at.as_secs_f64() - 5.0).abs() < 1e-6, "{at:?}");
        assert_eq!(plan.time_of(500.1), None);
    }

    fn stages() -> impl Strategy<Value = Vec<(f64, f64, f64)>> {
        prop::collection::vec((0.1_f64..20.0, 0.0_f64..500.0, 0.0_f64..500.0), 1..6)
    }

    proptest! {
        #[test]
        fn arrivals_sum_to_the_rate(stages in stages()) {
            let total: f64 =
                stages.iter().map(|(seconds, from, to)| seconds * (from + to) / 2.0).sum();
            let plan = plan(&stages);
            let arrivals: Vec<_> =
                (0..).map_while(|n| plan.time_of(f64::from(n) + 0.5)).collect();
            prop_assert!((arrivals.len() as f64 - total).abs() <= 1.0);
            prop_assert!(arrivals.is_sorted());
            prop_assert!(arrivals.last().is_none_or(|last| *last <= plan.duration()));
        }

        #[test]
        fn users_sum_to_the_level(stages in stages(), share in 0.0_f64..1.0) {
            let plan = plan(&stages);
            let at = plan.duration().mul_f64(share);
            let there = (0..500)
                .filter(|user| {
                    plan.times_above(f64::from(*user) + 0.5)
                        .iter()
                        .any(|(from, until)| (*from..*until).contains(&at))
                })
                .count();
            prop_assert!((there as f64 - plan.level(at)).abs() <= 1.0);
        }
    }
}
