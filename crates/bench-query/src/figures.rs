//! Computing the statistics.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::str::FromStr;

use crate::distribution::{Distribution, ERROR as BUCKET_ERROR};
use crate::number::{Decimal, Number};
use crate::records::{FieldValue, Observation};

/// Limit on groups with figures of their own; further ones are combined.
pub(crate) const GROUPS_MAX: usize = 10_000;

/// Limit on numbers kept exactly over all groups: 8 MB, or twice that with groups.
const EXACT_MAX: usize = 1_000_000;

/// The largest relative rounding error of a double.
pub(crate) const ROUNDING_ERROR: f64 = f64::EPSILON / 2.0;

/// Limit on reported names that differ from the field's only in case.
const SIMILAR_MAX: usize = 10;

/// A statistic.
#[derive(Debug, Clone, PartialEq)]
pub enum Stat {
    /// The number of numbers.
    Count,
    /// Their sum.
    Sum,
    /// The sum divided by the count.
    Mean,
    /// The smallest.
    Min,
    /// The largest.
    Max,
    /// A percentile, by name and percentage.
    Percentile(String, f64),
}

impl Stat {
    /// Its name in every output format.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Count => "count",
            Self::Sum => "sum",
            Self::Mean => "mean",
            Self::Min => "min",
            Self::Max => "max",
            Self::Percentile(name, _) => name,
        }
    }

    /// Whether it keeps all digits of the numbers, as far as they fit.
    pub(crate) fn is_exact(&self) -> bool {
        matches!(self, Self::Sum | Self::Min | Self::Max)
    }

    /// Whether it needs all numbers.
    pub(crate) fn needs_values(&self) -> bool {
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
            None => Err("use count, sum, mean, min, max, or a percentile from p0 to p100".into()),
        }
    }
}

/// Everything observed.
#[derive(Debug)]
pub(crate) struct Figures {
    wants_values: bool,
    wants_groups: bool,
    /// Limit on records; later ones do not count.
    records_max: Option<u64>,
    exact_left: usize,
    pub(crate) records: u64,
    pub(crate) skipped: Skipped,
    /// Names that differ from the field's only in case, and the number of records that have them
    /// instead.
    pub(crate) similar: BTreeMap<String, u64>,
    pub(crate) all: Group,
    pub(crate) groups: BTreeMap<Option<String>, Group>,
    /// The combined further groups.
    pub(crate) others: Group,
}

/// Skipped records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Skipped {
    pub(crate) missing: u64,
    pub(crate) not_finite: u64,
    pub(crate) not_numeric: u64,
    pub(crate) not_an_object: u64,
}

impl Skipped {
    pub(crate) fn total(self) -> u64 {
        self.missing + self.not_finite + self.not_numeric + self.not_an_object
    }
}

