//! JavaScript: the script `build` of the package makes the component.
//!
//! Owner: npm, of the folder's `node_modules/`. Invariant: the script is told where to put the
//! component, as its only argument.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    Error,
    process::{run_aside, step, succeeds},
};

/// The package's name, without its scope.
pub(crate) fn name(folder: &Path) -> Result<String, Error> {
    let path = folder.join("package.json");
    let text = fs::read_to_string(&path).map_err(Error::read(&path))?;
    let package: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    let name = package["name"].as_str().and_then(|name| name.rsplit('/').next());
    let name = name.filter(|name| !name.is_empty());
    let expected = "it needs to be JSON with a \"name\"";
    name.map(str::to_owned).ok_or(Error::NoName { path, expected })
}

/// Left to itself, npm says nothing for minutes where there is no network, and asks it for what it
/// has kept.
const IMPATIENT: [&str; 4] = [
    "--prefer-offline",
    "--fetch-retries=2",
    "--fetch-retry-mintimeout=1000",
    "--fetch-retry-maxtimeout=5000",
];

/// Builds the package into `component`.
pub(crate) fn build(folder: &Path, component: &Path) -> Result<PathBuf, Error> {
    if !succeeds(Command::new("npm").arg("--version")) {
        let remedy = "install Node.js 18 or newer (on Debian `apt-get install nodejs npm`)";
        return Err(Error::NoTool { tool: "npm", remedy });
    }
    if !folder.join("node_modules").exists() {
        step("installing what package.json asks for into node_modules (once)");
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund"]).args(IMPATIENT).current_dir(folder);
        run_aside(&mut npm).map_err(Error::installing)?;
    }
    step("building with `npm run build`");
    let mut npm = Command::new("npm");
    run_aside(npm.args(["run", "--silent", "build", "--"]).arg(component).current_dir(folder))?;
    if component.exists() {
        return Ok(component.to_owned());
    }
    let reason = "the script \"build\" of package.json did not write the file that it is given \
                  as its argument"
        .to_owned();
    Err(Error::NoComponent { folder: folder.to_owned(), reason })
}
