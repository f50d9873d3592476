use remuda_sdk::{Json, Method, handler};

#[handler]
async fn handle(_body: Json<u32>, _method: Method) -> &'static str {
    "hello"
}

fn main() {}