impl Figures {
    /// Keeps what `stats` need of the first `records_max` records, for each group if
    /// `wants_groups`.
    pub(crate) fn new(stats: &[Stat], wants_groups: bool, records_max: Option<u64>) -> Self {
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

    pub(crate) fn add(&mut self, observation: Observation) {
        if self.records_max.is_some_and(|most| self.records >= most) {
            return;
        }
        self.records += 1;
        match observation.field_value {
            FieldValue::Number(number) => self.add_number(number, observation.group),
            FieldValue::Missing { similar } => {
                self.skipped.missing += 1;
                if let Some(name) = similar {
                    self.add_similar(name);
                }
            }
            FieldValue::NotFinite => self.skipped.not_finite += 1,
            FieldValue::NotNumeric => self.skipped.not_numeric += 1,
            FieldValue::NotAnObject => self.skipped.not_an_object += 1,
        }
    }

    fn add_number(&mut self, number: Number, group: Option<String>) {
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
pub(crate) struct Group {
    pub(crate) count: u64,
    sum: Sum,
    range: Option<(Number, Number)>,
    values: Distribution,
    /// Whether some numbers were rounded to doubles, on which percentiles are based.
    has_rounded: bool,
}

impl Group {
    /// Without shared room, the number itself is not needed.
    fn add(&mut self, number: Number, exact_left: Option<&mut usize>) {
        self.count += 1;
        self.sum.add(&number);
        self.has_rounded |= number.is_rounded;
        let (least, most) = self.range.get_or_insert((number, number));
        if number.compare(least).is_lt() {
            *least = number;
        }
        if number.compare(most).is_gt() {
            *most = number;
        }
        if let Some(exact_left) = exact_left {
            self.values.add(number.nearest, exact_left);
        }
    }

    /// The largest relative error of percentiles.
    pub(crate) fn percentile_error(&self) -> f64 {
        if !self.values.is_exact() {
            BUCKET_ERROR
        } else if self.has_rounded {
            ROUNDING_ERROR
        } else {
            0.0
        }
    }

    /// The statistics in order; without numbers `None`, except for count and sum.
    pub(crate) fn values(&self, stats: &[Stat]) -> Vec<Option<Number>> {
        let percents: Vec<f64> = stats.iter().filter_map(percent).collect();
        let mut percentiles = self.values.percentiles(&percents).into_iter();
        let value = |stat: &Stat| match stat {
            Stat::Count => Some(Number::whole(self.count)),
            Stat::Sum => Some(self.sum.get()),
            Stat::Mean => (self.count > 0)
                .then(|| Number::computed(self.sum.get().nearest / self.count as f64, false)),
            Stat::Min => self.range.map(|(least, _)| least),
            Stat::Max => self.range.map(|(_, most)| most),
            Stat::Percentile(..) => {
                let found = percentiles.next().flatten().zip(self.range);
                // A bucket may extend beyond the extremes.
                found.map(|(value, (least, most))| {
                    Number::computed(value.clamp(least.nearest, most.nearest), false)
                })
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

/// A sum: exact as long as its digits fit, and in doubles with compensation for rounding
/// (Neumaier's algorithm), so that the error does not grow with the count.
#[derive(Debug, Clone, Copy)]
struct Sum {
    exact: Option<Decimal>,
    rounded: f64,
    lost: f64,
}

impl Default for Sum {
    fn default() -> Self {
        Self { exact: Some(Decimal::ZERO), rounded: 0.0, lost: 0.0 }
    }
}

impl Sum {
    fn add(&mut self, number: &Number) {
        self.exact = self.exact.zip(number.exact).and_then(|(sum, number)| sum.plus(number));
        let number = number.nearest;
        let sum = self.rounded + number;
        self.lost += if self.rounded.abs() >= number.abs() {
            (self.rounded - sum) + number
        } else {
            (number - sum) + self.rounded
        };
        self.rounded = sum;
    }

    fn get(self) -> Number {
        if let Some(exact) = self.exact {
            return exact.into();
        }
        let sum = self.rounded + self.lost;
        // Beyond the largest number, no loss could be determined.
        Number::computed(if sum.is_nan() { self.rounded } else { sum }, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Number {
        Number::parse(text).expect(text)
    }

    fn number(number: f64, group: &str) -> Observation {
        let number = parsed(&number.to_string());
        Observation { field_value: FieldValue::Number(number), group: Some(group.to_owned()) }
    }

    fn nearest(group: &Group, stats: &[Stat]) -> Vec<Option<f64>> {
        group.values(stats).into_iter().map(|value| Some(value?.nearest)).collect()
    }

    /// The exact sum, minimum and maximum, where their digits fit.
    fn exact(texts: &[&str]) -> Vec<Option<String>> {
        let mut group = Group::default();
        for text in texts {
            group.add(parsed(text), None);
        }
        let values = group.values(&stats("sum,min,max")).into_iter();
        values.map(|value| Some(value?.exact?.to_string())).collect()
    }

    fn stats(text: &str) -> Vec<Stat> {
        text.split(',').map(|stat| stat.parse().expect(stat)).collect()
    }

    #[test]
    fn statistic_names_are_parsed() {
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
        assert_eq!(
            nearest(&figures.all, &stats),
            [8.0, 110.0, 13.75, 1.0, 40.0, 4.0, 40.0].map(Some)
        );
        let low = &figures.groups[&Some("low".to_owned())];
        assert_eq!(nearest(low, &stats), [4.0, 10.0, 2.5, 1.0, 4.0, 2.0, 4.0].map(Some));
        let nothing = nearest(&Group::default(), &stats);
        assert_eq!(nothing[..2], [Some(0.0), Some(0.0)]);
        assert_eq!(nothing[2..], [None; 5]);
    }

    #[test]
    fn skipped_records_are_counted_by_reason() {
        let mut figures = Figures::new(&[Stat::Count], false, Some(6));
        let outcomes = [
            FieldValue::Missing { similar: Some("Price".to_owned()) },
            FieldValue::Missing { similar: None },
            FieldValue::NotFinite,
            FieldValue::NotNumeric,
            FieldValue::NotAnObject,
            FieldValue::Number(parsed("1")),
            FieldValue::Number(parsed("1000")),
        ];
        for field_value in outcomes {
            figures.add(Observation { field_value, group: None });
        }
        let skipped = Skipped { missing: 2, not_finite: 1, not_numeric: 1, not_an_object: 1 };
        assert_eq!((figures.skipped, figures.skipped.total()), (skipped, 5));
        assert_eq!((figures.records, figures.all.count), (6, 1), "the seventh is one too many");
        assert_eq!(figures.similar, BTreeMap::from([("Price".to_owned(), 1)]));
    }

    #[test]
    fn groups_beyond_the_limit_are_combined() {
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
    fn sums_and_extremes_keep_all_digits() {
        let some = |texts: [&str; 3]| texts.map(|text| Some(text.to_owned())).to_vec();
        let odd = "9007199254740993";
        assert_eq!(exact(&[odd, odd, "1"]), some(["18014398509481987", "1", odd]));
        assert_eq!(exact(&["0.1"; 10]), some(["1", "0.1", "0.1"]));
        assert_eq!(exact(&["-0", "1e16", "1", "-1e16"])[0].as_deref(), Some("1"));
        let (low, high) = ("9007199254740992", "9007199254740993");
        assert_eq!(exact(&[high, low])[1..], some(["", low, high])[1..]);
        assert_eq!(exact(&[&i128::MAX.to_string(), "1"])[0], None, "the sum has too many digits");
    }

    #[test]
    fn percentiles_of_rounded_numbers_have_an_error() {
        let figures = |text: &str| {
            let mut figures = Figures::new(&stats("p50"), false, None);
            figures.add(Observation { field_value: FieldValue::Number(parsed(text)), group: None });
            figures.all.percentile_error()
        };
        let errors = ["0.1", "9007199254740993"].map(|text| figures(text).to_bits());
        assert_eq!(errors, [0.0, ROUNDING_ERROR].map(f64::to_bits));
    }

    #[test]
    fn long_sums_compensate_rounding() {
        let sum = |texts: &[&str]| {
            let mut sum = Sum::default();
            for text in texts {
                sum.add(&parsed(text));
            }
            sum.get()
        };
        let doubles = sum(&["1e40", "1e24", "1e24", "-1e40"]);
        assert!(doubles.exact.is_none() && doubles.is_rounded);
        assert_eq!(doubles.nearest.to_bits(), 2e24_f64.to_bits());
        let largest = f64::MAX.to_string();
        assert!(sum(&[&largest, &largest]).nearest.is_infinite());
    }
}
