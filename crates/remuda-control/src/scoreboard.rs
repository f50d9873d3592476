//! The page of memory that all workers share.
//!
//! Purpose: a worker that is about to accept a connection knows, without asking anybody,
//! whether another one has fewer; and whether that other one still turns. Owner: the
//! supervisor creates it, gives each worker a seat and clears the seat when the worker is
//! gone. Invariants: only the worker whose seat it is writes there while it lives; what is
//! read is a hint, never a promise.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use rustix::{
    fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create},
    time::{ClockId, clock_gettime},
};

use crate::sys::Mapping;

/// Lines of a scoreboard: two generations of as many workers as there can be, and the
/// first line, which nobody sits at: its `connections` is the last line ever used.
const LINES: usize = 2 * 1024 + 1;
const FIRST_SEAT: usize = 1;

/// Written this long ago, a seat is that of a worker that is stopped or stuck.
const STALE: Duration = Duration::from_millis(350);

/// One worker's line; a cache line of its own, lest workers slow each other down.
#[repr(C, align(64))]
pub(crate) struct Line {
    /// Milliseconds of the monotonic clock; 0 while nobody accepts connections here.
    beat: AtomicU64,
    connections: AtomicU32,
}

/// The whole page.
#[derive(Debug)]
pub struct Scoreboard {
    file: OwnedFd,
    lines: Mapping,
}

/// The place of one worker.
#[derive(Clone, Debug)]
pub struct Seat {
    board: Arc<Scoreboard>,
    index: usize,
}

impl Scoreboard {
    /// A scoreboard on which all seats are vacant.
    ///
    /// # Errors
    /// When the kernel gives no memory.
    pub fn create() -> io::Result<Self> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = File::from(memfd_create("remuda-scoreboard", flags)?);
        file.set_len((LINES * size_of::<Line>()) as u64)?;
        // A worker that shrank it would end everybody who looks at it.
        let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
        fcntl_add_seals(&file, seals)?;
        Self::open(file.into())
    }

    /// The scoreboard behind an inherited descriptor.
    ///
    /// # Errors
    /// When it is not one.
    pub fn open(file: OwnedFd) -> io::Result<Self> {
        let lines = Mapping::new(&file, LINES)?;
        Ok(Self { file, lines })
    }

    /// A seat number that is not in `taken`, if there is one.
    #[must_use]
    pub fn vacant(taken: impl Iterator<Item = usize> + Clone) -> Option<usize> {
        (FIRST_SEAT..LINES).find(|seat| !taken.clone().any(|other| other == *seat))
    }

    /// Makes a seat vacant; for the supervisor, when its worker is gone.
    pub fn clear(&self, seat: usize) {
        if let Some(line) = self.lines.get(seat) {
            line.beat.store(0, Ordering::Relaxed);
            line.connections.store(0, Ordering::Relaxed);
        }
    }

    /// The seat of this process, if there is such a seat.
    #[must_use]
    pub fn seat(self: &Arc<Self>, index: usize) -> Option<Seat> {
        self.lines.get(index).filter(|_| index >= FIRST_SEAT)?;
        let index_ever_used = u32::try_from(index).unwrap_or(u32::MAX);
        self.last_used().fetch_max(index_ever_used, Ordering::Relaxed);
        Some(Seat { board: Arc::clone(self), index })
    }

    fn last_used(&self) -> &AtomicU32 {
        match self.lines.get(0) {
            Some(line) => &line.connections,
            None => unreachable!("a mapping has all its lines"),
        }
    }
}

impl AsFd for Scoreboard {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Seat {
    /// This worker accepts connections, and its event loop has just turned.
    pub fn beat(&self) {
        self.line().beat.store(now(), Ordering::Relaxed);
    }

    /// This worker accepts nothing more.
    pub fn leave(&self) {
        self.line().beat.store(0, Ordering::Relaxed);
    }

    /// How many connections this worker has open.
    pub fn set_connections(&self, connections: usize) {
        let connections = u32::try_from(connections).unwrap_or(u32::MAX);
        self.line().connections.store(connections, Ordering::Relaxed);
    }

    /// The fewest connections that any other worker has that accepts and is not stuck.
    #[must_use]
    pub fn fewest_elsewhere(&self) -> Option<usize> {
        let now = now();
        let used = self.board.last_used().load(Ordering::Relaxed) as usize;
        let lines = self.board.lines.iter().enumerate().take(used + 1).skip(FIRST_SEAT);
        let others = lines.filter(|(index, _)| *index != self.index);
        let fresh = others.filter(|(_, line)| {
            let beat = line.beat.load(Ordering::Relaxed);
            beat != 0 && now.saturating_sub(beat) < STALE.as_millis() as u64
        });
        fresh.map(|(_, line)| line.connections.load(Ordering::Relaxed) as usize).min()
    }

    fn line(&self) -> &Line {
        match self.board.lines.get(self.index) {
            Some(line) => line,
            None => unreachable!("a seat is made only where there is a line"),
        }
    }
}

/// Milliseconds of the clock that all processes of a machine share and nobody sets.
fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let millis = now.tv_sec.saturating_mul(1000).saturating_add(now.tv_nsec / 1_000_000);
    u64::try_from(millis).unwrap_or_default().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_see_each_others_connections_through_their_own_mappings() {
        let board = Scoreboard::create().expect("a scoreboard");
        let copy = board.as_fd().try_clone_to_owned().expect("a descriptor");
        let other = Arc::new(Scoreboard::open(copy).expect("the same scoreboard"));
        let board = Arc::new(board);
        let (a, b) = (board.seat(1).expect("a seat"), other.seat(7).expect("a seat"));
        assert_eq!(a.fewest_elsewhere(), None);
        b.set_connections(3);
        assert_eq!(a.fewest_elsewhere(), None, "one that does not accept does not count");
        b.beat();
        assert_eq!(a.fewest_elsewhere(), Some(3));
        assert_eq!(b.fewest_elsewhere(), None);
        b.leave();
        assert_eq!(a.fewest_elsewhere(), None);
    }

    #[test]
    fn one_that_is_stuck_is_not_waited_for() {
        let board = Arc::new(Scoreboard::create().expect("a scoreboard"));
        let (a, b) = (board.seat(1).expect("a seat"), board.seat(2).expect("a seat"));
        b.beat();
        assert_eq!(a.fewest_elsewhere(), Some(0));
        b.line().beat.store(now() - STALE.as_millis() as u64, Ordering::Relaxed);
        assert_eq!(a.fewest_elsewhere(), None);
    }

    #[test]
    fn nobody_can_shrink_it() {
        let board = Scoreboard::create().expect("a scoreboard");
        let copy = File::from(board.as_fd().try_clone_to_owned().expect("a descriptor"));
        copy.set_len(0).expect_err("sealed");
    }

    #[test]
    fn seats_are_given_once() {
        assert_eq!(Scoreboard::vacant([1, 2, 4].into_iter()), Some(3));
        assert_eq!(Scoreboard::vacant(0..LINES), None);
        let board = Arc::new(Scoreboard::create().expect("a scoreboard"));
        assert!(board.seat(LINES).is_none() && board.seat(0).is_none());
    }
}
