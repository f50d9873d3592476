//! Whole runs against servers of these tests.
//!
//! A [`server::Server`] answers what a path asks for, and misbehaves on request; what it has
//! seen is compared with what the load generator has counted.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod closed;
mod errors;
mod open;
mod reports;
mod server;
mod transport;

use std::{future::pending, sync::Arc};

use remuda_load::{
    Outcome, RunError,
    report::Report,
    scenario::{Raw, Scenario},
};

/// A scenario of TOML, for a target.
fn scenario(target: &str, text: &str) -> Arc<Scenario> {
    let raw: Raw = toml::from_str(text).unwrap();
    let raw = Raw { target: Some(target.to_owned()), ..raw };
    Arc::new(Scenario::validate(raw).unwrap())
}

/// Runs to the end.
fn run(scenario: &Arc<Scenario>) -> Result<Outcome, RunError> {
    remuda_load::run(scenario, &mut (), pending())
}

/// Runs to the end and tells.
fn report(target: &str, text: &str) -> Report {
    let scenario = scenario(target, text);
    Report::new(&scenario, &run(&scenario).unwrap()).unwrap()
}
