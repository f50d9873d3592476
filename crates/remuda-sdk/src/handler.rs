//! What answers requests: functions, and routers.
//!
//! Invariant: a handler answers every request; what fails in it is answered too.

use std::pin::Pin;

use crate::{FromRequest, FromRequestParts, IntoResponse, Request, Response};

/// What answers requests with the state `S`: any `async fn` of up to eight arguments that are made
/// from requests (see [`FromRequestParts`] and [`FromRequest`]) which returns a response (see
/// [`IntoResponse`]), and a [`Router`](crate::Router).
///
/// ```
/// use remuda_sdk::{Handler, Method, Request, Uri, test};
///
/// async fn describe(method: Method, uri: Uri, body: String) -> String {
///     format!("{method} {uri} with {body}")
/// }
///
/// let response = test::post("/a").body("text").send_now(describe);
/// assert_eq!(response.text(), "POST /a with text");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no handler",
    label = "not an `async fn` from what a request holds to a response",
    note = "every argument but the last is made from the head (`Path`, `Query`, `State`, \
            `HeaderMap`, `Method`, `Uri`), the last one may take the body (`Json`, `Form`, `Bytes`, \
            `String`, `Body`, `Request`); what it returns implements `IntoResponse`"
)]
pub trait Handler<M, S = ()> {
    /// Answers one request.
    fn call(&self, request: Request, state: &S) -> impl Future<Output = Response>;
}

impl<F, Fut, R, S> Handler<(), S> for F
where
    F: Fn() -> Fut,
    Fut: Future<Output = R>,
    R: IntoResponse,
{
    async fn call(&self, request: Request, _: &S) -> Response {
        drop(request);
        self().await.into_response()
    }
}

macro_rules! handler {
    ($($part:ident)* ; $last:ident) => {
        impl<F, Fut, R, S, M, $($part,)* $last> Handler<(M, $($part,)* $last), S> for F
        where
            F: Fn($($part,)* $last) -> Fut,
            Fut: Future<Output = R>,
            R: IntoResponse,
            $($part: FromRequestParts<S>,)*
            $last: FromRequest<S, M>,
        {
            #[expect(non_snake_case, reason = "an argument is called like its type")]
            async fn call(&self, request: Request, state: &S) -> Response {
                $(
                    let $part = match $part::from_request_parts(&request, state).await {
                        Ok(value) => value,
                        Err(error) => return error.into_response(),
                    };
                )*
                let $last = match $last::from_request(request, state).await {
                    Ok(value) => value,
                    Err(error) => return error.into_response(),
                };
                self($($part,)* $last).await.into_response()
            }
        }
    };
}

handler!(; T1);
handler!(T1; T2);
handler!(T1 T2; T3);
handler!(T1 T2 T3; T4);
handler!(T1 T2 T3 T4; T5);
handler!(T1 T2 T3 T4 T5; T6);
handler!(T1 T2 T3 T4 T5 T6; T7);
handler!(T1 T2 T3 T4 T5 T6 T7; T8);

pub(crate) type Answer<'a> = Pin<Box<dyn Future<Output = Response> + 'a>>;

/// A handler whatever its type.
pub(crate) trait AnyHandler<S> {
    fn call<'a>(&'a self, request: Request, state: &'a S) -> Answer<'a>;
}

/// A handler, and how it takes its arguments.
pub(crate) struct Typed<H, M>(H, std::marker::PhantomData<fn() -> M>);

impl<H, M> Typed<H, M> {
    pub(crate) fn new(handler: H) -> Self {
        Self(handler, std::marker::PhantomData)
    }
}

impl<H: Handler<M, S>, M, S> AnyHandler<S> for Typed<H, M> {
    fn call<'a>(&'a self, request: Request, state: &'a S) -> Answer<'a> {
        Box::pin(self.0.call(request, state))
    }
}

/// A handler that brings its state.
pub(crate) struct WithState<S> {
    pub(crate) handler: Box<dyn AnyHandler<S>>,
    pub(crate) state: std::rc::Rc<S>,
}

impl<S, Outer> AnyHandler<Outer> for WithState<S> {
    fn call<'a>(&'a self, request: Request, _: &'a Outer) -> Answer<'a> {
        self.handler.call(request, &self.state)
    }
}
