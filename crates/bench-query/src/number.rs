//! Decimal numbers, which doubles would round beyond about 16 digits.

use std::cmp::Ordering;
use std::fmt;

/// Limit on decimal places of a [`Decimal`]: more would leave no digits before the point.
const PLACES_MAX: u32 = 38;

/// A number and the nearest double.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Number {
    /// The nearest double; infinite or NaN for numbers out of range.
    pub(crate) nearest: f64,
    /// The exact number, if its digits fit.
    pub(crate) exact: Option<Decimal>,
    /// Whether the double differs from the number.
    pub(crate) is_rounded: bool,
}

impl Number {
    /// Parses a number in JSON's syntax or in any other that Rust accepts.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        // Turns minus zero into zero.
        let nearest = text.parse::<f64>().ok()? + 0.0;
        if !nearest.is_finite() {
            return Some(Self { nearest, exact: None, is_rounded: true });
        }
        let digits = Digits::of(text);
        let is_rounded = digits != Digits::of(&format!("{nearest:e}"));
        Some(Self { nearest, exact: Decimal::of(&digits), is_rounded })
    }

    pub(crate) fn whole(number: u64) -> Self {
        Self::from(Decimal { digits: number.into(), places: 0 })
    }

    /// The result of arithmetic with doubles.
    pub(crate) fn computed(nearest: f64, is_rounded: bool) -> Self {
        Self { nearest, exact: None, is_rounded }
    }

    /// Compares exactly, or by doubles if the numbers are too far apart.
    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        let exact = self.exact.zip(other.exact).and_then(|(one, other)| one.compare(other));
        exact.unwrap_or_else(|| self.nearest.total_cmp(&other.nearest))
    }
}

impl From<Decimal> for Number {
    fn from(exact: Decimal) -> Self {
        // A decimal number always parses.
        let nearest = exact.to_string().parse().unwrap_or(f64::NAN);
        let is_rounded = Decimal::of(&Digits::of(&format!("{nearest:e}"))) != Some(exact);
        Self { nearest, exact: Some(exact), is_rounded }
    }
}

/// The digits of a number without zeros at either end, and the power of ten of the last digit.
#[derive(Debug, PartialEq, Eq)]
struct Digits {
    is_negative: bool,
    text: String,
    exponent: i64,
}

impl Digits {
    /// The digits of a finite number's text.
    fn of(text: &str) -> Self {
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = || whole.bytes().chain(fraction.bytes()).filter(u8::is_ascii_digit);
        let zeros = digits().rev().take_while(|digit| *digit == b'0').count();
        let kept = digits().count() - zeros;
        let kept = digits().take(kept).skip_while(|digit| *digit == b'0');
        let text: String = kept.map(char::from).collect();
        if text.is_empty() {
            return Self { is_negative: false, text, exponent: 0 };
        }
        // With that many digits, the number would be infinite or zero.
        let exponent: i64 = exponent.parse().unwrap_or(i64::MIN / 2);
        let places = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let shift = places(zeros) - places(fraction.len());
        Self {
            is_negative: mantissa.starts_with('-'),
            text,
            exponent: exponent.saturating_add(shift),
        }
    }
}

/// A decimal number of up to about 38 digits. Equal numbers have equal fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decimal {
    digits: i128,
    /// The number of digits after the point.
    pub(crate) places: u32,
}

impl Decimal {
    pub(crate) const ZERO: Self = Self { digits: 0, places: 0 };

    fn of(digits: &Digits) -> Option<Self> {
        if digits.text.is_empty() {
            return Some(Self::ZERO);
        }
        let number: i128 = digits.text.parse().ok()?;
        let number = if digits.is_negative { -number } else { number };
        let power = u32::try_from(digits.exponent.unsigned_abs()).ok()?;
        if digits.exponent >= 0 {
            let digits = number.checked_mul(10_i128.checked_pow(power)?)?;
            return Some(Self { digits, places: 0 });
        }
        (power <= PLACES_MAX).then_some(Self { digits: number, places: power })
    }

    /// The sum, if its digits fit.
    pub(crate) fn plus(self, other: Self) -> Option<Self> {
        let places = self.places.max(other.places);
        let digits = self.scaled_to(places)?.checked_add(other.scaled_to(places)?)?;
        Some(Self { digits, places }.without_zeros())
    }

