//! Row numbers that were skipped: rows of open transactions, of rolled-back ones, or of other runs.

/// Limit on gaps; beyond it, the oldest is dropped.
const GAPS_MAX: usize = 256;

/// The numbers below the highest that were not seen.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    /// First and last numbers, in order.
    ranges: Vec<(u64, u64)>,
    highest: u64,
}

impl Gaps {
    /// The highest number seen; 0 before the first.
    pub(super) fn highest(&self) -> u64 {
        self.highest
    }

    /// Records a number. Returns whether it is new.
    pub(super) fn see(&mut self, number: u64) -> bool {
        if number > self.highest {
            if number > self.highest + 1 {
                self.ranges.push((self.highest + 1, number - 1));
            }
            if self.ranges.len() > GAPS_MAX {
                self.ranges.remove(0);
            }
            self.highest = number;
            return true;
        }
        let holds = |(first, last): &(u64, u64)| (*first..=*last).contains(&number);
        let Some(position) = self.ranges.iter().position(holds) else { return false };
        let (first, last) = self.ranges[position];
        let rest = [(first, number - 1), (number + 1, last)];
        let rest = rest.into_iter().filter(|(first, last)| first <= last);
        self.ranges.splice(position..=position, rest);
        true
    }

    /// A condition on the column `id` that selects the gaps; `None` without gaps.
    pub(super) fn condition(&self) -> Option<String> {
        let range = |(first, last): &(u64, u64)| format!("id BETWEEN {first} AND {last}");
        let ranges: Vec<String> = self.ranges.iter().map(range).collect();
        (!ranges.is_empty()).then(|| ranges.join(" OR "))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn gaps_are_filled_number_by_number() {
        let mut gaps = Gaps::default();
        assert_eq!(gaps.condition(), None);
        assert!(gaps.see(3) && gaps.see(4) && gaps.see(8));
        let both = "id BETWEEN 1 AND 2 OR id BETWEEN 5 AND 7";
        assert_eq!(gaps.condition().as_deref(), Some(both));
        assert!(gaps.see(6) && !gaps.see(6) && gaps.see(1) && gaps.see(2));
        let left = "id BETWEEN 5 AND 5 OR id BETWEEN 7 AND 7";
        assert_eq!((gaps.condition().as_deref(), gaps.highest()), (Some(left), 8));
    }

    #[test]
    fn gaps_are_bounded() {
        let mut gaps = Gaps::default();
        for number in 1..2_000 {
            gaps.see(2 * number);
        }
        assert!(gaps.ranges.len() <= GAPS_MAX + 1);
        assert!(gaps.see(3_997), "the newest are kept");
        assert!(!gaps.see(1), "the oldest are dropped");
    }

    proptest! {
        #[test]
        fn every_number_is_new_once(numbers in prop::collection::vec(1_u64..100, 0..200)) {
            let (mut gaps, mut seen) = (Gaps::default(), BTreeSet::new());
            for number in numbers {
                prop_assert_eq!(gaps.see(number), seen.insert(number));
            }
        }
    }
}
