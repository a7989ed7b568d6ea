//! Runs the scenarios whose name contains one of the arguments, or lists them with `--list`;
//! `bench` runs the benchmarks instead.

use anyhow::Result;
use basalt_tests::{bench, runner, scenarios};
use std::process::ExitCode;

fn main() -> Result<ExitCode> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == "--list") {
        for scenario in scenarios::ALL {
            println!("{}", scenario.name);
        }
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(("bench", rest)) = words
        .split_first()
        .map(|(word, rest)| (word.as_str(), rest))
    {
        bench::run(rest)?;
        return Ok(ExitCode::SUCCESS);
    }
    let failed = runner::run(&words)?;
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
