//! Settings as they were given, not yet understood.
//!
//! Purpose: the first of the two steps of configuration: each layer becomes a map
//! from key to raw text with its [`Source`](crate::Source). Owner: `load`. Invariant:
//! a layer holds only keys of the table; whatever else was set has become an error.
mod environment;
mod file;
mod flags;
mod layer;
mod passed;

pub(crate) use environment::{environment, folder, variable};
pub(crate) use file::{RawFile, RawRoute, file};
pub(crate) use flags::flags;
pub(crate) use layer::{Layer, Raw, RawValue, defaults, did_you_mean, unknown, unknown_remedy};
pub(crate) use passed::{PASSED, bind_passed, passed};
