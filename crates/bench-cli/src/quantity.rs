//! Quantities with units, parsed from command lines and formatted for people.
//!
//! Formatted quantities can be parsed again, to the three digits shown. Units are case-insensitive;
//! `k`, `M`, `G` and `T` are powers of 1000, `Ki`, `Mi`, `Gi` and `Ti` of 1024.

use std::time::{Duration, SystemTime};

use bench_core::pacing::Schedule;
use bench_core::system::shortened;

/// The longest duration that an option accepts: a hundred years of 365 days, so that instants in
/// nanoseconds never overflow.
const DURATION_MAX: Duration = Duration::from_hours(100 * 365 * 24);

/// Why a text is not a valid quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// Not a number with a unit.
    #[error("`{}` is not a {kind}; write it like {}", shortened(text), kind.examples())]
    Malformed {
        /// The text.
        text: String,
        /// The expected kind of quantity.
        kind: Kind,
    },
    /// A fraction of an indivisible unit.
    #[error("`{}` is not a whole number; write a {kind} like {}", shortened(text), kind.examples())]
    NotWhole {
        /// The text.
        text: String,
        /// The expected kind of quantity.
        kind: Kind,
    },
    /// Outside the quantity's range.
    #[error("`{}` is out of range; a {kind} is {}", shortened(text), kind.range())]
    OutOfRange {
        /// The text.
        text: String,
        /// The expected kind of quantity.
        kind: Kind,
    },
    /// A rate of 0.
    #[error("a rate of 0 sends nothing; leave the option out to send as fast as possible")]
    ZeroRate,
}

/// The kinds of quantity that options accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Bytes.
    Size,
    /// Messages per second.
    Rate,
    /// Time.
    Duration,
    /// A number of things.
    Count,
    /// A fraction of a whole.
    Share,
}

impl Kind {
    fn examples(self) -> &'static str {
        match self {
            Self::Size => "100, 1kB, 1.5MB or 1KiB",
            Self::Rate => "1000, 10k/s or 2.5M/s",
            Self::Duration => "10, 250ms, 30s or 1m30s",
            Self::Count => "40000, 100k or 1_000_000",
            Self::Share => "1%, 0.5% or 0.01",
        }
    }

    fn range(self) -> &'static str {
        match self {
            Self::Size => "at most 16 EiB",
            Self::Rate => "from 0.001/s to 1G/s",
            Self::Duration => "whole nanoseconds, at most 100 years",
            Self::Count => "at most 18 quintillion (18446744073709551615)",
            Self::Share => "from 0 to 1, or 0% to 100%",
        }
    }

    fn malformed(self, text: &str) -> QuantityError {
        QuantityError::Malformed { text: text.to_owned(), kind: self }
    }

    fn not_whole(self, text: &str) -> QuantityError {
        QuantityError::NotWhole { text: text.to_owned(), kind: self }
    }

    fn out_of_range(self, text: &str) -> QuantityError {
        QuantityError::OutOfRange { text: text.to_owned(), kind: self }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Size => "size",
            Self::Rate => "rate",
            Self::Duration => "duration",
            Self::Count => "count",
            Self::Share => "share",
        })
    }
}

/// Parses a size in bytes: `100`, `1kB`, `1.5MB`, `10 MB`, `1KiB`.
pub fn parse_size_bytes(text: &str) -> Result<u64, QuantityError> {
    parse_whole(text, Kind::Size, |unit| {
        let unit = unit.strip_suffix(['b', 'B']).unwrap_or(unit);
        match unit.strip_suffix(['i', 'I']) {
            Some(prefix) => power(prefix, 1024).filter(|_| !prefix.is_empty()),
            None => power(unit, 1000),
        }
    })
}

/// Parses a number of things: `40000`, `1_000`, `100k`, `2.5M`.
pub fn parse_count(text: &str) -> Result<u64, QuantityError> {
    parse_whole(text, Kind::Count, |unit| power(unit, 1000))
}

