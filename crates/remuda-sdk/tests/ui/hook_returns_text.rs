use remuda_sdk::startup;

#[startup]
async fn start() -> String {
    String::new()
}

fn main() {}
