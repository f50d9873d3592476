//! The one place of this crate with `unsafe`.

#![allow(
    unsafe_code,
    reason = "mapping machine code from a file cannot be checked by the compiler, nor what C does"
)]

use std::path::Path;

use wasmtime::{Engine, component::Component};

/// Maps compiled code into memory, shared with every process that maps the same file.
pub(crate) fn map_artifact(engine: &Engine, path: &Path) -> wasmtime::Result<Component> {
    // SAFETY: the file's content becomes code of this process, so it must come from
    // `precompile_component` and must not change. `Cache` writes entries under a
    // temporary name, renames them when complete and never modifies them; `verify` has
    // refused what is not what was written, and what another user could have written.
    unsafe { Component::deserialize_file(engine, path) }
}

/// Gives pages of the heap on which nothing is left back to the kernel. glibc keeps what was
/// freed, even whole pages, unless it is at the heap's end.
pub(crate) fn trim_heap() {
    // SAFETY: it takes the heap's own lock, and touches nothing that is allocated.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}