/// Parses a rate in messages per second: `1000`, `10k/s`, `2.5 M msg/s`, `0.5/s`.
///
/// The range is that of [`Schedule`].
pub fn parse_rate(text: &str) -> Result<f64, QuantityError> {
    let malformed = || Kind::Rate.malformed(text);
    let written = NumberWithUnit::read(text).ok_or_else(malformed)?;
    let unit = written.unit.strip_suffix("/s").unwrap_or(written.unit).trim_end();
    let unit = unit.strip_suffix("msg").unwrap_or(unit).trim_end();
    let multiple = power(unit, 1000).ok_or_else(malformed)?;
    let number: f64 = written.number.parse().map_err(|_| malformed())?;
    let rate_per_s = number * multiple as f64;
    if rate_per_s == 0.0 {
        return Err(QuantityError::ZeroRate);
    }
    if !(Schedule::RATE_MIN_PER_S..=Schedule::RATE_MAX_PER_S).contains(&rate_per_s) {
        return Err(Kind::Rate.out_of_range(text));
    }
    Ok(rate_per_s)
}

/// Parses a share of a whole, 0 to 1: `1%`, `0.5 %`, `0.01`.
pub fn parse_share(text: &str) -> Result<f64, QuantityError> {
    let malformed = || Kind::Share.malformed(text);
    let written = NumberWithUnit::read(text).ok_or_else(malformed)?;
    let number: f64 = written.number.parse().map_err(|_| malformed())?;
    let share = match written.unit {
        "" => number,
        "%" => number / 100.0,
        _ => return Err(malformed()),
    };
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err(Kind::Share.out_of_range(text)) }
}

/// Parses a duration: `250ms`, `30s`, `1m30s`, or seconds without a unit. Zero is allowed.
pub fn parse_duration(text: &str) -> Result<Duration, QuantityError> {
    let kind = Kind::Duration;
    let duration = match NumberWithUnit::read(text) {
        Some(written) if written.unit.is_empty() => {
            let nanos = written.times(1_000_000_000).map_err(|_| kind.out_of_range(text))?;
            Duration::from_nanos(nanos)
        }
        _ => humantime::parse_duration(text).map_err(|error| match error {
            humantime::DurationError::NumberOverflow => kind.out_of_range(text),
            _ => kind.malformed(text),
        })?,
    };
    if duration > DURATION_MAX { Err(kind.out_of_range(text)) } else { Ok(duration) }
}

/// Parses an instant: `2026-11-21T14:00:00Z` (UTC), or seconds since 1970.
pub fn parse_instant(text: &str) -> Result<SystemTime, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let instant = match seconds {
        Some(since_1970) => SystemTime::UNIX_EPOCH.checked_add(since_1970),
        None => humantime::parse_rfc3339_weak(text).ok(),
    };
    instant.ok_or_else(|| {
        "not a time; write it like 2026-11-21T14:00:00Z (UTC), or as seconds since 1970".to_owned()
    })
}

fn parse_whole(
    text: &str,
    kind: Kind,
    multiple_of: impl Fn(&str) -> Option<u64>,
) -> Result<u64, QuantityError> {
    let malformed = || kind.malformed(text);
    let written = NumberWithUnit::read(text).ok_or_else(malformed)?;
    let multiple = multiple_of(written.unit).ok_or_else(malformed)?;
    written.times(multiple).map_err(|reason| match reason {
        NotAnInteger::Fraction => kind.not_whole(text),
        NotAnInteger::TooLarge => kind.out_of_range(text),
    })
}

/// The multiplier of a prefix; 1 for the empty prefix.
fn power(prefix: &str, base: u64) -> Option<u64> {
    let exponent = match prefix {
        "" => 0,
        "k" | "K" => 1,
        "m" | "M" => 2,
        "g" | "G" => 3,
        "t" | "T" => 4,
        _ => return None,
    };
    Some(base.pow(exponent))
}

/// A number in decimal digits, and the unit after it.
struct NumberWithUnit<'a> {
    /// Digits with at most one point between them.
    number: String,
    unit: &'a str,
}

impl<'a> NumberWithUnit<'a> {
    /// `None` if the text does not begin with a number. Underscores are allowed between digits.
    fn read(text: &'a str) -> Option<Self> {
        let text = text.trim();
        let end = text.find(|c: char| !matches!(c, '0'..='9' | '.' | '_')).unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let is_digit = |c: u8| c.is_ascii_digit();
        let between_digits =
            number.as_bytes().windows(2).all(|pair| is_digit(pair[0]) || is_digit(pair[1]));
        let is_number = between_digits
            && number.bytes().next().is_some_and(is_digit)
            && number.bytes().next_back().is_some_and(is_digit)
            && number.bytes().filter(|c| *c == b'.').count() <= 1;
        is_number.then(|| Self { number: number.replace('_', ""), unit: unit.trim_start() })
    }

