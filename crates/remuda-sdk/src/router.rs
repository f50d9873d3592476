//! Paths and methods to handlers.
//!
//! Owner: the component's handler. Invariant: a path leads to one route; what it does not answer is
//! answered here: 404, 405 with `Allow`, HEAD by GET.

mod methods;

use std::rc::Rc;

use http::{HeaderValue, Method, StatusCode, header};
use percent_encoding::percent_decode_str;

use methods::Found;
pub use methods::{MethodRouter, any, delete, get, options, patch, post, put};

use crate::{
    Body, Error, Handler, IntoResponse, Request, Response,
    handler::{Answer, AnyHandler, Typed, WithState},
    request::Params,
};

/// Routes by path and method.
///
/// A segment `{name}` stands for any text without a slash, a last one `{*name}` for all the rest; what
/// is fixed wins over both. A path without a route goes to the fallback, or is a 404; a method without
/// a handler is a 405 that names those there are. HEAD is answered by GET, without the body; OPTIONS is
/// left to you.
///
/// ```
/// use remuda_sdk::{Path, Router, routing::get, test};
///
/// async fn list() -> &'static str { "all items" }
/// async fn create() -> &'static str { "created" }
/// async fn read(Path(id): Path<u32>) -> String { format!("item {id}") }
///
/// let app = Router::new()
///     .route("/items", get(list).post(create))
///     .get("/items/{id}", read);
///
/// assert_eq!(test::get("/items/7").send_now(&app).text(), "item 7");
/// let response = test::delete("/items").send_now(&app);
/// assert_eq!((response.status().as_u16(), response.header("allow")), (405, "GET, HEAD, POST"));
/// ```
pub struct Router<S = ()> {
    index: matchit::Router<usize>,
    routes: Vec<Route<S>>,
    /// With what their paths begin, the longest first.
    fallbacks: Vec<(String, Box<dyn AnyHandler<S>>)>,
}

struct Route<S> {
    path: String,
    methods: MethodRouter<S>,
}

impl<S> Default for Router<S> {
    fn default() -> Self {
        Self { index: matchit::Router::new(), routes: Vec::new(), fallbacks: Vec::new() }
    }
}

macro_rules! by_method {
    ($($name:ident $method:ident,)*) => {$(
        #[doc = concat!("Answers ", stringify!($method), " of this path.")]
        ///
        /// # Panics
        /// When the path has such a handler already, or contradicts another one.
        ///
        /// ```
        /// # use remuda_sdk::Router;
        #[doc = concat!("Router::<()>::new().", stringify!($name), "(\"/\", async || \"hello\");")]
        /// ```
        #[must_use]
        pub fn $name<H, M>(self, path: &str, handler: H) -> Self
        where
            H: Handler<M, S> + 'static,
            M: 'static,
        {
            self.route(path, methods::$name(handler))
        }
    )*};
}

