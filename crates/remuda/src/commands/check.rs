//! `remuda check`: what would be served, with which authority, under which limits, and
//! whether that is fit for production.

mod checklist;
mod exposure;

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use remuda_config::{Config, Loaded, Readiness, Route, Unfit};
use remuda_engine::component::{Compiled, compile};

use super::{compile::failure, describe::print, effective};
use crate::{
    cli::CheckArgs,
    configuration,
    exit::{Exit, Failure},
};
use checklist::{Allowed, Verdict, checklist};

pub(crate) fn run(args: CheckArgs) -> Result<(), Failure> {
    let Loaded { config, settings, warnings } = configuration::load(args.serve)?;
    let mut report = format!("Effective settings\n{}", effective::table(&settings));
    for warning in warnings {
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(report, "warning: {warning}");
    }
    print(&report)?;

    let mut compiled: BTreeMap<&Path, Compiled> = BTreeMap::new();
    for route in &config.routes {
        let component = route.component.as_path();
        if !compiled.contains_key(component) {
            compiled.insert(component, compile(component, &config.cache).map_err(failure)?);
        }
        let compiled = &compiled[component];
        let unfit = |unfit: Unfit| Failure::new(Exit::Component, unfit.to_string());
        compiled.needs.fit(&config, route).map_err(unfit)?;
        print(&describe(&config, route, compiled))?;
    }
    let items =
        checklist(&config, args.upstream_idle, Allowed::here(configuration::machine().memory()));
    let lines: String = items.iter().map(|item| format!("  {item}\n")).collect();
    print(&format!("\nChecklist\n{lines}"))?;
    match items.iter().filter(|item| item.verdict == Verdict::Fail).count() {
        0 => print("\nok\n"),
        failed => {
            let lines = if failed == 1 { "line fails" } else { "lines fail" };
            let message = format!("{failed} {lines} on the checklist above");
            Err(Failure::new(Exit::Configuration, message))
        }
    }
}

fn describe(config: &Config, route: &Route, compiled: &Compiled) -> String {
    let host = route.host.as_deref().unwrap_or_default();
    let interfaces = &compiled.interfaces;
    let mut text = format!("\nRoute {host}{}\n", route.path);
    let _ = writeln!(text, "  component  {}", route.component.display());
    let _ = writeln!(text, "  served as  {}", interfaces.handler);
    if exports(compiled, LIFECYCLE) {
        let Readiness { startup_timeout, shutdown_timeout, .. } = route.readiness;
        let times = format!("startup in {startup_timeout:?}, shutdown in {shutdown_timeout:?}");
        let _ = writeln!(text, "  hooks      {times}");
    }
    if exports(compiled, JOBS) {
        let _ = writeln!(text, "  jobs       run by those that import {OFFLOAD}");
    }
    text.push_str("  imports\n");
    let width = interfaces.imports.iter().map(String::len).max().unwrap_or_default();
    for import in &interfaces.imports {
        let _ = writeln!(text, "    {import:width$}  {}", grant(config, route, compiled, import));
    }
    text
}

const LIFECYCLE: &str = "remuda:runtime/lifecycle";
const JOBS: &str = "remuda:runtime/jobs";
const OFFLOAD: &str = "remuda:runtime/offload";

fn exports(compiled: &Compiled, interface: &str) -> bool {
    let mut names = compiled.interfaces.exports.iter();
    names.any(|name| name.split('@').next() == Some(interface))
}

/// What is behind an imported interface.
fn grant(config: &Config, route: &Route, compiled: &Compiled, import: &str) -> String {
    let name = import.split('@').next().unwrap_or(import);
    match name {
        "wasi:cli/environment" if route.env.is_empty() => "no variables; grant with env".to_owned(),
        "wasi:cli/environment" => {
            let names: Vec<&str> = route.env.iter().map(|(name, _)| name.as_str()).collect();
            format!("variables {}", names.join(", "))
        }
        "wasi:cli/stdout" | "wasi:cli/stderr" => "to the log".to_owned(),
        "wasi:cli/stdin" => "empty".to_owned(),
        "wasi:filesystem/preopens" | "wasi:filesystem/types" => mounts(route),
        "wasi:http/outgoing-handler" | "wasi:http/client" => outgoing(config),
        OFFLOAD if exports(compiled, JOBS) => {
            "jobs, each with limits.cpu_time and limits.memory for itself".to_owned()
        }
        OFFLOAD => "no jobs; the component exports none".to_owned(),
        _ if name.starts_with("wasi:sockets/") => "denied".to_owned(),
        _ => "granted".to_owned(),
    }
}

fn mounts(route: &Route) -> String {
    if route.mounts.is_empty() {
        return "no folders; grant with mounts".to_owned();
    }
    let mount = |mount: &remuda_config::Mount| {
        let access = if mount.write { "read and write" } else { "read only" };
        format!("{} at {} ({access})", mount.host.display(), mount.guest)
    };
    route.mounts.iter().map(mount).collect::<Vec<_>>().join(", ")
}

fn outgoing(config: &Config) -> String {
    if config.outbound.allow.is_empty() {
        return "denied; grant with outbound.allow".to_owned();
    }
    let origins: Vec<String> = config.outbound.allow.iter().map(ToString::to_string).collect();
    format!("to {}", origins.join(", "))
}
