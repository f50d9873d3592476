//! A handler's project: what a folder is, and how it becomes a component.
//!
//! Purpose: `remuda build` and `cargo xtask guests` build the same way, in Rust, Python and
//! JavaScript. Owner: whoever has the folder; of it only `target/` and what the language's own
//! tools keep (`.venv/`, `node_modules/`) are written. Invariant: the component's file is always
//! a whole one, of the last build that succeeded, and is replaced only when it changed.

mod error;
mod javascript;
pub mod process;
mod project;
mod publish;
mod python;
mod rust;
pub mod toolchain;

pub use error::Error;
pub use project::{Built, Kind, Project};
pub use publish::publish;
