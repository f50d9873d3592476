//! A scenario as reports tell it.
//!
//! Owner: the report. Invariant: no secret is in it (of headers only the names, of bodies
//! only the size), and two runs may be compared when [`Described::same_load`] says so.

use serde::{Deserialize, Serialize};

use super::{Arrivals, Http, Model, Scenario};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Described {
    pub target: String,
    /// `closed` or `open`.
    pub model: String,
    pub stages: Vec<DescribedStage>,
    pub think: Option<String>,
    pub arrivals: Option<String>,
    pub max_in_flight: Option<usize>,
    pub requests: Option<u64>,
    pub warmup_seconds: f64,
    pub interval_seconds: f64,
    pub http: String,
    pub reuse: bool,
    pub streams: Option<usize>,
    pub connect_timeout_seconds: f64,
    pub request_timeout_seconds: f64,
    pub insecure: bool,
    pub seed: u64,
    pub endpoints: Vec<DescribedEndpoint>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DescribedStage {
    pub name: String,
    pub seconds: f64,
    /// Users, or arrivals per second.
    pub from: f64,
    pub to: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DescribedEndpoint {
    pub name: String,
    pub weight: f64,
    pub method: String,
    pub path: String,
    pub headers: Vec<String>,
    pub body_bytes: usize,
    pub expect: String,
    pub checks_body: bool,
}

impl Described {
    #[must_use]
    pub fn new(scenario: &Scenario) -> Self {
        let (think, arrivals, max_in_flight) = match scenario.model {
            Model::Closed { think } => (Some(think.to_string()), None, None),
            Model::Open { arrivals: Arrivals::Even, max_in_flight } => {
                (None, Some("even".to_owned()), Some(max_in_flight))
            }
            Model::Open { arrivals: Arrivals::Random, max_in_flight } => {
                (None, Some("random".to_owned()), Some(max_in_flight))
            }
        };
        let connection = &scenario.connection;
        let stages = scenario.plan.stages().iter().map(|stage| DescribedStage {
            name: stage.name.clone(),
            seconds: stage.duration.as_secs_f64(),
            from: stage.from,
            to: stage.to,
        });
        let endpoints = scenario.endpoints.iter().map(|endpoint| DescribedEndpoint {
            name: endpoint.name.clone(),
            weight: endpoint.weight,
            method: endpoint.method.to_string(),
            path: endpoint.path.clone(),
            headers: endpoint.headers.keys().map(ToString::to_string).collect(),
            body_bytes: endpoint.body.len(),
            expect: endpoint.expect.to_string(),
            checks_body: endpoint.expect_body.is_some(),
        });
        Self {
            target: scenario.target.to_string(),
            model: if think.is_some() { "closed" } else { "open" }.to_owned(),
            stages: stages.collect(),
            think,
            arrivals,
            max_in_flight,
            requests: scenario.requests.map(Into::into),
            warmup_seconds: scenario.warmup.as_secs_f64(),
            interval_seconds: scenario.interval.as_secs_f64(),
            http: match connection.http {
                Http::Auto => "auto",
                Http::One => "1",
                Http::Two => "2",
            }
            .to_owned(),
            reuse: connection.reuse,
            streams: (connection.http != Http::One).then_some(connection.streams),
            connect_timeout_seconds: connection.timeout.as_secs_f64(),
            request_timeout_seconds: scenario.request_timeout.as_secs_f64(),
            insecure: connection.insecure,
            seed: scenario.seed,
            endpoints: endpoints.collect(),
        }
    }

    /// Whether the same was sent in the same way, be it to another server.
    #[must_use]
    pub fn same_load(&self, other: &Self) -> bool {
        let bare =
            |this: &Self| Self { target: String::new(), insecure: false, seed: 0, ..this.clone() };
        bare(self) == bare(other)
    }
}
