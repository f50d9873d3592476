//! Keeping an event loop busy without giving it a chance to step in.
//!
//! A host that interrupts guests does so where they loop or call, and wasmtime looks at its epoch
//! once more before an instruction that works on a lot of memory. But while such an instruction
//! runs, nobody is asked: it goes on for as long as there is memory to fill. Fresh memory takes
//! twenty times as long as memory that has been written to before, because the kernel has to find
//! every page; so one fill of all the memory that a guest may have is the longest that can be
//! done. A gibibyte keeps a loop busy for 0.6 s on a slow virtual machine, a fraction of that where
//! page faults are cheap; four times as much is the end of a 32-bit memory. Serving it takes
//! `--limit-memory 4GiB`.

use core::arch::wasm32::memory_grow;

const PAGE: usize = 64 * 1024;
const PAGES_PER_MIB: usize = 16;

/// Takes so much fresh memory, up to 4080 MiB, and fills it in one go. True if there was so much.
pub fn freeze(mib: u64) -> bool {
    let pages = usize::try_from(mib).unwrap_or(usize::MAX).saturating_mul(PAGES_PER_MIB);
    let first = memory_grow::<0>(pages);
    if first == usize::MAX {
        return false;
    }
    let start = core::ptr::with_exposed_provenance_mut::<u8>(first * PAGE);
    // SAFETY: these pages are new and nobody else's. More than half of the address space is no
    // object that Rust knows, but the compiler makes one `memory.fill` of it all the same.
    unsafe { core::ptr::write_bytes(start, 0xa5, pages * PAGE) };
    true
}