impl<S: 'static> Router<S> {
    /// A router without routes.
    ///
    /// ```
    /// # use remuda_sdk::{Router, test};
    /// let app: Router = Router::new();
    /// assert_eq!(test::get("/").send_now(&app).status(), 404);
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    by_method! {
        get GET,
        post POST,
        put PUT,
        patch PATCH,
        delete DELETE,
        options OPTIONS,
        any any,
    }

    /// Answers the methods of this path; those of the same path from several calls come together.
    ///
    /// # Panics
    /// When the path has a handler for one of them already, or contradicts another path.
    ///
    /// ```
    /// # use remuda_sdk::{Router, routing::get};
    /// Router::<()>::new().route("/", get(async || "read").put(async || "written"));
    /// ```
    #[must_use]
    pub fn route(mut self, path: &str, methods: MethodRouter<S>) -> Self {
        assert!(path.starts_with('/'), "failed to route \"{path}\": a path begins with a slash");
        if let Some(route) = self.routes.iter_mut().find(|route| route.path == path) {
            route.methods.merge(path, methods);
            return self;
        }
        if let Err(error) = self.index.insert(path, self.routes.len()) {
            panic!("failed to route \"{path}\": {error}");
        }
        self.routes.push(Route { path: path.to_owned(), methods });
        self
    }

    /// Puts the routes of another router, and its fallback, under a prefix. Handlers see the whole
    /// path.
    ///
    /// # Panics
    /// When a route contradicts another one.
    ///
    /// ```
    /// # use remuda_sdk::{Router, test};
    /// let api = Router::new().get("/items", async || "all items");
    /// let app = Router::new().nest("/api", api);
    /// assert_eq!(test::get("/api/items").send_now(&app).text(), "all items");
    /// ```
    #[must_use]
    pub fn nest(mut self, prefix: &str, router: Self) -> Self {
        let prefix = prefix.trim_end_matches('/');
        for Route { path, methods } in router.routes {
            let path = if path == "/" && !prefix.is_empty() { "" } else { &path };
            self = self.route(&format!("{prefix}{path}"), methods);
        }
        for (path, handler) in router.fallbacks {
            self.add_fallback(format!("{prefix}{path}"), handler);
        }
        self
    }

    /// Answers what has no route.
    ///
    /// ```
    /// # use remuda_sdk::{Router, StatusCode, test};
    /// let app = Router::new().fallback(async || (StatusCode::NOT_FOUND, "nothing here"));
    /// assert_eq!(test::get("/").send_now(&app).text(), "nothing here");
    /// ```
    #[must_use]
    pub fn fallback<H, M>(mut self, handler: H) -> Self
    where
        H: Handler<M, S> + 'static,
        M: 'static,
    {
        self.add_fallback(String::new(), Box::new(Typed::new(handler)));
        self
    }

    fn add_fallback(&mut self, prefix: String, handler: Box<dyn AnyHandler<S>>) {
        self.fallbacks.retain(|(other, _)| *other != prefix);
        self.fallbacks.push((prefix, handler));
        self.fallbacks.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
    }

    /// Gives the handlers so far their [`State`](crate::State).
    ///
    /// ```
    /// # use remuda_sdk::{Router, State, test};
    /// async fn name(State(name): State<&'static str>) -> &'static str { name }
    ///
    /// let app: Router = Router::new().get("/", name).with_state("Ada");
    /// assert_eq!(test::get("/").send_now(&app).text(), "Ada");
    /// ```
    #[must_use]
    pub fn with_state<Outer: 'static>(self, state: S) -> Router<Outer> {
        let state = Rc::new(state);
        let give = |handler: Box<dyn AnyHandler<S>>| -> Box<dyn AnyHandler<Outer>> {
            Box::new(WithState { handler, state: Rc::clone(&state) })
        };
        let routes = self.routes.into_iter();
        let routes =
            routes.map(|Route { path, methods }| Route { path, methods: methods.map(give) });
        let fallbacks = self.fallbacks.into_iter();
        let fallbacks = fallbacks.map(|(prefix, handler)| (prefix, give(handler)));
        Router { index: self.index, routes: routes.collect(), fallbacks: fallbacks.collect() }
    }

    fn answer<'a>(&'a self, mut request: Request, state: &'a S) -> Answer<'a> {
        let Ok(found) = self.index.at(request.path()) else { return self.unrouted(request, state) };
        let Some(params) = decode(&found.params) else {
            let error = Error::bad_request("the path is not UTF-8");
            return Box::pin(async move { error.into_response() });
        };
        let methods = &self.routes[*found.value].methods;
        request.set_params(params);
        match methods.find(request.method()) {
            Found::Handler(handler) => handler.call(request, state),
            Found::Get(handler) => {
                Box::pin(async move { head(handler.call(request, state).await) })
            }
            Found::None => {
                let allow = methods.allow();
                Box::pin(async move { not_allowed(request.method(), &allow) })
            }
        }
    }

    fn unrouted<'a>(&'a self, request: Request, state: &'a S) -> Answer<'a> {
        let path = request.path();
        let is_under = |prefix: &str| {
            path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        match self.fallbacks.iter().find(|(prefix, _)| is_under(prefix)) {
            Some((_, handler)) => handler.call(request, state),
            None => Box::pin(async { Error::not_found("there is nothing here").into_response() }),
        }
    }
}

/// `None` when one is not UTF-8.
fn decode(params: &matchit::Params<'_, '_>) -> Option<Params> {
    let decoded = params.iter().map(|(name, value)| {
        let value = percent_decode_str(value).decode_utf8().ok()?;
        Some((name.to_owned(), value.into_owned()))
    });
    decoded.collect()
}

