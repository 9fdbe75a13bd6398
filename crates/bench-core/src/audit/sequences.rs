//! Sets of sequence numbers: exact, and small for streams that arrive more or less in order.
//!
//! Sequence numbers are bits in chunks of [`CHUNK_LEN`]. A chunk with all bits set becomes one
//! entry in a list of ranges, so an in-order stream of any length takes a few kilobytes; a stream
//! with losses takes at most one bit per message.

use std::collections::BTreeMap;

/// Sequence numbers per chunk.
pub const CHUNK_LEN: u64 = 1 << CHUNK_BITS;

const CHUNK_BITS: u32 = 15;
const WORDS: usize = 1 << (CHUNK_BITS - 6);

#[derive(Clone, PartialEq, Eq)]
struct Bitmap([u64; WORDS]);

impl Bitmap {
    const EMPTY: Self = Self([0; WORDS]);
    const FULL: Self = Self([u64::MAX; WORDS]);

    /// Sets the bit of `sequence`; returns whether it was clear.
    #[inline]
    fn set(&mut self, sequence: u64) -> bool {
        let bit = (sequence & (CHUNK_LEN - 1)) as usize;
        let word = &mut self.0[bit >> 6];
        let mask = 1 << (bit & 63);
        let was_clear = *word & mask == 0;
        *word |= mask;
        was_clear
    }

    /// Whether the bit of `sequence` is set.
    fn has(&self, sequence: u64) -> bool {
        let bit = (sequence & (CHUNK_LEN - 1)) as usize;
        self.0[bit >> 6] >> (bit & 63) & 1 == 1
    }

    fn count(&self) -> u64 {
        self.0.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// Number of bits set here and not in `other`.
    fn count_without(&self, other: &Self) -> u64 {
        let words = self.0.iter().zip(&other.0);
        words.map(|(a, b)| u64::from((a & !b).count_ones())).sum()
    }

    /// The bits set here and not in `other`.
    fn without(&self, other: &Self) -> Self {
        let mut difference = self.clone();
        for (a, b) in difference.0.iter_mut().zip(&other.0) {
            *a &= !b;
        }
        difference
    }

    fn union(&mut self, other: &Self) {
        for (a, b) in self.0.iter_mut().zip(&other.0) {
            *a |= b;
        }
    }

    fn ones(&self) -> impl Iterator<Item = u64> {
        (0..CHUNK_LEN)
            .zip(self.0.iter().flat_map(|&word| (0..64).map(move |bit| word >> bit & 1)))
            .filter_map(|(offset, bit)| (bit == 1).then_some(offset))
    }
}

/// What a worker has seen since its last report: filled on the hot path, in a few nanoseconds per
/// sequence number, and emptied into a [`SequenceSet`].
#[derive(Default)]
pub struct SequenceDelta {
    chunks: Vec<(u64, Box<Bitmap>)>,
    current: usize,
    /// Cleared bitmaps for reuse, so that a steady stream allocates nothing.
    spare: Vec<Box<Bitmap>>,
}

impl SequenceDelta {
    /// Adds a sequence number; returns whether it was new to this delta.
    #[inline]
    pub fn insert(&mut self, sequence: u64) -> bool {
        let index = sequence >> CHUNK_BITS;
        match self.chunks.get_mut(self.current) {
            Some((current, bitmap)) if *current == index => bitmap.set(sequence),
            _ => self.insert_elsewhere(index, sequence),
        }
    }

    #[cold]
    fn insert_elsewhere(&mut self, index: u64, sequence: u64) -> bool {
        // Newer chunks are at the end, and more likely.
        let known = self.chunks.iter().rposition(|(other, _)| *other == index);
        self.current = known.unwrap_or_else(|| {
            let bitmap = self.spare.pop().unwrap_or_else(|| Box::new(Bitmap::EMPTY));
            self.chunks.push((index, bitmap));
            self.chunks.len() - 1
        });
        self.chunks[self.current].1.set(sequence)
    }

    /// Whether the delta holds no sequence number.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Removes all numbers and keeps the memory.
    pub fn clear(&mut self) {
        for (_, mut bitmap) in self.chunks.drain(..) {
            *bitmap = Bitmap::EMPTY;
            self.spare.push(bitmap);
        }
        self.current = 0;
    }
}

/// An exact set of sequence numbers.
#[derive(Clone, Default)]
pub struct SequenceSet {
    /// Complete chunks: first to last of each contiguous run.
    full: BTreeMap<u64, u64>,
    /// Incomplete chunks, with their number of set bits.
    partial: BTreeMap<u64, (u64, Box<Bitmap>)>,
    len: u64,
}

impl SequenceSet {
    /// The empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self { full: BTreeMap::new(), partial: BTreeMap::new(), len: 0 }
    }

