//! Runs scenarios, one or two at a time, and reports.

use crate::lab::{Lab, Shared};
use crate::scenarios::{self, Scenario, When};
use anyhow::{Context, Result};
use basalt_image::testing::{self, Tally};
use std::collections::VecDeque;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// Runs the scenarios whose name contains one of `words`, or all that are not only run when asked for;
/// returns how many failed.
pub fn run(words: &[String]) -> Result<usize> {
    let results = testing::results_dir();
    fs::create_dir_all(&results)?;
    let until = until()?;
    let long = std::env::var_os("BASALT_LONG").is_some();
    let chosen = |scenario: &&Scenario| match words {
        [] => long || scenario.when == When::Always,
        words => words.iter().any(|word| scenario.name.contains(word)),
    };
    let (alone, together): (Vec<_>, Vec<_>) = scenarios::ALL
        .iter()
        .filter(chosen)
        .partition(|scenario| scenario.when == When::Alone);
    let tally = if alone.is_empty() && together.is_empty() {
        Tally::default()
    } else {
        match Shared::prepare() {
            Ok(shared) => {
                let mut tally = in_parallel(&shared, together, jobs(), until, &results);
                tally += in_parallel(&shared, alone, 1, until, &results);
                shared.figures.publish(&testing::figures_file())?;
                tally
            }
            Err(error) => {
                let why = format!("{error:#}");
                eprintln!("    FAIL no scenario could begin: {why}");
                Tally::failed("no scenario could begin", &why)
            }
        }
    };
    fs::write(
        results.join(testing::TALLY_FILE),
        serde_json::to_string(&tally)?,
    )?;
    Ok(tally.failed)
}

/// How many scenarios run at once: an appliance that emulates keeps two cores busy while it boots
/// and waits most of the rest of its time. `BASALT_TEST_JOBS` overrides.
fn jobs() -> usize {
    let wanted = std::env::var("BASALT_TEST_JOBS")
        .ok()
        .and_then(|text| text.parse().ok());
    wanted.unwrap_or_else(|| {
        thread::available_parallelism()
            .map_or(1, usize::from)
            .clamp(1, 4)
    })
}

/// The moment after which no scenario is begun, where `BASALT_TEST_UNTIL` says one (seconds since 1970):
/// a machine that takes twice as long as others still comes to an end, and says what it left out.
fn until() -> Result<Option<SystemTime>> {
    let Ok(text) = std::env::var("BASALT_TEST_UNTIL") else {
        return Ok(None);
    };
    let seconds = text
        .parse()
        .with_context(|| format!("BASALT_TEST_UNTIL: `{text}` is no number of seconds"))?;
    Ok(Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)))
}

fn in_parallel(
    shared: &Shared,
    scenarios: Vec<&Scenario>,
    jobs: usize,
    until: Option<SystemTime>,
    results: &Path,
) -> Tally {
    let queue = Mutex::new(VecDeque::from(scenarios));
    let total = Mutex::new(Tally::default());
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while let Some(scenario) = queue.lock().ok().and_then(|mut queue| queue.pop_front())
                {
                    if until.is_some_and(|until| SystemTime::now() > until) {
                        eprintln!("    NOT RUN system::{}: no time is left", scenario.name);
                        continue;
                    }
                    let tally = one(shared, scenario, results);
                    if let Ok(mut total) = total.lock() {
                        *total += tally;
                    }
                }
            });
        }
    });
    total.into_inner().unwrap_or_default()
}

fn one(shared: &Shared, scenario: &Scenario, results: &Path) -> Tally {
    let name = format!("system::{}", scenario.name);
    eprintln!("     ... {name}");
    let began = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let mut lab = Lab::new(shared, scenario.name, results)?;
        (scenario.run)(&mut lab)
    }));
    let seconds = began.elapsed().as_secs_f32();
    let why = match outcome {
        Ok(Ok(())) => {
            eprintln!("    PASS {name} ({seconds:.0} s)");
            return Tally::passed();
        }
        Ok(Err(error)) => format!("{error:#}"),
        // The panic's own message has been printed where it happened.
        Err(_) => "panicked".to_owned(),
    };
    let dir = results.join(scenario.name);
    if fs::create_dir_all(&dir).is_ok() {
        let _ = fs::write(dir.join("error.txt"), &why);
    }
    eprintln!(
        "    FAIL {name} ({seconds:.0} s): {why}\n         kept: {}",
        dir.display()
    );
    Tally::failed(&name, &why)
}
