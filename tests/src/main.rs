//! Runs the scenarios whose name contains the first argument, or lists them with `--list`.

use anyhow::Result;
use basalt_tests::{runner, scenarios};
use std::process::ExitCode;

fn main() -> Result<ExitCode> {
    let argument = std::env::args().nth(1);
    if argument.as_deref() == Some("--list") {
        for scenario in scenarios::ALL {
            println!("{}", scenario.name);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let failed = runner::run(argument.as_deref())?;
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
