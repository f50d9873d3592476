//! Compares Remuda with other servers, or with itself of another day.
//!
//! Owns what the comparison is made with: guests, release binaries, peers in a virtual environment.
//! What is measured, and how, is said in benches/compare. Invariant: nothing outside of the target
//! folder changes, but for the page that `--render` is asked for.

mod against;
mod peers;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use remuda_comparison::render::Render;
use remuda_comparison::{Choice, report};
use remuda_project::process::{run, say, step, succeeds};

use crate::guests;
use crate::workspace::Workspace;

/// What the comparison serves.
const GUESTS: [&str; 6] = ["cpu", "hello", "hello-p2", "works", "works-p2", "works-sdk"];

#[derive(clap::Args)]
pub(crate) struct BenchArgs {
    #[command(flatten)]
    choice: Choice,
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
    #[arg(long, conflicts_with_all = ["against", "works", "rounds", "seconds", "only"])]
    smoke: bool,
    /// Measure nothing: write docs/performance.md and its charts from these figures
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["works", "rounds", "seconds", "only", "json", "smoke", "against"]
    )]
    render: Option<PathBuf>,
    /// Render although the page has works or servers that were not measured: it loses them
    #[arg(long, requires = "render")]
    partial: bool,
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
    args.check(workspace)?;
    if args.smoke {
        guests::build_named(workspace, &GUESTS.map(str::to_owned))?;
        step("building server and tools");
        // As tests have it: another choice of packages would compile wasmtime once more.
        run(workspace.cargo().args(["build", "--workspace", "--all-targets"]))?;
        return smoke(workspace);
    }
    if let Some(figures) = &args.render {
        return render(workspace, figures, args.partial);
    }
    // Before anything is built: a revision is easily misspelt.
    let commit = args.against.as_deref().map(|rev| against::commit(workspace, rev)).transpose()?;
    guests::build_named(workspace, &GUESTS.map(str::to_owned))?;
    if let Some(commit) = commit {
        let before = against::build(workspace, &commit)?;
        build(workspace)?;
        step(&format!("comparing with {commit}"));
        let mut compare = compare(workspace, "against");
        return measure(compare.args(args.choice.args()).arg("--before").arg(before));
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
    let mut compare = compare(workspace, "run");
    compare.args(args.choice.args()).arg("--wasmtime").arg(wasmtime).arg("--peers").arg(peers);
    measure(compare.arg("--json").arg(args.json(workspace)))
}

/// Tries the tools with what a build of the whole workspace has made.
///
/// # Errors
/// When a figure is missing.
pub(crate) fn smoke(workspace: &Workspace) -> Result<()> {
    step("trying the comparison");
    let figures = workspace.target("bench/smoke.json");
    let mut compare = tool(workspace, "debug", "run");
    measure(compare.args(["--smoke", "--profile", "debug", "--json"]).arg(figures))
}

fn render(workspace: &Workspace, figures: &Path, is_partial: bool) -> Result<()> {
    ensure!(
        figures.exists(),
        "failed to render {}: there is no such file; `cargo xtask bench` writes one",
        figures.display()
    );
    let page = workspace.path("docs/performance.md");
    let folder = Render { figures: figures.to_owned(), page: page.clone(), is_partial }.run()?;
    println!("wrote {} and its charts in {}", page.display(), folder.display());
    Ok(())
}

/// Runs what measures, which tells itself what goes wrong.
fn measure(compare: &mut Command) -> Result<()> {
    let program = compare.get_program().to_owned();
    let status = compare.status();
    let status = status.with_context(|| format!("failed to run {}", program.display()))?;
    ensure!(status.success(), "failed to measure: it ended with {status}, for the reason above");
    Ok(())
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
    /// All that can be known to fail before anything is built.
    fn check(&self, workspace: &Workspace) -> Result<()> {
        if self.smoke || self.render.is_some() {
            return Ok(());
        }
        if self.against.is_some() {
            return Ok(self.choice.check_against()?);
        }
        self.choice.check()?;
        Ok(report::prepare(&self.json(workspace))?)
    }

    fn json(&self, workspace: &Workspace) -> PathBuf {
        self.json.clone().unwrap_or_else(|| workspace.target("bench/figures.json"))
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
            "--partial",
            "--smoke text",
            "nope",
            "text --rounds 0",
            "--seconds 0",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn what_measures_nothing_is_refused_before_anything_is_built() -> Result<()> {
        let folder = std::env::temp_dir().join(format!("remuda-bench-{}", std::process::id()));
        let workspace = Workspace::locate()?;
        let json = format!("--json {}", folder.join("figures.json").display());
        for (line, told) in [
            ("text --only zzz", "native hyper"),
            ("overload --against HEAD~1", "overload"),
            ("--against HEAD~1 --only native", "remuda SDK"),
            ("--against HEAD~1 --rounds 2", "--rounds 8"),
            ("--json /dev/null/figures.json", "/dev/null"),
        ] {
            let line =
                if line.contains("--only zzz") { format!("{line} {json}") } else { line.into() };
            let error = parse(&line)?.check(&workspace).unwrap_err().to_string();
            assert!(error.contains(told), "{line}: {error}");
        }
        assert!(!folder.exists(), "what is refused leaves no file");
        parse(&format!("text --only native {json}"))?.check(&workspace)?;
        std::fs::remove_dir_all(folder)?;
        Ok(())
    }

    #[test]
    fn a_run_that_fails_is_not_called_a_build() {
        let error = measure(&mut Command::new("false")).unwrap_err().to_string();
        assert!(error.starts_with("failed to measure:"), "{error}");
        let error = measure(&mut Command::new("/no/such/tool")).unwrap_err().to_string();
        assert_eq!(error, "failed to run /no/such/tool");
    }

    #[test]
    fn help_tells_works_their_length_and_which_are_usual() {
        let help = <Line as clap::CommandFactory>::command().render_long_help().to_string();
        let line = |work: &str| {
            let start = format!("- {work}:");
            let line = help.lines().find(|line| line.trim().starts_with(&start));
            line.unwrap_or_default().to_owned()
        };
        for (work, unit) in [("text", " min"), ("overload", " min"), ("start", " s")] {
            let line = line(work);
            assert!(line.ends_with(unit), "{line}");
        }
        // Its line is broken.
        let words = help.split_whitespace().collect::<Vec<_>>().join(" ");
        let (before, hash) = words.split_once("- hash: ").unwrap_or_default();
        assert!(hash.contains("only when it is named") && !before.contains("only when"), "{help}");
    }
}
