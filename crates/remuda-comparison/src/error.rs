//! Why nothing is measured, or nothing told.

use std::{io, path::PathBuf};

/// Every message names what is wrong and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("failed to write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("failed to choose servers: none of {works} is called \"{only}\"; there are {names}")]
    NoServer { works: String, only: String, names: String },
    #[error(
        "failed to compare: {0} does not tell two revisions apart; use text, json, stream, echo or wait"
    )]
    NotPlain(&'static str),
    #[error("failed to compare: {slices} slices tell nothing; use --rounds {least} or more")]
    FewSlices { slices: u32, least: u32 },
    #[error(
        "failed to understand the figures: {0}; write them with `cargo xtask bench --json FILE`"
    )]
    Figures(serde_json::Error),
    #[error("failed to render {}: {source}", path.display())]
    Render { path: PathBuf, source: Box<Error> },
    #[error("failed to read figures of schema {found}, this is {known}; measure again")]
    Schema { found: u32, known: u32 },
    #[error("failed to write the figures: {0}")]
    Encode(serde_json::Error),
    #[error("failed to render into {}: {reason}", page.display())]
    Markers { page: PathBuf, reason: String },
    #[error(
        "failed to render {}: the page has what was not measured: {lacks}; measure all with \
         `cargo xtask bench`, or drop that from the page with --partial", file.display()
    )]
    Lacks { file: PathBuf, lacks: String },
    #[error("failed to measure all:\n{0}")]
    Missing(String),
}
