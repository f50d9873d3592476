//! What an operator most likely meant.
//!
//! Purpose: an unknown key's error names a known one. Owner: used by the file and the
//! environment layer. Invariant: suggests only what it was offered, and nothing at
//! all rather than something unrelated.

/// Below this, a suggestion would be a guess.
const RESEMBLANCE: f64 = 0.5;
/// The same last part in another section is a weaker hint than the whole path.
const ELSEWHERE: f64 = 0.9;

/// The known path that resembles `given` most, whole or in its last part.
pub(crate) fn nearest<'a>(
    given: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let mut best = None;
    let mut highest = RESEMBLANCE;
    for path in known {
        let score = resemblance(given, path);
        if score > highest {
            (best, highest) = (Some(path), score);
        }
    }
    best
}

fn resemblance(given: &str, path: &str) -> f64 {
    let whole = strsim::normalized_damerau_levenshtein(given, path);
    let last = strsim::normalized_damerau_levenshtein(last_part(given), last_part(path));
    whole.max(last * ELSEWHERE)
}

/// `count` of `workers.count`
pub(crate) fn last_part(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    const KNOWN: [&str; 5] =
        ["bind", "workers.count", "workers.accept", "limits.request_timeout", "limits.queue"];

    #[test]
    fn finds_typing_errors_and_wrong_sections() {
        for (given, meant) in [
            ("workers.cont", Some("workers.count")),
            ("workers_count", Some("workers.count")),
            ("worker.count", Some("workers.count")),
            ("bnid", Some("bind")),
            ("request_timeout", Some("limits.request_timeout")),
            ("http.requst_timeout", Some("limits.request_timeout")),
            ("workers", Some("workers.count")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(given, KNOWN), meant, "{given}");
        }
    }
}
