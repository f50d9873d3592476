//! Compiled code is used only as its owner has compiled it, and all workers share it.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

use remuda_tests::{
    Cli, Server, guests,
    guests::Guest,
    process::{self, Pid, Signal},
    server::Builder,
    wait,
};
use rustix::fs::{CWD, Mode, mkfifoat};
use sha2::{Digest as _, Sha256};

const GUEST: Guest = guests::HELLO;
const HELLO: &str = "Hello, world!\n";

/// Compiles a guest into the cache of a server that has not started.
async fn compile(builder: &Builder, guest: Guest) -> PathBuf {
    let compile = Cli::remuda("compile --json").arg(guest.path());
    let report = compile.arg("--cache").arg(builder.path("cache")).run().await.succeeded();
    let report: serde_json::Value = serde_json::from_str(&report).expect("JSON");
    report["artifact"].as_str().expect("a path").into()
}

fn checksum(entry: &Path) -> PathBuf {
    entry.with_extension("sha256")
}

/// Writes the checksum that an entry would have if it were what was compiled.
fn seal(entry: &Path) {
    let name = entry.file_name().expect("a name").as_encoded_bytes();
    let digest = Sha256::new().chain_update(name).chain_update(fs::read(entry).expect("code"));
    let text: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    fs::write(checksum(entry), text).expect("written");
}

/// Serves with a cache in which this was done to an entry: whatever it was, the component is
/// compiled again, served, and found in the cache the next time.
async fn recompiles(what: &str, guest: Guest, spoil: impl AsyncFnOnce(&Builder, &Path)) {
    let builder = Server::builder().guest(guest).own_cache();
    let entry = compile(&builder, guest).await;
    let whole = fs::read(&entry).expect("code");
    spoil(&builder, &entry).await;
    let server = builder.start().await;
    assert_eq!(server.get("/").await.ok(), HELLO, "{what}");
    let line = server.wait_for_line("compiled").await.to_string();
    assert!(line.contains(r#""cached":false"#), "{what}: {line}");
    let metadata = fs::symlink_metadata(&entry).expect("an entry");
    assert!(metadata.is_file() && metadata.mode() & 0o777 == 0o600, "{what}: {metadata:?}");
    assert!(fs::read(&entry).expect("code") == whole, "{what}");
    server.reload().await.expect("the same components");
    let line = server.wait_for_lines("compiled", 2).await.remove(1).to_string();
    assert!(line.contains(r#""cached":true"#), "{what}: {line}");
    assert_eq!(server.get("/").await.ok(), HELLO, "{what}");
}

#[tokio::test]
async fn a_damaged_entry_is_compiled_again() {
    recompiles("half of it", GUEST, async |_, entry| {
        let code = fs::read(entry).expect("code");
        fs::write(entry, &code[..code.len() / 2]).expect("written");
    })
    .await;
    recompiles("nothing of it", GUEST, async |_, entry| {
        fs::write(entry, "").expect("written");
    })
    .await;
    recompiles("one bit of it", GUEST, async |_, entry| {
        let mut code = fs::read(entry).expect("code");
        let middle = code.len() / 2;
        code[middle] ^= 1;
        fs::write(entry, code).expect("written");
    })
    .await;
    recompiles("no checksum", guests::HELLO_P2, async |_, entry| {
        fs::remove_file(checksum(entry)).expect("removed");
    })
    .await;
    recompiles("half a checksum", GUEST, async |_, entry| {
        fs::File::options()
            .write(true)
            .open(checksum(entry))
            .and_then(|file| file.set_len(32))
            .expect("cut");
    })
    .await;
}

#[tokio::test]
async fn a_foreign_file_in_the_place_of_an_entry_is_never_loaded() {
    recompiles("a program", GUEST, async |_, entry| {
        fs::copy("/proc/self/exe", entry).expect("copied");
    })
    .await;
    recompiles("a program with its checksum", GUEST, async |_, entry| {
        fs::copy("/proc/self/exe", entry).expect("copied");
        seal(entry);
        fs::set_permissions(entry, fs::Permissions::from_mode(0o600)).expect("chmod");
    })
    .await;
    // Both of what belongs to it, as a careless copy of a cache would have it.
    recompiles("another component", GUEST, async |builder, entry| {
        let other = compile(builder, guests::WITNESS).await;
        fs::copy(&other, entry).expect("copied");
        fs::copy(checksum(&other), checksum(entry)).expect("copied");
    })
    .await;
}

#[tokio::test]
async fn an_entry_that_is_no_file_of_its_owner_alone_is_replaced() {
    recompiles("a link", GUEST, async |builder, entry| {
        let elsewhere = builder.path("elsewhere");
        fs::rename(entry, &elsewhere).expect("moved");
        symlink(elsewhere, entry).expect("linked");
    })
    .await;
    recompiles("a pipe", GUEST, async |_, entry| {
        fs::remove_file(entry).expect("removed");
        mkfifoat(CWD, entry, Mode::RUSR | Mode::WUSR).expect("a pipe");
    })
    .await;
    recompiles("a checksum that is a pipe", GUEST, async |_, entry| {
        fs::remove_file(checksum(entry)).expect("removed");
        mkfifoat(CWD, checksum(entry), Mode::RUSR | Mode::WUSR).expect("a pipe");
    })
    .await;
    recompiles("writable by others", GUEST, async |_, entry| {
        fs::set_permissions(entry, fs::Permissions::from_mode(0o666)).expect("chmod");
    })
    .await;
}

#[tokio::test]
async fn a_reload_with_a_cache_that_others_can_write_fails_and_changes_nothing() {
    let server = Server::builder().guest(GUEST).own_cache().start().await;
    let cache = server.path("cache");
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o770)).expect("chmod");
    let why = server.reload().await.expect_err("a reload that fails").to_string();
    assert!(why.contains("can be written by others (mode 770)"), "{why}");
    assert_eq!(server.get("/").await.ok(), HELLO);
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o700)).expect("chmod");
    server.reload().await.expect("a reload");
    assert_eq!(server.get("/").await.ok(), HELLO);
}

