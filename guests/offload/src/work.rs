//! The jobs.
//!
//! | job | payload | result |
//! |---|---|---|
//! | `primes` | a number as text | how many primes there are below it |
//! | `reverse` | bytes | the same from back to front |
//! | `burn` | milliseconds as text | nothing, after so much work |
//! | `sleep` | milliseconds as text | nothing, after so much waiting |
//! | `alloc` | MiB as text | nothing, after so much memory was taken |
//! | `fail` | text | the error of this text |
//! | `trap` | | none: it traps |
//! | `started` | | whether the hook `startup` was called for the job's instance |
//! | `nested` | | what comes of running a job in a job |

use std::hint::black_box;
use std::time::Duration;

use crate::hooks;

/// Why a job has no result.
pub enum Failure {
    Unknown,
    Failed(String),
}

/// Runs a job; `offload` is how this component runs another one.
pub fn run(
    job: &str,
    payload: Vec<u8>,
    offload: impl FnOnce(&str) -> String,
) -> Result<Vec<u8>, Failure> {
    let text = String::from_utf8_lossy(&payload).into_owned();
    let number = text.trim().parse::<u64>().unwrap_or_default();
    let result = match job {
        "primes" => primes(number).to_string(),
        "reverse" => return Ok(payload.into_iter().rev().collect()),
        "burn" => {
            hooks::burn(Duration::from_millis(number));
            String::new()
        }
        "sleep" => {
            println!("job sleeps");
            std::thread::sleep(Duration::from_millis(number));
            println!("job slept");
            String::new()
        }
        "alloc" => {
            for _ in 0..number {
                std::mem::forget(black_box(vec![0xa5_u8; 1 << 20]));
            }
            String::new()
        }
        "fail" => return Err(Failure::Failed(text)),
        "trap" => core::arch::wasm32::unreachable(),
        "started" => hooks::is_started().to_string(),
        "nested" => offload("reverse"),
        _ => return Err(Failure::Unknown),
    };
    Ok(result.into_bytes())
}

/// How many primes there are below a number.
fn primes(limit: u64) -> usize {
    (2..limit).filter(|candidate| is_prime(*candidate)).count()
}

fn is_prime(number: u64) -> bool {
    let divisors = 2..=number.isqrt();
    { divisors }.all(|divisor| !number.is_multiple_of(divisor))
}
