//! A thread that hardly gets a processor.
//!
//! Purpose: whatever it does takes long, however fast the machine is. Invariant: its process
//! goes on with all other threads as before.

use std::{
    hint,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use rustix::{
    process::{Pid, setpriority_process},
    thread::{CpuSet, sched_getaffinity, sched_setaffinity},
};

/// A priority (nice(1)) at which there is a tenth of what the rival gets.
const LOW: i32 = 10;

/// A main thread that shares one processor with somebody who never rests and is always
/// preferred; until this is dropped.
#[derive(Debug)]
pub struct Starved {
    rests: Arc<AtomicBool>,
    rival: Option<thread::JoinHandle<()>>,
}

/// Takes the processor from the main thread of a process.
///
/// # Panics
/// When the kernel refuses.
#[must_use]
pub fn starve_main_thread(pid: Pid) -> Starved {
    let processors = sched_getaffinity(Some(pid)).expect("a process");
    let shared = (0..CpuSet::MAX_CPU).find(|cpu| processors.is_set(*cpu)).expect("a processor");
    let mut only = CpuSet::new();
    only.set(shared);
    let rests = Arc::new(AtomicBool::new(false));
    let rival_rests = Arc::clone(&rests);
    let rival = thread::spawn(move || {
        sched_setaffinity(None, &only).expect("a processor that this process may use");
        while !rival_rests.load(Ordering::Relaxed) {
            hint::spin_loop();
        }
    });
    sched_setaffinity(Some(pid), &only).expect("a process of this user");
    setpriority_process(Some(pid), LOW).expect("a process of this user");
    Starved { rests, rival: Some(rival) }
}

impl Drop for Starved {
    fn drop(&mut self) {
        self.rests.store(true, Ordering::Relaxed);
        let ended = self.rival.take().map(thread::JoinHandle::join);
        assert!(ended.is_none_or(|ended| ended.is_ok()) || thread::panicking());
    }
}
