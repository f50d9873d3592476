//! Reading the machine from folders of files: what containers and hosts look like (S29).

use std::{fs, time::Duration};

use tempfile::TempDir;

use super::Given;
use crate::{Machine, Throttling};

/// What `/` looks like.
struct Root(TempDir);

/// A mount of everything that `/proc/self/cgroup` of [`Root::one`] and [`Root::two`] names.
const ONE: [&str; 2] = [
    "33 32 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct",
    "35 32 0:31 / /sys/fs/cgroup/memory rw shared:11 - cgroup cgroup rw,memory",
];
const TWO: &str = "30 23 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate";

impl Root {
    fn new() -> Self {
        Self(TempDir::new().expect("a folder"))
            .with("proc/meminfo", "MemTotal:       16777216 kB\nMemFree: 1 kB\n")
            .with("sys/devices/system/cpu/cpu0/topology/thread_siblings_list", "0,32\n")
    }

    /// cgroup v1, this process in `group` of both controllers.
    fn one(group: &str) -> Self {
        let groups = format!("11:memory:{group}\n4:cpu,cpuacct:{group}\n1:name=systemd:/init\n");
        Self::new().with("proc/self/cgroup", &groups).with("proc/self/mountinfo", &ONE.join("\n"))
    }

    /// cgroup v2, this process in `group`.
    fn two(group: &str) -> Self {
        Self::new()
            .with("proc/self/cgroup", &format!("0::{group}\n"))
            .with("proc/self/mountinfo", TWO)
    }

    fn with(self, path: &str, content: &str) -> Self {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().expect("a folder above")).expect("folders");
        fs::write(path, content).expect("a file");
        self
    }

    fn quota_one(self, group: &str, quota: &str) -> Self {
        let folder = format!("sys/fs/cgroup/cpu,cpuacct{group}");
        self.with(&format!("{folder}/cpu.cfs_quota_us"), quota)
            .with(&format!("{folder}/cpu.cfs_period_us"), "100000\n")
    }

    fn memory_one(self, group: &str, limit: &str) -> Self {
        self.with(&format!("sys/fs/cgroup/memory{group}/memory.limit_in_bytes"), limit)
    }

    fn group_two(self, group: &str, quota: &str, limit: &str) -> Self {
        self.with(&format!("sys/fs/cgroup{group}/cpu.max"), quota)
            .with(&format!("sys/fs/cgroup{group}/memory.max"), limit)
    }

    /// On 64 cores.
    fn machine(&self) -> Machine {
        Machine::read(self.0.path(), 64)
    }

    fn limits(&self) -> (Option<f64>, Option<u64>) {
        let machine = self.machine();
        (machine.quota, machine.memory_limit)
    }

    fn throttling(&self) -> Option<Throttling> {
        Throttling::read(self.0.path())
    }
}

const GIB: u64 = 1 << 30;

#[test]
fn a_quota_of_two_cores_on_a_large_host_sizes_the_server() {
    for root in [
        Root::two("/pod").group_two("/pod", "200000 100000\n", "max\n"),
        Root::one("/pod").quota_one("/pod", "200000\n"),
    ] {
        for (profile, workers) in [("cpu", 2), ("mixed", 3), ("io", 4)] {
            let mut given = Given::component("app.wasm").flag("workers.profile", &[profile]);
            given.0.machine = root.machine();
            let loaded = given.loaded();
            assert_eq!(loaded.config.workers.count, workers, "{profile}");
            assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
        }
    }
}

#[test]
fn everything_is_named_in_one_line() {
    let root = Root::two("/pod").group_two("/pod", "200000 100000\n", "1073741824\n");
    let mut given = Given::component("app.wasm");
    given.0.machine = root.machine();
    let loaded = given.loaded();
    let count = loaded.settings.iter().find(|setting| setting.key == "workers.count");
    insta::assert_snapshot!(count.expect("a setting").to_string(), @"workers.count = 3 (default: 64 cores seen (2 threads per core), quota 2 cores, memory limit 1GiB: 2 cores × 1.5 (mixed) = 3 workers (memory would allow 4))");
}

#[test]
fn the_smallest_limit_of_a_group_and_its_ancestors_counts() {
    let none = "9223372036854771712\n";
    let one = Root::one("/a/b/c")
        .quota_one("", "-1\n")
        .quota_one("/a", "150000\n")
        .quota_one("/a/b", "-1\n")
        .quota_one("/a/b/c", "400000\n")
        .memory_one("", none)
        .memory_one("/a", none)
        .memory_one("/a/b", "1073741824\n")
        .memory_one("/a/b/c", "2147483648\n");
    assert_eq!(one.limits(), (Some(1.5), Some(GIB)));

    let two = Root::two("/a/b/c")
        .group_two("/a", "150000 100000\n", "max\n")
        .group_two("/a/b", "max 100000\n", "1073741824\n")
        .group_two("/a/b/c", "400000 100000\n", "2147483648\n")
        .group_two("/other", "1 100000\n", "1\n");
    assert_eq!(two.limits(), (Some(1.5), Some(GIB)));
}

