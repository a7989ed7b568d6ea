//! A history as a file.
//!
//! Numbers are little-endian: eight bytes that name the format; the names of the series; the archives,
//! each with its shape, its newest row and its cells; and at the end the SHA-256 of all that. What a
//! later version adds or drops, series and archives alike, is found by name and by step.

use super::archive::{Archive, Cell, Shape};
use super::{History, Plan};
use sha2::{Digest, Sha256};

const MAGIC: &[u8; 8] = b"BSLTHST1";
/// Bytes of the hash at the end.
const HASH: usize = 32;

/// Why a file is no history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the file of a history is damaged: {0}")]
pub struct Damage(&'static str);

impl History {
    /// The file of this history.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        put(&mut out, self.plan.series.len());
        for name in self.plan.series {
            put(&mut out, name.len());
            out.extend(name.as_bytes());
        }
        out.extend(self.behind.to_le_bytes());
        put(&mut out, self.archives.len());
        for archive in &self.archives {
            out.extend(archive.shape.step.to_le_bytes());
            out.extend(archive.newest.to_le_bytes());
            for samples in &archive.samples {
                out.extend(samples.to_le_bytes());
            }
            put(&mut out, archive.cells.len());
            for cell in &archive.cells {
                out.extend(cell.average.to_le_bytes());
                out.extend(cell.max.to_le_bytes());
            }
        }
        let hash = Sha256::digest(&out);
        out.extend(hash);
        out
    }

    /// Reads a file; what the plan does not know is left out, what the file does not have is empty.
    pub fn from_bytes(plan: Plan, bytes: &[u8]) -> Result<Self, Damage> {
        let end = bytes.len().checked_sub(HASH).ok_or(Damage("it is cut"))?;
        let (body, hash) = bytes.split_at(end);
        if Sha256::digest(body).as_slice() != hash {
            return Err(Damage("its hash is another"));
        }
        let mut reader = Reader(body);
        if reader.take(MAGIC.len())? != MAGIC {
            return Err(Damage("it has another format"));
        }
        let width = reader.count()?;
        let mut names = Vec::new();
        for _ in 0..width {
            let length = reader.count()?;
            names.push(reader.take(length)?);
        }
        let mut history = Self::new(plan);
        history.behind = reader.u32()?;
        // Where each series of the plan is in the file.
        let place = |name: &&str| names.iter().position(|found| *found == name.as_bytes());
        let places: Vec<Option<usize>> = plan.series.iter().map(place).collect();
        for _ in 0..reader.count()? {
            let found = Stored::read(&mut reader, width)?;
            let mut known = history.archives.iter_mut();
            if let Some(archive) = known.find(|archive| archive.shape.step == found.step) {
                found.fill(archive, &places)?;
            }
        }
        match reader.0 {
            [] => Ok(history),
            _ => Err(Damage("there is something behind its end")),
        }
    }
}

fn put(out: &mut Vec<u8>, count: usize) {
    // Names and archives are few, and a ring has some ten thousand cells.
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    out.extend(count.to_le_bytes());
}

/// An archive as a file has it.
struct Stored<'a> {
    step: u64,
    newest: u64,
    width: usize,
    samples: &'a [u8],
    cells: &'a [u8],
}

impl<'a> Stored<'a> {
    fn read(reader: &mut Reader<'a>, width: usize) -> Result<Self, Damage> {
        let (step, newest) = (reader.u64()?, reader.u64()?);
        let samples = reader.take(width.checked_mul(4).ok_or(TOO_LONG)?)?;
        let cells = reader.count()?;
        if width == 0 || !cells.is_multiple_of(width) {
            return Err(Damage("a row is not whole"));
        }
        Ok(Self {
            step,
            newest,
            width,
            samples,
            cells: reader.take(cells.checked_mul(8).ok_or(TOO_LONG)?)?,
        })
    }

