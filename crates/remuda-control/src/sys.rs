//! The one place of this crate with `unsafe`: memory that several processes share.
#![expect(unsafe_code, reason = "a mapping is known to the compiler only by its address")]

use std::{io, os::fd::AsFd, ptr::NonNull, slice};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use crate::scoreboard::Line;

/// A number of [`Line`]s in shared memory, all of them atomics.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<Line>,
    count: usize,
}

// SAFETY: a `Line` holds nothing but atomics, and the mapping lives as long as its owner.
unsafe impl Send for Mapping {}
// SAFETY: as above; every access goes through atomics.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the beginning of `file`.
    ///
    /// # Errors
    /// When the file is too short, or cannot be mapped.
    pub(crate) fn new(file: &impl AsFd, count: usize) -> io::Result<Self> {
        let bytes = count * size_of::<Line>();
        let length = rustix::fs::fstat(file)?.st_size;
        if u64::try_from(length).unwrap_or_default() < bytes as u64 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is no scoreboard"));
        }
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice overlaps with nothing.
        let start =
            unsafe { mmap(std::ptr::null_mut(), bytes, access, MapFlags::SHARED, file, 0)? };
        match NonNull::new(start.cast()) {
            Some(start) => Ok(Self { start, count }),
            None => Err(io::Error::other("the kernel maps nothing")),
        }
    }

    pub(crate) fn get(&self, index: usize) -> Option<&Line> {
        self.lines().get(index)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Line> {
        self.lines().iter()
    }

    fn lines(&self) -> &[Line] {
        // SAFETY: the mapping is page aligned, `count` lines long, zeroed at first (which is
        // a valid `Line`), sealed against shrinking, and stays until `self` is dropped.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.count) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this length, and nobody borrows from it any more.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.count * size_of::<Line>()) };
    }
}
