//! State.

use super::FromRequestParts;
use crate::{Request, Result};

/// A clone of what the router was given with [`with_state`](crate::Router::with_state).
///
/// It lives as long as its instance, and every instance has its own: how many requests an instance
/// serves, one after the other and at a time, is a setting of the server (`instances`). An instance
/// has one thread, so that `Rc` and `RefCell` do; a `RefCell` is not to be borrowed across an
/// `.await`, for another request may come in between.
///
/// ```
/// use std::{cell::Cell, rc::Rc};
///
/// use remuda_sdk::{Router, State, test};
///
/// async fn count(State(counter): State<Rc<Cell<u32>>>) -> String {
///     counter.set(counter.get() + 1);
///     counter.get().to_string()
/// }
///
/// let app = Router::new().get("/", count).with_state(Rc::new(Cell::new(0)));
/// test::get("/").send_now(&app);
/// assert_eq!(test::get("/").send_now(&app).text(), "2");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct State<S>(pub S);

impl<S: Clone> FromRequestParts<S> for State<S> {
    async fn from_request_parts(_: &Request, state: &S) -> Result<Self> {
        Ok(Self(state.clone()))
    }
}