    /// Number of sequence numbers in the set.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the set is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether the set holds `sequence`.
    pub(crate) fn contains(&self, sequence: u64) -> bool {
        self.chunk(sequence / CHUNK_LEN).has(sequence)
    }

    /// The highest sequence number.
    pub(crate) fn highest(&self) -> Option<u64> {
        let full = self.full.last_key_value().map(|(_, last)| (last + 1) * CHUNK_LEN - 1);
        let partial = self.partial.last_key_value().and_then(|(index, (_, bitmap))| {
            bitmap.ones().last().map(|offset| index * CHUNK_LEN + offset)
        });
        full.max(partial)
    }

    /// The lowest sequence number.
    pub(crate) fn lowest(&self) -> Option<u64> {
        let full = self.full.first_key_value().map(|(first, _)| first * CHUNK_LEN);
        let partial = self.partial.first_key_value().and_then(|(index, (_, bitmap))| {
            bitmap.ones().next().map(|offset| index * CHUNK_LEN + offset)
        });
        full.into_iter().chain(partial).min()
    }

    /// Adds everything in `delta`; returns how many of its numbers were already in the set.
    pub(crate) fn absorb(&mut self, delta: &SequenceDelta) -> u64 {
        delta.chunks.iter().map(|(index, bitmap)| self.absorb_chunk(*index, bitmap)).sum()
    }

    /// Number of sequence numbers in `delta` that are not in the set.
    pub(crate) fn count_new(&self, delta: &SequenceDelta) -> u64 {
        let chunks = delta.chunks.iter();
        chunks.map(|(index, bitmap)| bitmap.count_without(self.chunk(*index))).sum()
    }

    /// Adds the numbers `first..=last`, up to 2^63.
    pub fn insert_range(&mut self, first: u64, last: u64) {
        let mut at = first;
        while at <= last {
            let index = at >> CHUNK_BITS;
            let chunk_last = index * CHUNK_LEN + (CHUNK_LEN - 1);
            let until = last.min(chunk_last);
            if at == index * CHUNK_LEN && until == chunk_last {
                // Whole chunks at once: a range from a file may have any length.
                let end = (last + 1) >> CHUNK_BITS;
                for whole in self.partial_between(index, end - 1) {
                    self.absorb_chunk(whole, &Bitmap::FULL);
                }
                self.fill_between(index, end - 1);
                at = end * CHUNK_LEN;
                continue;
            }
            let mut bitmap = Bitmap::EMPTY;
            for sequence in at..=until {
                bitmap.set(sequence);
            }
            self.absorb_chunk(index, &bitmap);
            at = until + 1;
        }
    }

    /// Number of sequence numbers here and not in `other`.
    pub(crate) fn count_without(&self, other: &Self) -> u64 {
        let mut missing = 0;
        for (&first, &last) in &self.full {
            missing += other.count_absent(first, last);
        }
        for (index, (_, bitmap)) in &self.partial {
            missing += bitmap.count_without(other.chunk(*index));
        }
        missing
    }

    /// Number of sequence numbers both here and in `other`.
    pub(crate) fn count_within(&self, other: &Self) -> u64 {
        self.len - self.count_without(other)
    }

    /// The first `most` ranges of numbers here and not in `other`, first to last.
    pub(crate) fn ranges_without(&self, other: &Self, most: usize) -> Vec<(u64, u64)> {
        let mut ranges = Vec::new();
        for (first, last, bitmap) in self.segments(0, u64::MAX) {
            match bitmap {
                Some(bitmap) => {
                    extend_ranges(&mut ranges, first, &bitmap.without(other.chunk(first)));
                }
                None => other.push_absent(&mut ranges, first, last, most),
            }
            if ranges.len() > most {
                ranges.truncate(most);
                break;
            }
        }
        ranges
    }

    /// All numbers as ranges, first to last.
    #[must_use]
    pub fn ranges(&self) -> Vec<(u64, u64)> {
        let mut ranges = Vec::new();
        for (first, last, bitmap) in self.segments(0, u64::MAX) {
            match bitmap {
                Some(bitmap) => extend_ranges(&mut ranges, first, bitmap),
                None => push_range(&mut ranges, first * CHUNK_LEN, (last + 1) * CHUNK_LEN - 1),
            }
        }
        ranges
    }

