//! Metrics in the text format of OpenMetrics 1.0, as far as tests look at them.

use std::{collections::BTreeMap, fmt};

/// One scrape.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics {
    samples: Vec<Sample>,
    /// What `# TYPE` says of each name.
    kinds: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Metrics {
    /// Reads all of it.
    ///
    /// # Panics
    /// When a line is neither a comment nor a sample.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut metrics = Self::default();
        for line in text.lines().filter(|line| !line.is_empty()) {
            if let Some(comment) = line.strip_prefix('#') {
                let mut words = comment.split_whitespace();
                if words.next() == Some("TYPE") {
                    let words = words.next().zip(words.next());
                    let (name, kind) = words.unwrap_or_else(|| panic!("no type: {line}"));
                    metrics.kinds.insert(name.to_owned(), kind.to_owned());
                }
            } else {
                let sample = Sample::parse(line);
                metrics.samples.push(sample.unwrap_or_else(|| panic!("no sample: {line}")));
            }
        }
        metrics
    }

    /// The one sample with this name and at least these labels.
    ///
    /// # Panics
    /// When there is none, or more than one.
    #[must_use]
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        match self.values(name, labels)[..] {
            [value] => value,
            ref values => panic!("{name} {labels:?} has {} values in:\n{self}", values.len()),
        }
    }

    /// All samples with this name and at least these labels, added up; zero without any.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.values(name, labels).into_iter().sum()
    }

    /// All samples with this name and at least these labels.
    #[must_use]
    pub fn values(&self, name: &str, labels: &[(&str, &str)]) -> Vec<f64> {
        let matching = self.samples.iter().filter(|sample| sample.matches(name, labels));
        matching.map(|sample| sample.value).collect()
    }

    /// What a label is in the samples of this name, each once.
    #[must_use]
    pub fn labels(&self, name: &str, label: &str) -> Vec<&str> {
        let samples = self.samples.iter().filter(|sample| sample.name == name);
        let mut values: Vec<&str> =
            samples.filter_map(|sample| sample.labels.get(label)).map(String::as_str).collect();
        values.sort_unstable();
        values.dedup();
        values
    }

    /// `counter`, `gauge` or `histogram`; empty if nothing says so.
    #[must_use]
    pub fn kind(&self, name: &str) -> &str {
        // A counter's samples end with what its name does not (OpenMetrics 1.0).
        let family = name.strip_suffix("_total").unwrap_or(name);
        self.kinds.get(family).map_or("", String::as_str)
    }
}

impl Sample {
    /// `NAME{LABEL="VALUE",…} NUMBER`
    fn parse(line: &str) -> Option<Self> {
        let (series, value) = line.rsplit_once(' ')?;
        let value = value.parse().ok()?;
        let (name, mut rest) = match series.split_once('{') {
            Some((name, labels)) => (name, labels.strip_suffix('}')?),
            None => (series, ""),
        };
        let mut labels = BTreeMap::new();
        while !rest.is_empty() {
            let (label, after) = rest.split_once("=\"")?;
            let end = end_of_text(after)?;
            labels.insert(label.trim_start_matches(',').to_owned(), unescaped(&after[..end]));
            rest = &after[end + 1..];
        }
        Some(Self { name: name.to_owned(), labels, value })
    }

    fn matches(&self, name: &str, labels: &[(&str, &str)]) -> bool {
        let has = |(label, value): &(&str, &str)| {
            self.labels.get(*label).is_some_and(|ours| ours == value)
        };
        self.name == name && labels.iter().all(has)
    }
}

/// Where the quotation mark is that ends a label's value.
fn end_of_text(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(index, character)| {
        let ends = character == '"' && !escaped;
        escaped = character == '\\' && !escaped;
        ends.then_some(index)
    })
}

fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        plain.push(match character {
            '\\' => match characters.next() {
                Some('n') => '\n',
                Some(other) => other,
                None => '\\',
            },
            other => other,
        });
    }
    plain
}

impl fmt::Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Sample { name, labels, value } in &self.samples {
            writeln!(f, "{name} {labels:?} {value}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Metrics;

    #[test]
    fn samples_are_found_by_name_and_labels() {
        let metrics = Metrics::parse(
            "# HELP requests_total Requests, all of them.\n\
             # TYPE requests counter\n\
             requests_total{route=\"/\",status=\"200\"} 3\n\
             requests_total{route=\"/a,b=\\\"c\\\"} \\\\\",status=\"200\"} 4\n\
             lag_seconds{worker=\"0\"} 1.5e-3\n\
             in_flight 0\n\
             # EOF\n",
        );
        assert_eq!(metrics.kind("requests_total"), "counter");
        assert_eq!(metrics.value("requests_total", &[("route", "/"), ("status", "200")]), 3.0);
        assert_eq!(metrics.sum("requests_total", &[("status", "200")]), 7.0);
        assert_eq!(metrics.labels("requests_total", "route"), ["/", "/a,b=\"c\"} \\"]);
        assert_eq!(metrics.value("lag_seconds", &[]), 0.0015);
        assert_eq!(metrics.value("in_flight", &[]), 0.0);
        assert!(metrics.values("in_flight", &[("worker", "0")]).is_empty());
    }

    #[test]
    #[should_panic(expected = "has 2 values")]
    fn a_value_is_unique() {
        let _ = Metrics::parse("a{b=\"1\"} 1\na{b=\"2\"} 2\n").value("a", &[]);
    }
}
