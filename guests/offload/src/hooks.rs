//! What happens before the first request and after the last one: whatever the test says.
//!
//! A hook does what the variable of its name says, or else the file of its name in `/hooks`:
//! `trap`, `error TEXT`, `spin`, `sleep MS`, or nothing but to print that it was called.

use std::cell::Cell;
use std::hint::black_box;
use std::time::{Duration, Instant};

thread_local! {
    static STARTED: Cell<bool> = const { Cell::new(false) };
}

/// Whether this instance has been started.
pub fn is_started() -> bool {
    STARTED.get()
}

pub fn startup() -> Result<(), String> {
    println!("startup called");
    act("startup")?;
    STARTED.set(true);
    println!("startup done");
    Ok(())
}

pub fn shutdown() {
    println!("shutdown called");
    if act("shutdown").is_ok() {
        println!("shutdown done");
    }
}

fn act(hook: &str) -> Result<(), String> {
    let variable = std::env::var(hook.to_uppercase());
    let file = || std::fs::read_to_string(format!("/hooks/{hook}")).unwrap_or_default();
    let order = variable.unwrap_or_else(|_| file());
    let (word, rest) = order.trim().split_once(' ').unwrap_or((order.trim(), ""));
    match word {
        "trap" => core::arch::wasm32::unreachable(),
        "error" => return Err(rest.to_owned()),
        "spin" => loop {
            black_box(());
        },
        "sleep" => std::thread::sleep(Duration::from_millis(rest.parse().unwrap_or_default())),
        "burn" => burn(Duration::from_millis(rest.parse().unwrap_or_default())),
        _ => {}
    }
    Ok(())
}

/// Uses the processor for so long.
pub fn burn(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        for round in 0..10_000 {
            black_box(round);
        }
    }
}
