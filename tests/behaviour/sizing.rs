//! The server fits the container that it runs in, and says why.

use std::{fs, path::PathBuf};

use remuda_tests::{Server, guests, log::Line, process, server::Builder, wait};

fn auto() -> Builder {
    Server::builder().guest(guests::HELLO_P2).workers_auto().with_admin()
}

/// The line that explains the number of workers.
fn explanation(server: &Server) -> Line {
    let lines = server.lines("setting");
    let line = lines.into_iter().find(|line| line.text("key") == "workers.count");
    line.expect("the number of workers among the settings")
}

fn warnings(server: &Server, about: &str) -> Vec<Line> {
    let lines = server.log().into_iter().filter(|line| line.text("level") == "WARN");
    lines.filter(|line| line.message().contains(about)).collect()
}

#[tokio::test]
async fn affinity_counts() {
    let server = auto().precursor(&["taskset", "-c", "0"]).start().await;
    assert_eq!(process::processors(server.supervisor()), [0]);
    // 1.5 workers for a core, rounded up.
    assert_eq!(server.wait_for_workers(2).await.len(), 2);
    let line = explanation(&server);
    assert_eq!(line.text("value"), "2", "{line}");
    assert!(line.text("reason").contains("1 core × 1.5 (mixed), rounded up"), "{line}");
}

#[tokio::test]
async fn the_explanation_names_cores_quota_memory_and_the_rule() {
    let server = auto().start().await;
    let line = explanation(&server);
    for part in ["cores seen", "quota", "memory limit", " = ", "memory would allow"] {
        assert!(line.text("reason").contains(part), "{part} in {line}");
    }
}

#[tokio::test]
async fn too_many_workers_and_a_single_one_are_warned_of() {
    let pinned = |workers| {
        let builder = Server::builder().guest(guests::HELLO_P2).workers(workers);
        builder.precursor(&["taskset", "-c", "0"])
    };
    assert_eq!(warnings(&pinned(3).start().await, "workers").len(), 1);
    assert_eq!(warnings(&pinned(2).start().await, "worker").len(), 0);
    assert_eq!(warnings(&pinned(1).start().await, "worker").len(), 1);
}

#[tokio::test]
async fn the_kernel_kills_a_worker_before_the_supervisor() {
    let server = Server::builder().guest(guests::HELLO_P2).workers(2).start().await;
    let supervisor = process::oom_score_adjustment(server.supervisor());
    for worker in server.workers() {
        let worker = process::oom_score_adjustment(worker);
        assert!(worker > supervisor, "{worker} for a worker, {supervisor} for the supervisor");
    }
}

/// A control group of cgroup v1 or v2 for one test.
struct Group {
    folder: PathBuf,
    quota: &'static str,
    /// The text that allows so many microseconds of every 100 ms.
    text: fn(u32) -> String,
}

impl Group {
    /// `None`, and a word to whoever wonders, where none can be made.
    #[expect(clippy::print_stderr, reason = "whoever wonders why nothing was tested can read it")]
    fn new(name: &str) -> Option<Self> {
        let name = format!("remuda-test-{}-{name}", std::process::id());
        let of_v1 = Self {
            folder: PathBuf::from("/sys/fs/cgroup/cpu").join(&name),
            quota: "cpu.cfs_quota_us",
            text: |quota| quota.to_string(),
        };
        let of_v2 = Self {
            folder: PathBuf::from("/sys/fs/cgroup").join(&name),
            quota: "cpu.max",
            text: |quota| format!("{quota} 100000"),
        };
        for group in [of_v1, of_v2] {
            let made =
                fs::create_dir(&group.folder).is_ok() && group.folder.join(group.quota).exists();
            if made && group.try_allow(150_000) {
                return Some(group);
            }
        }
        eprintln!("skipped: no control group can be made here");
        None
    }

    fn try_allow(&self, quota: u32) -> bool {
        fs::write(self.folder.join(self.quota), (self.text)(quota)).is_ok()
    }

    /// What moves itself in there and becomes the server.
    fn precursor(&self) -> [String; 4] {
        let script = format!("echo $$ >{}/cgroup.procs; exec \"$@\"", self.folder.display());
        ["sh".to_owned(), "-c".to_owned(), script, "sh".to_owned()]
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Whoever is still in there is on the way out; then it stays, and harms nobody.
        let _ = fs::remove_dir(&self.folder);
    }
}

#[tokio::test]
async fn a_quota_counts_and_its_change_is_noticed() {
    let Some(group) = Group::new("quota") else { return };
    let precursor = group.precursor();
    let server = auto().precursor(&precursor.each_ref().map(String::as_str)).start().await;
    // 1.5 cores × 1.5, rounded up.
    assert_eq!(server.wait_for_workers(3).await.len(), 3);
    assert!(explanation(&server).text("reason").contains("1.5"), "{}", explanation(&server));
    assert!(group.try_allow(50_000), "a quota can be changed");
    let line = server.wait_for_line("container limits changed").await;
    assert!(line.to_string().contains("0.5"), "{line}");
    // Throttled periods are watched: half a core is not enough for this.
    let load = server.load().mixed().start();
    wait::until_async("throttled periods", async || {
        let throttled = server.metrics().await.sum("remuda_cpu_throttled_periods_total", &[]);
        (throttled > 0.0).then_some(())
    })
    .await;
    load.stop().await.assert_flawless();
}
