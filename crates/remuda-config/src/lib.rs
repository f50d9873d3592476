//! Raw settings to validated configuration, and the sizing policy.
//!
//! Purpose: [`load`] merges the command line over the environment over the file over
//! the defaults, and turns the result into a [`Config`]. Owner: whoever reads
//! settings, `remuda serve` and `remuda check` above all. Invariant: pure; no Tokio,
//! no process state: the environment, the file and the machine come in as arguments.
//! Only [`Machine::read`] and [`Throttling::read`] touch the file system, below a root
//! given to them.
//!
//! The way of a setting: [`KEYS`] → layers of raw text (`raw`) → one value per key
//! (`validate`) → domain types ([`Config`]) and what is printed of them ([`Setting`]).
mod budget;
mod config;
mod display;
mod error;
mod key;
mod keys;
mod load;
mod machine;
mod nearest;
mod needs;
mod raw;
mod reference;
mod setting;
mod sizing;
mod source;
#[cfg(test)]
mod tests;
mod validate;
mod value;

pub use budget::{GuestBudget, INSTANCE_BYTES};
pub use config::*;
pub use error::{ConfigError, ConfigErrors};
pub use key::{Arity, Key};
pub use keys::{KEYS, RESERVED_VARIABLES, ROUTE_KEYS};
pub use load::{Input, Loaded, load};
pub use machine::{Machine, Throttling};
pub use needs::{Needs, Unfit};
pub use reference::reference_markdown;
pub use setting::Setting;
pub use sizing::{Profile, Sizing};
pub use source::Source;
pub use validate::control_folder;
pub use value::about_bytes;
