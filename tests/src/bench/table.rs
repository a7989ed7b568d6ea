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

/// The middle of the values; of an even number the mean of both in the middle.
fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = *sorted.get(sorted.len().checked_sub(1)? / 2)?;
    Some((lower + upper) / 2.0)
}

impl Row {
    /// How many times as good `ours` is as `theirs`.
    fn ratio(&self, ours: f64, theirs: f64) -> f64 {
        match self.better {
            Better::More => ours / theirs,
            Better::Less => theirs / ours,
        }
    }

    /// Whether the row shows what it must; none if it need not show anything.
    fn verdict(&self, ours: f64, microvm: f64, q35: f64) -> Option<bool> {
        let reaches = |wanted: Option<f64>, theirs| {
            wanted.is_none_or(|wanted| self.ratio(ours, theirs) >= wanted)
        };
        match self.target {
            Target::None => None,
            Target::AtMost(most) => Some(ours <= most),
            Target::Times {
                microvm: small,
                q35: large,
            } => Some(reaches(small, microvm) && reaches(large, q35)),
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
        let middle = |monitor| {
            let key = (monitor, row.figure.to_owned());
            samples.get(&key).and_then(|values| median(values))
        };
        let (ours, microvm, q35) = (middle("basalt"), middle("microvm"), middle("q35"));
        let (Some(ours), Some(microvm), Some(q35)) = (ours, microvm, q35) else {
            let _ = writeln!(
                page,
                "| {} | {} | not measured | | | | | | |",
                row.title, row.unit
            );
            continue;
        };
        let met = match row.verdict(ours, microvm, q35) {
            None => "",
            Some(true) => "yes",
            Some(false) => "no",
        };
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
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_in_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 9.0]), Some(3.0));
        assert_eq!(median(&[4.0, 1.0]), Some(2.5));
    }

    #[test]
    fn a_row_says_how_many_times_as_good_and_whether_that_will_do() {
        let mut samples = Samples::new();
        for (monitor, boot) in [("basalt", 1.0), ("microvm", 1.5), ("q35", 1.9)] {
            samples.insert((monitor, "boot".to_owned()), vec![boot]);
        }
        let page = report(&samples, 1, "A machine");
        assert!(page.contains("| 1.50× | 1.90× | 1× / 2× | no |"), "{page}");
        samples.insert(("q35", "boot".to_owned()), vec![2.0]);
        let page = report(&samples, 1, "A machine");
        assert!(page.contains("| 1.50× | 2.00× | 1× / 2× | yes |"), "{page}");
        assert!(page.contains("not measured"));
    }
}
