//! The statistics themselves.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::str::FromStr;

use super::distribution::Distribution;
use super::records::{Observation, Outcome};

/// Groups that have figures of their own; what belongs to further ones is put together.
pub(super) const GROUPS_MAX: usize = 10_000;

/// Numbers that are kept as they are, of all groups together: 8 MB, twice with groups.
const EXACT_MAX: usize = 1_000_000;

/// Names that differ from the field's in case alone, of which each is told.
const SIMILAR_MAX: usize = 10;

/// A statistic.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Stat {
    Count,
    Sum,
    Mean,
    Min,
    Max,
    /// By name and percent.
    Percentile(String, f64),
}

impl Stat {
    /// Its name in every form of the result.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Count => "count",
            Self::Sum => "sum",
            Self::Mean => "mean",
            Self::Min => "min",
            Self::Max => "max",
            Self::Percentile(name, _) => name,
        }
    }

    /// Whether all numbers are needed for it.
    pub(super) fn needs_values(&self) -> bool {
        matches!(self, Self::Percentile(..))
    }
}

impl FromStr for Stat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fixed = [Self::Count, Self::Sum, Self::Mean, Self::Min, Self::Max];
        if let Some(stat) = fixed.into_iter().find(|stat| stat.name() == text) {
            return Ok(stat);
        }
        let percent = text.strip_prefix('p').and_then(|percent| percent.parse().ok());
        match percent.filter(|percent| (0.0..=100.0).contains(percent)) {
            Some(percent) => Ok(Self::Percentile(text.to_owned(), percent)),
            None => Err("name count, sum, mean, min, max, or a percentile from p0 to p100".into()),
        }
    }
}

/// Everything that has been observed.
#[derive(Debug)]
pub(super) struct Figures {
    wants_values: bool,
    wants_groups: bool,
    /// Records beyond so many do not count.
    records_max: Option<u64>,
    exact_left: usize,
    pub(super) records: u64,
    pub(super) skipped: Skipped,
    /// Names that differ from the field's in case alone, and how many records have them instead.
    pub(super) similar: BTreeMap<String, u64>,
    pub(super) all: Group,
    pub(super) groups: BTreeMap<Option<String>, Group>,
    /// Those of further groups.
    pub(super) others: Group,
}

/// Records that do not count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Skipped {
    pub(super) missing: u64,
    pub(super) not_finite: u64,
    pub(super) not_numeric: u64,
    pub(super) not_an_object: u64,
}

impl Skipped {
    pub(super) fn total(self) -> u64 {
        self.missing + self.not_finite + self.not_numeric + self.not_an_object
    }
}

impl Figures {
    /// Keeps what `stats` need, for each group if `wants_groups`, of `records_max` records.
    pub(super) fn new(stats: &[Stat], wants_groups: bool, records_max: Option<u64>) -> Self {
        Self {
            wants_values: stats.iter().any(Stat::needs_values),
            wants_groups,
            records_max,
            exact_left: EXACT_MAX,
            records: 0,
            skipped: Skipped::default(),
            similar: BTreeMap::new(),
            all: Group::default(),
            groups: BTreeMap::new(),
            others: Group::default(),
        }
    }

    pub(super) fn add(&mut self, observation: Observation) {
        if self.records_max.is_some_and(|most| self.records >= most) {
            return;
        }
        self.records += 1;
        match observation.outcome {
            Outcome::Number(number) => self.add_number(number, observation.group),
            Outcome::Missing { similar } => {
                self.skipped.missing += 1;
                if let Some(name) = similar {
                    self.add_similar(name);
                }
            }
            Outcome::NotFinite => self.skipped.not_finite += 1,
            Outcome::NotNumeric => self.skipped.not_numeric += 1,
            Outcome::NotAnObject => self.skipped.not_an_object += 1,
        }
    }

    fn add_number(&mut self, number: f64, group: Option<String>) {
        let mut exact_left = self.wants_values.then_some(&mut self.exact_left);
        self.all.add(number, exact_left.as_deref_mut());
        if !self.wants_groups {
            return;
        }
        let has_room = self.groups.len() < GROUPS_MAX;
        let group = match self.groups.entry(group) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) if has_room => entry.insert(Group::default()),
            Entry::Vacant(_) => &mut self.others,
        };
        group.add(number, exact_left);
    }

    fn add_similar(&mut self, name: String) {
        if self.similar.len() < SIMILAR_MAX || self.similar.contains_key(&name) {
            *self.similar.entry(name).or_default() += 1;
        }
    }
}

/// The numbers of one group, or of all.
#[derive(Debug, Clone, Default)]
pub(super) struct Group {
    pub(super) count: u64,
    sum: Sum,
    range: Option<(f64, f64)>,
    values: Distribution,
}

impl Group {
    /// Without room to share, the number itself is not needed.
    fn add(&mut self, number: f64, exact_left: Option<&mut usize>) {
        self.count += 1;
        self.sum.add(number);
        let (least, most) = self.range.unwrap_or((number, number));
        self.range = Some((least.min(number), most.max(number)));
        if let Some(exact_left) = exact_left {
            self.values.add(number, exact_left);
        }
    }

    pub(super) fn is_exact(&self) -> bool {
        self.values.is_exact()
    }

