//! The compiler for guests: found, or installed where that is possible.
//!
//! Owns the choice between the rustup target `wasm32-wasip2` and Debian's second compiler, and
//! the flags that each of them needs. After [`Toolchain::provision`] the choice works without
//! further installation, and none of its flags reaches a build script or a procedural macro.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::guest::Guest;
use crate::process::{output, run, step, succeeds};
use crate::workspace::cargo;

/// What guests are compiled for, those of WASI 0.3 too.
pub(crate) const TARGET: &str = "wasm32-wasip2";

const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_STD: &str = "/usr/lib/rustlib/src/rust/library/std/Cargo.toml";
const DEBIAN_LIBC: &str = "/usr/lib/wasm32-wasi";
const DEBIAN_PACKAGES: [&str; 3] = ["rustc-web", "rust-web-src", "wasi-libc"];

/// A compiler that makes components.
pub(crate) enum Toolchain {
    /// The active toolchain has the target installed.
    Installed,
    /// Debian's compiler builds the standard library from source, and links it to Debian's libc
    /// with the linkers of the active toolchain, which are in this folder.
    Debian { linkers: PathBuf },
}

impl Toolchain {
    /// Takes the first toolchain that works, and says on the terminal which one that is.
    ///
    /// # Errors
    /// When there is none and none can be installed; the message says what to run.
    pub(crate) fn provision() -> Result<Self> {
        let active = Active::ask()?;
        if active.target.is_dir() || (add_target() && active.target.is_dir()) {
            eprintln!("guest toolchain: {TARGET} of {}", active.sysroot.display());
            return Ok(Self::Installed);
        }
        let linkers = active.linkers();
        if linkers.join("wasm-component-ld").exists() && (debian_is_ready() || install_debian()?) {
            eprintln!("guest toolchain: Debian's rustc-web and wasi-libc");
            return Ok(Self::Debian { linkers });
        }
        bail!(
            "no compiler for guests: run `rustup target add {TARGET}`, or on Debian as root \
             `apt-get install {}`",
            DEBIAN_PACKAGES.join(" ")
        );
    }

    /// Cargo, told to build these guests in release mode with this toolchain.
    pub(crate) fn cargo(&self, guests: &[Guest]) -> Command {
        let mut cargo = cargo();
        cargo.args(["build", "--release", "--target", TARGET]);
        if let Self::Debian { linkers } = self {
            // Both flags are unstable; the compiler of a distribution has no stability to lose.
            cargo.args(["-Zbuild-std=std,panic_abort", "-Zprofile-rustflags"]);
            cargo.env("RUSTC_BOOTSTRAP", "1").env("RUSTC", DEBIAN_RUSTC);
            cargo.env("CARGO_ENCODED_RUSTFLAGS", debian_flags(linkers).join("\x1f"));
            for guest in guests {
                cargo.arg("--config").arg(startup_object(guest));
            }
        }
        cargo
    }
}

/// The toolchain that `rustc` on the path belongs to.
struct Active {
    sysroot: PathBuf,
    host: String,
    target: PathBuf,
}

impl Active {
    fn ask() -> Result<Self> {
        let questions = ["sysroot", "host-tuple", "target-libdir"];
        let mut rustc = Command::new("rustc");
        rustc.args(["--target", TARGET]).args(questions.iter().flat_map(|it| ["--print", it]));
        let answers = output(&mut rustc)?;
        let mut answers = answers.lines();
        let mut answer = || answers.next().context("failed to ask rustc where its parts are");
        Ok(Self { sysroot: answer()?.into(), host: answer()?.to_owned(), target: answer()?.into() })
    }

    fn linkers(&self) -> PathBuf {
        self.sysroot.join("lib/rustlib").join(&self.host).join("bin")
    }
}

/// Asks rustup for the target. It fails at once where there is no rustup, or nothing to fetch from.
fn add_target() -> bool {
    step(&format!("adding {TARGET} with rustup"));
    succeeds(Command::new("rustup").args(["target", "add", TARGET]))
}

/// Debian's compiler with everything it needs, and new enough to know the target.
fn debian_is_ready() -> bool {
    Path::new(DEBIAN_STD).exists()
        && Path::new(DEBIAN_LIBC).is_dir()
        && succeeds(Command::new(DEBIAN_RUSTC).args(["--print", "cfg", "--target", TARGET]))
}

/// Installs Debian's compiler. `false` when that needs another system, or another user.
fn install_debian() -> Result<bool> {
    let is_root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    if !is_root || !Path::new("/etc/debian_version").exists() {
        return Ok(false);
    }
    step(&format!("installing {}", DEBIAN_PACKAGES.join(", ")));
    run(Command::new("apt-get").args(["--quiet", "update"]))?;
    run(Command::new("apt-get")
        .args(["--quiet", "--yes", "--no-install-recommends", "install"])
        .args(DEBIAN_PACKAGES)
        .env("DEBIAN_FRONTEND", "noninteractive"))?;
    Ok(debian_is_ready())
}

/// Debian's compiler brings neither a linker nor a libc of its own for the target.
fn debian_flags(linkers: &Path) -> [String; 4] {
    [
        format!("-Clinker={}", linkers.join("wasm-component-ld").display()),
        format!("-Clink-arg=--wasm-ld-path={}", linkers.join("gcc-ld/wasm-ld").display()),
        "-Clink-self-contained=no".to_owned(),
        format!("-L{DEBIAN_LIBC}"),
    ]
}

/// The setting that links the start of a program to a guest with a `main`, and the start of a
/// library to all others. It is one guest's own, so that all share one standard library.
fn startup_object(guest: &Guest) -> String {
    let name = guest.name();
    let kind = if guest.is_program() { "command" } else { "reactor" };
    format!("profile.release.package.{name}.rustflags=[\"-Clink-arg={DEBIAN_LIBC}/crt1-{kind}.o\"]")
}
