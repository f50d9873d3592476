//! As much of libtest's command line as `cargo test` and `cargo nextest` use.

use std::{
    env,
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
};

pub(crate) type Scenario = (&'static str, fn());

/// Flags that are followed by a word, which is no filter then.
const TAKES_VALUE: [&str; 3] = ["--format", "--color", "--test-threads"];

pub(crate) fn main(all: &[Scenario]) -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let is_value = |index: usize| index > 0 && TAKES_VALUE.contains(&arguments[index - 1].as_str());
    let words = arguments.iter().enumerate().filter(|(index, _)| !is_value(*index));
    let filters: Vec<_> =
        words.map(|(_, word)| word).filter(|argument| !argument.starts_with('-')).collect();
    let wanted = |name: &str| match has("--exact") {
        true => filters.iter().any(|filter| *filter == name),
        false => filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str())),
    };
    // No scenario is ever ignored.
    let chosen = all.iter().filter(|(name, _)| !has("--ignored") && wanted(name));
    if has("--list") {
        chosen.for_each(|(name, _)| say(&format!("{name}: test")));
        return ExitCode::SUCCESS;
    }
    let (mut passed, mut failed) = (0, 0);
    for (name, scenario) in chosen {
        // A scenario owns everything it touches.
        let ok = catch_unwind(AssertUnwindSafe(scenario)).is_ok();
        say(&format!("test {name} ... {}", if ok { "ok" } else { "FAILED" }));
        *(if ok { &mut passed } else { &mut failed }) += 1;
    }
    let filtered_out = all.len() - passed - failed;
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    say(&format!(
        "\ntest result: {verdict}. {passed} passed; {failed} failed; {filtered_out} filtered out\n"
    ));
    ExitCode::from(if failed == 0 { 0 } else { 101 })
}

#[expect(clippy::print_stdout, reason = "test runners are read from standard output")]
fn say(line: &str) {
    println!("{line}");
}
