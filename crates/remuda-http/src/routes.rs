//! Which route a request takes.

use http::Uri;
use remuda_config::Route;

/// The routes of a worker, best match first.
#[derive(Debug)]
pub struct RouteTable {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    host: Option<String>,
    /// Without the slash at its end; empty for `/`.
    prefix: String,
    route: usize,
}

impl RouteTable {
    /// A route with a host comes before those without, a longer path before a shorter.
    #[must_use]
    pub fn new(routes: &[Route]) -> Self {
        Self::from_keys(routes.iter().map(|route| (route.host.as_deref(), route.path.as_str())))
    }

    fn from_keys<'a>(keys: impl Iterator<Item = (Option<&'a str>, &'a str)>) -> Self {
        let entry = |(route, (host, path)): (usize, (Option<&str>, &str))| Entry {
            host: host.map(str::to_owned),
            prefix: path.trim_end_matches('/').to_owned(),
            route,
        };
        let mut entries: Vec<Entry> = keys.enumerate().map(entry).collect();
        entries.sort_by_key(|entry| (entry.host.is_none(), usize::MAX - entry.prefix.len()));
        Self { entries }
    }

    /// The index of the route for an absolute URI.
    #[must_use]
    pub fn find(&self, uri: &Uri) -> Option<usize> {
        let (host, path) = (uri.host().unwrap_or_default(), uri.path());
        self.entries.iter().find(|entry| entry.matches(host, path)).map(|entry| entry.route)
    }
}

impl Entry {
    fn matches(&self, host: &str, path: &str) -> bool {
        self.host.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(host))
            && path.strip_prefix(self.prefix.as_str()).is_some_and(|rest| {
                rest.is_empty() || rest.starts_with('/') || self.prefix.is_empty()
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(routes: &[(Option<&str>, &str)]) -> RouteTable {
        RouteTable::from_keys(routes.iter().copied())
    }

    fn find(table: &RouteTable, uri: &'static str) -> Option<usize> {
        table.find(&Uri::from_static(uri))
    }

    #[test]
    fn the_longest_prefix_of_whole_segments_wins() {
        let table = table(&[(None, "/"), (None, "/api"), (None, "/api/v2")]);
        assert_eq!(find(&table, "http://a/"), Some(0));
        assert_eq!(find(&table, "http://a/apiary"), Some(0));
        assert_eq!(find(&table, "http://a/api"), Some(1));
        assert_eq!(find(&table, "http://a/api/v1"), Some(1));
        assert_eq!(find(&table, "http://a/api/v2/x?y=/z"), Some(2));
    }

    #[test]
    fn a_route_with_a_host_is_for_that_host() {
        let table = table(&[(None, "/api"), (Some("b.example"), "/")]);
        assert_eq!(find(&table, "http://b.example:8000/api"), Some(1));
        assert_eq!(find(&table, "http://B.EXAMPLE/"), Some(1));
        assert_eq!(find(&table, "http://a.example/api"), Some(0));
        assert_eq!(find(&table, "http://a.example/"), None);
    }
}
