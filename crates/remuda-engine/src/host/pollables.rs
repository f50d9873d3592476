//! Pollables of what a guest reads, beyond the places that its table has.
//!
//! Purpose: engines subscribe to a body once for each piece that they read, and some never drop
//! a pollable: componentize-js leaves one for every 8 KiB. What may be sent to the server must be
//! read by them, so a table that fills up grows for these, on the guest's account. Invariant: a table has
//! [`MAX_PLACES`] of them at most, each of which the guest has been charged for.

use wasmtime::{
    StoreContextMut,
    component::{Linker, Resource},
};
use wasmtime_wasi::p2::{DynInputStream, DynPollable, bindings::io::streams::HostInputStream as _};

use super::HostState;

/// As wasmtime's own linker registers it.
const STREAMS: &str = "wasi:io/streams@0.2.12";

/// What the host needs for a pollable: the entry, the box in it, and being its stream's child.
const PLACE_BYTES: u64 = 256;

/// 16 MiB of a body that comes in pieces of 256 bytes.
const MAX_PLACES: usize = 64 * 1024;

/// Places that are left to everything else.
const SPARE: usize = 512;

/// Replaces the function. The linker must already have the original.
pub(super) fn add_to_linker(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    linker.instance(STREAMS)?.func_wrap("[method]input-stream.subscribe", subscribe)?;
    linker.allow_shadowing(false);
    Ok(())
}

fn subscribe(
    mut store: StoreContextMut<'_, HostState>,
    (stream,): (Resource<DynInputStream>,),
) -> wasmtime::Result<(Resource<DynPollable>,)> {
    let state = store.data_mut();
    let pollable = state.table.subscribe(stream)?;
    // The table is filled from below.
    let is_scarce = pollable.rep() as usize + SPARE >= state.table.max_capacity();
    if is_scarce && state.places < MAX_PLACES {
        state.limiter.charge(PLACE_BYTES)?;
        state.places += 1;
        state.table.set_max_capacity(state.table.max_capacity() + 1);
    }
    Ok((pollable,))
}

/// Bytes of so many places, which stay when what was in them is dropped.
pub(super) fn bytes_of(places: usize) -> u64 {
    places as u64 * PLACE_BYTES
}
