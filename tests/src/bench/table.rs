//! The report: a table of medians with ratios, and which of the targets are met.

use super::Samples;
use std::fmt::Write;

/// What is better.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Better {
    Less,
    More,
}

/// What a row must show.
#[derive(Clone, Copy)]
enum Target {
    /// At least so many times as good as QEMU's machines, where one is asked for.
    Times {
        microvm: Option<f64>,
        q35: Option<f64>,
    },
    /// At most so much.
    AtMost(f64),
    /// For information.
    None,
}

struct Row {
    figure: &'static str,
    title: &'static str,
    unit: &'static str,
    better: Better,
    target: Target,
}

const NOT_BELOW: Target = Target::Times {
    microvm: Some(1.0),
    q35: Some(1.0),
};
const THREE_TIMES: Target = Target::Times {
    microvm: Some(3.0),
    q35: Some(3.0),
};

const fn more(figure: &'static str, title: &'static str, unit: &'static str) -> Row {
    Row {
        figure,
        title,
        unit,
        better: Better::More,
        target: NOT_BELOW,
    }
}

const fn less(
    figure: &'static str,
    title: &'static str,
    unit: &'static str,
    target: Target,
) -> Row {
    Row {
        figure,
        title,
        unit,
        better: Better::Less,
        target,
    }
}

const ROWS: [Row; 15] = [
    less(
        "boot",
        "process start to the guest's first line of user space",
        "s",
        Target::Times {
            microvm: Some(1.0),
            q35: Some(2.0),
        },
    ),
    less(
        "memory",
        "memory of the monitor beyond the guest's, disk only",
        "MiB",
        Target::AtMost(15.0),
    ),
    less(
        "memory-working",
        "the same after all disk and network tests",
        "MiB",
        Target::AtMost(15.0),
    ),
    more("random-read-1", "random reads of 4 KiB, depth 1", "IOPS"),
    more("random-read-32", "random reads of 4 KiB, depth 32", "IOPS"),
    more("random-write-1", "random writes of 4 KiB, depth 1", "IOPS"),
    more(
        "random-write-32",
        "random writes of 4 KiB, depth 32",
        "IOPS",
    ),
    more(
        "sequential-read",
        "sequential reads of 1 MiB, depth 8",
        "KiB/s",
    ),
    more(
        "sequential-write",
        "sequential writes of 1 MiB, depth 8",
        "KiB/s",
    ),
    more("tcp-send", "TCP from the guest", "kbit/s"),
    more("tcp-receive", "TCP to the guest", "kbit/s"),
    more("round-trips", "round trips of one byte over TCP", "1/s"),
    less("save", "saving the state with memory", "s", Target::None),
    less(
        "restore",
        "process start to running, from the state",
        "s",
        THREE_TIMES,
    ),
    less("binary", "size of the program", "MiB", Target::None),
];

/// What a row shows; later ones are worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Information,
    Met,
    Level,
    Missed,
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Self::Information => "",
            Self::Met => "yes",
            Self::Level => "level",
            Self::Missed => "no",
        }
    }
}

/// All rounds of one figure; none of them is empty.
struct Rounds<'a> {
    ours: &'a [f64],
    microvm: &'a [f64],
    q35: &'a [f64],
}

impl<'a> Rounds<'a> {
    fn of(samples: &'a Samples, figure: &str) -> Option<Self> {
        let of = |monitor| {
            let values = samples.get(&(monitor, figure.to_owned()))?;
            (!values.is_empty()).then_some(values.as_slice())
        };
        Some(Self {
            ours: of("basalt")?,
            microvm: of("microvm")?,
            q35: of("q35")?,
        })
    }
}

/// The middle of the values; of an even number the mean of both in the middle.
fn middle(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |place: usize| sorted.get(place).copied().unwrap_or(f64::NAN);
    let len = sorted.len();
    (at(len.saturating_sub(1) / 2) + at(len / 2)) / 2.0
}

/// Whether the middle of each lies among the rounds of the other: then their difference is less than
/// that of one round from the next.
fn are_level(one: &[f64], other: &[f64]) -> bool {
    let holds = |values: &[f64], value: f64| {
        values.iter().any(|v| *v <= value) && values.iter().any(|v| *v >= value)
    };
    holds(one, middle(other)) && holds(other, middle(one))
}

impl Row {
    /// How many times as good `ours` is as `theirs`.
    fn ratio(&self, ours: f64, theirs: f64) -> f64 {
        match self.better {
            Better::More => ours / theirs,
            Better::Less => theirs / ours,
        }
    }

