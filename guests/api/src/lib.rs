//! An API over what an instance keeps in memory: JSON, validation, server-sent events.
//!
//! | request | answer |
//! |---|---|
//! | `GET /items?limit=N` | the items |
//! | `POST /items` | a new item, 201 with its `Location` |
//! | `GET`, `PUT`, `DELETE /items/{id}` | one item, read, replaced, removed |
//! | `GET /events` | every change from now on, as server-sent events |
//! | `/` | how many items there are, and how many may be |
//!
//! `MAX_ITEMS` says how many there may be (1000); it is read before the first request, so that a server
//! with nonsense in it does not start.
//!
//! Each instance has items of its own, and loses them when it ends: what must last belongs into a
//! database. To see all of it from everywhere, serve it with `--workers 1 --instance-min-idle 0
//! --instance-max-requests 1000000`, and with `--instance-max-concurrency` as many as may come at once.

mod events;
mod items;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use remuda_sdk::{
    Error, Json, Path, Query, Result, Router, Sse, State, StatusCode, handler, shutdown, spawn,
    startup,
};
use serde::Deserialize;

use crate::{
    events::{Change, Events},
    items::{Item, Items, NewItem},
};

/// What all requests of an instance share. Nothing in it is borrowed across an `.await`.
#[derive(Clone, Default)]
struct App {
    items: Rc<RefCell<Items>>,
    events: Rc<Events>,
}

/// From the environment.
#[derive(Clone, Copy, Deserialize)]
#[serde(default)]
struct Config {
    max_items: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { max_items: 1000 }
    }
}

thread_local! {
    static CONFIG: Cell<Config> = Cell::default();
}

#[startup]
async fn configure() -> Result<()> {
    CONFIG.set(remuda_sdk::env()?);
    Ok(())
}

#[shutdown]
async fn leave() {
    tracing::info!("the items are gone");
}

#[derive(Deserialize)]
struct Page {
    limit: Option<usize>,
}

#[handler]
fn app() -> Router {
    Router::new()
        .get("/", describe)
        .get("/items", list)
        .post("/items", create)
        .get("/items/{id}", read)
        .put("/items/{id}", replace)
        .delete("/items/{id}", remove)
        .get("/events", watch)
        .with_state(App::default())
}

async fn describe(State(app): State<App>) -> String {
    format!("{} of {} items\n", app.items.borrow().len(), CONFIG.get().max_items)
}

async fn list(State(app): State<App>, Query(page): Query<Page>) -> Json<Vec<Item>> {
    Json(app.items.borrow().list(page.limit.unwrap_or(usize::MAX)))
}

async fn create(
    State(app): State<App>,
    Json(new): Json<NewItem>,
) -> Result<(StatusCode, [(&'static str, String); 1], Json<Item>)> {
    new.check()?;
    if app.items.borrow().len() >= CONFIG.get().max_items {
        return Err(Error::new(StatusCode::INSUFFICIENT_STORAGE, "there are too many items"));
    }
    let item = app.items.borrow_mut().add(new);
    tracing::info!(id = item.id, "created");
    // Whoever has created it does not wait until everybody knows.
    let change = Change::Created(item.clone());
    spawn(async move { app.events.send(&change) });
    let location = [("location", format!("/items/{}", item.id))];
    Ok((StatusCode::CREATED, location, Json(item)))
}

async fn read(State(app): State<App>, Path(id): Path<u32>) -> Result<Json<Item>> {
    app.items.borrow().get(id).map(Json).ok_or_else(|| no_such(id))
}

async fn replace(
    State(app): State<App>,
    Path(id): Path<u32>,
    Json(new): Json<NewItem>,
) -> Result<Json<Item>> {
    new.check()?;
    let item = app.items.borrow_mut().replace(id, new).ok_or_else(|| no_such(id))?;
    app.events.send(&Change::Replaced(item.clone()));
    Ok(Json(item))
}

async fn remove(State(app): State<App>, Path(id): Path<u32>) -> Result<StatusCode> {
    app.items.borrow_mut().remove(id).ok_or_else(|| no_such(id))?;
    app.events.send(&Change::Removed { id });
    Ok(StatusCode::NO_CONTENT)
}

async fn watch(State(app): State<App>) -> Sse {
    Sse::new(app.events.subscribe()).keep_alive(Duration::from_secs(10))
}

fn no_such(id: u32) -> Error {
    Error::not_found(format!("there is no item {id}"))
}

#[cfg(test)]
mod tests {
    use remuda_sdk::test;
    use serde_json::{Value, json};

    use super::app;

    #[test]
    fn items_come_and_go() {
        let app = app();
        let created =
            test::post("/items").json(&json!({"name": "saddle", "price": 5})).send_now(&app);
        assert_eq!((created.status().as_u16(), created.header("location")), (201, "/items/1"));
        let item = json!({"id": 1, "name": "saddle", "price": 5});
        assert_eq!(test::get("/items/1").send_now(&app).json::<Value>(), item);
        assert_eq!(test::delete("/items/1").send_now(&app).status(), 204);
        assert_eq!(test::get("/items/1").send_now(&app).status(), 404);
    }

    #[test]
    fn all_mistakes_are_named_at_once() {
        let response = test::post("/items").json(&json!({"name": " ", "price": 0})).send_now(app());
        assert_eq!(response.status(), 422);
        let errors = &response.json::<Value>()["errors"];
        assert_eq!(*errors, json!({"name": "is empty", "price": "is 0"}));
    }
}
