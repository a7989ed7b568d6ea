//! Counting tests.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::AddAssign;

/// How many tests passed and failed, and which failed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Tests that passed.
    pub passed: usize,
    /// Tests that failed.
    pub failed: usize,
    /// Names of those that failed, and why, as far as that is known.
    pub failures: Vec<String>,
}

impl Tally {
    /// One test that passed.
    pub fn passed() -> Self {
        Self {
            passed: 1,
            ..Self::default()
        }
    }

    /// One test that failed, or a part that could not even run.
    pub fn failed(name: &str, why: &str) -> Self {
        Self {
            failed: 1,
            failures: vec![format!("{name}: {}", clipped(why))],
            ..Self::default()
        }
    }

    /// Reads nextest's summary line: `Summary [ 1.2s] 9 tests run: 7 passed (1 slow), 2 failed, …`.
    pub fn from_nextest(output: &str) -> Option<Self> {
        let text = crate::appliance::serial::plain(output);
        let line = text
            .lines()
            .rev()
            .find(|line| line.contains("tests run:") || line.contains("test run:"))?;
        let (_, counts) = line.split_once("run:")?;
        let mut tally = Self {
            failures: failures(&text, "FAIL ["),
            ..Self::default()
        };
        for count in counts.split(',') {
            let mut words = count.split_whitespace();
            let number: usize = words.next()?.parse().ok()?;
            match words.next()? {
                "passed" => tally.passed = number,
                "skipped" => {}
                // failed, timed out, exec failed
                _ => tally.failed += number,
            }
        }
        Some(tally)
    }

    /// Adds up libtest's result lines: `test result: ok. 3 passed; 0 failed; …`.
    pub fn from_libtest(output: &str) -> Option<Self> {
        let mut tally = None;
        for line in output
            .lines()
            .filter(|line| line.starts_with("test result:"))
        {
            let number = |what: &str| -> Option<usize> {
                let before = line.split(what).next()?;
                before.split_whitespace().last()?.parse().ok()
            };
            let tally: &mut Self = tally.get_or_insert_default();
            tally.passed += number(" passed")?;
            tally.failed += number(" failed")?;
        }
        tally
    }

    /// Reads vitest's JSON report.
    pub fn from_vitest(report: &serde_json::Value) -> Option<Self> {
        let count = |key: &str| usize::try_from(report[key].as_u64()?).ok();
        let files = report["testResults"].as_array()?;
        let tests = files
            .iter()
            .filter_map(|file| file["assertionResults"].as_array())
            .flatten();
        let failed = tests.filter(|test| test["status"] == "failed");
        Some(Self {
            passed: count("numPassedTests")?,
            failed: count("numFailedTests")?,
            failures: failed
                .map(|test| format!("web: {}", test["fullName"].as_str().unwrap_or("?")))
                .collect(),
        })
    }
}

/// The beginning and the end of a long reason: what failed stands in the one, why in the other.
fn clipped(why: &str) -> String {
    const HEAD: usize = 200;
    const TAIL: usize = 800;
    let length = why.chars().count();
    if length <= HEAD + TAIL {
        return why.trim().to_owned();
    }
    let head: String = why.chars().take(HEAD).collect();
    let tail: String = why.chars().skip(length - TAIL).collect();
    format!("{} [...] {}", head.trim(), tail.trim())
}

/// The last words of the lines that start with `sign`, once each: nextest repeats its failures.
fn failures(text: &str, sign: &str) -> Vec<String> {
    let mut names: Vec<String> = text
        .lines()
        .filter(|line| line.trim_start().starts_with(sign))
        .filter_map(|line| line.split_once(']'))
        .map(|(_, name)| {
            name.trim()
                .trim_start_matches(|c: char| "(0123456789/ )".contains(c))
                .to_owned()
        })
        .collect();
    names.sort();
    names.dedup();
    names
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.failures.extend(other.failures);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_nextests_summary() {
        let text = "        FAIL [   0.007s] (2/9) basalt-image tools::tests::x\n\
                    ────────────\n     Summary [   0.1s] 9 tests run: 6 passed (1 slow), 2 failed, 1 timed out, 4 skipped\n\
                            FAIL [   0.007s] (2/9) basalt-image tools::tests::x\n";
        let tally = Tally::from_nextest(text).unwrap();
        assert_eq!((tally.passed, tally.failed), (6, 3));
        assert_eq!(tally.failures, ["basalt-image tools::tests::x"]);
        assert_eq!(Tally::from_nextest("error: could not compile"), None);
    }

    #[test]
    fn adds_libtests_results() {
        let text = "test result: ok. 3 passed; 0 failed; 0 ignored\n\
                    test result: FAILED. 1 passed; 2 failed; 0 ignored\n";
        let tally = Tally::from_libtest(text).unwrap();
        assert_eq!((tally.passed, tally.failed), (4, 2));
        assert_eq!(Tally::from_libtest("nothing"), None);
    }

    #[test]
    fn reads_vitests_report() {
        let report = serde_json::json!({
            "numPassedTests": 2, "numFailedTests": 1,
            "testResults": [{ "assertionResults": [
                { "status": "failed", "fullName": "a b" }, { "status": "passed", "fullName": "c" },
            ]}],
        });
        let tally = Tally::from_vitest(&report).unwrap();
        assert_eq!((tally.passed, tally.failed), (2, 1));
        assert_eq!(tally.failures, ["web: a b"]);
    }

    #[test]
    fn the_sum_is_printed_as_promised() {
        let mut total = Tally::passed();
        total += Tally::failed("b", "why");
        assert_eq!(total.to_string(), "1 passed, 1 failed");
        assert_eq!(total.failures, ["b: why"]);
    }

    #[test]
    fn a_long_reason_keeps_its_ends() {
        let why = format!("mkfs failed: {}no space left", "x".repeat(5000));
        let failure = &Tally::failed("b", &why).failures[0];
        assert!(failure.starts_with("b: mkfs failed") && failure.ends_with("no space left"));
        assert!(failure.len() < 1100);
    }
}
