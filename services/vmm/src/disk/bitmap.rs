//! Which parts of a disk were written: one bit for each 64 KiB.

/// Bytes that one bit stands for.
pub const GRANULE: u64 = 64 * 1024;

/// Bits of a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bitmap {
    words: Vec<u64>,
    granules: u64,
}

impl Bitmap {
    /// All clear, for a disk of `size` bytes.
    pub fn new(size: u64) -> Self {
        let granules = size.div_ceil(GRANULE);
        Self {
            words: vec![0; granules.div_ceil(64) as usize],
            granules,
        }
    }

    /// Number of bits.
    pub fn granules(&self) -> u64 {
        self.granules
    }

    /// Marks every granule that `len` bytes at `offset` touch; what lies beyond the disk is
    /// nothing.
    pub fn mark(&mut self, offset: u64, len: u64) {
        for granule in self.touched(offset, len) {
            self.words[(granule / 64) as usize] |= 1 << (granule % 64);
        }
    }

    /// The granules that `len` bytes at `offset` touch.
    pub fn touched(&self, offset: u64, len: u64) -> std::ops::Range<u64> {
        let end = offset.saturating_add(len).div_ceil(GRANULE);
        let end = end.min(self.granules);
        let start = (offset / GRANULE).min(end);
        if len == 0 { 0..0 } else { start..end }
    }

    /// Whether a granule is marked.
    pub fn is_marked(&self, granule: u64) -> bool {
        let word = usize::try_from(granule / 64).ok();
        let word = word.and_then(|word| self.words.get(word));
        word.is_some_and(|word| word & 1 << (granule % 64) != 0)
    }

    /// The granules that are marked, in order.
    pub fn marked(&self) -> impl Iterator<Item = u64> + '_ {
        (0..self.granules).filter(|granule| self.is_marked(*granule))
    }

    /// Number of granules that are marked.
    pub fn count(&self) -> u64 {
        self.words.iter().map(|w| u64::from(w.count_ones())).sum()
    }

    /// Marks whatever is marked in `other`, too.
    pub fn join(&mut self, other: &Self) {
        for (word, more) in self.words.iter_mut().zip(&other.words) {
            *word |= more;
        }
    }

    /// Gives the marks away and starts anew.
    pub fn take(&mut self) -> Self {
        let clear = Self {
            words: vec![0; self.words.len()],
            granules: self.granules,
        };
        std::mem::replace(self, clear)
    }

    /// Follows the disk to a larger size; what is new counts as written.
    pub fn grow(&mut self, size: u64) {
        let (old, granules) = (self.granules, size.div_ceil(GRANULE));
        if granules > old {
            self.granules = granules;
            self.words.resize(granules.div_ceil(64) as usize, 0);
            self.mark(old * GRANULE, (granules - old) * GRANULE);
        }
    }

    /// Number of bytes that [`Self::to_bytes`] gives for a disk of `size` bytes.
    pub fn byte_len(size: u64) -> u64 {
        size.div_ceil(GRANULE).div_ceil(64) * 8
    }

    /// As bytes, for [`Self::from_bytes`].
    pub fn to_bytes(&self) -> Vec<u8> {
        self.words.iter().flat_map(|w| w.to_le_bytes()).collect()
    }

    /// From bytes, for a disk of `size` bytes; none if they are too few or too many, or mark what
    /// is not there.
    pub fn from_bytes(size: u64, bytes: &[u8]) -> Option<Self> {
        if bytes.len() as u64 != Self::byte_len(size) {
            return None;
        }
        let mut bitmap = Self::new(size);
        for (word, bytes) in bitmap.words.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = u64::from_le_bytes(bytes.try_into().ok()?);
        }
        let beyond = bitmap.granules % 64;
        let last = bitmap.words.last().copied().unwrap_or(0);
        (beyond == 0 || last >> beyond == 0).then_some(bitmap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_touched_is_marked() {
        let mut bitmap = Bitmap::new(100 * GRANULE + 1);
        assert_eq!(bitmap.granules(), 101);
        bitmap.mark(GRANULE - 1, 2);
        bitmap.mark(64 * GRANULE, 512);
        bitmap.mark(100 * GRANULE, u64::MAX);
        bitmap.mark(5 * GRANULE, 0);
        bitmap.mark(u64::MAX - 1, 1);
        assert_eq!(bitmap.marked().collect::<Vec<_>>(), [0, 1, 64, 100]);
        assert_eq!(bitmap.count(), 4);
    }

    #[test]
    fn marks_are_taken_and_given_back() {
        let mut bitmap = Bitmap::new(10 * GRANULE);
        bitmap.mark(0, 1);
        let frozen = bitmap.take();
        assert_eq!((frozen.count(), bitmap.count()), (1, 0));
        bitmap.mark(GRANULE, 1);
        bitmap.join(&frozen);
        assert_eq!(bitmap.marked().collect::<Vec<_>>(), [0, 1]);
        bitmap.grow(12 * GRANULE);
        assert_eq!(bitmap.marked().collect::<Vec<_>>(), [0, 1, 10, 11]);
    }

    #[test]
    fn bytes_round_trip_and_wrong_ones_are_refused() {
        let size = 70 * GRANULE;
        let mut bitmap = Bitmap::new(size);
        bitmap.mark(69 * GRANULE, 1);
        let mut bytes = bitmap.to_bytes();
        assert_eq!(Bitmap::from_bytes(size, &bytes), Some(bitmap));
        assert_eq!(Bitmap::from_bytes(size + 100 * GRANULE, &bytes), None);
        assert_eq!(Bitmap::from_bytes(u64::MAX, &bytes), None);
        bytes[15] = 0x80;
        assert_eq!(Bitmap::from_bytes(size, &bytes), None);
    }
}
