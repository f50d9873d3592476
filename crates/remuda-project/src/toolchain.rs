//! The Rust compiler for guests: found, or installed where that is possible.
//!
//! Owns the choice between the rustup target `wasm32-wasip2` and Debian's second compiler, and
//! the flags that each of them needs. After [`Toolchain::provision`] the choice works without
//! further installation, and none of its flags reaches a build script or a procedural macro.

use std::{
    env, fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    Error,
    process::{output, run, say, step, succeeds},
};

/// What guests are compiled for, those of WASI 0.3 too.
pub const TARGET: &str = "wasm32-wasip2";

const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_STD: &str = "/usr/lib/rustlib/src/rust/library/std/Cargo.toml";
const DEBIAN_LIBC: &str = "/usr/lib/wasm32-wasi";
pub(crate) const DEBIAN_PACKAGES: [&str; 3] = ["rustc-web", "rust-web-src", "wasi-libc"];

/// What may be installed to get a compiler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Install {
    /// What is the user's own: a target of rustup.
    OfTheUser,
    /// Packages of the system too, if this is Debian and its root.
    OfTheSystem,
}

/// A package that is to be a component.
#[derive(Clone, Debug)]
pub struct Package {
    pub name: String,
    /// Whether it is a program with a `main`, not a library of handlers.
    pub is_program: bool,
}

/// A compiler that makes components.
#[derive(Debug)]
pub enum Toolchain {
    /// The active toolchain has the target installed.
    Installed,
    /// Debian's compiler builds the standard library from source, and links it to Debian's libc
    /// with the linkers of the active toolchain, which are in this folder.
    Debian { linkers: PathBuf },
}

impl Toolchain {
    /// Takes the first toolchain that works, and says on the terminal which one that is,
    /// unless it is the ordinary one of the user.
    ///
    /// # Errors
    /// When there is none and none can be installed; the message says what to run.
    pub fn provision(install: Install) -> Result<Self, Error> {
        let active = Active::ask()?;
        if active.target.is_dir() || (add_target() && active.target.is_dir()) {
            if install == Install::OfTheSystem {
                say(&format!("guest toolchain: {TARGET} of {}", active.sysroot.display()));
            }
            return Ok(Self::Installed);
        }
        let linkers = active.linkers();
        let may_install = install == Install::OfTheSystem;
        if linkers.join("wasm-component-ld").exists()
            && (debian_is_ready() || (may_install && install_debian()?))
        {
            say("guest toolchain: Debian's rustc-web and wasi-libc");
            return Ok(Self::Debian { linkers });
        }
        Err(Error::NoToolchain)
    }

    /// Cargo, told to build these packages in release mode with this toolchain.
    #[must_use]
    pub fn cargo(&self, packages: &[Package]) -> Command {
        // The one that runs this program, if one does.
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--release", "--target", TARGET]);
        if let Self::Debian { linkers } = self {
            // Both flags are unstable; the compiler of a distribution has no stability to lose.
            cargo.args(["-Zbuild-std=std,panic_abort", "-Zprofile-rustflags"]);
            cargo.env("RUSTC_BOOTSTRAP", "1").env("RUSTC", DEBIAN_RUSTC);
            cargo.env("CARGO_ENCODED_RUSTFLAGS", debian_flags(linkers).join("\x1f"));
            for package in packages {
                cargo.arg("--config").arg(startup_object(package));
            }
        }
        cargo
    }
}

/// Where the active toolchain has `wasm-component-ld`, and `wasm-ld` in `gcc-ld/`.
///
/// # Errors
/// When there is no Rust.
pub fn linkers() -> Result<PathBuf, Error> {
    Ok(Active::ask()?.linkers())
}

/// The toolchain that `rustc` on the path belongs to.
struct Active {
    sysroot: PathBuf,
    host: String,
    target: PathBuf,
}

impl Active {
    fn ask() -> Result<Self, Error> {
        let questions = ["sysroot", "host-tuple", "target-libdir"];
        let mut rustc = Command::new("rustc");
        rustc.args(["--target", TARGET]).args(questions.iter().flat_map(|it| ["--print", it]));
        if !succeeds(Command::new("rustc").arg("--version")) {
            return Err(Error::NoTool {
                tool: "rustc",
                remedy: "install Rust from https://rustup.rs",
            });
        }
        let answers = output(&mut rustc)?;
        let mut answers = answers.lines();
        let mut answer = || answers.next().ok_or(Error::NoToolchain);
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
fn install_debian() -> Result<bool, Error> {
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
fn startup_object(package: &Package) -> String {
    let name = &package.name;
    let kind = if package.is_program { "command" } else { "reactor" };
    format!("profile.release.package.{name}.rustflags=[\"-Clink-arg={DEBIAN_LIBC}/crt1-{kind}.o\"]")
}
