use remuda_sdk::startup;

#[startup]
async fn start(_name: String) {}

fn main() {}
