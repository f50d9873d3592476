//! The folders of the host that a guest sees.
//!
//! Purpose: `mounts = [{ host = "static", guest = "/static" }]`, or `--mount
//! static:/static`. Owner: validation of a route. Invariant: a folder can be written to
//! only where that was asked for, and no two share a place in the guest.

use std::{collections::BTreeMap, path::Path};

use crate::{
    config::Mount,
    raw::{Raw, RawValue, unknown_remedy},
    source::Source,
    validate::{
        Reader,
        reader::{NONE, list_text},
    },
    value::{Choice, GuestPath, HostPath, Kind},
};

const MOUNTS: &str = "mounts";
const WRITE: Choice<bool> = Choice(&[("false", false), ("true", true)]);

pub(crate) fn mounts(read: &mut Reader<'_>) -> Option<Vec<Mount>> {
    let Raw { value, source } = read.raw(MOUNTS)?;
    let list = match value {
        RawValue::Text(text) if text == NONE => Vec::new(),
        RawValue::List(list) => list,
        other => {
            let problem = format!("expected a list of tables, got {}", other.described());
            let remedy = r#"try mounts = [{ host = "static", guest = "/static" }]"#;
            read.fail(MOUNTS, source, problem, remedy);
            return None;
        }
    };
    let count = list.len();
    let mut mounts: Vec<Mount> = Vec::new();
    for raw in list {
        let source = raw.source.clone();
        let mount = match raw.value {
            RawValue::Table(table) => from_table(read, table, &source),
            _ => from_text(read, &raw),
        };
        let Some(mount) = mount else { continue };
        if mounts.iter().any(|other| other.guest == mount.guest) {
            let problem = format!("{} is mounted twice", mount.guest);
            read.fail(MOUNTS, source, problem, "change one of the guest's paths");
        } else {
            mounts.push(mount);
        }
    }
    read.record(MOUNTS, list_text(mounts.iter().map(show).collect()), &source, None);
    (mounts.len() == count).then_some(mounts)
}

fn from_table(
    read: &mut Reader<'_>,
    mut table: BTreeMap<String, Raw>,
    source: &Source,
) -> Option<Mount> {
    let mut part = |name: &str| table.remove(name);
    let (host, guest, write) = (part("host"), part("guest"), part("write"));
    for (name, raw) in &table {
        let remedy = unknown_remedy(name, ["host", "guest", "write"]);
        read.fail(&format!("mounts.{name}"), raw.source.clone(), "unknown key", remedy);
    }
    for (name, part, example) in [("host", &host, "static"), ("guest", &guest, "/static")] {
        if part.is_none() {
            let remedy = format!("add {name} = {example:?}");
            read.fail(&format!("mounts.{name}"), source.clone(), "is missing", remedy);
        }
    }
    let host = host.and_then(|raw| read.parse("mounts.host", &HostPath("static"), &raw));
    let guest = guest.and_then(|raw| read.parse("mounts.guest", &GuestPath, &raw));
    let write = match write {
        Some(raw) => read.parse("mounts.write", &WRITE, &raw),
        None => Some(false),
    };
    Some(Mount { host: host?, guest: guest?, write: write? })
}

/// `HOST:GUEST`, `HOST:GUEST:ro`, `HOST:GUEST:rw`
fn from_text(read: &mut Reader<'_>, raw: &Raw) -> Option<Mount> {
    let text = match &raw.value {
        RawValue::Text(text) => text.as_str(),
        RawValue::List(_) | RawValue::Table(_) => "",
    };
    let (paths, write) = match (text.strip_suffix(":rw"), text.strip_suffix(":ro")) {
        (Some(paths), _) => (paths, true),
        (_, Some(paths)) => (paths, false),
        _ => (text, false),
    };
    let mount = paths.rsplit_once(':').and_then(|(host, guest)| {
        let guest = GuestPath.parse(guest, Path::new("/")).ok()?;
        let host =
            HostPath("").parse(host, read.base(&raw.source)).ok().filter(|_| !host.is_empty())?;
        Some(Mount { host, guest, write })
    });
    if mount.is_none() {
        let got = raw.value.described();
        let problem = format!("expected HOST:GUEST or HOST:GUEST:rw, GUEST absolute, got {got}");
        let flag = if matches!(raw.source, Source::Flag(_)) { "--mount " } else { "" };
        read.fail(MOUNTS, raw.source.clone(), problem, format!("try {flag}static:/static"));
    }
    mount
}

fn show(mount: &Mount) -> String {
    let write = if mount.write { ":rw" } else { "" };
    format!("{}:{}{write}", mount.host.display(), mount.guest)
}
