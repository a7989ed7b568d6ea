//! Two builds of the development image are the same, bit for bit.

use super::Tally;
use crate::appliance::say;
use crate::build::Variant;
use crate::build::reproduce::{Depth, reproduce};
use anyhow::Result;

/// One test: the short form of `cargo image reproduce`.
pub fn test(filter: Option<&str>) -> Result<Tally> {
    const NAME: &str = "reproducible";
    if filter.is_some_and(|filter| !NAME.contains(filter)) {
        return Ok(Tally::default());
    }
    say("two builds of the image");
    let report = reproduce(Variant::Development, Depth::Short)?;
    Ok(if report.faults.is_empty() {
        Tally::passed()
    } else {
        Tally::failed(NAME, &report.faults.join("; "))
    })
}
