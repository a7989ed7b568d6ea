//! The history of one object: a few series of figures, in archives of several resolutions.
//!
//! Samples are consolidated when they are added, so the room it takes never grows. The resolutions
//! are those that clients of Proxmox VE ask for: minutes of a day, half hours of a month, quarters of
//! a day of a year, and for nodes weeks of ten years.

mod archive;
mod file;

pub use archive::{Consolidation, Shape};
pub use file::Damage;

use archive::Archive;

/// Minutes of a day.
pub const DAY: Shape = shape(60, 1440);
/// Half hours of a month.
pub const MONTH: Shape = shape(30 * 60, 1440);
/// Quarters of a day of a year.
pub const YEAR: Shape = shape(6 * 60 * 60, 1464);
/// Weeks of ten years.
pub const DECADE: Shape = shape(7 * 24 * 60 * 60, 522);

const fn shape(step: u64, rows: usize) -> Shape {
    Shape { step, rows }
}

/// After so many samples in a row that are older than what is known, the clock was wrong before.
const PATIENCE: u32 = 1440;

/// What a history keeps: the names of its series and its archives, the finest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Names.
    pub series: &'static [&'static str],
    /// Archives.
    pub shapes: &'static [Shape],
}

/// A part of a history, as somebody looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The archive.
    pub shape: Shape,
    /// Its last so many rows.
    pub rows: u64,
}

/// A row of a history.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Begin, in seconds since 1970.
    pub time: u64,
    /// A value for each series of the plan; `NaN` where nothing is known.
    pub values: Vec<f32>,
}

/// The history of one object.
#[derive(Debug, Clone)]
pub struct History {
    plan: Plan,
    archives: Vec<Archive>,
    /// Samples since the last good one that were older than what is known.
    behind: u32,
}

impl History {
    /// An empty one.
    pub fn new(plan: Plan) -> Self {
        let archive = |shape: &Shape| Archive::new(*shape, plan.series.len());
        Self {
            plan,
            archives: plan.shapes.iter().map(archive).collect(),
            behind: 0,
        }
    }

    /// Adds a sample: the time in seconds since 1970, and a value for each series, `NaN` for none.
    ///
    /// One that is older than what is known is dropped, for a clock that goes back is usually set
    /// right soon. When it stays there for a day, what lies in its future is forgotten.
    pub fn add(&mut self, time: u64, values: &[f32]) {
        let finest = self.archives.first();
        let known = finest.filter(|archive| !archive.cells.is_empty());
        if known.is_some_and(|archive| time / archive.shape.step < archive.newest) {
            self.behind += 1;
            if self.behind < PATIENCE {
                return;
            }
            for archive in &mut self.archives {
                archive.rewind(time);
            }
        }
        self.behind = 0;
        for archive in &mut self.archives {
            archive.add(time, values);
        }
    }

    /// The rows of a span up to `now`, the oldest first; one that nothing is known of is there too.
    pub fn rows(&self, span: Span, what: Consolidation, now: u64) -> Vec<Row> {
        let step = span.shape.step;
        let last = now / step;
        let archive = self.archives.iter().find(|one| one.shape.step == step);
        let row = |row: u64| Row {
            time: row * step,
            values: match archive {
                Some(archive) => archive.row(row, what),
                None => vec![f32::NAN; self.plan.series.len()],
            },
        };
        ((last + 1).saturating_sub(span.rows)..=last)
            .map(row)
            .collect()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub const PLAN: Plan = Plan {
        series: &["cpu", "mem"],
        shapes: &[DAY, MONTH],
    };

    const HOUR: Span = Span {
        shape: DAY,
        rows: 60,
    };

    #[test]
    fn every_archive_sees_every_sample() {
        let mut history = History::new(PLAN);
        let begin = 1_800_000_000;
        for minute in 0..60 {
            let value = minute as f32;
            history.add(begin + 60 * minute, &[value, f32::NAN]);
        }
        let now = begin + 60 * 59;
        let rows = history.rows(HOUR, Consolidation::Average, now);
        assert_eq!((rows.len(), rows[0].time), (60, begin));
        assert_eq!(rows[59].values[0], 59.0);
        assert!(rows[59].values[1].is_nan());
        let month = Span {
            shape: MONTH,
            rows: 3,
        };
        let first = |what| -> Vec<f32> {
            let rows = history.rows(month, what, now);
            rows.iter().map(|row| row.values[0]).collect()
        };
        let averages = first(Consolidation::Average);
        assert!(averages[0].is_nan());
        assert_eq!(averages[1..], [14.5, 44.5]);
        assert_eq!(first(Consolidation::Max)[1..], [29.0, 59.0]);
    }

    #[test]
    fn a_clock_that_goes_back_costs_nothing_until_it_stays_there() {
        let mut history = History::new(PLAN);
        let future = 2_000_000_000;
        history.add(future, &[1.0, 1.0]);
        let now = 1_900_000_000;
        for minute in 0..u64::from(PATIENCE) - 1 {
            history.add(now + 60 * minute, &[2.0, 2.0]);
        }
        let value = |history: &History, now| {
            let rows = history.rows(HOUR, Consolidation::Average, now);
            rows.last().map(|row| row.values[0])
        };
        assert_eq!(value(&history, future), Some(1.0));
        let last = now + 60 * u64::from(PATIENCE);
        history.add(last, &[2.0, 2.0]);
        assert_eq!(value(&history, last), Some(2.0));
        assert!(value(&history, future).is_some_and(f32::is_nan));
    }
}
