//! Which instants of a recording are looked at.

use super::log::{Log, What};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use std::fmt;
use std::ops::Range;

/// An instant at which the power is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cut {
    /// Entries before this one are on the disk: the last of them is a flush.
    pub flushed: usize,
    /// Entries from `flushed` to before this one may be there, wholly, in part or not at all.
    pub seen: usize,
    /// Decides what of them is there.
    pub seed: u64,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.flushed, self.seen)?;
        if self.seen > self.flushed {
            write!(f, " with seed {}", self.seed)?;
        }
        Ok(())
    }
}

/// How many instants are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Flush boundaries, evenly spread; all of them when there are no more.
    pub boundaries: usize,
    /// Random instants between them.
    pub between: usize,
}

/// Chooses instants from entry `from` to the end, in their order. Half of those between flushes
/// lie where something outside of `ordinary` is written, a part of the disk that is always busy.
pub fn choose(log: &Log, from: usize, wanted: Wanted, ordinary: Range<u64>, seed: u64) -> Vec<Cut> {
    let mut rng = StdRng::seed_from_u64(seed);
    let ends = ends(log, from);
    let mut cuts: Vec<Cut> = spread(ends.len(), wanted.boundaries)
        .map(|index| Cut {
            flushed: ends[index],
            seen: ends[index],
            seed: 0,
        })
        .collect();
    let gaps: Vec<Range<usize>> = ends
        .iter()
        .zip(ends.iter().skip(1).chain([&log.entries().len()]))
        .map(|(start, end)| *start..*end)
        .filter(|gap| writes(log, gap).next().is_some())
        .collect();
    let rare: Vec<Range<usize>> = gaps
        .iter()
        .filter(|gap| writes(log, gap).any(|range| !within(&range, &ordinary)))
        .cloned()
        .collect();
    for number in 0..wanted.between {
        let pool = if number % 2 == 0 || rare.is_empty() {
            &gaps
        } else {
            &rare
        };
        let Some(gap) = pool.choose(&mut rng) else {
            break;
        };
        cuts.push(Cut {
            flushed: gap.start,
            seen: rng.gen_range(gap.start + 1..=gap.end),
            seed: rng.r#gen(),
        });
    }
    cuts.sort_unstable();
    cuts
}

/// The entries that follow a flush, not before `from`.
fn ends(log: &Log, from: usize) -> Vec<usize> {
    let flushes = log
        .entries()
        .iter()
        .enumerate()
        .filter(|(_, entry)| entry.what == What::Flush)
        .map(|(index, _)| index + 1)
        .filter(|end| *end >= from);
    let first = (from == 0).then_some(0);
    first.into_iter().chain(flushes).collect()
}

/// Up to `wanted` of `count` places, the first and the last among them.
fn spread(count: usize, wanted: usize) -> impl Iterator<Item = usize> {
    let wanted = wanted.min(count);
    (0..wanted).map(move |number| {
        if wanted == 1 {
            count - 1
        } else {
            number * (count - 1) / (wanted - 1)
        }
    })
}

fn writes<'a>(log: &'a Log, gap: &Range<usize>) -> impl Iterator<Item = Range<u64>> + 'a {
    log.entries()[gap.clone()]
        .iter()
        .filter(|entry| entry.what != What::Flush)
        .map(|entry| entry.range())
}

fn within(inner: &Range<u64>, outer: &Range<u64>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}

#[cfg(test)]
mod tests {
    use super::super::log::tests::made_of;
    use super::*;

    fn log() -> Log {
        let data = [0; 512];
        let file = made_of(&[
            (0, 1, 0, &data),
            (0, 0, 1, &[]),
            (100, 1, 0, &data),
            (101, 1, 0, &data),
            (0, 0, 1, &[]),
            (0, 0, 1, &[]),
            (1, 1, 0, &data),
        ]);
        Log::open(file.path()).unwrap()
    }

    #[test]
    fn every_boundary_is_chosen_when_there_is_room() {
        let wanted = Wanted {
            boundaries: 10,
            between: 0,
        };
        let cuts = choose(&log(), 0, wanted, 0..0, 1);
        let flushed: Vec<_> = cuts.iter().map(|cut| cut.flushed).collect();
        assert_eq!(flushed, [0, 2, 5, 6]);
        assert!(cuts.iter().all(|cut| cut.seen == cut.flushed));
        let later = choose(&log(), 3, wanted, 0..0, 1);
        assert_eq!(later.len(), 2);
    }

    #[test]
    fn the_same_seed_chooses_the_same_instants() {
        let wanted = Wanted {
            boundaries: 2,
            between: 40,
        };
        let ordinary = 100 * 512..200 * 512;
        let cuts = choose(&log(), 0, wanted, ordinary.clone(), 7);
        assert_eq!(cuts, choose(&log(), 0, wanted, ordinary, 7));
        assert_eq!(cuts.len(), 42);
        let log = log();
        for cut in &cuts {
            assert!(cut.flushed <= cut.seen && cut.seen <= 7, "{cut}");
            let gap = &log.entries()[cut.flushed..cut.seen];
            let inner = gap.iter().rev().skip(1);
            assert!(
                inner.clone().all(|entry| entry.what != What::Flush),
                "{cut}"
            );
        }
        let busy = cuts.iter().filter(|cut| cut.flushed == 2 && cut.seen > 2);
        assert!((1..20).contains(&busy.count()));
    }
}