/// The response to GET as one to HEAD (RFC 9110, section 9.3.2).
fn head(mut response: Response) -> Response {
    let length = response.body().known_len();
    *response.body_mut() = Body::empty();
    if let Some(length) = length {
        response.headers_mut().entry(header::CONTENT_LENGTH).or_insert(length.into());
    }
    response
}

fn not_allowed(method: &Method, allow: &str) -> Response {
    let detail = format!("{method} is not allowed here, only {allow}");
    let mut response = Error::new(StatusCode::METHOD_NOT_ALLOWED, detail).into_response();
    if let Ok(allow) = HeaderValue::from_str(allow) {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    response
}

/// Marks a router among handlers.
#[doc(hidden)]
pub struct ViaRouter;

impl<S: 'static> Handler<ViaRouter, S> for Router<S> {
    async fn call(&self, request: Request, state: &S) -> Response {
        self.answer(request, state).await
    }
}

impl<S: 'static> Handler<ViaRouter, S> for &Router<S> {
    async fn call(&self, request: Request, state: &S) -> Response {
        self.answer(request, state).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Path, routing, test};

    fn app() -> Router {
        let api = Router::new()
            .get("/", async || "api")
            .get("/items/{id}", async |Path(id): Path<u32>| id.to_string())
            .fallback(async || "api fallback");
        Router::new()
            .get("/", async || "root")
            .post("/", async || "posted")
            .get("/files/{*path}", async |Path(path): Path<String>| path)
            .get("/files/new", async || "new")
            .nest("/api", api)
    }

    #[track_caller]
    fn assert_answers(path: &str, status: u16, text: &str) {
        let response = test::get(path).send_now(app());
        assert_eq!(
            (response.status().as_u16(), response.text().as_str()),
            (status, text),
            "{path}"
        );
    }

    #[test]
    fn paths_lead_to_their_handlers() {
        assert_answers("/", 200, "root");
        assert_answers("/files/a/b%2Fc", 200, "a/b/c");
        assert_answers("/files/new", 200, "new");
        assert_answers("/api", 200, "api");
        assert_answers("/api/items/7?x=y", 200, "7");
        assert_answers("/api/items/7/", 200, "api fallback");
        assert_answers(
            "/apis",
            404,
            r#"{"detail":"there is nothing here","status":404,"title":"Not Found"}"#,
        );
        assert_eq!(test::get("/files/%FF").send_now(app()).status(), 400);
    }

    #[test]
    fn methods_are_told_apart() {
        assert_eq!(test::post("/").send_now(app()).text(), "posted");
        let response = test::delete("/").send_now(app());
        assert_eq!(response.status(), 405);
        assert_eq!(response.header("allow"), "GET, HEAD, POST");
        let response = test::request(Method::HEAD, "/").send_now(app());
        assert_eq!((response.status().as_u16(), response.text().as_str()), (200, ""));
        assert_eq!(response.header("content-length"), "4");
        let any: Router = Router::new().any("/", async |method: Method| method.to_string());
        assert_eq!(test::request(Method::TRACE, "/").send_now(&any).text(), "TRACE");
    }

    #[test]
    #[should_panic(expected = "failed to route \"/{b}\"")]
    fn paths_that_contradict_each_other_are_a_mistake() {
        let _: Router = Router::new().get("/{a}", async || "a").get("/{b}", async || "b");
    }

    #[test]
    #[should_panic(expected = "GET \"/\" has a handler already")]
    fn a_method_twice_is_a_mistake() {
        let _: Router = Router::new().get("/", async || "a").route("/", routing::get(async || "b"));
    }

    #[test]
    fn each_router_has_its_own_state() {
        use crate::State;
        async fn show(State(text): State<&'static str>) -> &'static str {
            text
        }
        async fn count(State(number): State<u32>) -> String {
            number.to_string()
        }
        let inner = Router::new().get("/inner", count).with_state(7);
        let app: Router = Router::new().get("/outer", show).nest("/a", inner).with_state("text");
        assert_eq!(test::get("/outer").send_now(&app).text(), "text");
        assert_eq!(test::get("/a/inner").send_now(&app).text(), "7");
    }
}
