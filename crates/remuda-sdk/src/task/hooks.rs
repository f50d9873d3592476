//! What `#[startup]` and `#[shutdown]` write around their functions.
//!
//! Invariant: both stand in one module. There, what one of them defines hides what [`defaults`] has
//! under the same name, so that each finds the other one or nothing.

use crate::{Error, Result};

/// What a hook may return.
#[diagnostic::on_unimplemented(
    message = "a hook returns nothing or a `Result<()>`, not `{Self}`",
    label = "this is what the hook returns"
)]
pub trait HookResult {
    /// What the server reads.
    fn into_result(self) -> Result<()>;
}

impl HookResult for () {
    fn into_result(self) -> Result<()> {
        Ok(())
    }
}

impl<E: Into<Error>> HookResult for Result<(), E> {
    fn into_result(self) -> Result<()> {
        self.map_err(Into::into)
    }
}

/// Fails to compile for any other type.
pub fn returns<T: HookResult>() {}

/// What `#[startup]` has defined.
#[diagnostic::on_unimplemented(
    message = "`#[shutdown]` needs a `#[startup]` in the same module",
    label = "there is no `#[startup]` here",
    note = "both are exported together; a startup that does nothing will do: \
            `#[startup] fn start() {{}}`"
)]
pub trait IsStartup {}

/// Fails to compile without `#[startup]`.
pub const fn needs_startup<T: IsStartup>() {}

/// Runs a startup hook. The error is the server's to log.
pub async fn start<T: HookResult>(
    hook: impl Future<Output = T>,
) -> std::result::Result<(), String> {
    crate::log::install();
    hook.await.into_result().map_err(|error| error.reason())
}

/// Runs a shutdown hook. Nobody else hears of its error.
pub async fn stop<T: HookResult>(hook: impl Future<Output = T>) {
    if let Err(error) = hook.await.into_result() {
        tracing::error!(target: "shutdown", "{}", error.reason());
    }
}

/// What is used where there is no such hook.
pub mod defaults {
    /// No startup.
    #[derive(Clone, Copy, Debug)]
    pub struct __RemudaStartup;

    /// No shutdown.
    pub async fn __remuda_shutdown() {}
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        task::{Context, Poll, Waker},
    };

    use super::*;

    #[test]
    fn a_startup_that_fails_has_no_status() {
        for (error, expected) in [
            (Error::from(std::io::Error::other("disk on fire")), "disk on fire"),
            (Error::internal("no licence"), "no licence"),
            (Error::new(http::StatusCode::BAD_GATEWAY, "no answer"), "no answer"),
        ] {
            let hook = pin!(start(async { Err::<(), _>(error) }));
            let ended = hook.poll(&mut Context::from_waker(Waker::noop()));
            assert_eq!(ended, Poll::Ready(Err(expected.to_owned())));
        }
    }
}
