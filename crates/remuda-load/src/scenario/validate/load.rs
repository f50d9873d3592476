//! Who decides when a request is sent, and how many there are over time.

use std::time::Duration;

use super::{Problems, Raw};
use crate::scenario::{Arrivals, Model, Plan, Stage, Think};

/// A run that is bounded by its number of requests ends by the clock after this.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// More would need a machine for themselves, and a mistake is likelier.
const MOST_USERS: f64 = 1_000_000.0;

/// Model and plan.
pub(super) fn load(raw: &Raw, problems: &mut Problems) -> (Model, Plan) {
    let stages_have = |rate: bool| {
        raw.stages
            .iter()
            .any(|stage| if rate { stage.rate.is_some() } else { stage.users.is_some() })
    };
    let is_open = raw.rate.is_some() || stages_have(true);
    if stages_have(true) && stages_have(false) {
        let has = |index: usize, what: &str| format!("stage {} has {what}", index + 1);
        let rate = raw.stages.iter().position(|stage| stage.rate.is_some()).unwrap_or_default();
        let users = raw.stages.iter().position(|stage| stage.users.is_some()).unwrap_or_default();
        let told = if rate == users {
            has(rate, "both users and rate")
        } else {
            format!("{}, stage {} users", has(rate, "rate"), users + 1)
        };
        problems.add("stage", told, "write the same of the two in all stages");
    } else if is_open && (raw.users.is_some() || stages_have(false)) {
        let remedy = "keep users (each waits for its answers) or rate (arrivals wait for nobody)";
        problems.add("users", "beside a rate", remedy);
    }
    let plan = if raw.stages.is_empty() {
        simple(raw, is_open, problems)
    } else {
        staged(raw, is_open, problems)
    };
    if plan.peak() > MOST_USERS {
        let key = if is_open { "rate" } else { "users" };
        problems.add(key, plan.peak(), format!("write at most {MOST_USERS}"));
    }
    if plan.peak() <= 0.0 {
        let key = if is_open { "rate" } else { "users" };
        problems.add(key, 0, "write a number above zero: nothing would be sent");
    }
    let think = raw.think.as_ref().map(|text| {
        Think::parse(text).unwrap_or_else(|| {
            problems.add("think", text, "write a pause such as 500ms, or 500ms..1500ms");
            Think::default()
        })
    });
    let choices = [("even", Arrivals::Even), ("random", Arrivals::Random)];
    let arrivals = problems.choice("arrivals", raw.arrivals.as_ref(), &choices);
    let max_in_flight = raw.max_in_flight.unwrap_or(1000);
    if !(1..=1_000_000).contains(&max_in_flight) {
        problems.add("max_in_flight", max_in_flight, "write a number from 1 to 1000000");
    }
    if is_open {
        if let (Some(_), Some(text)) = (think, &raw.think) {
            problems.add("think", text, "leave it out: arrivals do not think, users do");
        }
        return (Model::Open { arrivals, max_in_flight }, plan);
    }
    for (key, value) in [
        ("arrivals", raw.arrivals.clone()),
        ("max_in_flight", raw.max_in_flight.map(|number| number.to_string())),
    ] {
        if let Some(value) = value {
            problems.add(key, value, "leave it out, or write rate instead of users");
        }
    }
    (Model::Closed { think: think.unwrap_or_default() }, plan)
}

/// Up, steady, down.
fn simple(raw: &Raw, is_open: bool, problems: &mut Problems) -> Plan {
    let level = if is_open { raw.rate.unwrap_or(0.0) } else { f64::from(raw.users.unwrap_or(10)) };
    let level = finite("rate", level, problems);
    let up = problems.duration("ramp_up", raw.ramp_up.as_ref(), "0s");
    let down = problems.duration("ramp_down", raw.ramp_down.as_ref(), "0s");
    let steady = match &raw.duration {
        None if raw.requests.is_some() => LONGEST,
        duration => problems.positive("duration", duration.as_ref(), "60s"),
    };
    let stage = |name: &str, duration, from, to| Stage { name: name.into(), duration, from, to };
    let stages = [
        stage("ramp up", up, 0.0, level),
        stage("steady", steady, level, level),
        stage("ramp down", down, level, 0.0),
    ];
    Plan::new(stages.into_iter().filter(|stage| !stage.duration.is_zero()).collect())
}

fn staged(raw: &Raw, is_open: bool, problems: &mut Problems) -> Plan {
    for (key, value) in [("users", raw.users.map(f64::from)), ("rate", raw.rate)] {
        if let Some(value) = value {
            problems.add(key, value, "leave it out: the stages say it");
        }
    }
    for (key, value) in
        [("duration", &raw.duration), ("ramp_up", &raw.ramp_up), ("ramp_down", &raw.ramp_down)]
    {
        if let Some(value) = value {
            problems.add(key, value, "leave it out: the stages say it");
        }
    }
    let mut level = 0.0;
    let mut stages: Vec<Stage> = Vec::new();
    for (index, stage) in raw.stages.iter().enumerate() {
        let key = |name: &str| format!("stage[{index}].{name}");
        let name = stage.name.clone().unwrap_or_else(|| format!("stage {}", index + 1));
        if stages.iter().any(|other| other.name == name) {
            problems.add(key("name"), &name, "give each stage a name of its own");
        }
        let unit = if is_open { "rate" } else { "users" };
        let to = if is_open { stage.rate.or(stage.users) } else { stage.users };
        let to = to.unwrap_or_else(|| {
            problems.add(key(unit), "", "say where the stage leads, such as 50");
            1.0
        });
        let to = finite(&key(unit), to, problems);
        let from = finite(&key("from"), stage.from.unwrap_or(level), problems);
        let duration = match &stage.duration {
            None => {
                problems.add(key("duration"), "", "say how long the stage takes, such as 30s");
                Duration::from_secs(1)
            }
            some => problems.positive(&key("duration"), some.as_ref(), "1s"),
        };
        stages.push(Stage { name, duration, from, to });
        level = to;
    }
    Plan::new(stages)
}

fn finite(key: &str, level: f64, problems: &mut Problems) -> f64 {
    if level.is_finite() && level >= 0.0 {
        return level;
    }
    problems.add(key, level, "write a number of at least zero");
    1.0
}
