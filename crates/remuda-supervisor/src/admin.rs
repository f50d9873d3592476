//! Administration.
pub(crate) mod call;
