//! Serves the guest hello from a fresh checkout, with one command.
//!
//! Owns nothing that outlives it: the server takes this process's place.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Error, Result};

use crate::guests;
use crate::workspace::Workspace;
use remuda_project::process::{run, step};

const ADDRESS: &str = "127.0.0.1:8000";

/// Builds all it needs, then becomes the server. Returns only when that fails.
///
/// # Errors
/// When a build fails or the server cannot be started.
pub(crate) fn serve(workspace: &Workspace, args: &[OsString]) -> Result<()> {
    guests::build_in_rust(workspace)?;
    step("building the server");
    run(workspace.cargo().args(["build", "--release", "--package", "remuda"]))?;

    println!("try: curl http://{ADDRESS}/");
    let server = workspace.release_server();
    let error = Command::new(&server)
        .arg("serve")
        .arg(workspace.built_guests().join("hello.wasm"))
        .args(["--bind", ADDRESS])
        .args(args)
        .exec();
    Err(Error::new(error).context(format!("failed to run {}", server.display())))
}
