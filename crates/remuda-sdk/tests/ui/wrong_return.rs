use remuda_sdk::handler;

struct Greeting;

#[handler]
async fn handle() -> Greeting {
    Greeting
}

fn main() {}
