//! `remuda load`: sends a scenario and tells how it went, or compares two runs.
//!
//! Purpose: flags and file become a scenario, which `remuda-load` runs. Invariant: what can
//! fail without a request (the scenario, files to write to) fails before the first one, and
//! a run that is interrupted still tells what it has measured.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Seek as _, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use remuda_load::{
    Ended, Progress,
    compare::{CompareError, Options, compare},
    report::{Report, Unanswered, html, text},
    scenario::{Raw, Scenario, ScenarioError},
    threshold::Outcome,
};

use tokio::signal::unix::{SignalKind, signal};

use super::describe::print;
use crate::{
    cli::{CompareArgs, LoadAction, LoadArgs, SendArgs},
    exit::{Exit, Failure},
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
    let is_text_wanted = !args.quiet && !outputs.json_to_stdout;
    // Whoever reads the summary may have gone: the reports come first, but none hides it.
    let written = outputs.write(&report);
    if is_text_wanted {
        print(&text(&report))?;
    }
    written?;
    if outcome.ended == Ended::Interrupted {
        return Err(Failure::new(Exit::Interrupted, "interrupted: the run is not whole"));
    }
    judge(&report)
}

/// Ready when somebody wants the run to end, be it at a keyboard or a CI job that has run out
/// of time; never, where that cannot be noticed.
async fn interrupted() {
    let noticed = [SignalKind::interrupt(), SignalKind::terminate()].map(signal);
    match noticed {
        [Ok(mut interrupt), Ok(mut terminate)] => {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        }
        _ => std::future::pending().await,
    }
}

fn scenario(args: &SendArgs) -> Result<Scenario, Failure> {
    let Some(source) = args.source.as_ref().filter(|source| !source.is_empty()) else {
        let message = "failed to start: nothing to send to; name a URL such as \
                       http://127.0.0.1:8000/, or a scenario file";
        return Err(Failure::new(Exit::Usage, message));
    };
    let is_url = |text: &str| text.contains("://") || text.starts_with("unix:");
    if let Some(other) = &args.other {
        let remedy = match (is_url(source), is_url(other)) {
            (false, true) => format!("send the scenario elsewhere with --target {other}"),
            _ => "name one URL or one scenario".to_owned(),
        };
        let message = format!("failed to use {other:?} beside {source:?}: {remedy}");
        return Err(Failure::new(Exit::Usage, message));
    }
    let (raw, exit) = if is_url(source) {
        if let Some(target) = &args.target {
            let message = format!(
                "--target: failed to use {target:?}: it is for scenarios; leave it out, or \
                 {source:?}"
            );
            return Err(Failure::new(Exit::Usage, message));
        }
        (Raw { target: Some(source.clone()), ..Raw::default() }, Exit::Usage)
    } else {
        (Raw::from_file(Path::new(source)).map_err(|error| unusable(&error))?, Exit::Configuration)
    };
    Scenario::validate(raw.overlaid(args.raw()))
        .map_err(|error| Failure::new(exit, error.to_string()))
}

/// What is no file and looks like an address was meant to be a URL.
fn unusable(error: &ScenarioError) -> Failure {
    let hint = match error {
        ScenarioError::Read { path, source } if source.kind() == io::ErrorKind::NotFound => {
            let path = path.display().to_string();
            let looks_like_a_file = path.ends_with(".toml") || path.starts_with(['/', '.']);
            if looks_like_a_file { String::new() } else { format!(" such as http://{path}") }
        }
        _ => String::new(),
    };
    Failure::new(Exit::Configuration, format!("{error}{hint}"))
}

