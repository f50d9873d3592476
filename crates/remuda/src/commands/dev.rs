//! `remuda dev`: builds, serves, looks at the sources, builds again, reloads.
//!
//! Purpose: a handler that follows its sources, without a request being lost. Everything is done
//! by processes that anybody could start by hand: `remuda build`, `remuda serve`, `remuda ctl
//! reload`; this one only decides which is next. Owner: the terminal, or whoever sends it a
//! signal. Invariants: at most one build or reload is under way; from the beginning somebody
//! listens, who says so while there is nothing to serve; what was built last and could be served
//! goes on being served; nothing that was started here outlives it.

mod flags;
mod job;
mod server;
mod sources;

use std::{
    fs, io,
    io::IsTerminal as _,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use job::{Job, Output};
use remuda_project::{Project, process::say, publish};
use server::{Private, Server};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use sources::Sources;

use super::build;
use crate::{
    cli::DevArgs,
    exit::{Exit, Failure},
};

/// Names the running program even after its file has been replaced.
const THIS_EXECUTABLE: &str = "/proc/self/exe";

/// What the folder's server is told to read.
const CONFIGURATION: &str = "remuda.toml";

/// How often processes are looked at, and sources. Sources that differ between two looks are
/// still being written.
const TICK: Duration = Duration::from_millis(50);
const LOOK: Duration = Duration::from_millis(200);

/// How long a server that was just started may take to be reachable.
const START: Duration = Duration::from_secs(120);

pub(crate) fn run(args: &DevArgs) -> Result<(), Failure> {
    let project = build::open(&args.folder)?;
    flags::check(args, &project)?;
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&stop))
            .map_err(failed("listen to signals"))?;
    }
    let private = Private::make().map_err(failed("make a folder for temporary files"))?;
    let now = Sources::of(project.folder());
    let mut dev = Dev {
        args,
        private,
        server: None,
        task: None,
        built: Sources::default(),
        seen: now,
        looked: Instant::now(),
        failure: None,
        served: None,
        project,
    };
    dev.private.set_notice(Some(FIRST_BUILD)).map_err(failed("leave a notice"))?;
    dev.serve()?;
    dev.build()?;
    while !stop.load(Ordering::Relaxed) {
        if let Some(code) = dev.turn()? {
            let message = "the server has ended; its last lines say why".to_owned();
            return if code == 0 { Ok(()) } else { Err(Failure::with_code(code, message)) };
        }
        std::thread::sleep(TICK);
    }
    Ok(())
}

fn failed(what: &'static str) -> impl FnOnce(io::Error) -> Failure {
    move |error| Failure::new(Exit::Software, format!("failed to {what}: {error}"))
}

struct Dev<'a> {
    args: &'a DevArgs,
    project: Project,
    // In this order they end: the server before the folder that its socket is in.
    task: Option<Task>,
    server: Option<Server>,
    private: Private,
    /// What the last build was made of.
    built: Sources,
    /// What was there at the last look.
    seen: Sources,
    looked: Instant,
    /// What is wrong with the sources, as far as browsers are told.
    failure: Option<String>,
    /// The component that is served.
    served: Option<Vec<u8>>,
}

/// What is under way.
enum Task {
    Build { job: Job, started: Instant, configuration_changed: bool },
    Reload { job: Job, started: Instant, is_notice: bool, configuration: Option<String> },
}

/// What browsers are shown before there is anything else, below its heading.
const FIRST_BUILD: (&str, &str) =
    ("Being prepared", "The first build is under way; what it makes is compiled then.");

/// The headings of what is wrong.
const BUILD_FAILED: &str = "The build failed";
const RELOAD_FAILED: &str = "The reload failed";
const START_FAILED: &str = "The start failed";

/// Exit codes of `remuda serve` with which no change of the sources helps.
const HOPELESS: [i32; 2] = [Exit::Usage as i32, Exit::Unavailable as i32];

