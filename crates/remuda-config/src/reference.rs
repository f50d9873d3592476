//! The reference of all keys, as Markdown.
//!
//! Purpose: `docs/configuration.md` is this text, and a check keeps it so. Owner: the
//! tables in `keys`. Invariant: generated from them alone.

use std::fmt::Write as _;

use crate::{
    key::{Arity, Key},
    keys::{KEYS, RESERVED_VARIABLES, ROUTE_KEYS, find},
};

const INTRODUCTION: &str = "\
# Configuration

Generated from the table of keys in `remuda-config`; edit that.

The command line goes over the environment, the environment over the file, the file over the
defaults. An unknown key or variable is an error. `remuda serve` prints every setting in force, who
set it and, if it was derived, how.

- Durations read `250ms`, `30s`, `1m 30s`; a bare number is seconds. From 1ms to 7days: no timeout
  is zero or endless. Where the default is `0s`, zero is allowed.
- Sizes read `64KiB`, `128MiB`, `1GB` (10^9); a bare number is bytes.
- Sockets that systemd passes (`LISTEN_FDS`) are listened on unless `bind` is set.
- Lists in a flag or a variable are separated by commas, and such flags may be repeated; `none` is
  the empty list.
- Relative paths in the file begin at the file's folder, all others at the working folder.
";

/// Every key with its default, flags, variable and meaning.
pub fn reference_markdown() -> String {
    let mut text = INTRODUCTION.to_owned();
    let reserved: Vec<String> = RESERVED_VARIABLES.iter().map(|name| code(name)).collect();
    write(&mut text, format_args!("- {} are no settings.\n", reserved.join(" and ")));

    write(&mut text, format_args!("\n## Server\n\n{HEAD}"));
    for key in KEYS {
        row(&mut text, key, &code(key.default), &code(&key.environment()));
    }
    text.push_str("\n## Routes\n\nInside `[[route]]`. The flags apply to the one route of ");
    write(&mut text, format_args!("`remuda serve COMPONENT`.\n{ROUTE_LIMITS}\n{HEAD}"));
    for key in ROUTE_KEYS {
        let default = match (key.default, find(KEYS, key.path)) {
            ("", Some(_)) => "the worker's".to_owned(),
            ("", None) => "must be given".to_owned(),
            (default, _) => code(default),
        };
        row(&mut text, key, &default, "");
    }
    text
}

/// What the rows of a route's limits have no room for.
const ROUTE_LIMITS: &str = "\
A route's limits are the worker's or lower; for one that needs more, raise the worker's, and lower those
of the other routes.
";

const HEAD: &str = "\
| Key | Default | Flags | Variable | Meaning |
|---|---|---|---|---|
";

fn row(text: &mut String, key: &Key, default: &str, variable: &str) {
    let short = key.short.map(|short| format!("-{short}"));
    let long = key.flag.iter().chain(key.aliases).map(|flag| format!("--{flag}"));
    let mut flags: Vec<String> = short.into_iter().chain(long).map(|flag| code(&flag)).collect();
    if key.flag.is_some() && key.arity != Arity::One {
        flags.push("repeatable".to_owned());
    }
    let (path, flags) = (code(key.path), flags.join(", "));
    write(text, format_args!("| {path} | {default} | {flags} | {variable} | {} |\n", key.help));
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

/// Writing to a string cannot fail.
fn write(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    let _ = text.write_fmt(arguments);
}

#[cfg(test)]
mod tests {
    use super::reference_markdown;
    use crate::keys::{KEYS, ROUTE_KEYS};

    #[test]
    fn has_one_row_of_the_right_width_for_every_key() {
        let text = reference_markdown();
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| `")).collect();
        assert_eq!(rows.len(), KEYS.len() + ROUTE_KEYS.len());
        for row in rows {
            assert_eq!(row.matches('|').count(), 6, "{row}");
        }
    }

    #[test]
    fn shows_what_an_operator_looks_for() {
        let text = reference_markdown();
        for row in [
            "| `workers.count` | `auto` | `-w`, `--workers` | `REMUDA_WORKERS__COUNT` | Number of \
             worker processes; auto is cores × profile, or what fits into memory |\n",
            "| `component` | must be given |  |  | The component to serve, relative to the file |\n",
            "| `limits.memory` | the worker's |  |  | Memory of one instance",
            "| `env` | `none` | `-e`, `--env`, repeatable |  | Environment variables of the guest |\n",
            "| `http.max_keep_alive` | `0` | `--max-keep-alive` |",
            "| `executor` | `auto` | `--executor` |  | Where the guest runs: ",
        ] {
            assert!(text.contains(row), "{row}\n{text}");
        }
    }
}
