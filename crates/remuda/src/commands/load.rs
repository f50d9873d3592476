//! `remuda load`: sends a scenario and tells how it went, or compares two runs.
//!
//! Purpose: flags and file become a scenario, which `remuda-load` runs. Invariant: what can
//! fail without a request (the scenario, files to write to) fails before the first one, and
//! a run that is interrupted still tells what it has measured.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use remuda_load::{
    Ended, Progress,
    compare::{Options, compare},
    report::{Report, html, text},
    scenario::{Raw, Scenario, ScenarioError},
    threshold::Outcome,
};

use super::describe::print;
use crate::{
    cli::{CompareArgs, LoadAction, LoadArgs, SendArgs},
    exit::{Exit, Failure},
    open_files,
};

pub(crate) fn run(args: &LoadArgs) -> Result<(), Failure> {
    match &args.action {
        Some(LoadAction::Compare(args)) => comparison(args),
        None => send(&args.send),
    }
}

fn send(args: &SendArgs) -> Result<(), Failure> {
    let scenario = Arc::new(scenario(args)?);
    let outputs = Outputs::open(args)?;
    // A connection is an open file.
    open_files::raise_limit();
    let mut progress = (!args.quiet).then(|| Progress::new(&scenario));
    let mut nobody = ();
    let observer: &mut dyn remuda_load::Observer = match &mut progress {
        Some(progress) => progress,
        None => &mut nobody,
    };
    let outcome = remuda_load::run(&scenario, observer, interrupted());
    if let Some(progress) = &progress {
        progress.finish();
    }
    let outcome = outcome.map_err(|error| {
        let exit = if error.is_unreachable() { Exit::Unavailable } else { Exit::Software };
        Failure::new(exit, error.to_string())
    })?;
    let report = Report::new(&scenario, &outcome)
        .map_err(|error| Failure::new(Exit::Software, error.to_string()))?;
    let is_text_wanted = !args.quiet && args.json.as_deref() != Some(Path::new("-"));
    if is_text_wanted {
        print(&text(&report))?;
    }
    outputs.write(&report)?;
    if outcome.ended == Ended::Interrupted {
        return Err(Failure::new(Exit::Interrupted, "interrupted: the run is not whole"));
    }
    judge(&report)
}

/// Ready when somebody wants the run to end; never, where that cannot be noticed.
async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn scenario(args: &SendArgs) -> Result<Scenario, Failure> {
    let Some(source) = &args.source else {
        let message = "failed to start: nothing to send to; name a URL such as \
                       http://127.0.0.1:8000/, or a scenario file";
        return Err(Failure::new(Exit::Usage, message));
    };
    let is_url = source.contains("://") || source.starts_with("unix:");
    let (raw, exit) = if is_url {
        (Raw { target: Some(source.clone()), ..Raw::default() }, Exit::Usage)
    } else {
        (Raw::from_file(Path::new(source)).map_err(|error| unusable(&error))?, Exit::Configuration)
    };
    Scenario::validate(raw.overlaid(args.raw()))
        .map_err(|error| Failure::new(exit, error.to_string()))
}

/// What is neither a URL nor a file was probably meant to be one of them.
fn unusable(error: &ScenarioError) -> Failure {
    let hint = match error {
        ScenarioError::Read { .. } => "; URLs begin with http:// or https://",
        _ => "",
    };
    Failure::new(Exit::Configuration, format!("{error}{hint}"))
}

fn judge(report: &Report) -> Result<(), Failure> {
    let with = |outcome| {
        let of = report.thresholds.iter().filter(move |verdict| verdict.outcome == outcome);
        of.map(|verdict| format!("{} ({})", verdict.threshold, verdict.detail))
            .collect::<Vec<_>>()
            .join("\n")
    };
    let (broken, too_few) = (with(Outcome::Broken), with(Outcome::TooFew));
    if !broken.is_empty() {
        return Err(Failure::new(Exit::Broken, format!("broken: {broken}")));
    }
    if !too_few.is_empty() {
        let message = format!("too few requests to tell: {too_few}; run for longer");
        return Err(Failure::new(Exit::TooFew, message));
    }
    Ok(())
}

/// Files that are there before the run, so that it is not in vain.
struct Outputs {
    json: Option<(PathBuf, File)>,
    html: Option<(PathBuf, File)>,
    json_to_stdout: bool,
}

impl Outputs {
    fn open(args: &SendArgs) -> Result<Self, Failure> {
        let open = |path: &Option<PathBuf>| {
            let path = path.as_ref().filter(|path| *path != Path::new("-"));
            path.map(|path| match File::create(path) {
                Ok(file) => Ok((path.clone(), file)),
                Err(error) => Err(unwritable(path, &error)),
            })
            .transpose()
        };
        let json_to_stdout = args.json.as_deref() == Some(Path::new("-"));
        Ok(Self { json: open(&args.json)?, html: open(&args.html)?, json_to_stdout })
    }

    fn write(self, report: &Report) -> Result<(), Failure> {
        if self.json.is_some() || self.json_to_stdout {
            let mut json = serde_json::to_string(report).map_err(|error| {
                Failure::new(Exit::Software, format!("failed to write the report: {error}"))
            })?;
            json.push('\n');
            if self.json_to_stdout {
                print(&json)?;
            }
            write(self.json, &json)?;
        }
        if self.html.is_some() {
            write(self.html, &html(report))?;
        }
        Ok(())
    }
}

fn write(output: Option<(PathBuf, File)>, text: &str) -> Result<(), Failure> {
    let Some((path, mut file)) = output else { return Ok(()) };
    file.write_all(text.as_bytes()).map_err(|error| unwritable(&path, &error))
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    let message = format!("{}: failed to write the report: {error}; name another", path.display());
    Failure::new(Exit::Software, message)
}

fn comparison(args: &CompareArgs) -> Result<(), Failure> {
    let (before, after) = (read(&args.before)?, read(&args.after)?);
    let options = Options { any_scenario: args.any_scenario, least: args.least / 100.0 };
    let comparison = compare(&before, &after, options)
        .map_err(|error| Failure::new(Exit::Configuration, error.to_string()))?;
    if args.json {
        let json = serde_json::to_string(&comparison).map_err(|error| {
            Failure::new(Exit::Software, format!("failed to write the comparison: {error}"))
        })?;
        print(&format!("{json}\n"))?;
    } else {
        print(&comparison.text())?;
    }
    if args.fail_if_worse && comparison.is_worse() {
        return Err(Failure::new(Exit::Broken, "the second run was worse"));
    }
    Ok(())
}

fn read(path: &Path) -> Result<Report, Failure> {
    let unreadable = |error: String| {
        let message = format!(
            "{}: failed to read the report: {error}; give one that --json has written",
            path.display()
        );
        Failure::new(Exit::Configuration, message)
    };
    let text = fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| unreadable(error.to_string()))
}
