//! A ring of rows, each of which consolidates the samples of so many seconds.

use std::collections::VecDeque;

/// How long the rows of an archive are, and how many it keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Seconds that a row stands for.
    pub step: u64,
    /// Most rows.
    pub rows: usize,
}

/// What a row says of the samples in its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consolidation {
    /// Their average.
    Average,
    /// The greatest.
    Max,
}

/// What is known of one series in one row; `NaN` when nothing is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cell {
    pub average: f32,
    pub max: f32,
}

impl Cell {
    pub const UNKNOWN: Self = Self {
        average: f32::NAN,
        max: f32::NAN,
    };
}

/// A ring of rows with a cell for each series.
#[derive(Debug, Clone)]
pub(super) struct Archive {
    pub shape: Shape,
    /// Number of series.
    pub width: usize,
    /// Number of the newest row: its time divided by the step.
    pub newest: u64,
    /// How many samples of each series the newest row has.
    pub samples: Vec<u32>,
    /// The rows one after the other, the oldest first.
    pub cells: VecDeque<Cell>,
}

impl Archive {
    pub fn new(shape: Shape, width: usize) -> Self {
        Self {
            shape,
            width,
            newest: 0,
            samples: vec![0; width],
            cells: VecDeque::new(),
        }
    }

    fn rows(&self) -> usize {
        self.cells.len() / self.width.max(1)
    }

    /// Adds a sample, which lies in the newest row or behind it; `NaN` is no value.
    pub fn add(&mut self, time: u64, values: &[f32]) {
        self.advance(time / self.shape.step);
        let start = self.cells.len() - self.width;
        let cells = self.cells.range_mut(start..);
        for ((cell, samples), value) in cells.zip(&mut self.samples).zip(values) {
            if value.is_nan() {
                continue;
            }
            *samples = samples.saturating_add(1);
            if *samples == 1 {
                *cell = Cell {
                    average: *value,
                    max: *value,
                };
            } else {
                cell.average += (value - cell.average) / *samples as f32;
                cell.max = cell.max.max(*value);
            }
        }
    }

    /// Makes `row` the newest. Rows in between are unknown, and those that are too old go.
    fn advance(&mut self, row: u64) {
        let passed = if self.cells.is_empty() {
            1
        } else {
            let passed = row.saturating_sub(self.newest);
            usize::try_from(passed).unwrap_or(usize::MAX)
        };
        if passed == 0 {
            return;
        }
        let fresh = passed.min(self.shape.rows);
        let all = self.rows() + fresh;
        let old = all.saturating_sub(self.shape.rows);
        self.cells.drain(..(old * self.width).min(self.cells.len()));
        let fresh = std::iter::repeat_n(Cell::UNKNOWN, fresh * self.width);
        self.cells.extend(fresh);
        self.newest = row;
        self.samples.fill(0);
    }

    /// Forgets what is newer than a time.
    pub fn rewind(&mut self, time: u64) {
        let row = time / self.shape.step;
        let too_new = self.newest.saturating_sub(row);
        let too_new = usize::try_from(too_new).unwrap_or(usize::MAX);
        if too_new == 0 {
            return;
        }
        let kept = self.rows().saturating_sub(too_new);
        self.cells.truncate(kept * self.width);
        self.newest = row;
        // How many samples a row had is known only as long as it is the newest.
        let last = self.cells.iter().rev().take(self.width).rev();
        let known: Vec<u32> = last.map(|cell| u32::from(!cell.average.is_nan())).collect();
        self.samples = match kept {
            0 => vec![0; self.width],
            _ => known,
        };
    }

    /// The value of each series in a row.
    pub fn row(&self, row: u64, what: Consolidation) -> Vec<f32> {
        let age = self.newest.checked_sub(row);
        let age = age.and_then(|age| usize::try_from(age).ok());
        let Some(age) = age.filter(|age| *age < self.rows()) else {
            return vec![f32::NAN; self.width];
        };
        let start = (self.rows() - 1 - age) * self.width;
        let cells = self.cells.range(start..start + self.width);
        let value = |cell: &Cell| match what {
            Consolidation::Average => cell.average,
            Consolidation::Max => cell.max,
        };
        cells.map(value).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn averages(archive: &Archive, rows: std::ops::Range<u64>) -> Vec<f32> {
        let row = |row| archive.row(row, Consolidation::Average)[0];
        rows.map(row).collect()
    }

    #[test]
    fn rows_consolidate_and_the_oldest_go() {
        let shape = Shape { step: 10, rows: 3 };
        let mut archive = Archive::new(shape, 1);
        for (time, value) in [(100, 1.0), (104, 3.0), (109, f32::NAN), (110, 7.0)] {
            archive.add(time, &[value]);
        }
        assert_eq!(averages(&archive, 10..12), [2.0, 7.0]);
        assert_eq!(archive.row(10, Consolidation::Max), [3.0]);
        archive.add(130, &[9.0]);
        let row = averages(&archive, 10..14);
        assert!(row[0].is_nan() && row[2].is_nan(), "{row:?}");
        assert_eq!((row[1], row[3]), (7.0, 9.0));
        assert_eq!(archive.rows(), 3);
        // After a long time off nothing is left, and the ring is no longer than it was.
        archive.add(u64::MAX, &[1.0]);
        assert_eq!(archive.rows(), 3);
        assert!(archive.row(13, Consolidation::Average)[0].is_nan());
        assert_eq!(averages(&archive, u64::MAX / 10..u64::MAX / 10 + 1), [1.0]);
    }

    #[test]
    fn what_lies_in_the_future_is_forgotten() {
        let shape = Shape { step: 10, rows: 5 };
        let mut archive = Archive::new(shape, 1);
        for time in [100, 110, 120] {
            archive.add(time, &[time as f32]);
        }
        archive.rewind(115);
        archive.add(115, &[210.0]);
        assert_eq!(averages(&archive, 10..12), [100.0, 160.0]);
        assert!(archive.row(12, Consolidation::Average)[0].is_nan());
        archive.rewind(3);
        archive.add(3, &[1.0]);
        assert_eq!(averages(&archive, 0..1), [1.0]);
        assert_eq!(archive.rows(), 1);
    }
}