    /// Whether the row shows what it must.
    fn verdict(&self, rounds: &Rounds<'_>) -> Verdict {
        let judge = |wanted: Option<f64>, theirs: &[f64]| match wanted {
            None => Verdict::Met,
            Some(wanted) if self.ratio(middle(rounds.ours), middle(theirs)) >= wanted => {
                Verdict::Met
            }
            // As good as the other is all that is asked for.
            Some(1.0) if are_level(rounds.ours, theirs) => Verdict::Level,
            Some(_) => Verdict::Missed,
        };
        match self.target {
            Target::None => Verdict::Information,
            Target::AtMost(most) if middle(rounds.ours) <= most => Verdict::Met,
            Target::AtMost(_) => Verdict::Missed,
            Target::Times { microvm, q35 } => {
                judge(microvm, rounds.microvm).max(judge(q35, rounds.q35))
            }
        }
    }

    fn target(&self) -> String {
        match self.target {
            Target::None => "–".to_owned(),
            Target::AtMost(most) => format!("≤ {most} {}", self.unit),
            Target::Times { microvm, q35 } => {
                let times =
                    |wanted: Option<f64>| wanted.map_or("–".to_owned(), |n| format!("{n}×"));
                format!("{} / {}", times(microvm), times(q35))
            }
        }
    }
}

/// A figure with about three digits.
fn digits(value: f64) -> String {
    match value {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// The whole page.
pub fn report(samples: &Samples, rounds: usize, machine: &str) -> String {
    let mut page = String::from(
        "# Our monitor beside QEMU\n\n\
         Written by `cargo build --workspace && target/debug/basalt-tests bench`; do not edit.\n\n",
    );
    let _ = writeln!(
        page,
        "Medians of {rounds} rounds in one run of one appliance, the monitors by turns; every machine has \
         one processor,\n256 MiB, the same kernel, initial RAM disk, raw images (page cache, io_uring) and \
         tap on a bridge, whose\npackets vhost moves. Ratios say how many times as good ours is. Where the \
         appliance itself is emulated, only ratios mean\nanything.\n\n{machine}.\n"
    );
    page.push_str(
        "| | unit | ours | QEMU microvm | QEMU q35 | to microvm | to q35 | target | met |\n\
         |---|---|--:|--:|--:|--:|--:|--:|---|\n",
    );
    for row in &ROWS {
        let Some(rounds) = Rounds::of(samples, row.figure) else {
            let _ = writeln!(
                page,
                "| {} | {} | not measured | | | | | | |",
                row.title, row.unit
            );
            continue;
        };
        let met = row.verdict(&rounds).word();
        let [ours, microvm, q35] = [rounds.ours, rounds.microvm, rounds.q35].map(middle);
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} | {:.2}× | {:.2}× | {} | {met} |",
            row.title,
            row.unit,
            digits(ours),
            digits(microvm),
            digits(q35),
            row.ratio(ours, microvm),
            row.ratio(ours, q35),
            row.target(),
        );
    }
    page.push_str(
        "\n\"level\": behind, but by less than one round is from the next: the middle of each lies among the \
         rounds\nof the other.\n",
    );
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_in_the_middle() {
        assert!((middle(&[3.0, 1.0, 9.0]) - 3.0).abs() < f64::EPSILON);
        assert!((middle(&[4.0, 1.0]) - 2.5).abs() < f64::EPSILON);
    }

    fn samples(figure: &str, values: [&[f64]; 3]) -> Samples {
        let monitors = ["basalt", "microvm", "q35"].into_iter();
        let keys = monitors.map(|monitor| (monitor, figure.to_owned()));
        keys.zip(values.map(<[f64]>::to_vec)).collect()
    }

    #[test]
    fn a_row_says_how_many_times_as_good_and_whether_that_will_do() {
        let page = report(&samples("boot", [&[1.0], &[1.5], &[1.9]]), 1, "A machine");
        assert!(page.contains("| 1.50× | 1.90× | 1× / 2× | no |"), "{page}");
        let page = report(&samples("boot", [&[1.0], &[1.5], &[2.0]]), 1, "A machine");
        assert!(page.contains("| 1.50× | 2.00× | 1× / 2× | yes |"), "{page}");
        assert!(page.contains("not measured"));
    }

    #[test]
    fn a_difference_within_what_rounds_differ_by_is_none() {
        let theirs: &[f64] = &[95.0, 104.0, 110.0];
        let page = |ours: &[f64]| {
            let samples = samples("tcp-send", [ours, theirs, &[50.0]]);
            report(&samples, 3, "A machine")
        };
        let near = page(&[90.0, 102.0, 106.0]);
        assert!(near.contains("| 1× / 1× | level |"), "{near}");
        let far = page(&[90.0, 94.0, 106.0]);
        assert!(far.contains("| 1× / 1× | no |"), "{far}");
    }
}
