//! Who answers where there is no server.

use std::{cell::RefCell, rc::Rc};

use bytes::Bytes;

use super::{ClientError, Outgoing};
use crate::Response;

/// A request that a test answers, with all of its body.
pub type Sent = http::Request<Bytes>;

type Answer = Rc<dyn Fn(Sent) -> Response>;

thread_local! {
    static ANSWER: RefCell<Option<Answer>> = const { RefCell::new(None) };
}

/// Answers as long as it lives; see [`Client::stub`](crate::Client::stub).
///
/// ```
/// # use remuda_sdk::{Client, test};
/// {
///     let _stub = Client::stub(|_| "stubbed");
/// }
/// assert!(test::block_on(Client::new().get("http://localhost/").send()).is_err());
/// ```
#[must_use = "it answers as long as it lives"]
pub struct StubGuard(Option<Answer>);

pub(super) fn install(answer: impl Fn(Sent) -> Response + 'static) -> StubGuard {
    StubGuard(ANSWER.replace(Some(Rc::new(answer))))
}

impl Drop for StubGuard {
    fn drop(&mut self) {
        ANSWER.set(self.0.take());
    }
}

pub(super) async fn send(request: Outgoing) -> Result<Response, ClientError> {
    let origin = request.origin();
    let Some(answer) = ANSWER.with_borrow(Clone::clone) else {
        return Err(ClientError::OnlyInGuest { origin });
    };
    let body = request.body.bytes().await;
    let body = body.map_err(|error| ClientError::Body { origin, reason: error.to_string() })?;
    let mut sent = http::Request::new(body);
    *sent.method_mut() = request.method;
    *sent.uri_mut() = request.uri;
    *sent.headers_mut() = request.headers;
    Ok(answer(sent))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::{Body, Client, ClientError, Error, Json, Phase, StatusCode, test::block_on};

    #[test]
    fn a_stub_sees_what_was_sent() {
        let _stub = Client::stub(|request| {
            let (method, uri) = (request.method(), request.uri());
            let kind = request.headers()["content-type"].to_str().expect("text");
            format!("{method} {uri} {kind} {}", String::from_utf8_lossy(request.body()))
        });
        let request = Client::new().post("http://a.example/b?c=d").query("e f", "g&h").json(&[1]);
        let text = block_on(async { request.send().await?.text().await }).expect("a text");
        assert_eq!(text, "POST http://a.example/b?c=d&e+f=g%26h application/json [1]");
    }

    #[test]
    fn errors_have_the_status_of_a_gateway() {
        let status = |error: ClientError| Error::from(error).status().as_u16();
        let send = |url: &str| block_on(Client::new().get(url).send()).expect_err("an error");
        let alone = send("http://user:secret@a.example:81/b");
        assert!(alone.to_string().starts_with("failed to call http://a.example:81: requests are"));
        assert_eq!(status(alone), 500);
        assert_eq!(status(send("ftp://a.example/")), 500);
        let _stub = Client::stub(|_| StatusCode::TOO_MANY_REQUESTS);
        let response = block_on(Client::new().get("http://a.example/").send()).expect("a response");
        assert_eq!(status(response.error_for_status().expect_err("an error")), 502);
        let _stub = Client::stub(|_| "no json");
        let response = block_on(Client::new().get("http://a.example/").send()).expect("a response");
        let error = block_on(response.json::<u32>()).expect_err("no number");
        assert!(matches!(error.downcast_ref(), Some(ClientError::Body { .. })), "{error}");
    }

    #[test]
    fn the_time_limit_covers_the_body() {
        let endless = || Body::from_stream(futures_util::stream::pending::<crate::Result<&str>>());
        let _stub = Client::stub(move |_| endless());
        let request = Client::new().get("http://a.example/").timeout(Duration::from_millis(5));
        let error = block_on(async { request.send().await?.bytes().await }).expect_err("an error");
        let origin = "http://a.example".to_owned();
        let timeout = ClientError::Timeout { origin, phase: Phase::Total };
        assert_eq!(error.downcast_ref(), Some(&timeout));
        assert_eq!(error.status(), 504);
        let _stub = Client::stub(|_| Json(7));
        let request = Client::new().get("http://a.example/").timeout(Duration::from_secs(60));
        let number = block_on(async { request.send().await?.json::<u32>().await });
        assert_eq!(number.expect("a number"), 7);
    }
}