#[test]
fn no_limits_are_none() {
    let one = Root::one("/").quota_one("", "-1\n").memory_one("", "9223372036854771712\n");
    let two = Root::two("/a").group_two("/a", "max 100000\n", "max\n");
    for root in [one, two] {
        let expected = Machine {
            affinity: 64,
            threads_per_core: Some(2),
            quota: None,
            memory_limit: None,
            memory_total: Some(16 * GIB),
        };
        assert_eq!(root.machine(), expected);
    }
}

#[test]
fn a_container_sees_its_group_at_the_mount_point() {
    // The group is named as the host sees it, and only the container's part is mounted.
    let part = Root::new()
        .with("proc/self/cgroup", "4:cpu:/docker/abc\n3:memory:/docker/abc/child\n")
        .with(
            "proc/self/mountinfo",
            "33 32 0:29 /docker/abc /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu\n\
             34 32 0:30 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
        )
        .with("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "50000\n")
        .with("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n")
        .with("sys/fs/cgroup/memory/memory.limit_in_bytes", "2147483648\n")
        .with("sys/fs/cgroup/memory/child/memory.limit_in_bytes", "1073741824\n");
    assert_eq!(part.limits(), (Some(0.5), Some(GIB)));
    // The group does not exist below what is mounted.
    for group in ["/kubepods/pod1/abc", "/../../abc", "/"] {
        let root = Root::two(group).group_two("", "50000 100000\n", "1073741824\n");
        assert_eq!(root.limits(), (Some(0.5), Some(GIB)), "{group}");
        let root = Root::one(group).quota_one("", "50000\n").memory_one("", "1073741824\n");
        assert_eq!(root.limits(), (Some(0.5), Some(GIB)), "{group}");
    }
}

#[test]
fn in_a_hybrid_setup_each_controller_is_where_it_is() {
    let root = Root::new()
        .with("proc/self/cgroup", "4:cpu:/a\n0::/b\n")
        .with(
            "proc/self/mountinfo",
            "33 32 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
             41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
        )
        .with("sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "300000\n")
        .with("sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n")
        .with("sys/fs/cgroup/unified/b/memory.max", "1073741824\n");
    assert_eq!(root.limits(), (Some(3.0), Some(GIB)));
}

#[test]
fn what_cannot_be_read_is_no_limit() {
    let empty = TempDir::new().expect("a folder");
    assert_eq!(Machine::read(empty.path(), 3), Machine::with_cores(3));
    let nonsense = Root::two("/a").group_two("/a", "many 100000", "lots");
    assert_eq!(nonsense.limits(), (None, None));
    let nonsense = Root::new().with("proc/self/cgroup", "\0:::").with("proc/self/mountinfo", " - ");
    assert_eq!(nonsense.limits(), (None, None));
}

#[test]
fn a_mount_with_a_strange_name_hides_nothing() {
    let root = Root::two("/a").group_two("/a", "200000 100000\n", "max\n");
    let path = root.0.path().join("proc/self/mountinfo");
    fs::write(path, [b"29 23 0:25 / /mnt/\xff rw - tmpfs tmpfs rw\n", TWO.as_bytes()].concat())
        .expect("a file");
    assert_eq!(root.limits().0, Some(2.0));
}

#[test]
fn throttling_is_that_of_the_quota_that_binds() {
    let stat = |throttled| {
        format!("usage_usec 1\nnr_periods 90\nnr_throttled {throttled}\nthrottled_usec 5000\n")
    };
    let root = Root::two("/a/b")
        .group_two("/a", "200000 100000\n", "max\n")
        .group_two("/a/b", "400000 100000\n", "max\n")
        .with("sys/fs/cgroup/a/cpu.stat", &stat(9))
        .with("sys/fs/cgroup/a/b/cpu.stat", &stat(1));
    let time = Duration::from_millis(5);
    assert_eq!(root.throttling(), Some(Throttling { periods: 90, throttled: 9, time }));

    let root = Root::one("/a").quota_one("/a", "200000\n").with(
        "sys/fs/cgroup/cpu,cpuacct/a/cpu.stat",
        "nr_periods 4\nnr_throttled 3\nthrottled_time 5000000\n",
    );
    assert_eq!(root.throttling(), Some(Throttling { periods: 4, throttled: 3, time }));
}

#[test]
fn without_a_quota_nothing_is_throttled() {
    let stat = "nr_periods 0\nnr_throttled 0\nthrottled_usec 0\n";
    let root = Root::two("/a")
        .group_two("/a", "max 100000\n", "max\n")
        .with("sys/fs/cgroup/a/cpu.stat", stat);
    assert_eq!(root.throttling(), None);
    let root = Root::two("/a").group_two("/a", "200000 100000\n", "max\n");
    assert_eq!(root.throttling(), None);
}

#[test]
fn a_resize_in_place_is_told() {
    let root = Root::two("/pod").group_two("/pod", "200000 100000\n", "536870912\n");
    let before = root.machine();
    let root = root.group_two("/pod", "400000 100000\n", "1073741824\n");
    assert_eq!(
        root.machine().changes_since(&before),
        ["cpu quota 2 cores -> 4 cores", "memory limit 512MiB -> 1GiB"]
    );
}