impl Dev<'_> {
    /// Looks at everything once. The code with which to end, if it is time to.
    fn turn(&mut self) -> Result<Option<u8>, Failure> {
        if let Some(code) = self.look_at_server()? {
            return Ok(Some(code));
        }
        match self.task.take() {
            Some(task) => self.look_at_task(task)?,
            None => self.look_at_sources()?,
        }
        Ok(None)
    }

    fn look_at_server(&mut self) -> Result<Option<u8>, Failure> {
        let Some(server) = &mut self.server else { return Ok(None) };
        let Some(status) = server.ended().map_err(failed("wait for the server"))? else {
            return Ok(None);
        };
        self.server = None;
        match status.code() {
            Some(code) if code == 0 || HOPELESS.contains(&code) => Ok(Some(code as u8)),
            _ => {
                say(&format!(
                    "dev: the server has ended ({status}); it starts again after a change"
                ));
                Ok(None)
            }
        }
    }

    fn look_at_sources(&mut self) -> Result<(), Failure> {
        if self.looked.elapsed() < LOOK {
            return Ok(());
        }
        let now = Sources::of(self.project.folder());
        self.looked = Instant::now();
        let is_settled = now == self.seen;
        self.seen = now;
        if !is_settled || self.seen == self.built {
            return Ok(());
        }
        let changed = self.seen.changed_since(&self.built);
        let names = changed.iter().map(|path| self.name(path)).collect::<Vec<_>>();
        say(&format!("dev: changed: {}", first(&names)));
        let is_configuration = names.iter().all(|name| name == CONFIGURATION);
        if is_configuration && self.server.is_some() && self.failure.is_none() {
            self.built = self.seen.clone();
            return self.reload(Instant::now(), false);
        }
        self.build()
    }

    fn name(&self, path: &Path) -> String {
        path.strip_prefix(self.project.folder()).unwrap_or(path).display().to_string()
    }

    fn build(&mut self) -> Result<(), Failure> {
        let configuration = self.project.folder().join(CONFIGURATION);
        let changed = self.seen.changed_since(&self.built);
        let configuration_changed = changed.contains(&configuration.as_path());
        self.built = self.seen.clone();
        let mut build = Command::new(THIS_EXECUTABLE);
        build.arg("build").arg(self.project.folder());
        if io::stderr().is_terminal() {
            // It does not write to the terminal itself.
            build.env("CARGO_TERM_COLOR", "always");
        }
        let job = Job::start(&mut build, Output::Shown).map_err(failed("start a build"))?;
        self.task = Some(Task::Build { job, started: Instant::now(), configuration_changed });
        Ok(())
    }

    fn look_at_task(&mut self, mut task: Task) -> Result<(), Failure> {
        let (Task::Build { job, .. } | Task::Reload { job, .. }) = &mut task;
        let Some((status, said)) = job.ended().map_err(failed("wait for a command"))? else {
            self.task = Some(task);
            return Ok(());
        };
        match task {
            Task::Build { started, configuration_changed, .. } if status.success() => {
                self.was_built(started, configuration_changed)
            }
            Task::Build { .. } => {
                say(match self.served {
                    Some(_) => "dev: the build failed; what was served before still is",
                    None => "dev: the build failed; there is no component to serve yet",
                });
                self.tell(BUILD_FAILED, said)
            }
            Task::Reload { started, is_notice, configuration, .. } if status.success() => {
                if !is_notice {
                    let is_first = self.served.is_none();
                    self.served = fs::read(self.project.component()).ok();
                    self.keep(configuration.as_deref())?;
                    let what = if is_first { "serving, after" } else { "reloaded in" };
                    say(&format!("dev: {what} {:.1?}", started.elapsed()));
                }
                Ok(())
            }
            // It has not come so far yet.
            Task::Reload { started, is_notice, .. }
                if status.code() == Some(Exit::Unavailable as i32)
                    && self.server.is_some()
                    && started.elapsed() < START =>
            {
                self.reload(started, is_notice)
            }
            // Its log has said why.
            Task::Reload { is_notice: true, .. } => Ok(()),
            Task::Reload { .. } => self.was_refused(said),
        }
    }

    /// Serves what was built, unless it is served already.
    fn was_built(&mut self, started: Instant, configuration_changed: bool) -> Result<(), Failure> {
        let bytes = fs::read(self.project.component()).map_err(failed("read the component"))?;
        let is_served = self.served.as_ref() == Some(&bytes);
        let had_failed = self.failure.take().is_some();
        self.private.set_notice(None).map_err(failed("take back a notice"))?;
        self.private.set_has_component(true).map_err(failed("take back a notice"))?;
        if self.server.is_none() {
            self.served = Some(bytes);
            return self.serve();
        }
        if is_served && !had_failed && !configuration_changed {
            say(&format!("dev: nothing to reload, after {:.1?}", started.elapsed()));
            return Ok(());
        }
        self.reload(Instant::now(), false)
    }

    fn serve(&mut self) -> Result<(), Failure> {
        self.keep(self.configuration().as_deref())?;
        let server = Server::start(&self.project, self.args, &self.private);
        self.server = Some(server.map_err(failed("start the server"))?);
        Ok(())
    }

    fn reload(&mut self, started: Instant, is_notice: bool) -> Result<(), Failure> {
        let job = self.private.reload().map_err(failed("order a reload"))?;
        let configuration = self.configuration();
        self.task = Some(Task::Reload { job, started, is_notice, configuration });
        Ok(())
    }

    /// What `remuda.toml` says now.
    fn configuration(&self) -> Option<String> {
        fs::read_to_string(self.project.folder().join(CONFIGURATION)).ok()
    }

    fn keep(&self, configuration: Option<&str>) -> Result<(), Failure> {
        self.private.set_served(configuration).map_err(failed("keep the configuration"))
    }

    /// A component that cannot be served gives way to the one before.
    fn was_refused(&mut self, why: String) -> Result<(), Failure> {
        say(match self.served {
            Some(_) => "dev: the server refused what was built; what was served before still is",
            None => "dev: the server refused what was built",
        });
        if let Some(served) = &self.served {
            let place: PathBuf = self.project.component();
            publish(served, &place)
                .map_err(|error| Failure::new(Exit::Software, error.to_string()))?;
        }
        self.tell(if self.served.is_some() { RELOAD_FAILED } else { START_FAILED }, why)
    }

    /// Has the server show browsers what is wrong.
    fn tell(&mut self, heading: &str, why: String) -> Result<(), Failure> {
        self.private.set_notice(Some((heading, &why))).map_err(failed("leave a notice"))?;
        self.failure = Some(why);
        let has_component = self.served.is_some();
        self.private.set_has_component(has_component).map_err(failed("leave a notice"))?;
        match self.server {
            Some(_) => self.reload(Instant::now(), true),
            None => self.serve(),
        }
    }
}

/// Most files that are named.
const NAMED: usize = 3;

fn first(names: &[String]) -> String {
    match names.len().checked_sub(NAMED) {
        None | Some(0) => names.join(", "),
        Some(more) => format!("{} and {more} more", names[..NAMED].join(", ")),
    }
}