    /// The number times `multiple`, exactly.
    fn times(&self, multiple: u64) -> Result<u64, NotAnInteger> {
        let (whole, fraction) = self.number.split_once('.').unwrap_or((&self.number, ""));
        let fraction = fraction.trim_end_matches('0');
        // All multiples are below 10^13, so no power of 10 beyond the 40th divides one.
        let decimals = u32::try_from(fraction.len()).map_err(|_| NotAnInteger::Fraction)?;
        let divisor = 10_u128.checked_pow(decimals).ok_or(NotAnInteger::Fraction)?;
        let part = fraction.parse::<u128>().unwrap_or(0).checked_mul(u128::from(multiple));
        let part = part.filter(|part| part % divisor == 0).ok_or(NotAnInteger::Fraction)? / divisor;
        let whole = whole.parse::<u64>().ok().and_then(|whole| whole.checked_mul(multiple));
        // The part is below the multiple, so it fits.
        let part = u64::try_from(part).map_err(|_| NotAnInteger::TooLarge)?;
        whole.and_then(|whole| whole.checked_add(part)).ok_or(NotAnInteger::TooLarge)
    }
}

/// Why a number is not a 64-bit integer.
enum NotAnInteger {
    Fraction,
    TooLarge,
}

/// Formats a number with thousands separators: `1,234,567`.
#[must_use]
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Formats messages per second: `1.23 M msg/s`.
#[must_use]
pub fn rate(rate_per_s: f64) -> String {
    let (number, prefix) = three_digits(rate_per_s, &["", "k ", "M ", "G "]);
    format!("{number} {prefix}msg/s")
}

/// Formats a size in powers of 1000: `1.23 MB`.
#[must_use]
pub fn bytes(size_bytes: u64) -> String {
    let (number, unit) = three_digits(size_bytes as f64, &["B", "kB", "MB", "GB", "TB"]);
    format!("{number} {unit}")
}

/// Formats bytes per second in powers of 1000: `1.23 MB/s`.
#[must_use]
pub fn byte_rate(bytes_per_s: f64) -> String {
    let (number, unit) = three_digits(bytes_per_s, &["B/s", "kB/s", "MB/s", "GB/s", "TB/s"]);
    format!("{number} {unit}")
}

/// Formats a duration in nanoseconds: `1.23 ms`; in whole seconds from 1000 s on: `1h 2m 3s`.
#[must_use]
pub fn duration_ns(duration_ns: u64) -> String {
    if duration_ns >= 999_500_000_000 {
        let whole_s = Duration::from_nanos(duration_ns).as_secs_f64().round();
        return humantime::format_duration(Duration::from_secs_f64(whole_s)).to_string();
    }
    let (number, unit) = three_digits(duration_ns as f64, &["ns", "us", "ms", "s"]);
    format!("{number} {unit}")
}

