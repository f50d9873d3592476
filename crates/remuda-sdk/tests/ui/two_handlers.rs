use remuda_sdk::handler;

#[handler]
async fn first() -> &'static str {
    "first"
}

#[handler]
async fn second() -> &'static str {
    "second"
}

fn main() {}
