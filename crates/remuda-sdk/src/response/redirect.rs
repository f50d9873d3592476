//! Answers that send the client elsewhere.

use http::{HeaderValue, StatusCode, header};

use super::{IntoResponse, Response};
use crate::{Body, Error};

/// A response with a `Location`.
///
/// ```
/// use remuda_sdk::{Redirect, test};
///
/// async fn moved() -> Redirect {
///     Redirect::permanent("/new")
/// }
///
/// let response = test::get("/old").send_now(moved);
/// assert_eq!((response.status().as_u16(), response.header("location")), (308, "/new"));
/// ```
#[derive(Clone, Debug)]
pub struct Redirect {
    status: StatusCode,
    location: String,
}

impl Redirect {
    /// 303: look there, with GET. What a form is answered with.
    ///
    /// ```
    /// # use remuda_sdk::{IntoResponse, Redirect};
    /// assert_eq!(Redirect::to("/").into_response().status(), 303);
    /// ```
    pub fn to(location: impl Into<String>) -> Self {
        Self { status: StatusCode::SEE_OTHER, location: location.into() }
    }

    /// 307: ask there, this time, with the same method and body.
    ///
    /// ```
    /// # use remuda_sdk::{IntoResponse, Redirect};
    /// assert_eq!(Redirect::temporary("/").into_response().status(), 307);
    /// ```
    pub fn temporary(location: impl Into<String>) -> Self {
        Self { status: StatusCode::TEMPORARY_REDIRECT, location: location.into() }
    }

    /// 308: ask there from now on.
    ///
    /// ```
    /// # use remuda_sdk::{IntoResponse, Redirect};
    /// assert_eq!(Redirect::permanent("/").into_response().status(), 308);
    /// ```
    pub fn permanent(location: impl Into<String>) -> Self {
        Self { status: StatusCode::PERMANENT_REDIRECT, location: location.into() }
    }
}

impl IntoResponse for Redirect {
    fn into_response(self) -> Response {
        let Ok(location) = HeaderValue::try_from(self.location) else {
            return Error::internal("failed to redirect: the location is no header value")
                .into_response();
        };
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status;
        response.headers_mut().insert(header::LOCATION, location);
        response
    }
}
