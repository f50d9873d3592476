//! Which kind of failure an error is.

use std::{borrow::Cow, error::Error, io, iter};

use super::HyperError;
use crate::record::{Failure, Kind};

impl Failure {
    pub(super) fn new(kind: Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, status: None, detail: detail.into() }
    }

    /// An error while a request was under way.
    pub(super) fn of_hyper(error: &HyperError) -> Self {
        Self::new(kind(error), text(error))
    }
}

fn kind(error: &HyperError) -> Kind {
    if error.is_parse() || error.is_user() {
        return Kind::Protocol;
    }
    if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        return Kind::Closed;
    }
    for cause in causes(error) {
        if let Some(cause) = cause.downcast_ref::<io::Error>() {
            // So hyper calls chunks that are none, and rustls records that are none.
            let is_wrong =
                matches!(cause.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData);
            return if is_wrong { Kind::Protocol } else { Kind::Closed };
        }
        if let Some(cause) = cause.downcast_ref::<::h2::Error>() {
            // The other side says that this stream, or the connection, is no more.
            let is_ended = cause.is_remote() && (cause.is_reset() || cause.is_go_away());
            return if is_ended || cause.is_io() { Kind::Closed } else { Kind::Protocol };
        }
    }
    Kind::Protocol
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(Some(error), |cause| (*cause).source())
}

/// An error with its causes, none twice.
fn text(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    for cause in causes(error).skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}
