//! Which events are wanted: `info`, or `warn,shop=debug`.

use tracing::{Level, level_filters::LevelFilter};

/// A level, and others for some targets.
#[derive(Clone, Debug)]
pub(super) struct Filter {
    default: LevelFilter,
    targets: Vec<(String, LevelFilter)>,
}

impl Filter {
    /// What makes no sense is left out: a log that says too little is better than none.
    pub(super) fn parse(text: &str) -> Self {
        let mut filter = Self { default: LevelFilter::INFO, targets: Vec::new() };
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            match part.split_once('=') {
                Some((target, level)) => {
                    if let Ok(level) = level.trim().parse() {
                        filter.targets.push((target.trim().to_owned(), level));
                    }
                }
                None => filter.default = part.parse().unwrap_or(filter.default),
            }
        }
        filter
    }

    pub(super) fn enables(&self, target: &str, level: Level) -> bool {
        let of = |wanted: &str| {
            let rest = target.strip_prefix(wanted);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        };
        let special = self.targets.iter().filter(|(wanted, _)| of(wanted));
        let special = special.max_by_key(|(wanted, _)| wanted.len());
        level <= special.map_or(self.default, |(_, level)| *level)
    }

    pub(super) fn max(&self) -> LevelFilter {
        self.targets.iter().map(|(_, level)| *level).fold(self.default, LevelFilter::max)
    }

    pub(super) fn max_log(&self) -> log::LevelFilter {
        match self.max().into_level() {
            None => log::LevelFilter::Off,
            Some(Level::ERROR) => log::LevelFilter::Error,
            Some(Level::WARN) => log::LevelFilter::Warn,
            Some(Level::INFO) => log::LevelFilter::Info,
            Some(Level::DEBUG) => log::LevelFilter::Debug,
            Some(Level::TRACE) => log::LevelFilter::Trace,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_have_levels_of_their_own() {
        let filter = Filter::parse("warn, shop=debug,shop::cart=off,nonsense=loud");
        assert!(filter.enables("other", Level::WARN) && !filter.enables("other", Level::INFO));
        assert!(filter.enables("shop::items", Level::DEBUG));
        assert!(!filter.enables("shop::cart", Level::ERROR));
        assert!(!filter.enables("shopping", Level::INFO));
        assert_eq!(filter.max_log(), log::LevelFilter::Debug);
        assert!(Filter::parse("").enables("a", Level::INFO));
        assert!(!Filter::parse("off").enables("a", Level::ERROR));
    }
}
