//! From what is written to what is run.
//!
//! Owner: [`Scenario::validate`]. Invariant: every mistake is told, each with its key, what
//! was written there and what to write instead; a value that is wrong stands in for itself
//! with its default until all others have been looked at.

mod connection;
mod endpoints;
mod load;
#[cfg(test)]
mod tests;

use std::{num::NonZeroU64, time::Duration};

use connection::connection;
use endpoints::endpoints;
use load::load;

use super::{
    Address, Endpoint, Plan, Problem, Raw, Scenario, ScenarioError, Target, target, value,
};
use crate::threshold::Threshold;

/// What the tuning guide tests with: users, seconds up, steady, down, and a pause as that of
/// people who click.
const GUIDE: (u32, [&str; 3], &str) = (50, ["30s", "60s", "30s"], "500ms..1500ms");

/// Collects what is wrong.
#[derive(Default)]
struct Problems(Vec<Problem>);

impl Problems {
    fn add(&mut self, key: impl Into<String>, value: impl ToString, remedy: impl Into<String>) {
        let (key, value, remedy) = (key.into(), value.to_string(), remedy.into());
        self.0.push(Problem { key, value, remedy });
    }

    fn duration(&mut self, key: &str, text: Option<&String>, default: &str) -> Duration {
        let text = text.map_or(default, String::as_str);
        value::duration(text).unwrap_or_else(|| {
            self.add(key, text, "write a duration such as 250ms or 30s");
            Duration::from_secs(1)
        })
    }

    /// A duration that something must fit into.
    fn positive(&mut self, key: &str, text: Option<&String>, default: &str) -> Duration {
        let duration = self.duration(key, text, default);
        if duration.is_zero() {
            self.add(key, "0", "write a duration above zero");
            return Duration::from_secs(1);
        }
        duration
    }

    fn choice<T: Copy>(&mut self, key: &str, text: Option<&String>, of: &[(&str, T)]) -> T {
        let Some(text) = text else { return of[0].1 };
        match of.iter().find(|(name, _)| name == text) {
            Some((_, choice)) => *choice,
            None => {
                let names: Vec<_> = of.iter().map(|(name, _)| *name).collect();
                self.add(key, text, format!("write one of {}", names.join(", ")));
                of[0].1
            }
        }
    }
}

impl Scenario {
    /// Makes a scenario of what was written.
    ///
    /// # Errors
    /// All mistakes at once.
    pub fn validate(mut raw: Raw) -> Result<Self, ScenarioError> {
        let unread = std::mem::take(&mut raw.unread);
        let mut problems = Problems::default();
        as_the_guide_says(&mut raw);
        let target = server(&raw, &mut problems);
        let endpoints = endpoints(&raw, &target, &mut problems);
        let before = problems.0.len();
        let (model, plan) = load(&raw, &mut problems);
        if unread.iter().any(|problem| is_of_the_load(&problem.key)) {
            // What was understood of it is not what was meant.
            problems.0.truncate(before);
        }
        let warmup = problems.duration("warmup", raw.warmup.as_ref(), "0s");
        if warmup >= plan.duration() {
            let whole = humantime::format_duration(plan.duration());
            let remedy = format!("leave something to measure: the run takes {whole}");
            problems.add("warmup", humantime::format_duration(warmup), remedy);
        }
        let interval = problems.duration("interval", raw.interval.as_ref(), "1s");
        if !(Duration::from_millis(50)..=Duration::from_secs(60)).contains(&interval) {
            let value = humantime::format_duration(interval);
            problems.add("interval", value, "write a duration from 50ms to 60s");
        }
        if raw.threads.is_some_and(|threads| !(1..=1024).contains(&threads)) {
            let threads = raw.threads.unwrap_or_default();
            problems.add("threads", threads, "write a number from 1 to 1024, or leave it out");
        }
        let requests = raw.requests.map(NonZeroU64::new).inspect(|requests| {
            if requests.is_none() {
                problems.add("requests", 0, "write a number above zero, or leave it out");
            }
        });
        let thresholds = thresholds(&raw, &endpoints, &plan, &mut problems);
        let metrics = raw.metrics.as_ref().and_then(|text| {
            let metrics = Target::parse(text);
            if metrics.as_ref().is_none_or(|metrics| metrics.is_tls) {
                let remedy = "write where /metrics is, without TLS, such as \
                              http://127.0.0.1:9000/metrics";
                problems.add("metrics", text, remedy);
            }
            metrics
        });
        let request_timeout =
            problems.positive("request_timeout", raw.request_timeout.as_ref(), "30s");
        let connection = connection(&raw, &target, &mut problems);
        // What could not be understood is not missing.
        let is_unread = |key: &str| unread.iter().any(|problem| problem.key == key);
        problems.0.retain(|problem| !problem.value.is_empty() || !is_unread(&problem.key));
        problems.0.splice(..0, unread);
        match target {
            Some(target) if problems.0.is_empty() => Ok(Self {
                target,
                model,
                plan,
                warmup,
                interval,
                requests: requests.flatten(),
                seed: raw.seed.unwrap_or(1),
                threads: raw.threads,
                connection,
                request_timeout,
                endpoints,
                thresholds,
                metrics,
            }),
            _ => Err(ScenarioError::Invalid(problems.0)),
        }
    }
}

