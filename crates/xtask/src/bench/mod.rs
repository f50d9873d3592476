//! Compares Remuda with other servers, or with itself of another day.
//!
//! Owns what the comparison is made with: guests, release binaries, peers in a virtual environment.
//! What is measured, and how, is said in benches/compare. Invariant: nothing outside of the target
//! folder changes, but for the page that `--render` is asked for.

mod against;
mod peers;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};
use remuda_project::process::{run, say, step, succeeds};

use crate::guests;
use crate::workspace::Workspace;

/// What the comparison serves.
const GUESTS: [&str; 6] = ["cpu", "hello", "hello-p2", "works", "works-p2", "works-sdk"];

#[derive(clap::Args)]
pub(crate) struct BenchArgs {
    /// Only these works, such as text or knee [default: all]
    work: Vec<String>,
    /// How often each server is measured [default: 3; less for the long works]
    #[arg(long)]
    rounds: Option<u32>,
    /// Seconds of load per measurement [default: 1]
    #[arg(long)]
    seconds: Option<f64>,
    /// Only the servers whose name contains this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Write all figures to this file [default: target/bench/figures.json]
    #[arg(long, value_name = "FILE", conflicts_with = "against")]
    json: Option<PathBuf>,
    /// The `wasmtime` command [default: the one on the PATH; otherwise it is skipped]
    #[arg(long, value_name = "PATH", env = "WASMTIME")]
    wasmtime: Option<PathBuf>,
    /// Folder of the commands of Python's servers [default: installed from PyPI into target/peers]
    #[arg(long, value_name = "FOLDER", env = "PEERS")]
    peers: Option<PathBuf>,
    /// Try the tools with a debug build, in a minute: says nothing of speed
    #[arg(long, conflicts_with_all = ["against", "rounds", "seconds", "only"])]
    smoke: bool,
    /// Measure nothing: write docs/performance.md and its charts from these figures
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["work", "rounds", "seconds", "only", "json", "smoke", "against"]
    )]
    render: Option<PathBuf>,
    /// Compare with another revision of Remuda, in turn, and tell what is better or worse
    ///
    /// It is checked out under target/against and built there. Works are text (the default), json,
    /// stream, echo and wait; --rounds is the number of slices.
    #[arg(long, value_name = "REV")]
    against: Option<String>,
}

/// Builds what it takes, and measures.
///
/// # Errors
/// When a build or a measurement fails. Peers that are not there are skipped, and named.
pub(crate) fn bench(workspace: &Workspace, args: &BenchArgs) -> Result<()> {
    if args.smoke {
        guests::build_named(workspace, &GUESTS.map(str::to_owned))?;
        step("building server and tools");
        // As tests have it: another choice of packages would compile wasmtime once more.
        run(workspace.cargo().args(["build", "--workspace", "--all-targets"]))?;
        return smoke(workspace);
    }
    if let Some(figures) = &args.render {
        return render(workspace, figures);
    }
    // Before anything is built: a revision is easily misspelt.
    let commit = args.against.as_deref().map(|rev| against::commit(workspace, rev)).transpose()?;
    guests::build_named(workspace, &GUESTS.map(str::to_owned))?;
    if let Some(commit) = commit {
        let before = against::build(workspace, &commit)?;
        build(workspace)?;
        step(&format!("comparing with {commit}"));
        let mut compare = compare(workspace, "against");
        compare.args(&args.work).arg("--before").arg(before);
        return Ok(run(args.options(&mut compare))?);
    }
    build(workspace)?;
    let peers = match &args.peers {
        Some(folder) => folder.clone(),
        None => peers::install(workspace),
    };
    let wasmtime = args.wasmtime.clone().unwrap_or_else(|| PathBuf::from("wasmtime"));
    if !succeeds(Command::new(&wasmtime).arg("--version")) {
        say(
            "there is no wasmtime: it is skipped. `cargo install wasmtime-cli --locked` builds one in \
             some minutes; --wasmtime PATH takes another",
        );
    }
    step("measuring");
    let figures = workspace.target("bench/figures.json");
    let mut compare = compare(workspace, "run");
    compare.args(&args.work).arg("--wasmtime").arg(wasmtime).arg("--peers").arg(peers);
    compare.arg("--json").arg(args.json.as_ref().unwrap_or(&figures));
    Ok(run(args.options(&mut compare))?)
}

/// Tries the tools with what a build of the whole workspace has made.
///
/// # Errors
/// When a figure is missing.
pub(crate) fn smoke(workspace: &Workspace) -> Result<()> {
    step("trying the comparison");
    let figures = workspace.target("bench/smoke.json");
    let mut compare = tool(workspace, "debug", "run");
    Ok(run(compare.args(["--smoke", "--profile", "debug", "--json"]).arg(figures))?)
}

fn render(workspace: &Workspace, figures: &Path) -> Result<()> {
    if !figures.exists() {
        bail!(
            "failed to render {}: there is no such file; `cargo xtask bench` writes one",
            figures.display()
        );
    }
    build(workspace)?;
    let mut render = Command::new(workspace.target("release/compare"));
    render.arg("render").arg(figures).arg("--page").arg(workspace.path("docs/performance.md"));
    Ok(run(&mut render)?)
}

/// Server, tools and the servers of native hyper. Always together, or features would differ.
fn build(workspace: &Workspace) -> Result<()> {
    step("building server and tools");
    run(workspace.cargo().args(PACKAGES))?;
    Ok(())
}

/// As every release build here has them.
const PACKAGES: [&str; 6] =
    ["build", "--release", "--package", "remuda", "--package", "remuda-benches"];

fn compare(workspace: &Workspace, mode: &str) -> Command {
    tool(workspace, "release", mode)
}

fn tool(workspace: &Workspace, profile: &str, mode: &str) -> Command {
    let mut compare = Command::new(workspace.target(profile).join("compare"));
    compare.arg(mode).arg("--target").arg(workspace.target(""));
    compare
}

impl BenchArgs {
    /// Those that all measurements take.
    fn options<'a>(&self, compare: &'a mut Command) -> &'a mut Command {
        let mut option = |name: &str, value: Option<&dyn AsRef<OsStr>>| {
            if let Some(value) = value {
                compare.arg(name).arg(value);
            }
        };
        let rounds = self.rounds.map(|rounds| rounds.to_string());
        let seconds = self.seconds.map(|seconds| seconds.to_string());
        option("--rounds", rounds.as_ref().map(|it| it as &dyn AsRef<OsStr>));
        option("--seconds", seconds.as_ref().map(|it| it as &dyn AsRef<OsStr>));
        option("--only", self.only.as_ref().map(|it| it as &dyn AsRef<OsStr>));
        compare
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        bench: BenchArgs,
    }

    fn parse(line: &str) -> Result<BenchArgs, clap::Error> {
        Line::try_parse_from(["bench"].into_iter().chain(line.split_whitespace()))
            .map(|line| line.bench)
    }

    #[test]
    fn what_makes_no_sense_together_is_refused() {
        for line in [
            "--render a.json text",
            "--render a.json --smoke",
            "--smoke --rounds 3",
            "--against main --json a.json",
            "--rounds many",
            "--render",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn options_are_passed_on() -> Result<()> {
        let args = parse("text knee --rounds 5 --seconds 0.5 --only remuda")?;
        assert_eq!(args.work, ["text", "knee"]);
        let mut command = Command::new("compare");
        let passed: Vec<_> = args.options(&mut command).get_args().collect();
        assert_eq!(passed, ["--rounds", "5", "--seconds", "0.5", "--only", "remuda"]);
        Ok(())
    }
}
