//! Every fuzz target, for a few seconds: they still build, and nothing falls over what was found
//! before. Finding something new takes longer: `cargo image fuzz --seconds 600`.

use super::Tally;
use crate::appliance::say;
use crate::fuzz::{self, Target};
use anyhow::Result;
use std::time::Duration;

/// How long each target runs.
const TIME: Duration = Duration::from_secs(3);

/// Runs the targets whose name contains `filter`.
pub fn test(filter: Option<&str>) -> Result<Tally> {
    let mut targets = Target::all()?;
    targets.retain(|target| filter.is_none_or(|filter| name(target).contains(filter)));
    if targets.is_empty() {
        return Ok(Tally::default());
    }
    say("fuzz targets");
    fuzz::build(&targets)?;
    let mut total = Tally::default();
    for target in &targets {
        let outcome = target.run(TIME)?;
        say(&format!("     {}: {outcome}", name(target)));
        total += match outcome.finding {
            None => Tally::passed(),
            Some(finding) => Tally::failed(&name(target), &finding.to_string()),
        };
    }
    Ok(total)
}

/// The target's name among all tests.
fn name(target: &Target) -> String {
    format!("fuzz::{}", target.name())
}