    fn is_full(&self, index: u64) -> bool {
        self.full.range(..=index).next_back().is_some_and(|(_, &last)| index <= last)
    }

    fn chunk(&self, index: u64) -> &Bitmap {
        static EMPTY: Bitmap = Bitmap::EMPTY;
        static FULL: Bitmap = Bitmap::FULL;
        match self.partial.get(&index) {
            Some((_, bitmap)) => bitmap,
            None if self.is_full(index) => &FULL,
            None => &EMPTY,
        }
    }

    /// The contents of the chunks `first..=last`, in order: runs of complete chunks, and incomplete
    /// ones with their bits. Bounded by what is in memory, however long the runs.
    fn segments(&self, first: u64, last: u64) -> Vec<(u64, u64, Option<&Bitmap>)> {
        let runs = self.full.range(..=last).rev().take_while(|(_, l)| **l >= first);
        let full = runs.map(|(&f, &l)| (f.max(first), l.min(last), None));
        let partial = self.partial.range(first..=last);
        let partial = partial.map(|(&index, (_, bitmap))| (index, index, Some(&**bitmap)));
        let mut segments: Vec<_> = full.chain(partial).collect();
        segments.sort_unstable_by_key(|(first, ..)| *first);
        segments
    }

    /// Appends the ranges missing from the chunks `first..=last`, stopping above `most` ranges.
    fn push_absent(&self, ranges: &mut Vec<(u64, u64)>, first: u64, last: u64, most: usize) {
        let mut at = first;
        for (held_first, held_last, bitmap) in self.segments(first, last) {
            if ranges.len() > most {
                return;
            }
            if at < held_first {
                push_range(ranges, at * CHUNK_LEN, held_first * CHUNK_LEN - 1);
            }
            if let Some(bitmap) = bitmap {
                extend_ranges(ranges, held_first, &Bitmap::FULL.without(bitmap));
            }
            at = held_last + 1;
        }
        if at <= last {
            push_range(ranges, at * CHUNK_LEN, (last + 1) * CHUNK_LEN - 1);
        }
    }

    fn partial_between(&self, first: u64, last: u64) -> Vec<u64> {
        self.partial.range(first..=last).map(|(&index, _)| index).collect()
    }

    /// Number of sequence numbers missing from the chunks `first..=last`.
    fn count_absent(&self, first: u64, last: u64) -> u64 {
        let chunks = last - first + 1;
        let full: u64 = self
            .full
            .range(..=last)
            .rev()
            .take_while(|(_, l)| **l >= first)
            .map(|(&f, &l)| l.min(last) - f.max(first) + 1)
            .sum();
        let partial: u64 = self.partial.range(first..=last).map(|(_, (count, _))| count).sum();
        (chunks - full) * CHUNK_LEN - partial
    }

    /// Adds a chunk; returns how many of its bits were already set.
    fn absorb_chunk(&mut self, index: u64, bitmap: &Bitmap) -> u64 {
        if self.is_full(index) {
            return bitmap.count();
        }
        let (count, held) =
            self.partial.entry(index).or_insert_with(|| (0, Box::new(Bitmap::EMPTY)));
        let new = bitmap.count_without(held);
        held.union(bitmap);
        *count += new;
        self.len += new;
        if *count == CHUNK_LEN {
            self.partial.remove(&index);
            self.mark_full(index, index);
        }
        bitmap.count() - new
    }

    /// Fills the chunks `first..=last`, none of which may be partial.
    fn fill_between(&mut self, first: u64, last: u64) {
        self.len += self.count_absent(first, last);
        self.mark_full(first, last);
    }

    /// Marks `first..=last` as full and joins it with adjacent runs.
    fn mark_full(&mut self, mut first: u64, mut last: u64) {
        let reach = last.saturating_add(1);
        while let Some((&f, &l)) = self.full.range(..=reach).next_back() {
            if l.saturating_add(1) < first {
                break;
            }
            self.full.remove(&f);
            first = first.min(f);
            last = last.max(l);
        }
        self.full.insert(first, last);
    }
}

fn extend_ranges(ranges: &mut Vec<(u64, u64)>, index: u64, bitmap: &Bitmap) {
    for offset in bitmap.ones() {
        let sequence = index * CHUNK_LEN + offset;
        push_range(ranges, sequence, sequence);
    }
}

