//! What a comparison with other servers is asked for, and what is told of one.
//!
//! Purpose: `cargo xtask bench` knows works, servers and pages before anything is built, and
//! benches/compare, which measures, knows the same. Invariant: nothing here starts a server, and
//! nothing depends on one.
//!
//! `Choice` → `Work` → `Table` → `Report` → page.

mod choice;
mod error;
pub mod machine;
pub mod render;
pub mod report;
mod servers;
pub mod smoke;
mod work;

pub use choice::Choice;
pub use error::Error;
pub use work::Work;