fn is_of_the_load(key: &str) -> bool {
    let first = key.split(['.', '[']).next().unwrap_or_default();
    ["users", "rate", "duration", "ramp_up", "ramp_down", "stage"].contains(&first)
}

/// Who says nothing of the load gets the one of the tuning guide.
fn as_the_guide_says(raw: &mut Raw) {
    let is_said = raw.users.is_some()
        || raw.rate.is_some()
        || raw.requests.is_some()
        || raw.duration.is_some()
        || !raw.stages.is_empty();
    if !is_said {
        let (users, [up, steady, down], think) = GUIDE;
        raw.users = Some(users);
        raw.ramp_up.get_or_insert_with(|| up.to_owned());
        raw.duration = Some(steady.to_owned());
        raw.ramp_down.get_or_insert_with(|| down.to_owned());
        raw.think.get_or_insert_with(|| think.to_owned());
    }
}

/// `None` when there is a problem.
fn server(raw: &Raw, problems: &mut Problems) -> Option<Target> {
    let Some(text) = &raw.target else {
        problems.add("target", "", target::FORM);
        return None;
    };
    let Some(mut server) = Target::parse(text) else {
        // What is secret is not repeated.
        match target::without_user(text) {
            Some(bare) => problems.add("target", bare, target::NO_USER),
            None => problems.add("target", text, target::FORM),
        }
        return None;
    };
    if !raw.endpoints.iter().all(|endpoint| endpoint.path.is_none()) && server.path != "/" {
        problems.add("target", text, "leave out the path: each endpoint has its own");
    }
    if let Some(path) = &raw.connection.unix_socket {
        server.address = Address::Unix(path.into());
    }
    Some(server)
}

fn thresholds(
    raw: &Raw,
    endpoints: &[Endpoint],
    plan: &Plan,
    problems: &mut Problems,
) -> Vec<Threshold> {
    let mut thresholds = Vec::new();
    for text in &raw.fail_if {
        match Threshold::parse(text) {
            Err(error) => problems.add("fail_if", text, error.to_string()),
            Ok(threshold) => {
                let names: Vec<_> = endpoints.iter().map(|each| each.name.as_str()).collect();
                if let Some(name) = &threshold.endpoint
                    && !names.contains(&name.as_str())
                {
                    problems.add("fail_if", text, format!("endpoints are {}", names.join(", ")));
                }
                let names: Vec<_> = plan.stages().iter().map(|each| each.name.as_str()).collect();
                if let Some(name) = &threshold.stage
                    && !names.contains(&name.as_str())
                {
                    problems.add("fail_if", text, format!("stages are {}", names.join(", ")));
                }
                thresholds.push(threshold);
            }
        }
    }
    thresholds
}
