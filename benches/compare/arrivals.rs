//! Loads of `remuda load`, as a crate: above all requests that come when it is time, whatever
//! became of the others.
//!
//! Invariant: whoever waits for a load and is dropped ends it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use remuda_load::{
    report::Report,
    scenario::{Raw, RawEndpoint, Scenario},
};
use tokio::sync::oneshot;

/// Arrivals at a rate, each on a connection that is free.
pub(crate) fn open(address: SocketAddr, path: &str, rate: f64, duration: Duration) -> Raw {
    Raw {
        target: Some(format!("http://{address}")),
        rate: Some(rate),
        duration: Some(format!("{}ms", duration.as_millis())),
        endpoints: vec![RawEndpoint { path: Some(path.to_owned()), ..RawEndpoint::default() }],
        threads: Some(1),
        ..Raw::default()
    }
}

/// Callers who ask again as soon as they are answered.
pub(crate) fn closed(address: SocketAddr, path: &str, users: usize) -> Raw {
    Raw { rate: None, users: u32::try_from(users).ok(), ..open(address, path, 0.0, Duration::ZERO) }
}

/// The same for so long, told as one interval.
pub(crate) fn lasting(raw: Raw, duration: Duration) -> Raw {
    let duration = Some(format!("{}ms", duration.as_millis()));
    Raw { duration: duration.clone(), interval: duration, ..raw }
}

/// Sends it all.
///
/// # Errors
/// When the server cannot be reached at the start.
pub(crate) async fn send(raw: Raw) -> Result<Report> {
    send_until(raw, std::future::pending()).await
}

/// Sends until `enough` is ready, or all is sent.
///
/// # Errors
/// When the server cannot be reached at the start.
pub(crate) async fn send_until(raw: Raw, enough: impl Future<Output = ()>) -> Result<Report> {
    let scenario = Arc::new(Scenario::validate(raw).context("a work has an impossible load")?);
    let (wanted, unwanted) = oneshot::channel::<()>();
    let sending = tokio::task::spawn_blocking(move || {
        let interrupt = async {
            // Nobody sends; the other end is dropped.
            let _ = unwanted.await;
        };
        let outcome = remuda_load::run(&scenario, &mut (), interrupt)?;
        anyhow::Ok(Report::new(&scenario, &outcome)?)
    });
    tokio::pin!(sending);
    let report = tokio::select! {
        report = &mut sending => report,
        () = enough => {
            drop(wanted);
            sending.await
        }
    };
    report.context("the load ended early")?
}