    fn compare(self, other: Self) -> Option<Ordering> {
        let places = self.places.max(other.places);
        Some(self.scaled_to(places)?.cmp(&other.scaled_to(places)?))
    }

    fn scaled_to(self, places: u32) -> Option<i128> {
        self.digits.checked_mul(10_i128.checked_pow(places - self.places)?)
    }

    fn without_zeros(mut self) -> Self {
        while self.places > 0 && self.digits % 10 == 0 {
            self.digits /= 10;
            self.places -= 1;
        }
        self
    }

    /// The number as a JSON integer, if it is whole.
    pub(crate) fn to_json(self) -> Option<serde_json::Number> {
        if self.places > 0 {
            return None;
        }
        serde_json::Number::from_i128(self.digits)
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = self.places as usize;
        if places == 0 {
            return write!(f, "{}", self.digits);
        }
        let sign = if self.digits < 0 { "-" } else { "" };
        let text = format!("{:0>width$}", self.digits.unsigned_abs(), width = places + 1);
        let (whole, fraction) = text.split_at(text.len() - places);
        write!(f, "{sign}{whole}.{fraction}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        Number::parse(text).expect(text)
    }

    fn exact(text: &str) -> Option<String> {
        number(text).exact.map(|decimal| decimal.to_string())
    }

    #[test]
    fn numbers_keep_their_digits() {
        for (text, expected) in [
            ("9007199254740993", "9007199254740993"),
            ("-9007199254740993", "-9007199254740993"),
            ("1e22", "10000000000000000000000"),
            ("12345678901234567.89", "12345678901234567.89"),
            ("0.10", "0.1"),
            ("-0.050", "-0.05"),
            ("-0", "0"),
            ("0e999999999999999999999", "0"),
            ("+5.", "5"),
            (".5E+1", "5"),
            ("1200e-3", "1.2"),
            ("170141183460469231731687303715884105727", "170141183460469231731687303715884105727"),
        ] {
            assert_eq!(exact(text).as_deref(), Some(expected), "{text}");
        }
        for text in
            ["170141183460469231731687303715884105728", "1e39", "1e-39", "1.5e-9223372036854775808"]
        {
            assert_eq!(exact(text), None, "{text}");
        }
        for text in ["", " 1", "1,5", "0x10", "£3"] {
            assert_eq!(Number::parse(text), None, "{text}");
        }
    }

    #[test]
    fn rounding_to_double_is_detected() {
        for text in ["0.1", "-0", "35", "9007199254740992", "1e300", "1.7976931348623157e308"] {
            assert!(!number(text).is_rounded, "{text}");
        }
        for text in ["9007199254740993", "0.12345678901234567", "1e-400", "1e400", "NaN"] {
            assert!(number(text).is_rounded, "{text}");
        }
        assert!(number("1e400").nearest.is_infinite());
        assert!(number("-0").nearest.is_sign_positive());
        assert!(number(&"9".repeat(400)).nearest.is_infinite());
        assert_eq!(exact(&format!("1.{}", "0".repeat(100_000))).as_deref(), Some("1"));
    }

    #[test]
    fn decimals_are_added_and_compared_exactly() {
        let sum = |texts: &[&str]| {
            let decimals = texts.iter().map(|text| number(text).exact);
            decimals.reduce(|sum, next| sum?.plus(next?)).flatten().map(|sum| sum.to_string())
        };
        assert_eq!(sum(&["0.1", "0.2", "-0.3"]).as_deref(), Some("0"));
        assert_eq!(sum(&["9007199254740993", "0.01"]).as_deref(), Some("9007199254740993.01"));
        let most = i128::MAX.to_string();
        assert_eq!(sum(&[&most, "1"]), None, "too many digits");
        assert_eq!(sum(&[&most, "0.1"]), None);
        let (low, high) = (number("9007199254740992"), number("9007199254740993"));
        assert_eq!((low.compare(&high), high.compare(&low)), (Ordering::Less, Ordering::Greater));
        assert_eq!(low.compare(&number("9007199254740992.0")), Ordering::Equal);
        assert_eq!(number("1e38").compare(&number("1e-38")), Ordering::Greater);
        assert_eq!(number("-1e300").compare(&number("-1e299")), Ordering::Less);
    }
}