    /// Puts the series at `places`, and no more rows than there is room for, into an archive.
    fn fill(&self, archive: &mut Archive, places: &[Option<usize>]) -> Result<(), Damage> {
        let Shape { rows, .. } = archive.shape;
        let row_size = self.width * 8;
        let all = self.cells.len() / row_size;
        let kept = self
            .cells
            .chunks_exact(row_size)
            .skip(all.saturating_sub(rows));
        for row in kept {
            for place in places {
                archive.cells.push_back(match place {
                    None => Cell::UNKNOWN,
                    Some(place) => {
                        let mut reader = Reader(row.get(place * 8..).unwrap_or_default());
                        Cell {
                            average: f32::from_bits(reader.u32()?),
                            max: f32::from_bits(reader.u32()?),
                        }
                    }
                });
            }
        }
        archive.newest = self.newest;
        for (samples, place) in archive.samples.iter_mut().zip(places) {
            if let Some(place) = place {
                *samples = Reader(self.samples.get(place * 4..).unwrap_or_default()).u32()?;
            }
        }
        Ok(())
    }
}

const TOO_LONG: Damage = Damage("a length is beyond its end");

/// Takes from the front of what is left.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Damage> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(TOO_LONG)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Damage> {
        self.take(N)?.try_into().map_err(|_| TOO_LONG)
    }

    fn u32(&mut self) -> Result<u32, Damage> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, Damage> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn count(&mut self) -> Result<usize, Damage> {
        usize::try_from(self.u32()?).map_err(|_| TOO_LONG)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::PLAN;
    use super::super::{Consolidation, DAY, Span};
    use super::*;

    const BEGIN: u64 = 1_800_000_000;

    fn history() -> History {
        let mut history = History::new(PLAN);
        for minute in 0..100 {
            history.add(BEGIN + 60 * minute, &[minute as f32, 7.0]);
        }
        history
    }

    fn values(history: &History, now: u64) -> Vec<Vec<f32>> {
        let span = Span {
            shape: DAY,
            rows: 2,
        };
        let rows = history.rows(span, Consolidation::Max, now);
        rows.into_iter().map(|row| row.values).collect()
    }

    #[test]
    fn a_history_goes_on_where_its_file_ends() {
        let mut whole = history();
        let mut read = History::from_bytes(PLAN, &whole.to_bytes()).unwrap();
        let next = BEGIN + 60 * 100;
        for history in [&mut whole, &mut read] {
            // In the same half hour as the last one, whose average must stay right.
            history.add(next, &[50.0, 8.0]);
        }
        assert_eq!(values(&read, next), [[99.0, 7.0], [50.0, 8.0]]);
        assert_eq!(read.to_bytes(), whole.to_bytes());
    }

    #[test]
    fn series_and_archives_are_found_by_name() {
        let plan = Plan {
            series: &["mem", "disk"],
            shapes: &[Shape { step: 60, rows: 1 }],
        };
        let read = History::from_bytes(plan, &history().to_bytes()).unwrap();
        let rows = values(&read, BEGIN + 60 * 99);
        assert!(rows[0][0].is_nan() && rows[1][1].is_nan());
        assert_eq!(rows[1][0], 7.0);
    }

    #[test]
    fn damage_is_seen_wherever_it_is() {
        let bytes = history().to_bytes();
        for length in (0..bytes.len()).step_by(97) {
            assert!(History::from_bytes(PLAN, &bytes[..length]).is_err());
        }
        for place in (0..bytes.len()).step_by(101) {
            let mut other = bytes.clone();
            other[place] ^= 4;
            assert!(History::from_bytes(PLAN, &other).is_err(), "{place}");
        }
    }

    #[test]
    fn lengths_that_lie_are_damage_and_no_panic() {
        let whole = history().to_bytes();
        let body = &whole[..whole.len() - HASH];
        for place in 0..body.len().min(200) {
            let mut other = body.to_vec();
            other[place] = 0xff;
            other.extend(Sha256::digest(&other));
            // Some are other values, which is nobody's fault.
            let _ = History::from_bytes(PLAN, &other);
        }
        let mut longer = body.to_vec();
        longer.push(0);
        longer.extend(Sha256::digest(&longer));
        let damage = Damage("there is something behind its end");
        assert_eq!(History::from_bytes(PLAN, &longer).err(), Some(damage));
    }
}
