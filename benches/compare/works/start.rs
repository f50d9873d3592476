//! From the start of a server to its first answer.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use remuda_comparison::{
    Work,
    report::{Chart, Table},
};

use crate::{
    bench::Bench,
    contender::Contender,
    lineup,
    load::ask_once,
    rounds::{self, Head, Sample},
};

/// Longest time to the first answer.
const LONGEST: Duration = Duration::from_secs(60);

pub(crate) fn contenders(bench: &Bench) -> Vec<Contender> {
    let mut contenders = vec![lineup::native(bench)];
    for server in lineup::remudas(bench) {
        if server.name != "remuda 0.2 reused" {
            contenders.extend([server.with_empty_cache(), server]);
        }
    }
    contenders.extend(lineup::uncached_wasmtimes(bench));
    contenders.extend(lineup::wasmtimes(bench).into_iter().skip(1));
    contenders.extend(lineup::pythons(bench));
    contenders
}

pub(crate) async fn run(bench: &Bench, contenders: &[Contender]) -> Table {
    let head = Head {
        work: Work::Start,
        title: "From start to first answer",
        about: "Until a connection is accepted, and until the first request is answered, both from \
                the moment the process is started; then what the first and the second request took, \
                each on a new connection. *Empty cache*: the component is compiled first; other \
                starts of Remuda and `wasmtime serve` find it compiled."
            .to_owned(),
        columns: &[
            ("first_ms", "first answer, ms", 0),
            ("accepts_ms", "accepts, ms", 0),
            ("request_ms", "first request, ms", 2),
            ("second_ms", "second, ms", 2),
        ],
        chart: Some(Chart::Bars(vec!["first_ms".to_owned()])),
        more: &[],
    };
    rounds::table(bench, head, contenders, async |contender| measure(bench, contender).await).await
}

async fn measure(bench: &Bench, contender: &Contender) -> Result<Vec<Sample>> {
    let started = Instant::now();
    let mut server = contender.spawn(bench)?;
    server.until_it_accepts().await?;
    let accepts = started.elapsed();
    let request = loop {
        match ask_once(server.address, "/text").await {
            Ok(time) => break time,
            Err(error) if started.elapsed() > LONGEST => bail!("no first answer: {error:#}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    };
    let first = started.elapsed();
    let second = ask_once(server.address, "/text").await?;
    let figures = [first, accepts, request, second].map(|time| time.as_secs_f64() * 1e3);
    Ok(vec![Sample::new("", figures.into())])
}
