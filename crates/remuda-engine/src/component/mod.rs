//! From a component file to machine code in the cache.

mod cache;
mod compile;
mod needs;
mod world;

pub use cache::Cache;
pub(crate) use cache::{discard, verify};
pub use compile::{CompileError, Compiled, compile};
pub use world::{HandlerWorld, Interfaces, Unusable};
