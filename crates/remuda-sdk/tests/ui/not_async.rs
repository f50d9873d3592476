use remuda_sdk::{Request, handler};

#[handler]
fn handle(_request: Request) -> &'static str {
    "hello"
}

fn main() {}
