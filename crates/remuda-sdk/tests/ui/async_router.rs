use remuda_sdk::{Router, handler};

#[handler]
async fn app() -> Router {
    Router::new()
}

fn main() {}
