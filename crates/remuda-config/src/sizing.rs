//! How many workers suit a machine (S8 to S11, S29).
//!
//! Purpose: the policy behind `workers.count = "auto"`. Owner: called by validation;
//! a pure function of its arguments. Invariant: at least one worker, and never so
//! many that [`oversubscribed`] would warn about its own advice.

/// What the server may use of the machine it runs on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Machine {
    /// Cores' worth of CPU time: the container's quota where there is one, else the
    /// available parallelism. May be a fraction; anything not above 0 counts as 1.
    pub cores: f64,
}

/// What guests spend their time on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Computing: 1 worker per core.
    Cpu,
    /// Both: 1.5 workers per core.
    Mixed,
    /// Waiting: 2 workers per core.
    Io,
}

impl Profile {
    /// Workers per core.
    pub fn factor(self) -> f64 {
        match self {
            Self::Cpu => 1.0,
            Self::Mixed => 1.5,
            Self::Io => 2.0,
        }
    }

    /// As written in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Mixed => "mixed",
            Self::Io => "io",
        }
    }
}

/// A number of workers and the reason for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sizing {
    /// From 1 to 1024.
    pub count: usize,
    /// `4 cores × 1.5 (mixed)`
    pub reason: String,
}

/// More worker processes than this are a mistake on any machine.
pub(crate) const MAX_WORKERS: usize = 1024;

impl Sizing {
    /// The cpu rule: cores times the profile's factor. A fraction of a worker is
    /// rounded up, for a quota of 1.5 cores is not used up by one worker.
    pub fn new(profile: Profile, machine: Machine) -> Self {
        let cores = machine.cores();
        let exact = cores * profile.factor();
        let whole = round_up(exact);
        let count = (whole as usize).clamp(1, MAX_WORKERS);
        let mut reason = format!("{} × {} ({})", plural(cores), profile.factor(), profile.name());
        if whole - exact > NOISE {
            reason.push_str(", rounded up");
        }
        if count == MAX_WORKERS && whole > count as f64 {
            reason = format!("{reason}, at most {MAX_WORKERS}");
        }
        Self { count, reason }
    }
}

impl Machine {
    /// `cores`, made safe to calculate with.
    pub(crate) fn cores(self) -> f64 {
        if self.cores.is_finite() && self.cores > 0.0 { self.cores } else { 1.0 }
    }
}

/// Whether so many workers contend for the cores: more than 2 for each (S11).
pub(crate) fn oversubscribed(count: usize, machine: Machine) -> bool {
    count as f64 > round_up(machine.cores() * Profile::Io.factor())
}

/// `1 core`, `1.5 cores`
pub(crate) fn plural(cores: f64) -> String {
    let rounded = (cores * 100.0).round() / 100.0;
    format!("{rounded} {}", if rounded == 1.0 { "core" } else { "cores" })
}

/// A quota is a quotient: do not start a worker for its last binary digit.
const NOISE: f64 = 1e-6;

fn round_up(exact: f64) -> f64 {
    (exact - NOISE).ceil()
}

#[cfg(test)]
mod tests {
    use super::{Machine, Profile, Sizing, oversubscribed};

    fn count(profile: Profile, cores: f64) -> usize {
        Sizing::new(profile, Machine { cores }).count
    }

    #[test]
    fn follows_the_profile_and_the_quota() {
        for (cores, cpu, mixed, io) in [
            (4.0, 4, 6, 8),
            (2.0, 2, 3, 4),
            (1.0, 1, 2, 2),
            (0.5, 1, 1, 1),
            (0.1, 1, 1, 1),
            (1.5, 2, 3, 3),
            (0.1 + 0.2 + 0.7, 1, 2, 2),
            (64.0, 64, 96, 128),
            (f64::NAN, 1, 2, 2),
            (f64::INFINITY, 1, 2, 2),
            (-3.0, 1, 2, 2),
            (1e9, 1024, 1024, 1024),
        ] {
            assert_eq!(count(Profile::Cpu, cores), cpu, "cpu on {cores}");
            assert_eq!(count(Profile::Mixed, cores), mixed, "mixed on {cores}");
            assert_eq!(count(Profile::Io, cores), io, "io on {cores}");
        }
    }

    #[test]
    fn gives_its_reason() {
        for (profile, cores, reason) in [
            (Profile::Mixed, 2.0, "2 cores × 1.5 (mixed)"),
            (Profile::Mixed, 1.0, "1 core × 1.5 (mixed), rounded up"),
            (Profile::Io, 1.5, "1.5 cores × 2 (io)"),
            (Profile::Cpu, 1.0 / 3.0, "0.33 cores × 1 (cpu), rounded up"),
            (Profile::Cpu, 5000.0, "5000 cores × 1 (cpu), at most 1024"),
        ] {
            assert_eq!(Sizing::new(profile, Machine { cores }).reason, reason);
        }
    }

    #[test]
    fn two_for_each_core_are_not_too_many() {
        for (workers, cores, too_many) in
            [(4, 2.0, false), (5, 2.0, true), (3, 1.1, false), (4, 1.1, true), (1, 0.1, false)]
        {
            assert_eq!(
                oversubscribed(workers, Machine { cores }),
                too_many,
                "{workers} on {cores}"
            );
        }
    }

    #[test]
    fn never_warns_about_its_own_advice() {
        for tenths in 1..200 {
            let machine = Machine { cores: f64::from(tenths) / 10.0 };
            let sizing = Sizing::new(Profile::Io, machine);
            assert!(!oversubscribed(sizing.count, machine), "{machine:?}");
        }
    }
}
