//! The progress of a shard with several batches in flight.

use std::collections::VecDeque;

/// The records of a shard that were read and are after its checkpoint.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// The position of the first of `open` in the shard.
    first: u64,
    open: VecDeque<Open>,
    open_bytes: usize,
    checkpoint: Option<String>,
}

#[derive(Debug)]
struct Open {
    sequence_number: String,
    size_bytes: usize,
    is_settled: bool,
}

impl Progress {
    /// The progress of a shard whose records up to `checkpoint` are settled.
    pub(super) fn after(checkpoint: Option<String>) -> Self {
        Self { checkpoint, ..Self::default() }
    }

    /// Adds the next record of the shard and returns its position.
    pub(super) fn read(&mut self, sequence_number: &str, size_bytes: usize) -> u64 {
        let sequence_number = sequence_number.to_owned();
        self.open.push_back(Open { sequence_number, size_bytes, is_settled: false });
        self.open_bytes += size_bytes;
        self.first + self.open.len() as u64 - 1
    }

    /// Marks a record as settled. Returns whether the checkpoint moved.
    pub(super) fn settle(&mut self, position: u64) -> bool {
        let index = position.checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
        if let Some(open) = index.and_then(|index| self.open.get_mut(index)) {
            open.is_settled = true;
        }
        let mut moved = false;
        while let Some(open) = self.open.pop_front_if(|open| open.is_settled) {
            self.first += 1;
            self.open_bytes -= open.size_bytes;
            self.checkpoint = Some(open.sequence_number);
            moved = true;
        }
        moved
    }

    /// The sequence number up to which all records are settled.
    pub(super) fn checkpoint(&self) -> Option<&str> {
        self.checkpoint.as_deref()
    }

    /// Records that were read and are after the checkpoint, and their size in bytes.
    pub(super) fn open(&self) -> (usize, usize) {
        (self.open.len(), self.open_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoint_stays_before_unsettled_records() {
        let mut progress = Progress::after(Some("0".to_owned()));
        let places: Vec<u64> = ["1", "2", "3", "4"].map(|n| progress.read(n, 10)).into();
        assert_eq!(places, [0, 1, 2, 3]);
        assert!(!progress.settle(2) && !progress.settle(1));
        assert_eq!(progress.checkpoint(), Some("0"));
        assert!(progress.settle(0));
        assert_eq!((progress.checkpoint(), progress.open()), (Some("3"), (1, 10)));
        assert!(!progress.settle(0), "settled before");
        assert_eq!(progress.read("5", 7), 4);
        assert!(progress.settle(3) && progress.settle(4));
        assert_eq!((progress.checkpoint(), progress.open()), (Some("5"), (0, 0)));
    }
}
