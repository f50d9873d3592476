//! What a run is told, and what all its measurements share.
//!
//! Owner: the run. Invariant: files for servers lie in one folder, which goes with the run.

use std::{cell::RefCell, fs, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};
use remuda_comparison::{Choice, Work};
use tempfile::TempDir;

use crate::{progress::Progress, upstream::Upstream};

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) choice: Choice,
    /// The `wasmtime` command, if there is one
    #[arg(long, default_value = "wasmtime", env = "WASMTIME")]
    pub(crate) wasmtime: PathBuf,
    /// Folder of the commands `uvicorn` and `granian`, if they are there: what pip makes of
    /// benches/peers/requirements.txt
    #[arg(long, default_value = "target/peers/bin", env = "PEERS")]
    pub(crate) peers: PathBuf,
    /// The target folder, in which binaries and guests are
    #[arg(long, default_value = "target")]
    pub(crate) target: PathBuf,
    /// Of the binaries: `release`, or `debug` to try the tools
    #[arg(long, default_value = "release")]
    pub(crate) profile: String,
    /// One short round of Remuda and native hyper alone; fails when a figure is missing. Says
    /// nothing of speed
    #[arg(long)]
    pub(crate) smoke: bool,
}

impl Options {
    /// How long a measurement takes.
    pub(crate) fn duration(&self) -> Duration {
        Duration::from_secs_f64(if self.smoke { 0.2 } else { self.choice.seconds() })
    }

    /// Load that is not measured: pools are filled, branch predictors trained.
    pub(crate) fn warm_up(&self) -> Duration {
        Duration::from_millis(if self.smoke { 50 } else { 300 })
    }

    pub(crate) fn rounds(&self, work: Work) -> u32 {
        if self.smoke { 1 } else { self.choice.rounds(work) }
    }

    /// An executable of this workspace.
    pub(crate) fn binary(&self, name: &str) -> PathBuf {
        self.target.join(&self.profile).join(name)
    }

    /// Where Remuda keeps what it has compiled: not where its user does.
    pub(crate) fn cache(&self) -> String {
        let path = self.target.join("bench").join("cache");
        std::path::absolute(&path).unwrap_or(path).display().to_string()
    }

    /// The file of a guest, by an absolute path.
    pub(crate) fn guest(&self, name: &str) -> PathBuf {
        let path = self.target.join("guests").join(name);
        std::path::absolute(&path).unwrap_or(path)
    }
}

/// A run that goes on.
pub(crate) struct Bench {
    pub(crate) options: Options,
    /// Answers after 50 ms.
    pub(crate) upstream: Upstream,
    /// Accepts, reads, and never answers.
    pub(crate) hung: Upstream,
    pub(crate) progress: RefCell<Progress>,
    folder: TempDir,
}

impl Bench {
    /// Starts the upstreams.
    ///
    /// # Errors
    /// When they cannot listen.
    pub(crate) async fn new(options: Options) -> Result<Self> {
        raise_open_files()?;
        Ok(Self {
            options,
            upstream: Upstream::start(Some(Duration::from_millis(50))).await?,
            hung: Upstream::start(None).await?,
            progress: RefCell::new(Progress::default()),
            folder: tempfile::tempdir().context("failed to make a folder for configurations")?,
        })
    }

    /// Writes a file for a server.
    ///
    /// # Errors
    /// When that is not possible.
    pub(crate) fn file(&self, name: &str, content: &str) -> Result<String> {
        let path = self.folder.path().join(name);
        fs::write(&path, content).with_context(|| format!("failed to write {}", path.display()))?;
        Ok(path.display().to_string())
    }

    /// An empty folder, another one each time.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn new_folder(&self) -> Result<TempDir> {
        tempfile::tempdir_in(self.folder.path()).context("failed to make a folder")
    }
}

/// A connection is a file, of this process and of servers, which inherit the limit.
fn raise_open_files() -> Result<()> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).context("failed to allow more open files")
}
