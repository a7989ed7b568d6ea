//! How much of the time processes wait for what there is too little of, and how much memory ZFS uses.

use std::collections::HashMap;

/// Names of the figures that [`figures`] has, as far as the kernel tells them.
#[cfg(test)]
pub const KEYS: [&str; 6] = [
    "arcsize",
    "pressurecpusome",
    "pressureiosome",
    "pressureiofull",
    "pressurememorysome",
    "pressurememoryfull",
];

/// The figures that the kernel tells: percent of the last ten seconds, and bytes.
pub fn figures() -> HashMap<&'static str, f64> {
    let mut found = HashMap::new();
    for (file, line, name) in [
        ("cpu", "some", "pressurecpusome"),
        ("io", "some", "pressureiosome"),
        ("io", "full", "pressureiofull"),
        ("memory", "some", "pressurememorysome"),
        ("memory", "full", "pressurememoryfull"),
    ] {
        let text = std::fs::read_to_string(format!("/proc/pressure/{file}"));
        found.extend(
            text.ok()
                .and_then(|text| Some((name, average(&text, line)?))),
        );
    }
    let text = std::fs::read_to_string("/proc/spl/kstat/zfs/arcstats");
    found.extend(
        text.ok()
            .and_then(|text| Some(("arcsize", arc_size(&text)?))),
    );
    found
}

/// The average over ten seconds in a line of a file of `/proc/pressure`.
fn average(text: &str, wanted: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(wanted))?;
    let word = line
        .split_whitespace()
        .find_map(|word| word.strip_prefix("avg10="));
    word?.parse().ok()
}

/// Bytes in ZFS's cache: the row `size` of its statistics, whose columns are name, type and value.
fn arc_size(text: &str) -> Option<f64> {
    text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next()? == "size").then(|| words.nth(1)?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_words_are_read() {
        let text = "some avg10=1.25 avg60=0.10 avg300=0.00 total=9\n\
                    full avg10=0.50 avg60=0.00 avg300=0.00 total=1\n";
        assert_eq!(average(text, "some"), Some(1.25));
        assert_eq!(average(text, "full"), Some(0.5));
        let text = "13 1 0x01 123 33456 1 2\nname type data\nhits 4 17\nsize 4 1048576\n";
        assert_eq!(arc_size(text), Some(1_048_576.0));
    }
}
