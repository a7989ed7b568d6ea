//! The report.

use super::{GUESTS, Samples};
use std::fmt::Write;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Figure {
    ResourcesAuditor,
    ResourcesRoot,
    ResourcesMedian,
    ResourcesWorst,
    SmallToken,
    SmallTicket,
    NodeStart,
    GatewayStart,
    NodeIdle,
    GatewayIdle,
    NodeAfter,
    GatewayAfter,
}

/// What a figure should be.
#[derive(Debug, Clone, Copy)]
enum Target {
    AtMost(f64),
    AtLeast(f64),
    None,
}

impl Figure {
    /// Name, unit and target.
    fn describe(self) -> (&'static str, &'static str, Target) {
        use Figure::*;
        use Target::*;
        match self {
            ResourcesAuditor => (
                "`GET /cluster/resources` at 200/s by an auditor's token: 99 % within",
                "ms",
                AtMost(10.0),
            ),
            ResourcesRoot => (
                "the same by the superuser's token: 99 % within",
                "ms",
                AtMost(10.0),
            ),
            ResourcesMedian => ("the auditor's: half of them within", "ms", None),
            ResourcesWorst => ("the auditor's: all of them within", "ms", None),
            SmallToken => (
                "`GET /version` by a token, 16 connections",
                "1/s",
                AtLeast(2000.0),
            ),
            SmallTicket => ("the same by a ticket", "1/s", AtLeast(2000.0)),
            NodeStart => ("start of the node", "ms", AtMost(200.0)),
            GatewayStart => ("start of the gateway", "ms", AtMost(200.0)),
            NodeIdle => ("resident memory of the idle node", "MiB", None),
            GatewayIdle => ("resident memory of the idle gateway", "MiB", None),
            NodeAfter => ("resident memory of the node after all calls", "MiB", None),
            GatewayAfter => (
                "resident memory of the gateway after all calls",
                "MiB",
                None,
            ),
        }
    }
}

/// The report as it is committed.
pub fn report(samples: &Samples, rounds: usize) -> String {
    let mut text = format!(
        "# The daemons alone\n\n\
         Written by this command; do not edit:\n\n\
         ```sh\n\
         cargo build --release -p basalt-node -p basalt-gateway -p basalt-daemons\n\
         nice -n -10 target/release/basalt-daemons bench\n\
         ```\n\n\
         {GUESTS} guests in the store, none runs. Daemons, clients and a played service manager share one \
         machine: {}. Medians of {rounds} rounds with daemons of their own; best and worst are those of the \
         rounds. A call's time begins when it is due. The supervisor's memory is in the figures of the \
         appliance (`cargo image test figures`); gateway, node and supervisor may have 60 MiB together.\n\n\
         | | unit | median | best | worst | target | met |\n|---|---|--:|--:|--:|--:|---|\n",
        machine()
    );
    for (figure, values) in samples {
        let (name, unit, target) = figure.describe();
        let mut values = values.clone();
        values.sort_by(f64::total_cmp);
        let median = values.get(values.len() / 2).copied().unwrap_or(f64::NAN);
        let (Some(first), Some(last)) = (values.first(), values.last()) else {
            continue;
        };
        let (best, worst) = match target {
            Target::AtLeast(_) => (last, first),
            Target::AtMost(_) | Target::None => (first, last),
        };
        let (wanted, met) = match target {
            Target::AtMost(most) => (format!("≤ {most}"), yes(median <= most)),
            Target::AtLeast(least) => (format!("≥ {least}"), yes(median >= least)),
            Target::None => ("–".to_owned(), ""),
        };
        let [median, best, worst] = [median, *best, *worst].map(rounded);
        // A string takes everything that is written to it.
        let _ = writeln!(
            text,
            "| {name} | {unit} | {median} | {best} | {worst} | {wanted} | {met} |"
        );
    }
    text
}

fn yes(met: bool) -> &'static str {
    if met { "yes" } else { "no" }
}

/// Three digits that say something.
fn rounded(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

/// What was measured on.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let mut lines = cpuinfo.lines();
    let model = lines.find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("an unknown processor", |(_, name)| name);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{threads} processors ({model}), Linux {}", kernel.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn best_is_what_one_wants() {
        let samples = Samples::from([
            (Figure::SmallToken, vec![1000.0, 3000.0, 2500.0]),
            (Figure::NodeStart, vec![100.0, 300.0, 250.0]),
        ]);
        let report = report(&samples, 3);
        assert!(
            report.contains("| 1/s | 2500 | 3000 | 1000 | ≥ 2000 | yes |"),
            "{report}"
        );
        assert!(
            report.contains("| ms | 250 | 100 | 300 | ≤ 200 | no |"),
            "{report}"
        );
    }
}
