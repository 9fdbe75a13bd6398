//! Choosing the files to merge.

use std::collections::BTreeMap;

/// A file that might be merged with others.
#[derive(Debug)]
pub(super) struct Candidate<P> {
    /// Only files of one partition are merged.
    pub(super) partition: P,
    /// `None` if the file must stay as it is.
    pub(super) size_bytes: Option<u64>,
}

/// The candidates' indices, one list per new file. Only neighbours are merged, so the order within
/// a partition is kept.
pub(super) fn bins<P: Ord>(
    candidates: impl Iterator<Item = Candidate<P>>,
    target_bytes: u64,
) -> Vec<Vec<usize>> {
    let mut bins = Vec::new();
    let mut open: BTreeMap<P, Bin> = BTreeMap::new();
    for (place, Candidate { partition, size_bytes }) in candidates.enumerate() {
        let bin = open.entry(partition).or_default();
        let small = size_bytes.filter(|size| *size < target_bytes);
        if small.is_none_or(|size| bin.bytes.saturating_add(size) > target_bytes) {
            bins.push(std::mem::take(bin).places);
        }
        if let Some(size_bytes) = small {
            bin.places.push(place);
            bin.bytes += size_bytes;
        }
    }
    bins.extend(open.into_values().map(|bin| bin.places));
    bins.retain(|places| places.len() > 1);
    bins
}

#[derive(Debug, Default)]
struct Bin {
    places: Vec<usize>,
    bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(files: &[(&'static str, Option<u64>)]) -> Vec<Vec<usize>> {
        let file = |(partition, size_bytes): &(&'static str, Option<u64>)| Candidate {
            partition: *partition,
            size_bytes: *size_bytes,
        };
        bins(files.iter().map(file), 100)
    }

    #[test]
    fn neighbours_merge_up_to_the_target() {
        let sizes = [40, 40, 20, 60, 30, 30].map(|size| ("", Some(size)));
        assert_eq!(planned(&sizes), [vec![0, 1, 2], vec![3, 4]]);
        let large_between = [("", Some(10)), ("", Some(100)), ("", Some(10)), ("", Some(10))];
        assert_eq!(planned(&large_between), [[2, 3]], "large files are not skipped");
        let fixed_between = [("", Some(10)), ("", None), ("", Some(10))];
        assert_eq!(planned(&fixed_between), Vec::<Vec<usize>>::new());
    }

    #[test]
    fn partitions_and_merged_files_are_left_alone() {
        let mixed = [("a", Some(10)), ("b", Some(10)), ("a", Some(10)), ("b", Some(95))];
        assert_eq!(planned(&mixed), [[0, 2]]);
        assert_eq!(planned(&[("", Some(90)), ("", Some(60)), ("", Some(70))]), [[0; 0]; 0]);
        assert!(planned(&[]).is_empty());
    }
}