    /// The statistics in their order; nothing where no number has come, save for the count and the
    /// sum.
    pub(super) fn values(&self, stats: &[Stat]) -> Vec<Option<f64>> {
        let percents: Vec<f64> = stats.iter().filter_map(percent).collect();
        let mut percentiles = self.values.percentiles(&percents).into_iter();
        let value = |stat: &Stat| match stat {
            Stat::Count => Some(self.count as f64),
            Stat::Sum => Some(self.sum.get()),
            Stat::Mean => (self.count > 0).then(|| self.sum.get() / self.count as f64),
            Stat::Min => self.range.map(|(least, _)| least),
            Stat::Max => self.range.map(|(_, most)| most),
            Stat::Percentile(..) => {
                let found = percentiles.next().flatten().zip(self.range);
                // A bucket may reach beyond what has come.
                found.map(|(value, (least, most))| value.clamp(least, most))
            }
        };
        stats.iter().map(value).collect()
    }
}

fn percent(stat: &Stat) -> Option<f64> {
    match stat {
        Stat::Percentile(_, percent) => Some(*percent),
        _ => None,
    }
}

/// A sum that carries what rounding takes away (Neumaier's way), so that it does not depend on how
/// many numbers there are.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    rounded: f64,
    lost: f64,
}

impl Sum {
    fn add(&mut self, number: f64) {
        let sum = self.rounded + number;
        self.lost += if self.rounded.abs() >= number.abs() {
            (self.rounded - sum) + number
        } else {
            (number - sum) + self.rounded
        };
        self.rounded = sum;
    }

    fn get(self) -> f64 {
        let sum = self.rounded + self.lost;
        // Beyond the largest number nothing was lost that could be told.
        if sum.is_nan() { self.rounded } else { sum }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(number: f64, group: &str) -> Observation {
        Observation { outcome: Outcome::Number(number), group: Some(group.to_owned()) }
    }

    fn stats(text: &str) -> Vec<Stat> {
        text.split(',').map(|stat| stat.parse().expect(stat)).collect()
    }

    #[test]
    fn statistics_have_names_and_percentiles_any_percent() {
        let parsed = stats("count,p50,p99.9,mean");
        let names: Vec<&str> = parsed.iter().map(Stat::name).collect();
        assert_eq!(names, ["count", "p50", "p99.9", "mean"]);
        for wrong in ["", "median", "p", "p101", "p-1", "pNaN", "Count"] {
            assert!(wrong.parse::<Stat>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn known_numbers_give_known_statistics() {
        let stats = stats("count,sum,mean,min,max,p50,p100");
        let mut figures = Figures::new(&stats, true, None);
        for n in 1..=4 {
            figures.add(number(f64::from(n), "low"));
            figures.add(number(f64::from(n) * 10.0, "high"));
        }
        assert_eq!(figures.all.values(&stats), [8.0, 110.0, 13.75, 1.0, 40.0, 4.0, 40.0].map(Some));
        let low = &figures.groups[&Some("low".to_owned())];
        assert_eq!(low.values(&stats), [4.0, 10.0, 2.5, 1.0, 4.0, 2.0, 4.0].map(Some));
        let nothing = Group::default().values(&stats);
        assert_eq!(nothing[..2], [Some(0.0), Some(0.0)]);
        assert_eq!(nothing[2..], [None; 5]);
    }

    #[test]
    fn records_that_do_not_count_are_told_apart() {
        let mut figures = Figures::new(&[Stat::Count], false, Some(6));
        let outcomes = [
            Outcome::Missing { similar: Some("Price".to_owned()) },
            Outcome::Missing { similar: None },
            Outcome::NotFinite,
            Outcome::NotNumeric,
            Outcome::NotAnObject,
            Outcome::Number(1.0),
            Outcome::Number(1_000.0),
        ];
        for outcome in outcomes {
            figures.add(Observation { outcome, group: None });
        }
        let skipped = Skipped { missing: 2, not_finite: 1, not_numeric: 1, not_an_object: 1 };
        assert_eq!((figures.skipped, figures.skipped.total()), (skipped, 5));
        assert_eq!((figures.records, figures.all.count), (6, 1), "the seventh is one too many");
        assert_eq!(figures.similar, BTreeMap::from([("Price".to_owned(), 1)]));
    }

    #[test]
    fn groups_beyond_the_bound_are_put_together() {
        let mut figures = Figures::new(&stats("p50"), true, None);
        for group in 0..GROUPS_MAX + 5 {
            figures.add(number(1.0, &group.to_string()));
        }
        figures.add(number(1.0, "0"));
        assert_eq!((figures.groups.len(), figures.others.count), (GROUPS_MAX, 5));
        assert_eq!(figures.groups[&Some("0".to_owned())].count, 2);
        assert_eq!(figures.all.count, 10_006);
    }

    #[test]
    fn sums_keep_what_rounding_takes_away() {
        let mut sum = Sum::default();
        for number in [1e16, 1.0, 1.0, -1e16] {
            sum.add(number);
        }
        assert_eq!(sum.get().to_bits(), 2.0_f64.to_bits());
        let mut huge = Sum::default();
        huge.add(f64::MAX);
        huge.add(f64::MAX);
        assert!(huge.get().is_infinite());
    }
}
