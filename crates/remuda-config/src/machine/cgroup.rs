//! Where the files of this process's control groups lie.
//!
//! Purpose: from `/proc/self/cgroup` and `/proc/self/mountinfo` to folders, for cgroup
//! v1, v2, and both at the same time. Owner: the readers beside it. Invariant: every
//! folder lies at or below a mount point of a cgroup file system, whatever the two files
//! say.

use std::path::{Component, Path, PathBuf};

use super::text;

/// Which files a group has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    One,
    Two,
}

/// The group of this process and its ancestors, as far as they can be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Groups {
    pub(super) version: Version,
    /// The process's own first; the last is a mount point.
    pub(super) folders: Vec<PathBuf>,
}

/// Every hierarchy that may hold limits of a v1 controller such as `cpu` or `memory`. In
/// a hybrid setup there are two, and only one of them has the controller's files.
pub(super) fn groups(root: &Path, controller: &str) -> Vec<Groups> {
    let (Some(memberships), Some(mounts)) =
        (text(&root.join("proc/self/cgroup")), text(&root.join("proc/self/mountinfo")))
    else {
        return Vec::new();
    };
    let mounts: Vec<Mount> = mounts.lines().filter_map(Mount::parse).collect();
    [Version::One, Version::Two]
        .into_iter()
        .filter_map(|version| {
            let path = membership(&memberships, version, controller)?;
            let of_version: Vec<&Mount> =
                mounts.iter().filter(|mount| mount.has(version, controller)).collect();
            Some(Groups { version, folders: folders(root, &of_version, &path)? })
        })
        .collect()
}

/// The path of the process's group within its hierarchy: cgroups(7).
fn membership(memberships: &str, version: Version, controller: &str) -> Option<PathBuf> {
    memberships.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (id, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let found = match version {
            Version::One => controllers.split(',').any(|name| name == controller),
            Version::Two => id == "0" && controllers.is_empty(),
        };
        found.then(|| PathBuf::from(path))
    })
}

/// One line about a cgroup file system: proc_pid_mountinfo(5).
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    /// Which part of the hierarchy is mounted.
    part: PathBuf,
    point: PathBuf,
    version: Version,
    /// Of v1; those of v2 are found in the groups.
    controllers: Vec<String>,
}

impl Mount {
    /// `32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu`
    fn parse(line: &str) -> Option<Self> {
        let (mount, file_system) = line.split_once(" - ")?;
        let mut mount = mount.split(' ').skip(3);
        let (part, point) = (mount.next()?, mount.next()?);
        let mut file_system = file_system.split(' ');
        let version = match file_system.next()? {
            "cgroup" => Version::One,
            "cgroup2" => Version::Two,
            _ => return None,
        };
        let options = file_system.nth(1).unwrap_or_default();
        Some(Self {
            part: unescaped(part),
            point: unescaped(point),
            version,
            controllers: options.split(',').map(str::to_owned).collect(),
        })
    }

    fn has(&self, version: Version, controller: &str) -> bool {
        self.version == version
            && (version == Version::Two || self.controllers.iter().any(|name| name == controller))
    }
}

/// Spaces and the like are three octal digits behind a backslash.
fn unescaped(path: &str) -> PathBuf {
    let mut parts = path.split('\\');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code.filter(u8::is_ascii) {
            Some(code) => {
                plain.push(char::from(code));
                plain.push_str(&part[3..]);
            }
            None => {
                plain.push('\\');
                plain.push_str(part);
            }
        }
    }
    PathBuf::from(plain)
}

/// The group's folder and all above it, up to the mount point. In a container the group
/// may be named as the host sees it, while only the container's own part is mounted;
/// the mount point is then the best that can be had, and the right one.
fn folders(root: &Path, mounts: &[&Mount], path: &Path) -> Option<Vec<PathBuf>> {
    let below = |mount: &Mount| {
        let relative = path.strip_prefix(&mount.part).ok()?;
        let plain = relative.components().all(|part| matches!(part, Component::Normal(_)));
        let point = at(root, &mount.point)?;
        let folder = point.join(relative);
        (plain && folder.is_dir()).then_some((point, folder))
    };
    let (point, folder) = mounts.iter().find_map(|mount| below(mount)).or_else(|| {
        let point = at(root, &mounts.first()?.point)?;
        Some((point.clone(), point))
    })?;
    let above = folder.ancestors().take_while(|folder| folder.starts_with(&point));
    Some(above.map(Path::to_owned).collect())
}

/// An absolute path without `..`, below the root.
fn at(root: &Path, path: &Path) -> Option<PathBuf> {
    let relative = path.strip_prefix("/").ok()?;
    let plain = relative.components().all(|part| matches!(part, Component::Normal(_)));
    plain.then(|| root.join(relative))
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use proptest::prelude::*;

    use super::{Mount, Version, membership, unescaped};

    #[test]
    fn the_group_is_found_by_its_controller() {
        let hybrid = "12:memory:/a\n3:cpu,cpuacct:/b:c\n1:name=systemd:/d\n0::/e\n";
        for (version, controller, path) in [
            (Version::One, "memory", Some("/a")),
            (Version::One, "cpu", Some("/b:c")),
            (Version::One, "cpuset", None),
            (Version::Two, "cpu", Some("/e")),
        ] {
            let found = membership(hybrid, version, controller);
            assert_eq!(found.as_deref(), path.map(Path::new), "{version:?} {controller}");
        }
        assert_eq!(membership("4:memory:/a\n", Version::Two, "memory"), None);
    }

    #[test]
    fn only_cgroup_mounts_are_taken() {
        let one = "33 32 0:29 /pod /sys/fs/cgroup/cpu,cpuacct rw shared:9 master:2 - cgroup cgroup rw,cpu,cpuacct";
        let one = Mount::parse(one).expect("a cgroup mount");
        assert_eq!((one.part.as_path(), one.version), (Path::new("/pod"), Version::One));
        assert_eq!(one.point, Path::new("/sys/fs/cgroup/cpu,cpuacct"));
        assert!(one.has(Version::One, "cpu") && !one.has(Version::One, "memory"));
        assert!(!one.has(Version::Two, "cpu"));
        let two = Mount::parse("30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate");
        assert!(two.expect("a cgroup2 mount").has(Version::Two, "memory"));
        for other in ["23 1 0:21 / / rw - ext4 /dev/sda rw", "30 23 0:26 / /a rw cgroup2", ""] {
            assert_eq!(Mount::parse(other), None, "{other}");
        }
    }

    #[test]
    fn escapes_are_undone() {
        for (escaped, plain) in [
            ("/a\\040b\\134c", "/a b\\c"),
            ("/plain", "/plain"),
            ("/a\\", "/a\\"),
            ("/a\\9xx", "/a\\9xx"),
            ("/a\\0ü", "/a\\0ü"),
            ("/a\\377", "/a\\377"),
        ] {
            assert_eq!(unescaped(escaped), PathBuf::from(plain));
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_a_parser_panic(
            text in any::<String>(),
            line in "[0-9:,/ a-c\\\\-]{0,40}( - )?(cgroup2?)?[ a-c,]{0,12}",
        ) {
            for text in [&text, &line] {
                let _ = (Mount::parse(text), unescaped(text));
                let _ = membership(text, Version::One, "a");
                let _ = membership(text, Version::Two, "a");
            }
        }
    }
}
