//! What each subcommand does.

pub(crate) mod build;
pub(crate) mod check;
pub(crate) mod compile;
pub(crate) mod ctl;
pub(crate) mod describe;
pub(crate) mod dev;
pub(crate) mod effective;
pub(crate) mod new;
pub(crate) mod serve;
pub(crate) mod worker;
