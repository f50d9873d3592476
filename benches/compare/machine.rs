//! What the figures were measured on, and with: a figure without that is hearsay.
//!
//! Invariant: what cannot be found out is left out; it never ends a run.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use remuda_comparison::machine::Machine;

use crate::bench::Options;

pub(crate) fn this(options: &Options) -> Machine {
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.and_then(|line| line.split_once(':')).map(|(_, model)| model.trim());
    let meminfo = read("/proc/meminfo");
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let total = total.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    Machine {
        cpu: model.unwrap_or(std::env::consts::ARCH).to_owned(),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        memory_mib: total.unwrap_or(0) / 1024,
        kernel: format!("Linux {}", read("/proc/sys/kernel/osrelease").trim()),
        commit: commit(),
        versions: versions(options),
    }
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn checkout() -> &'static str {
    concat!(env!("CARGO_MANIFEST_DIR"), "/..")
}

fn commit() -> String {
    let git = |args: &[&str]| said(Command::new("git").current_dir(checkout()).args(args));
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else { return String::new() };
    let is_changed = git(&["status", "--porcelain", "--untracked-files=no"]).is_some();
    format!("{commit}{}", if is_changed { "+" } else { "" })
}

fn versions(options: &Options) -> BTreeMap<String, String> {
    let mut versions = BTreeMap::new();
    let lock = read(Path::new(checkout()).join("Cargo.lock"));
    for package in ["hyper", "tokio", "wasmtime"] {
        if let Some(version) = locked(&lock, package) {
            versions.insert(package.to_owned(), version);
        }
    }
    let mut ask = |name: &str, command: &mut Command| {
        if let Some(version) = said(command) {
            // Some print their own name before it.
            let own = name.split(' ').next().unwrap_or_default();
            let version = version.strip_prefix(own).unwrap_or(&version).trim();
            versions.insert(name.to_owned(), version.to_owned());
        }
    };
    ask("rustc", Command::new("rustc").arg("--version"));
    ask("wasmtime serve", Command::new(&options.wasmtime).arg("--version"));
    let python = options.peers.join("python");
    ask("Python", Command::new(&python).args(["-c", "import sys; print(sys.version.split()[0])"]));
    for package in ["aiohttp", "fastapi", "granian", "uvicorn", "uvloop"] {
        let show = format!("from importlib.metadata import version; print(version('{package}'))");
        ask(package, Command::new(&python).args(["-c", &show]));
    }
    versions
}

/// The version that Cargo.lock has of a package.
fn locked(lock: &str, package: &str) -> Option<String> {
    let name = format!("name = \"{package}\"");
    let mut lines = lock.lines().skip_while(|line| *line != name).skip(1);
    Some(lines.next()?.strip_prefix("version = \"")?.trim_end_matches('"').to_owned())
}

/// The first line that a command prints, if it can be run and prints one.
fn said(command: &mut Command) -> Option<String> {
    let output = command.stdin(std::process::Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    text.lines().next().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty())
}
