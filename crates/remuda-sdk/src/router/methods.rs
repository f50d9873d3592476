//! The handlers of one path.

use http::Method;

use crate::{
    Handler,
    handler::{AnyHandler, Typed},
};

/// Handlers by method; what [`get`] and its like make.
///
/// ```
/// use remuda_sdk::{Router, routing::get};
///
/// async fn read() -> &'static str { "read" }
/// async fn write() -> &'static str { "written" }
///
/// let app: Router = Router::new().route("/", get(read).put(write));
/// ```
pub struct MethodRouter<S = ()> {
    /// `None` stands for all that have none of their own.
    handlers: Vec<(Option<Method>, Box<dyn AnyHandler<S>>)>,
}

macro_rules! methods {
    ($($name:ident $method:ident,)*) => {$(
        #[doc = concat!("A handler of ", stringify!($method), ".")]
        ///
        /// ```
        #[doc = concat!("# use remuda_sdk::routing::{MethodRouter, ", stringify!($name), "};")]
        #[doc = concat!("let methods: MethodRouter = ", stringify!($name), "(async || \"hello\");")]
        /// ```
        pub fn $name<S, H, M>(handler: H) -> MethodRouter<S>
        where
            S: 'static,
            H: Handler<M, S> + 'static,
            M: 'static,
        {
            MethodRouter { handlers: Vec::new() }.$name(handler)
        }
    )*

    impl<S: 'static> MethodRouter<S> {$(
        #[doc = concat!("A handler of ", stringify!($method), " too.")]
        ///
        /// # Panics
        /// When there is one already.
        ///
        /// ```
        /// # use remuda_sdk::{Router, routing::{MethodRouter, get, options}};
        #[doc = concat!("let methods: MethodRouter = options(async || \"\")",
            methods!(@call $name), ";")]
        /// ```
        #[must_use]
        pub fn $name<H, M>(self, handler: H) -> Self
        where
            H: Handler<M, S> + 'static,
            M: 'static,
        {
            self.on(methods!(@method $method), handler)
        }
    )*}};
    (@call options) => { "" };
    (@call $name:ident) => { concat!(".", stringify!($name), "(async || \"hello\")") };
    (@method any) => { None };
    (@method $method:ident) => { Some(Method::$method) };
}

methods! {
    get GET,
    post POST,
    put PUT,
    patch PATCH,
    delete DELETE,
    options OPTIONS,
    any any,
}

/// Who answers a method.
pub(super) enum Found<'a, S> {
    Handler(&'a dyn AnyHandler<S>),
    /// The handler of GET, to whose response HEAD is the head.
    Get(&'a dyn AnyHandler<S>),
    None,
}

impl<S: 'static> MethodRouter<S> {
    /// A handler of this method, or of all others.
    fn on<H, M>(mut self, method: Option<Method>, handler: H) -> Self
    where
        H: Handler<M, S> + 'static,
        M: 'static,
    {
        let handlers = vec![(method, Box::new(Typed::new(handler)) as _)];
        self.merge("the route", Self { handlers });
        self
    }

    pub(super) fn merge(&mut self, path: &str, other: Self) {
        for (method, handler) in other.handlers {
            if self.handlers.iter().any(|(there, _)| *there == method) {
                let method = method.as_ref().map_or("any", Method::as_str);
                panic!("failed to route: {method} \"{path}\" has a handler already");
            }
            self.handlers.push((method, handler));
        }
    }

    pub(super) fn find(&self, method: &Method) -> Found<'_, S> {
        let find = |wanted: Option<&Method>| {
            let mut handlers = self.handlers.iter();
            handlers.find(|(there, _)| there.as_ref() == wanted).map(|(_, handler)| &**handler)
        };
        if let Some(handler) = find(Some(method)) {
            return Found::Handler(handler);
        }
        let get = (method == Method::HEAD).then(|| find(Some(&Method::GET))).flatten();
        let any = || find(None).map(Found::Handler);
        get.map(Found::Get).or_else(any).unwrap_or(Found::None)
    }

    /// The value of the header `Allow`.
    pub(super) fn allow(&self) -> String {
        let mut names: Vec<&str> =
            self.handlers.iter().flat_map(|(it, _)| it).map(Method::as_str).collect();
        if names.contains(&"GET") {
            names.push("HEAD");
        }
        names.sort_unstable();
        names.join(", ")
    }

    pub(super) fn map<T>(
        self,
        change: impl Fn(Box<dyn AnyHandler<S>>) -> Box<dyn AnyHandler<T>>,
    ) -> MethodRouter<T> {
        let handlers = self.handlers.into_iter();
        MethodRouter { handlers: handlers.map(|(method, it)| (method, change(it))).collect() }
    }
}
