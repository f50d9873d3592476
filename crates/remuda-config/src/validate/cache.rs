//! Where compiled components are kept when nobody says.
//!
//! Purpose: the XDG base directory specification, with a place for services that have
//! no home. Owner: validation. Invariant: absolute, whatever the environment holds.

use std::path::{Path, PathBuf};

use crate::raw::folder;

/// What systems give to users that have no home.
const NO_HOME: [&str; 2] = ["/", "/nonexistent"];

/// The folder and the reason for it.
pub(crate) fn default_folder(environment: &[(String, String)]) -> (PathBuf, &'static str) {
    let homeless = |path: &&Path| !NO_HOME.iter().any(|none| *path == Path::new(none));
    // What systemd makes for CacheDirectory= (systemd.exec(5)).
    if let Some(cache) = folder(environment, "CACHE_DIRECTORY") {
        return (cache.to_owned(), "$CACHE_DIRECTORY");
    }
    if let Some(cache) = folder(environment, "XDG_CACHE_HOME") {
        return (cache.join("remuda"), "$XDG_CACHE_HOME/remuda");
    }
    if let Some(home) = folder(environment, "HOME").filter(homeless) {
        return (home.join(".cache/remuda"), "$HOME/.cache/remuda");
    }
    (PathBuf::from("/var/cache/remuda"), "no $XDG_CACHE_HOME and no $HOME to write to")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::default_folder;

    #[test]
    fn follows_the_environment() {
        for (xdg, home, expected) in [
            (Some("/xdg"), Some("/home/a"), "/xdg/remuda"),
            (None, Some("/home/a"), "/home/a/.cache/remuda"),
            (Some(""), Some("/home/a"), "/home/a/.cache/remuda"),
            (Some("relative"), Some("/home/a"), "/home/a/.cache/remuda"),
            (None, Some("/"), "/var/cache/remuda"),
            (None, Some("/nonexistent"), "/var/cache/remuda"),
            (None, Some(""), "/var/cache/remuda"),
            (None, None, "/var/cache/remuda"),
        ] {
            let named = [("XDG_CACHE_HOME", xdg), ("HOME", home)];
            let environment: Vec<_> = named
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
                .collect();
            assert_eq!(default_folder(&environment).0, Path::new(expected), "{xdg:?} {home:?}");
            let systemd = ("CACHE_DIRECTORY".to_owned(), "/var/cache/private/remuda".to_owned());
            let environment: Vec<_> = environment.into_iter().chain([systemd]).collect();
            assert_eq!(default_folder(&environment).0, Path::new("/var/cache/private/remuda"));
        }
    }
}
