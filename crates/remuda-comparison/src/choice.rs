//! What a run is to measure, as `cargo xtask bench` and the tool behind it are told.
//!
//! Invariant: a choice that was checked measures something.

use crate::{Error, Work, servers};

/// Fewer slices do not tell two revisions apart.
const LEAST_SLICES: u32 = 8;

#[derive(Clone, Debug, Default, clap::Args)]
pub struct Choice {
    /// Only these works [default: all but hash]
    #[arg(value_enum, value_name = "WORK", hide_possible_values = false)]
    pub works: Vec<Work>,
    /// How often each server is measured [default: 3; 2 or 1 for long works]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: Option<u32>,
    /// Seconds of load per measurement [default: 1]
    #[arg(long, value_parser = seconds)]
    pub seconds: Option<f64>,
    /// Only the servers whose name contains this
    #[arg(long, value_name = "TEXT")]
    pub only: Option<String>,
}

/// More than nothing, and no more than anybody waits.
fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.1..=600.0).contains(&seconds) => Ok(seconds),
        _ => Err("is to be a number of seconds from 0.1 to 600".to_owned()),
    }
}

impl Choice {
    /// Those that are named, each once, or all that the page has.
    pub fn works(&self) -> Vec<Work> {
        let mut works = Vec::new();
        for work in &self.works {
            if !works.contains(work) {
                works.push(*work);
            }
        }
        if works.is_empty() { Work::usual() } else { works }
    }

    /// Seconds of load per measurement.
    pub fn seconds(&self) -> f64 {
        self.seconds.unwrap_or(1.0)
    }

    pub fn rounds(&self, work: Work) -> u32 {
        self.rounds.unwrap_or(work.rounds())
    }

    pub fn is_wanted(&self, server: &str) -> bool {
        self.only.as_ref().is_none_or(|only| server.contains(only))
    }

    /// # Errors
    /// When no server of these works has such a name.
    pub fn check(&self) -> Result<(), Error> {
        let works = self.works();
        let mut names = Vec::new();
        for name in works.iter().flat_map(|work| work.servers()) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let works: Vec<&str> = works.iter().map(|work| work.name()).collect();
        self.one_of(&works.join(", "), &names)
    }

    /// The same for two revisions of Remuda, whose works and slices it returns.
    ///
    /// # Errors
    /// When a work is none that is compared, slices are too few, or no server is meant.
    pub fn check_against(&self) -> Result<(), Error> {
        if let Some(work) = self.works.iter().find(|work| !work.is_plain()) {
            return Err(Error::NotPlain(work.name()));
        }
        if let Some(slices) = self.rounds.filter(|slices| *slices < LEAST_SLICES) {
            return Err(Error::FewSlices { slices, least: LEAST_SLICES });
        }
        self.one_of("Remuda", &servers::REMUDAS.map(str::to_owned))
    }

    fn one_of(&self, works: &str, names: &[String]) -> Result<(), Error> {
        if names.iter().any(|name| self.is_wanted(name)) {
            return Ok(());
        }
        Err(Error::NoServer {
            works: works.to_owned(),
            only: self.only.clone().unwrap_or_default(),
            names: names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", "),
        })
    }

    /// As typed.
    pub fn args(&self) -> Vec<String> {
        let mut args: Vec<String> = self.works.iter().map(|work| work.name().to_owned()).collect();
        let mut option = |name: &str, value: Option<String>| {
            args.extend(value.into_iter().flat_map(|value| [format!("--{name}"), value]));
        };
        option("rounds", self.rounds.map(|rounds| rounds.to_string()));
        option("seconds", self.seconds.map(|seconds| seconds.to_string()));
        option("only", self.only.clone());
        args
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        choice: Choice,
    }

    fn parse(line: &[&str]) -> Result<Choice, clap::Error> {
        Line::try_parse_from(["bench"].iter().chain(line)).map(|line| line.choice)
    }

    #[test]
    fn what_measures_nothing_is_refused() {
        let refused: [&[&str]; 6] = [
            &["nope"],
            &["text", "--rounds", "0"],
            &["--seconds", "0"],
            &["--seconds", "601"],
            &["--seconds", "NaN"],
            &["--rounds", "many"],
        ];
        for line in refused {
            assert!(parse(line).is_err(), "{line:?}");
        }
    }

    #[test]
    fn a_name_that_no_server_has_is_told_with_those_there_are() {
        let choice = parse(&["text", "--only", "zzz"]).unwrap();
        let error = choice.check().unwrap_err().to_string();
        assert!(error.contains("none of text is called \"zzz\""), "{error}");
        assert!(error.contains("\"native hyper\", \"remuda 0.2 fresh\","), "{error}");
        assert!(parse(&["text", "--only", "ative"]).unwrap().check().is_ok());
        // Of this work there is one, of that there is none.
        let choice = parse(&["knee", "--only", "native"]).unwrap();
        assert!(choice.check().unwrap_err().to_string().contains("8 workers"));
        assert!(parse(&["knee", "text", "--only", "native"]).unwrap().check().is_ok());
    }

    #[test]
    fn revisions_are_compared_by_plain_works_of_remuda() {
        let told = |line: &[&str]| parse(line).unwrap().check_against().unwrap_err().to_string();
        assert!(told(&["overload"]).contains("overload does not"));
        assert!(told(&["text", "hello"]).contains("hello does not"));
        assert!(told(&["--rounds", "7"]).contains("--rounds 8"));
        assert!(told(&["--only", "native"]).contains("\"remuda SDK\""));
        assert!(
            parse(&["wait", "--rounds", "8", "--only", "SDK"]).unwrap().check_against().is_ok()
        );
    }

    #[test]
    fn what_was_typed_is_passed_on() {
        let typed = ["text", "knee", "--rounds", "5", "--seconds", "0.5", "--only", "remuda 0.2"];
        assert_eq!(parse(&typed).unwrap().args(), typed);
        assert_eq!(Choice::default().args(), Vec::<String>::new());
    }

    #[test]
    fn works_are_measured_once_and_all_when_none_is_named() {
        assert_eq!(parse(&["text", "text"]).unwrap().works(), [Work::Text]);
        assert_eq!(Choice::default().works(), Work::usual());
    }
}