/// Appends a range, or extends the last one if it continues it.
fn push_range(ranges: &mut Vec<(u64, u64)>, first: u64, last: u64) {
    match ranges.last_mut() {
        Some((_, end)) if *end + 1 == first => *end = last,
        _ => ranges.push((first, last)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn delta(sequences: impl IntoIterator<Item = u64>) -> SequenceDelta {
        let mut delta = SequenceDelta::default();
        for sequence in sequences {
            delta.insert(sequence);
        }
        delta
    }

    #[test]
    fn in_order_streams_take_constant_memory() {
        let mut set = SequenceSet::default();
        let mut delta = SequenceDelta::default();
        for sequence in 0..10_000_000_u64 {
            assert!(delta.insert(sequence));
            if sequence % 100_000 == 0 {
                assert_eq!(set.absorb(&delta), 0);
                delta.clear();
                assert!(set.partial.len() <= 1 && set.full.len() <= 1);
            }
        }
        set.absorb(&delta);
        assert_eq!(set.len(), 10_000_000);
        assert_eq!(set.ranges(), [(0, 9_999_999)]);
        assert!(delta.spare.len() + delta.chunks.len() <= 5, "chunks are reused");
    }

    #[test]
    fn repeats_are_counted_within_and_across_deltas() {
        let mut first = delta([1, 2, 3]);
        assert!(!first.insert(2));
        let mut set = SequenceSet::default();
        assert_eq!(set.absorb(&first), 0);
        assert_eq!(set.count_new(&delta([3, 4])), 1);
        assert_eq!(set.absorb(&delta([3, 4, 1])), 2);
        assert_eq!((set.len(), set.highest()), (4, Some(4)));
    }

    #[test]
    fn ranges_of_any_length_are_inserted_at_once() {
        let mut set = SequenceSet::default();
        set.absorb(&delta([CHUNK_LEN + 7]));
        set.insert_range(5, (1 << 62) + 5);
        assert_eq!(set.len(), (1 << 62) + 1);
        assert_eq!(set.ranges(), [(5, (1 << 62) + 5)]);
        let mut other = SequenceSet::default();
        other.insert_range(0, CHUNK_LEN * 9 + 3);
        other.insert_range(1 << 40, 1 << 60);
        let missing = [(CHUNK_LEN * 9 + 4, (1 << 40) - 1), ((1 << 60) + 1, (1 << 62) + 5)];
        assert_eq!(set.ranges_without(&other, 10), missing);
        assert_eq!(set.ranges_without(&other, 1), missing[..1]);
    }

    proptest! {
        #[test]
        fn agrees_with_a_plain_set(
            here in proptest::collection::vec((0..200_000_u64, 0..70_000_u64), 0..8),
            there in proptest::collection::vec((0..200_000_u64, 0..70_000_u64), 0..8),
            loose in proptest::collection::vec(0..300_000_u64, 0..50),
        ) {
            let build = |ranges: &[(u64, u64)]| {
                let (mut set, mut plain) = (SequenceSet::default(), BTreeSet::new());
                for &(first, length) in ranges {
                    set.insert_range(first, first + length);
                    plain.extend(first..=first + length);
                }
                (set, plain)
            };
            let (mut here, mut plain_here) = build(&here);
            let (there, plain_there) = build(&there);
            let delta = delta(loose.iter().copied());
            let known = loose.iter().collect::<BTreeSet<_>>();
            let overlap = known.iter().filter(|s| plain_here.contains(s)).count() as u64;
            prop_assert_eq!(here.count_new(&delta), known.len() as u64 - overlap);
            prop_assert_eq!(here.absorb(&delta), overlap);
            plain_here.extend(loose);

            prop_assert_eq!(here.len(), plain_here.len() as u64);
            prop_assert_eq!(here.highest(), plain_here.last().copied());
            prop_assert_eq!(here.lowest(), plain_here.first().copied());
            let without: Vec<u64> = plain_here.difference(&plain_there).copied().collect();
            prop_assert_eq!(here.count_without(&there), without.len() as u64);
            let flat = |ranges: Vec<(u64, u64)>| -> Vec<u64> {
                ranges.into_iter().flat_map(|(first, last)| first..=last).collect()
            };
            prop_assert_eq!(flat(here.ranges_without(&there, usize::MAX)), without);
            prop_assert_eq!(flat(here.ranges()), plain_here.into_iter().collect::<Vec<_>>());
        }
    }
}
