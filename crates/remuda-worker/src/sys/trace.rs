//! Where the event loop's thread is, found out while it is stuck.
//!
//! Owner: the [reporter](crate::report). Invariants: only a signal reaches a thread that is
//! busy, so the thread itself stores the addresses of its frames, in memory that is there
//! already; names are found by whoever asked. SIGURG is the signal: it is harmless by
//! default, and nothing here uses out-of-band data.

use std::{
    ffi::c_int,
    io,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use signal_hook::consts::SIGURG;

/// Frames that are stored at most, innermost first.
const MAX_FRAMES: usize = 64;

/// How often the asker looks whether the frames are there.
const POLL: Duration = Duration::from_millis(2);

static WANTED: AtomicBool = AtomicBool::new(false);
static FRAMES: [AtomicUsize; MAX_FRAMES] = [const { AtomicUsize::new(0) }; MAX_FRAMES];
/// How many of them are there; [`NONE_YET`] until the thread has answered.
static COUNT: AtomicUsize = AtomicUsize::new(NONE_YET);

const NONE_YET: usize = usize::MAX;

/// `pthread_t` is a long of glibc's and a pointer of musl's: both have this size.
type PthreadT = usize;

unsafe extern "C" {
    safe fn pthread_self() -> PthreadT;
    fn pthread_kill(thread: PthreadT, signal: c_int) -> c_int;
}

/// The thread of the event loop, which is the main thread: it lives as long as the process.
#[derive(Debug)]
pub(crate) struct LoopThread(PthreadT);

impl LoopThread {
    /// Makes the calling thread the one to be asked.
    ///
    /// # Errors
    /// When the signal cannot be taken over.
    pub(crate) fn current() -> io::Result<Self> {
        // The unwinder sets itself up when it is used first, which is not for a signal.
        backtrace::trace(|_| false);
        // SAFETY: `store_frames` neither allocates nor takes a lock of this program, and does
        // not panic. The unwinder is made for asynchronous frames; it may take a lock of the
        // dynamic linker's, which the interrupted thread holds only while it loads a library
        // or unwinds itself. At worst that thread, which has been stuck for a second, stays
        // so and is replaced.
        unsafe { signal_hook_registry::register_signal_unchecked(SIGURG, store_frames)? };
        Ok(Self(pthread_self()))
    }

    /// Addresses in the thread's frames, innermost first, those of the signal handler
    /// included. `None` if it does not answer for `patience`.
    pub(crate) fn frames(&self, patience: Duration) -> Option<Vec<usize>> {
        COUNT.store(NONE_YET, Ordering::Relaxed);
        WANTED.store(true, Ordering::Release);
        // SAFETY: the thread lives as long as the process, and the signal has a handler.
        if unsafe { pthread_kill(self.0, SIGURG) } != 0 {
            return None;
        }
        let give_up = Instant::now() + patience;
        while Instant::now() < give_up {
            let count = COUNT.load(Ordering::Acquire);
            if count != NONE_YET {
                let stored = FRAMES.iter().take(count);
                return Some(stored.map(|frame| frame.load(Ordering::Relaxed)).collect());
            }
            thread::sleep(POLL);
        }
        WANTED.store(false, Ordering::Relaxed);
        None
    }
}

/// The signal's handler.
fn store_frames() {
    // Somebody else may send the signal, and to another thread.
    if !WANTED.swap(false, Ordering::Acquire) {
        return;
    }
    let mut count = 0;
    let store = |frame: &backtrace::Frame| {
        let Some(place) = FRAMES.get(count) else { return false };
        place.store(frame.ip().addr(), Ordering::Relaxed);
        count += 1;
        true
    };
    // SAFETY: unsynchronized with other traces of this process, none of which is taken by
    // this thread, where this function is a signal handler that runs once at a time; the
    // unwinder itself keeps nothing between two calls.
    unsafe { backtrace::trace_unsynchronized(store) };
    COUNT.store(count, Ordering::Release);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_thread_says_where_it_is() {
        let (tell, told) = std::sync::mpsc::channel();
        thread::spawn(move || {
            spin_for_ever(|| {
                tell.send(LoopThread::current().expect("a handler")).expect("somebody listens");
            });
        });
        let frames = told.recv().expect("it began").frames(Duration::from_secs(5));
        let names = crate::report::names(&frames.expect("an answer"));
        assert!(names.iter().any(|name| name.contains("spin_for_ever")), "{names:?}");
        assert!(!names.iter().any(|name| name.contains("store_frames")), "{names:?}");
    }

    #[inline(never)]
    fn spin_for_ever(begin: impl FnOnce()) {
        begin();
        loop {
            std::hint::spin_loop();
        }
    }
}
