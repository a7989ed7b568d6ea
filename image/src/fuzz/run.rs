//! Running one fuzz target for a bounded time.

use super::Target;
use anyhow::{Context, Result};
use std::fmt;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Longest input, in bytes. None of the formats has anything new beyond.
const LONGEST: usize = 4096;
/// MiB that a target may take: far more than any input is worth.
const MEMORY: usize = 1024;
/// Seconds that one input may take.
const PATIENCE: usize = 20;

/// How a run ended.
#[derive(Debug)]
pub struct Outcome {
    /// How often the target was run.
    pub runs: u64,
    /// Processor time of it all: less than what passed where something else ran beside it.
    pub ran: Duration,
    /// Edges of the program that were reached.
    pub edges: u64,
    /// What went wrong, if something did.
    pub finding: Option<Finding>,
}

/// An input that ends the program, or takes it too much time or memory.
#[derive(Debug)]
pub struct Finding {
    /// The input, when libFuzzer has written it down.
    pub input: Option<PathBuf>,
    /// The first line that says what is wrong.
    pub reason: String,
    /// All that libFuzzer said.
    pub log: PathBuf,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.ran.as_secs();
        write!(f, "{} runs in {seconds} s, {} edges", self.runs, self.edges)?;
        match &self.finding {
            None => f.write_str(", nothing found"),
            Some(finding) => write!(f, ": {finding}"),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)?;
        if let Some(input) = &self.input {
            write!(f, "; the input is {}", input.display())?;
        }
        write!(f, "; more is in {}", self.log.display())
    }
}

impl Target {
    /// Runs the target, which must be built, for so long or until something is found.
    pub fn run(&self, time: Duration) -> Result<Outcome> {
        let (corpus, findings, log) = (self.corpus(), self.findings(), self.log());
        for dir in [&corpus, &findings] {
            fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        }
        if let Some(dir) = log.parent() {
            fs::create_dir_all(dir)?;
        }
        let file = File::create(&log).with_context(|| format!("cannot make {}", log.display()))?;
        let mut command = Command::new(self.program());
        command
            .arg(format!("-max_total_time={}", time.as_secs().max(1)))
            .arg(format!("-max_len={LONGEST}"))
            .arg(format!("-rss_limit_mb={MEMORY}"))
            .arg(format!("-timeout={PATIENCE}"))
            .arg(format!("-artifact_prefix={}/", findings.display()))
            .arg("-print_final_stats=1");
        if let Some(dictionary) = self.dictionary() {
            command.arg(format!("-dict={}", dictionary.display()));
        }
        command.arg(&corpus);
        // The first folder takes what is new, the others are only read.
        command.args(Some(self.seeds()).filter(|seeds| seeds.exists()));
        let before = children_time()?;
        let status = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .status()
            .with_context(|| format!("cannot run {}", self.program().display()))?;
        let text = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
        Ok(Outcome {
            runs: last_number(&text, "stat::number_of_executed_units:"),
            ran: children_time()?.saturating_sub(before),
            edges: last_number(&text, "cov:"),
            finding: (!status.success()).then(|| Finding {
                input: written_input(&text),
                reason: reason(&text).unwrap_or_else(|| format!("it ended by {status}")),
                log,
            }),
        })
    }
}

/// Processor time of all our children that have ended.
fn children_time() -> Result<Duration> {
    let text = fs::read_to_string("/proc/self/stat").context("cannot read /proc/self/stat")?;
    time_of_children(&text).context("/proc/self/stat is not what proc(5) says")
}

/// The fields `cutime` and `cstime` of proc_pid_stat(5), which counts in hundredths of a second.
fn time_of_children(stat: &str) -> Option<Duration> {
    // The name, in parentheses, may have spaces and parentheses in it; `state` follows, field 3.
    let (_, rest) = stat.rsplit_once(')')?;
    let ticks: Option<Vec<u64>> = rest
        .split_whitespace()
        .skip(13)
        .take(2)
        .map(|field| field.parse().ok())
        .collect();
    let ticks = ticks.filter(|ticks| ticks.len() == 2)?;
    Some(Duration::from_millis(ticks.iter().sum::<u64>() * 10))
}

/// The number behind the last `word`.
fn last_number(text: &str, word: &str) -> u64 {
    let rest = text.rfind(word).map(|at| &text[at + word.len()..]);
    let number = rest.and_then(|rest| rest.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// The file into which libFuzzer put the input.
fn written_input(text: &str) -> Option<PathBuf> {
    let (_, rest) = text.split_once("Test unit written to ")?;
    Some(PathBuf::from(rest.lines().next()?.trim()))
}

/// What a panic said, or else libFuzzer.
fn reason(text: &str) -> Option<String> {
    let mut lines = text.lines();
    let panic = lines.by_ref().find(|line| line.contains("panicked at"));
    let found = match panic {
        Some(place) => {
            let said = lines.next().unwrap_or_default();
            let place = place.split_once("panicked at").map_or(place, |(_, at)| at);
            format!("{} ({})", said.trim(), place.trim().trim_end_matches(':'))
        }
        None => text
            .lines()
            .find(|line| line.contains("ERROR: libFuzzer"))?
            .trim()
            .to_owned(),
    };
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
INFO: seed corpus\n\
#2\tINITED cov: 12 ft: 13 corp: 1/1b\n\
#900\tNEW    cov: 345 ft: 600 corp: 30/1Kb\n\
\n\
thread '<unnamed>' (77) panicked at services/vmm/src/bus.rs:7:9:\n\
attempt to add with overflow\n\
==77== ERROR: libFuzzer: deadly signal\n\
artifact_prefix='/f/'; Test unit written to /f/crash-00ff\n\
stat::number_of_executed_units: 901\n";

    #[test]
    fn a_log_tells_what_was_found() {
        assert_eq!(last_number(LOG, "cov:"), 345);
        assert_eq!(last_number(LOG, "stat::number_of_executed_units:"), 901);
        assert_eq!(written_input(LOG), Some(PathBuf::from("/f/crash-00ff")));
        let reason = reason(LOG).unwrap();
        assert_eq!(
            reason,
            "attempt to add with overflow (services/vmm/src/bus.rs:7:9)"
        );
    }

    #[test]
    fn the_kernel_says_how_long_children_ran() {
        let stat = "7 (a) b) R 1 7 7 0 -1 4194304 10 20 0 0 33 44 150 25 20 0 1 0 99 8 9\n";
        let time = time_of_children(stat);
        assert_eq!(time, Some(Duration::from_millis(1750)));
        assert_eq!(time_of_children("7 (a) R 1 7"), None);
        assert!(children_time().is_ok());
    }

    #[test]
    fn without_a_panic_the_fuzzer_gives_the_reason() {
        let log = "==7== ERROR: libFuzzer: timeout after 20 seconds\n";
        assert!(reason(log).unwrap().ends_with("timeout after 20 seconds"));
        assert_eq!(reason("all is well"), None);
    }
}
