//! Several rounds, each of which measures every contender in turn, and what is in their middle.

use anyhow::Result;

use crate::{Options, contender::Contender};

/// The samples of each contender that could be measured, by its name.
pub(crate) async fn run<S>(
    options: &Options,
    all: &[Contender],
    measure: impl AsyncFn(&Contender) -> Result<S>,
) -> Vec<(String, Vec<S>)> {
    let chosen = all.iter().filter(|contender| contender.name.contains(&options.only));
    let mut measured: Vec<(&Contender, Vec<S>)> = chosen.map(|it| (it, Vec::new())).collect();
    for round in 0..options.rounds {
        for (contender, samples) in &mut measured {
            match measure(contender).await {
                Ok(sample) => samples.push(sample),
                Err(error) if round == 0 => println!("skipped {}: {error:#}", contender.name),
                Err(error) => println!("failed {}: {error:#}", contender.name),
            }
        }
    }
    let named = measured.into_iter().filter(|(_, samples)| !samples.is_empty());
    named.map(|(contender, samples)| (contender.name.clone(), samples)).collect()
}

/// The figure of the middle sample.
pub(crate) fn median<S>(samples: &[S], figure: impl Fn(&S) -> f64) -> f64 {
    let mut figures: Vec<f64> = samples.iter().map(figure).collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}
