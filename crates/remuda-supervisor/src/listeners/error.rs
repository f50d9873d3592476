//! Why an address could not be bound, and what to do about it.

use std::{io, path::PathBuf};

use rustix::io::Errno;

/// Why a listener could not be had; exit code 69.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error(
        "failed to bind {address}: address in use; stop what listens there or choose \
         another address with --bind"
    )]
    InUse { address: String },
    /// The same about an address that is not set with `--bind`.
    #[error(
        "failed to bind {address}: address in use; stop what listens there or choose \
         another address with {flag}"
    )]
    Taken { address: String, flag: &'static str },
    #[error("failed to bind {address}: permission denied; {remedy}")]
    Denied { address: String, remedy: &'static str },
    #[error(
        "failed to bind {address}: no network interface here has this address; use one of \
         this machine's or :PORT for all"
    )]
    NotHere { address: String },
    #[error(
        "failed to bind {address}: the host name is unknown; use an IP address or correct the name"
    )]
    UnknownHost { address: String, source: io::Error },
    #[error("failed to bind unix:{}: a file that is no socket is in its place; remove it or choose \
         another path", path.display())]
    NotASocket { path: PathBuf },
    #[error(
        "failed to bind fd:{number}: {problem}; whoever starts the server must pass a \
         listening stream socket under this number"
    )]
    Descriptor { number: i32, problem: &'static str },
    #[error("failed to bind {address}")]
    Other { address: String, source: io::Error },
}

impl BindError {
    /// Sorts what the kernel said; `denied` is the remedy for a lack of permission.
    pub(super) fn new(address: String, source: io::Error, denied: &'static str) -> Self {
        match Errno::from_io_error(&source) {
            Some(Errno::ADDRINUSE) => Self::InUse { address },
            Some(Errno::ACCESS | Errno::PERM) => Self::Denied { address, remedy: denied },
            Some(Errno::ADDRNOTAVAIL) => Self::NotHere { address },
            _ => Self::Other { address, source },
        }
    }

    /// Names the flag with which this address can be changed.
    pub(crate) fn set_with(self, flag: &'static str) -> Self {
        match self {
            Self::InUse { address } => Self::Taken { address, flag },
            other => other,
        }
    }
}