fn judge(report: &Report) -> Result<(), Failure> {
    let with = |outcome, what: &str, remedy: &str| -> String {
        let of = report.thresholds.iter().filter(|verdict| verdict.outcome == outcome);
        of.map(|verdict| format!("{what}: {} ({}){remedy}\n", verdict.threshold, verdict.detail))
            .collect()
    };
    let broken = with(Outcome::Broken, "broken", "");
    let unanswered = report.unanswered();
    if !broken.is_empty() {
        let why = unanswered.map(|why| why.to_string()).unwrap_or_default();
        return Err(Failure::new(Exit::Broken, broken + &why));
    }
    // A load test that says nothing of the server has not gone well.
    match unanswered {
        Some(why @ Unanswered::NothingSent) => {
            return Err(Failure::new(Exit::TooFew, why.to_string()));
        }
        Some(why) => return Err(Failure::new(Exit::Unavailable, why.to_string())),
        None => {}
    }
    let too_few = with(Outcome::TooFew, "too few requests to tell", "; run for longer");
    let unknown = with(Outcome::AllFailed, "failed to judge", "; look at the errors");
    if !too_few.is_empty() || !unknown.is_empty() {
        return Err(Failure::new(Exit::TooFew, too_few + &unknown));
    }
    Ok(())
}

/// Files that are there before the run, so that it is not in vain. What was in them stays until
/// there is something better.
struct Outputs {
    json: Option<Output>,
    html: Option<Output>,
    json_to_stdout: bool,
}

struct Output {
    path: PathBuf,
    file: File,
    /// It was not there before, and has nothing yet.
    is_new: bool,
}

impl Outputs {
    fn open(args: &SendArgs) -> Result<Self, Failure> {
        let stdout = Some(Path::new("-"));
        let json_to_stdout = args.json.as_deref() == stdout;
        if args.html.as_deref() == stdout {
            let message = "--html: failed to use \"-\": only --json goes to standard output; name a \
                           file";
            return Err(Failure::new(Exit::Usage, message));
        }
        if args.json.is_some() && args.json == args.html {
            let message = format!(
                "--html: failed to use {:?}: --json goes there; name another",
                args.html.as_deref().unwrap_or(Path::new("")).display()
            );
            return Err(Failure::new(Exit::Usage, message));
        }
        let json = args.json.as_deref().filter(|_| !json_to_stdout);
        Ok(Self {
            json: json.map(Output::open).transpose()?,
            html: args.html.as_deref().map(Output::open).transpose()?,
            json_to_stdout,
        })
    }

    /// Writes all that can be written; the first failure is told.
    fn write(self, report: &Report) -> Result<(), Failure> {
        let json = || {
            serde_json::to_string(report).map(|json| json + "\n").map_err(|error| {
                Failure::new(Exit::Software, format!("failed to write the report: {error}"))
            })
        };
        let html = self.html.map_or(Ok(()), |output| output.write(&html(report)));
        let json = match self.json {
            Some(output) => json().and_then(|json| output.write(&json)),
            None if self.json_to_stdout => json().and_then(|json| print(&json)),
            None => Ok(()),
        };
        json.and(html)
    }
}

impl Output {
    fn open(path: &Path) -> Result<Self, Failure> {
        let is_new = !path.exists();
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path);
        let file = file.map_err(|error| unwritable(path, &error))?;
        Ok(Self { path: path.to_owned(), file, is_new })
    }

    fn write(mut self, text: &str) -> Result<(), Failure> {
        self.is_new = false;
        self.replace(text).map_err(|error| unwritable(&self.path, &error))
    }

    fn replace(&mut self, text: &str) -> io::Result<()> {
        // Pipes and terminals have no length.
        if self.file.metadata()?.is_file() {
            self.file.set_len(0)?;
            self.file.rewind()?;
        }
        self.file.write_all(text.as_bytes())
    }
}

impl Drop for Output {
    /// A run that came to nothing leaves nothing behind.
    fn drop(&mut self) {
        if self.is_new {
            // It is empty; nobody misses more than its absence.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    let message = format!("{}: failed to write the report: {error}; name another", path.display());
    Failure::new(Exit::Software, message)
}

fn comparison(args: &CompareArgs) -> Result<(), Failure> {
    let read = |path: &Path| {
        Report::from_file(path)
            .map_err(|error| Failure::new(Exit::Configuration, error.to_string()))
    };
    let (before, after) = (read(&args.before)?, read(&args.after)?);
    let options = Options { any_scenario: args.any_scenario, least: args.least / 100.0 };
    let comparison = compare(&before, &after, options).map_err(|error| {
        let is_too_short = matches!(error, CompareError::TooShort { .. });
        let exit = if is_too_short { Exit::TooFew } else { Exit::Configuration };
        Failure::new(exit, error.to_string())
    })?;
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