/// A mapping of compiled code in a process (proc_pid_smaps(5)).
#[derive(Debug)]
struct Mapping {
    is_executable: bool,
    inode: u64,
    /// In KiB, by the kernel's names.
    sizes: Vec<(String, u64)>,
}

impl Mapping {
    fn size(&self, name: &str) -> u64 {
        let sizes = self.sizes.iter().filter(|(size, _)| size == name);
        sizes.map(|(_, kibibytes)| kibibytes).sum()
    }
}

/// All mappings of entries of a cache.
fn mappings(pid: Pid) -> Vec<Mapping> {
    let mut mappings: Vec<Option<Mapping>> = Vec::new();
    for line in process::memory_map(pid).lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let [name, kibibytes, "kB"] = words[..] {
            if let Some(Some(mapping)) = mappings.last_mut() {
                let kibibytes = kibibytes.parse().expect("a size");
                mapping.sizes.push((name.trim_end_matches(':').to_owned(), kibibytes));
            }
        } else if let [range, access, _offset, _device, inode, path @ ..] = &words[..]
            && range.contains('-')
        {
            let is_code = path.first().is_some_and(|path| path.ends_with(".cwasm"));
            mappings.push(is_code.then(|| Mapping {
                is_executable: access.contains('x'),
                inode: inode.parse().expect("an inode"),
                sizes: Vec::new(),
            }));
        }
    }
    mappings.into_iter().flatten().collect()
}

#[tokio::test]
async fn all_workers_map_the_same_code() {
    for guest in [guests::HELLO, guests::HELLO_P2] {
        let builder = Server::builder().guest(guest).workers(2).own_cache();
        let entry = compile(&builder, guest).await;
        let inode = fs::metadata(&entry).expect("an entry").ino();
        let server = builder.start().await;
        for worker in server.workers() {
            let mappings = mappings(worker);
            assert!(mappings.iter().all(|mapping| mapping.inode == inode), "{mappings:?}");
            let code: Vec<_> = mappings.iter().filter(|mapping| mapping.is_executable).collect();
            assert!(!code.is_empty(), "{mappings:?}");
            // Both have run an instance before they were ready.
            let sum = |name: &str| code.iter().map(|mapping| mapping.size(name)).sum::<u64>();
            assert!(sum("Shared_Clean") + sum("Shared_Dirty") > 0, "{code:?}");
            assert_eq!(sum("Anonymous"), 0, "copied: {code:?}");
        }
    }
}

/// The workers that serve have mapped what was there before.
#[tokio::test]
async fn an_entry_that_was_damaged_meanwhile_is_not_run_by_new_workers_but_compiled_again() {
    let builder = Server::builder().guest(GUEST).workers(2).own_cache();
    let entry = compile(&builder, GUEST).await;
    let server = builder.start().await;
    let code = fs::read(&entry).expect("code");
    let half = server.path("half");
    fs::write(&half, &code[..code.len() / 2]).expect("written");
    fs::rename(half, &entry).expect("moved");
    process::signal(server.workers()[0], Signal::KILL);
    let says = "it is damaged, or another component's code";
    wait::until("a worker to say so", || server.stderr().contains(says).then_some(())).await;
    assert_eq!(server.get("/").await.ok(), HELLO);
    server.wait_for_workers(2).await;
    assert!(fs::read(&entry).expect("code") == code);
    assert_eq!(server.get("/").await.ok(), HELLO);
}
