//! A report from a file.
//!
//! Invariant: what was written by another version is told from what is no report.

use std::{
    io,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{Report, SCHEMA};
use crate::file;

/// In bytes; a day in seconds, of ten endpoints, has a tenth of that.
const LONGEST_FILE: u64 = 1 << 30;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error(
        "{path}: failed to read the report: {source}; name a file that --json has written",
        path = path.display()
    )]
    Read { path: PathBuf, source: io::Error },
    #[error(
        "{path}: failed to understand the report: {problem}; give one as --json has written it",
        path = path.display()
    )]
    Parse { path: PathBuf, problem: serde_json::Error },
    #[error(
        "{path}: failed to understand the report: it has schema {found}, this is {SCHEMA}; run it \
         again with this version",
        path = path.display()
    )]
    Schema { path: PathBuf, found: u32 },
}

/// What every version has.
#[derive(Deserialize)]
struct Versioned {
    schema: u32,
}

impl Report {
    /// Reads what was written as JSON.
    ///
    /// # Errors
    /// When the file cannot be read, is no report, or is one of another version.
    pub fn from_file(path: &Path) -> Result<Self, ReadError> {
        let path = path.to_owned();
        let text = match file::read_text(&path, LONGEST_FILE) {
            Ok(text) => text,
            Err(source) => return Err(ReadError::Read { path, source }),
        };
        match serde_json::from_str::<Versioned>(&text) {
            Err(problem) => Err(ReadError::Parse { path, problem }),
            Ok(Versioned { schema }) if schema != SCHEMA => {
                Err(ReadError::Schema { path, found: schema })
            }
            Ok(_) => {
                serde_json::from_str(&text).map_err(|problem| ReadError::Parse { path, problem })
            }
        }
    }
}
