//! CPU time of the server's processes, by the slot of a worker.
//!
//! Owner: the [loop](crate::run), which reads whenever somebody asks and before it waits for
//! children that have ended: until then `/proc` has all that they used. Invariant: the time
//! of a slot never goes down while the server lives, whoever dies or is replaced in it.

use std::{collections::BTreeMap, fs, ops::AddAssign, time::Duration};

use rustix::{param::clock_ticks_per_second, process::Pid};

use crate::lifecycle::WorkerId;

/// What a process has used, all its threads together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CpuTime {
    pub(crate) user: Duration,
    pub(crate) system: Duration,
}

#[derive(Debug, Default)]
pub(crate) struct Meter {
    /// Slot of each worker, and what it has used when it was read last.
    living: BTreeMap<WorkerId, (usize, CpuTime)>,
    /// What the dead have used, by slot.
    dead: BTreeMap<usize, CpuTime>,
}

impl Meter {
    /// Reads what a worker that has not been waited for has used.
    pub(crate) fn read(&mut self, worker: WorkerId, slot: usize, pid: Pid) {
        if let Some(used) = cpu_time(pid) {
            self.living.insert(worker, (slot, used));
        }
    }

    /// A worker is gone; what it has used stays.
    pub(crate) fn gone(&mut self, worker: WorkerId) {
        if let Some((slot, used)) = self.living.remove(&worker) {
            *self.dead.entry(slot).or_default() += used;
        }
    }

    /// All that was used in each slot, by as many workers as it has had.
    pub(crate) fn slots(&self) -> BTreeMap<usize, CpuTime> {
        let mut slots = self.dead.clone();
        for (slot, used) in self.living.values() {
            *slots.entry(*slot).or_default() += *used;
        }
        slots
    }
}

impl AddAssign for CpuTime {
    fn add_assign(&mut self, other: Self) {
        self.user += other.user;
        self.system += other.system;
    }
}

/// CPU time of a process, to the clock's tick (mostly 10 ms).
pub(crate) fn cpu_time(pid: Pid) -> Option<CpuTime> {
    parse(&fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_pid())).ok()?)
}

/// `proc_pid_stat(5)`: `utime` and `stime` are the fields 14 and 15, in ticks. The second one
/// is a name that may have blanks and brackets, so fields are counted from its end.
fn parse(stat: &str) -> Option<CpuTime> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ').skip(11);
    let mut time = || {
        let ticks: u64 = fields.next()?.parse().ok()?;
        Some(Duration::from_secs_f64(ticks as f64 / clock_ticks_per_second() as f64))
    };
    Some(CpuTime { user: time()?, system: time()? })
}

#[cfg(test)]
mod tests {
    use std::{process::Command, time::Instant};

    use super::*;

    fn used(seconds: u64) -> CpuTime {
        CpuTime { user: Duration::from_secs(seconds), system: Duration::from_secs(1) }
    }

    #[test]
    fn what_was_used_in_a_slot_stays_when_its_worker_goes() {
        let mut meter = Meter::default();
        meter.living.insert(WorkerId(1), (0, used(5)));
        // Its successor, while both live.
        meter.living.insert(WorkerId(2), (0, used(1)));
        meter.living.insert(WorkerId(3), (1, used(2)));
        let of = |meter: &Meter, slot| meter.slots()[&slot].user.as_secs();
        assert_eq!((of(&meter, 0), of(&meter, 1)), (6, 2));
        meter.gone(WorkerId(1));
        meter.gone(WorkerId(3));
        assert_eq!((of(&meter, 0), of(&meter, 1)), (6, 2));
        meter.gone(WorkerId(1));
        assert_eq!(of(&meter, 0), 6, "nobody dies twice");
    }

    #[test]
    fn a_name_does_not_shift_the_fields() {
        let ticks = clock_ticks_per_second();
        let stat = format!("7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 {ticks} {} 0 0 20", 3 * ticks);
        let second = Duration::from_secs(1);
        assert_eq!(parse(&stat), Some(CpuTime { user: second, system: 3 * second }));
        assert_eq!(parse("7 (a) S 1"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn a_child_that_has_ended_can_be_read_until_it_is_waited_for() {
        let _alone = crate::reap::ONE_REAPS.lock();
        let burn = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
        let mut child = Command::new("sh").args(["-c", burn]).spawn().expect("a child");
        let pid = Pid::from_child(&child);
        let stat = format!("/proc/{}/stat", pid.as_raw_pid());
        let begin = Instant::now();
        while !fs::read_to_string(&stat).expect("a process").contains(") Z ") {
            assert!(begin.elapsed() < Duration::from_secs(60), "it burns for too long");
            std::thread::yield_now();
        }
        let mut meter = Meter::default();
        meter.read(WorkerId(1), 0, pid);
        assert!(meter.slots()[&0].user > Duration::ZERO, "{meter:?}");
        child.wait().expect("its end");
        assert_eq!(cpu_time(pid), None);
        meter.read(WorkerId(1), 0, pid);
        assert!(meter.slots()[&0].user > Duration::ZERO, "{meter:?}");
    }
}