/// Three significant digits in the largest unit that leaves at least 1, where each unit is a
/// thousand times the previous one; whole numbers of the first unit unchanged.
pub(crate) fn three_digits<'a>(value: f64, units: &[&'a str]) -> (String, &'a str) {
    let mut value = value;
    let mut units = units.iter().peekable();
    let mut unit = *units.next().unwrap_or(&"");
    let mut is_scaled = false;
    // From 999.5 on, three digits would round to 1000.
    while value >= 999.5
        && let Some(next) = units.next()
    {
        value /= 1000.0;
        unit = next;
        is_scaled = true;
    }
    let decimals = match value {
        _ if !is_scaled && value.fract() == 0.0 => 0,
        _ if value < 0.9995 => 3,
        _ if value < 9.995 => 2,
        _ if value < 99.95 => 1,
        _ => 0,
    };
    (format!("{value:.decimals$}"), unit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn shares_are_fractions_or_per_cent() {
        let share = |text| parse_share(text).map_err(|error| error.to_string());
        for (text, expected) in
            [("1%", 0.01), ("0.5 %", 0.005), ("0.25", 0.25), ("100%", 1.0), ("0", 0.0)]
        {
            assert_eq!(share(text), Ok(expected), "{text}");
        }
        for (text, problem) in [
            ("2", "out of range"),
            ("101%", "out of range"),
            ("-1", "not a share"),
            ("1k", "not a share"),
            ("", "not a share"),
        ] {
            assert!(share(text).expect_err("refused").contains(problem), "{text}");
        }
    }

    #[test]
    fn sizes_have_decimal_and_binary_units() {
        for (text, size_bytes) in [
            ("100", 100),
            ("0", 0),
            ("7B", 7),
            ("1k", 1_000),
            ("1kB", 1_000),
            ("1KB", 1_000),
            ("10 MB", 10_000_000),
            ("2gb", 2_000_000_000),
            ("1KiB", 1_024),
            ("1kib", 1_024),
            ("1Ki", 1_024),
            ("1.5KiB", 1_536),
            ("0.57kB", 570),
            (" 1_048_576 ", 1_048_576),
            ("1MiB", 1 << 20),
            ("1GiB", 1 << 30),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(parse_size_bytes(text), Ok(size_bytes), "{text}");
        }
    }

    #[test]
    fn invalid_sizes_are_refused_with_an_example() {
        for text in [
            "", "kB", "-1", "+1", "1.5.2", ".5", "5.", "1__", "_1", "1 parsec", "1i", "NaN", "1e3",
            "1,5",
        ] {
            let error = parse_size_bytes(text).expect_err(text);
            assert_eq!(error, Kind::Size.malformed(text));
            assert!(error.to_string().contains("1KiB"), "{error}");
        }
        assert_eq!(parse_size_bytes("1.5B"), Err(Kind::Size.not_whole("1.5B")));
        let too_large = parse_size_bytes("18446744073709551616").expect_err("more than 64 bits");
        assert_eq!(
            too_large.to_string(),
            "`18446744073709551616` is out of range; a size is at most 16 EiB"
        );
        for text in ["99999999TB", "99999999.5TB"] {
            assert_eq!(parse_size_bytes(text), Err(Kind::Size.out_of_range(text)));
        }
    }

    #[test]
    fn counts_have_decimal_multiples() {
        for (text, number) in
            [("40000", 40_000), ("1_000", 1_000), ("100k", 100_000), ("2.5M", 2_500_000), ("0", 0)]
        {
            assert_eq!(parse_count(text), Ok(number), "{text}");
        }
        for text in ["", "many", "-3", "1KiB", "100 B", "0x10"] {
            assert_eq!(parse_count(text), Err(Kind::Count.malformed(text)));
        }
        assert_eq!(
            parse_count("1.5").expect_err("a fraction").to_string(),
            "`1.5` is not a whole number; write a count like 40000, 100k or 1_000_000"
        );
    }

    #[test]
    #[expect(clippy::float_cmp, reason = "small decimal numbers are parsed exactly")]
    fn rates_are_in_messages_per_second() {
        for (text, rate_per_s) in [
            ("1000", 1_000.0),
            ("10k", 10_000.0),
            ("10k/s", 10_000.0),
            ("10 k/s", 10_000.0),
            ("2.5M/s", 2_500_000.0),
            ("0.5/s", 0.5),
            ("1.23 M msg/s", 1_230_000.0),
            ("950 msg/s", 950.0),
            ("1G", 1e9),
        ] {
            assert_eq!(parse_rate(text).expect(text), rate_per_s, "{text}");
        }
    }

    #[test]
    fn invalid_rates_are_refused() {
        for text in ["", "fast", "-1", "10/m", "10 kB/s", "NaN", "inf", "1e3"] {
            assert_eq!(parse_rate(text), Err(Kind::Rate.malformed(text)));
        }
        for text in ["0.0001", "2G/s", &"9".repeat(400)] {
            assert_eq!(parse_rate(text), Err(Kind::Rate.out_of_range(text)));
        }
        for text in ["0", "0.0k/s"] {
            let error = parse_rate(text).expect_err("sends nothing").to_string();
            assert!(error.ends_with("leave the option out to send as fast as possible"), "{error}");
        }
    }

    #[test]
    fn durations_have_units_or_are_in_seconds() {
        for (text, duration_ms) in [
            ("30s", 30_000),
            ("1m30s", 90_000),
            ("1m 30s", 90_000),
            ("250ms", 250),
            ("1.5s", 1_500),
            ("10", 10_000),
            ("0.25", 250),
            ("0", 0),
            ("0s", 0),
            ("1h", 3_600_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(duration_ms)), "{text}");
        }
    }

    #[test]
    fn invalid_durations_are_refused() {
        for text in ["", "soon", "-1s", "10 parsecs", "s", "1s2"] {
            assert_eq!(parse_duration(text), Err(Kind::Duration.malformed(text)));
        }
        for text in ["101years", "0.0000000001", "99999999999999999999", "99999999999999999999s"] {
            assert_eq!(parse_duration(text), Err(Kind::Duration.out_of_range(text)));
        }
    }

    #[test]
    fn numbers_are_formatted_with_three_digits_and_unit() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(rate(1_234_567.0), "1.23 M msg/s");
        assert_eq!(rate(999_600.0), "1.00 M msg/s");
        assert_eq!(rate(950.0), "950 msg/s");
        assert_eq!(rate(12.34), "12.3 msg/s");
        assert_eq!(rate(0.5), "0.500 msg/s");
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(12), "12 B");
        assert_eq!(bytes(1_200_000), "1.20 MB");
        assert_eq!(byte_rate(123_400_000.0), "123 MB/s");
        assert_eq!(duration_ns(850), "850 ns");
        assert_eq!(duration_ns(1_000), "1.00 us");
        assert_eq!(duration_ns(1_234_567), "1.23 ms");
        assert_eq!(duration_ns(99_960_000), "100 ms");
        assert_eq!(duration_ns(83_400_000_000), "83.4 s");
        assert_eq!(duration_ns(3_723_000_000_000), "1h 2m 3s");
    }

    #[test]
    fn out_of_range_errors_name_the_maximum() {
        let error = parse_count("1e30").or_else(|_| parse_count("99999999999G")).expect_err("big");
        let largest = u64::MAX.to_string();
        assert!(error.to_string().contains(&largest), "{error}");
        assert_eq!(parse_count(&largest), Ok(u64::MAX));
        let error = parse_size_bytes("18446744073709551616").expect_err("big").to_string();
        assert!(error.ends_with("a size is at most 16 EiB"), "{error}");
        let error = parse_count(&"9".repeat(100_000)).expect_err("long").to_string();
        assert!(error.len() < 300, "{error}");
    }

    proptest! {
        #[test]
        fn nothing_panics(text: String, number in "[0-9._]{0,30} ?[a-zA-Z/]{0,5}") {
            for text in [&text, &number] {
                let _ = parse_size_bytes(text);
                let _ = parse_count(text);
                let _ = parse_rate(text);
                let _ = parse_duration(text);
            }
        }

        #[test]
        fn whole_numbers_round_trip_exactly(number: u64) {
            prop_assert_eq!(parse_count(&number.to_string()), Ok(number));
            prop_assert_eq!(parse_size_bytes(&number.to_string()), Ok(number));
            prop_assert_eq!(parse_count(&count(number).replace(',', "_")), Ok(number));
        }

        #[test]
        fn formatted_numbers_round_trip_to_three_digits(magnitude in 0.0..14.0f64) {
            let close = |read: f64, value: f64| (read / value - 1.0).abs() <= 0.005_001;
            let value = 10f64.powf(magnitude);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "from 1 to 1e14"
            )]
            let whole = value as u64;
            let size = parse_size_bytes(&bytes(whole)).expect("parses");
            prop_assert!(close(size as f64, whole as f64));
            let duration = parse_duration(&duration_ns(whole)).expect("parses");
            prop_assert!(close(duration.as_nanos() as f64, whole as f64));
            let slow = (value / 1e3).min(Schedule::RATE_MAX_PER_S);
            let read = parse_rate(&rate(slow)).expect("parses");
            prop_assert!(slow < 0.1 || close(read, slow));
        }

        #[test]
        fn any_number_can_be_formatted(value: f64, whole: u64) {
            prop_assert!(rate(value).ends_with("msg/s"));
            prop_assert!(byte_rate(value).ends_with("B/s"));
            prop_assert!(bytes(whole).ends_with('B'));
            prop_assert!(duration_ns(whole).ends_with('s') || whole >= 999_500_000_000);
        }
    }
}
