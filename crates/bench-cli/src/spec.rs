//! Parsers for the small languages of the workload options: `lognormal:median=500,sigma=1.0`,
//! `zipf:1k:0.99`, `ramp:1k/s:30s`.

use std::str::FromStr;
use std::time::Duration;

use bench_core::message::{
    KeyDistribution, KeyError, KeyGenerator, PayloadAlphabet, PayloadError, PayloadGenerator,
    SizeDistribution, SizeError, SizeSampler,
};

use crate::quantity::{QuantityError, parse_count, parse_duration, parse_rate, parse_size_bytes};

/// The exponent of `zipf:K`, the same as in the YCSB benchmarks.
const ZIPF_EXPONENT_DEFAULT: f64 = 0.99;

/// Why a text is not a valid specification.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) enum SpecError {
    /// Not in any form that the option accepts.
    #[error("`{text}` is not {}; use {}", form.name(), form.forms())]
    Form {
        /// The text.
        text: String,
        /// What the option specifies.
        form: Form,
    },
    /// A part that is not a number.
    #[error("`{text}` is not a valid {of}; use a number like 0.5")]
    Number {
        /// The text.
        text: String,
        /// What the number stands for.
        of: &'static str,
    },
    /// A part that is not a valid quantity.
    #[error(transparent)]
    Quantity(#[from] QuantityError),
    /// Message sizes that cannot be drawn.
    #[error(transparent)]
    Size(#[from] SizeError),
    /// Keys that cannot be drawn.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Payloads that cannot be generated.
    #[error(transparent)]
    Payload(#[from] PayloadError),
}

/// What an option specifies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Message sizes.
    Sizes,
    /// The distribution of keys.
    Keys,
    /// The shape of the load.
    Schedule,
}

impl Form {
    fn name(self) -> &'static str {
        match self {
            Self::Sizes => "a record size",
            Self::Keys => "a distribution of keys",
            Self::Schedule => "a schedule",
        }
    }

    fn forms(self) -> &'static str {
        match self {
            Self::Sizes => {
                "100, 1KiB, uniform:50..1KiB, normal:mean=1KiB,sd=200, \
                 lognormal:median=500,sigma=1.0 or weighted:100=0.7,1KiB=0.3"
            }
            Self::Keys => "none, round-robin:K, uniform:K, zipf:K or zipf:K:EXPONENT",
            Self::Schedule => "constant, poisson, ramp:FROM, ramp:FROM:OVER or burst:SIZE",
        }
    }

    fn error(self, text: &str) -> SpecError {
        SpecError::Form { text: text.to_owned(), form: self }
    }
}

/// The shape of the load; its rate is another option.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ScheduleShape {
    /// Evenly spread.
    Constant,
    /// Independent arrivals.
    Poisson,
    /// From a start rate to the target rate.
    Ramp {
        /// The rate at the start, messages per second.
        from_per_s: f64,
        /// Length of the ramp; absent for the length of the run.
        over: Option<Duration>,
    },
    /// Several messages at once, then none.
    Burst {
        /// Messages per burst, at least 1.
        size: u32,
    },
}

/// Parses message sizes.
pub(crate) fn parse_record_size(text: &str) -> Result<SizeDistribution, SpecError> {
    let malformed = || Form::Sizes.error(text);
    let (name, parameters) = match text.split_once(':') {
        Some((name, parameters)) => (name.trim(), parameters),
        None if text.starts_with(|c: char| c.is_ascii_digit()) => ("", text),
        None => return Err(malformed()),
    };
    let sizes = match name {
        "" => SizeDistribution::Fixed { size_bytes: size(parameters)? },
        "uniform" => {
            let (min, max) = parameters.split_once("..").ok_or_else(malformed)?;
            SizeDistribution::Uniform { min_bytes: size(min)?, max_bytes: size(max)? }
        }
        "normal" => {
            let [mean, sd] = named(parameters, ["mean", "sd"]).ok_or_else(malformed)?;
            SizeDistribution::Normal {
                mean_bytes: parse_size_bytes(mean)? as f64,
                std_dev_bytes: parse_size_bytes(sd)? as f64,
            }
        }
        "lognormal" => {
            let [median, sigma] = named(parameters, ["median", "sigma"]).ok_or_else(malformed)?;
            SizeDistribution::LogNormal {
                median_bytes: parse_size_bytes(median)? as f64,
                sigma: number(sigma, "sigma")?,
            }
        }
        "weighted" => {
            let weighted = parameters.split(',').map(|entry| {
                let (of, weight) = entry.split_once('=').ok_or_else(malformed)?;
                Ok((size(of)?, number(weight, "weight")?))
            });
            SizeDistribution::Weighted(weighted.collect::<Result<_, SpecError>>()?)
        }
        _ => return Err(malformed()),
    };
    // Checks the distribution; the header's size and the system's limit are checked elsewhere.
    SizeSampler::new(&sizes, 0, usize::MAX)?;
    Ok(sizes)
}

/// Parses the distribution of keys.
pub(crate) fn parse_key(text: &str) -> Result<KeyDistribution, SpecError> {
    let malformed = || Form::Keys.error(text);
    let parts: Vec<_> = text.split(':').map(str::trim).collect();
    let keys = match parts[..] {
        ["none"] => KeyDistribution::None,
        ["round-robin", keys] => KeyDistribution::RoundRobin { keys: parse_count(keys)? },
        ["uniform", keys] => KeyDistribution::Uniform { keys: parse_count(keys)? },
        ["zipf", keys] => {
            KeyDistribution::Zipf { keys: parse_count(keys)?, exponent: ZIPF_EXPONENT_DEFAULT }
        }
        ["zipf", keys, exponent] => KeyDistribution::Zipf {
            keys: parse_count(keys)?,
            exponent: number(exponent, "exponent")?,
        },
        _ => return Err(malformed()),
    };
    KeyGenerator::new(&keys)?;
    Ok(keys)
}

/// Parses the shape of the load.
pub(crate) fn parse_schedule(text: &str) -> Result<ScheduleShape, SpecError> {
    let malformed = || Form::Schedule.error(text);
    let parts: Vec<_> = text.split(':').map(str::trim).collect();
    match parts[..] {
        ["constant"] => Ok(ScheduleShape::Constant),
        ["poisson"] => Ok(ScheduleShape::Poisson),
        ["ramp", from] => Ok(ScheduleShape::Ramp { from_per_s: parse_rate(from)?, over: None }),
        ["ramp", from, over] => Ok(ScheduleShape::Ramp {
            from_per_s: parse_rate(from)?,
            over: Some(parse_duration(over)?),
        }),
        ["burst", size] => {
            let size = u32::try_from(parse_count(size)?).ok().filter(|size| *size > 0);
            Ok(ScheduleShape::Burst { size: size.ok_or_else(malformed)? })
        }
        _ => Err(malformed()),
    }
}

/// Parses the compressibility of payloads, 0 to 1.
pub(crate) fn parse_compressibility(text: &str) -> Result<f64, SpecError> {
    let compressibility = number(text, "compressibility")?;
    PayloadGenerator::new(compressibility, PayloadAlphabet::Bytes)?;
    Ok(compressibility)
}

/// The values of `NAME=VALUE,NAME=VALUE`, in the order of `names`; `None` if a name is missing,
/// unknown or repeated.
fn named<'a, const N: usize>(text: &'a str, names: [&str; N]) -> Option<[&'a str; N]> {
    let pairs: Option<Vec<_>> = text.split(',').map(|pair| pair.split_once('=')).collect();
    let pairs = pairs.filter(|pairs| pairs.len() == N)?;
    let mut values = [""; N];
    for (value, name) in values.iter_mut().zip(names) {
        *value = pairs.iter().find(|(given, _)| given.trim() == name)?.1;
    }
    Some(values)
}

fn size(text: &str) -> Result<usize, SpecError> {
    // A size that does not fit the machine's word is too large anyway.
    Ok(usize::try_from(parse_size_bytes(text)?).unwrap_or(usize::MAX))
}

fn number(text: &str, of: &'static str) -> Result<f64, SpecError> {
    f64::from_str(text.trim()).map_err(|_| SpecError::Number { text: text.to_owned(), of })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_are_parsed_in_every_form() {
        for (text, sizes) in [
            ("100", SizeDistribution::Fixed { size_bytes: 100 }),
            ("1 KiB", SizeDistribution::Fixed { size_bytes: 1024 }),
            ("uniform:50..1KiB", SizeDistribution::Uniform { min_bytes: 50, max_bytes: 1024 }),
            (
                "normal:mean=1KiB,sd=200",
                SizeDistribution::Normal { mean_bytes: 1024.0, std_dev_bytes: 200.0 },
            ),
            (
                "normal: sd = 200, mean = 1kB",
                SizeDistribution::Normal { mean_bytes: 1000.0, std_dev_bytes: 200.0 },
            ),
            (
                "lognormal:median=500,sigma=1.0",
                SizeDistribution::LogNormal { median_bytes: 500.0, sigma: 1.0 },
            ),
            (
                "weighted:100=0.7,1KiB=0.3",
                SizeDistribution::Weighted(vec![(100, 0.7), (1024, 0.3)]),
            ),
        ] {
            assert_eq!(parse_record_size(text), Ok(sizes), "{text}");
        }
    }

    #[test]
    fn malformed_sizes_are_refused_with_the_forms() {
        for text in [
            "",
            "big",
            "zipf:3",
            "uniform:50",
            "normal:mean=1KiB",
            "normal:mean=1,mean=2",
            "normal:mean=1,sd=2,sd=2",
            "lognormal:median=500,sd=1",
            "weighted:",
            "weighted:100",
        ] {
            let error = parse_record_size(text).expect_err(text);
            assert_eq!(error, Form::Sizes.error(text));
            assert!(error.to_string().contains("lognormal:median="), "{error}");
        }
    }

    #[test]
    fn invalid_sizes_are_refused() {
        for (text, complaint) in [
            ("uniform:2kB..1kB", "empty range"),
            ("uniform:1..x", "`x` is not a size"),
            ("lognormal:median=500,sigma=-1", "sigma"),
            ("lognormal:median=500,sigma=NaN", "sigma"),
            ("lognormal:median=0,sigma=1", "median"),
            ("lognormal:median=500,sigma=wide", "`wide` is not a valid sigma"),
            ("weighted:100=0", "weight"),
            ("weighted:100=-1", "weight"),
            ("99999999TB", "out of range"),
        ] {
            let error = parse_record_size(text).expect_err(text).to_string();
            assert!(error.contains(complaint), "{text}: {error}");
        }
    }

    #[test]
    fn keys_are_parsed_in_every_form() {
        for (text, keys) in [
            ("none", KeyDistribution::None),
            ("round-robin:8", KeyDistribution::RoundRobin { keys: 8 }),
            ("uniform:1k", KeyDistribution::Uniform { keys: 1000 }),
            ("zipf:1M", KeyDistribution::Zipf { keys: 1_000_000, exponent: 0.99 }),
            ("zipf:100:1.5", KeyDistribution::Zipf { keys: 100, exponent: 1.5 }),
        ] {
            assert_eq!(parse_key(text), Ok(keys), "{text}");
        }
        for text in ["", "some", "uniform", "none:3", "zipf:1:2:3"] {
            assert_eq!(parse_key(text), Err(Form::Keys.error(text)));
        }
        for text in ["uniform:0", "round-robin:x", "zipf:10:-1", "zipf:10:steep"] {
            assert!(parse_key(text).is_err(), "{text}");
        }
    }

    #[test]
    fn schedules_are_parsed_in_every_form() {
        let over = Some(Duration::from_secs(30));
        for (text, shape) in [
            ("constant", ScheduleShape::Constant),
            ("poisson", ScheduleShape::Poisson),
            ("ramp:1k/s", ScheduleShape::Ramp { from_per_s: 1_000.0, over: None }),
            ("ramp:1k/s:30s", ScheduleShape::Ramp { from_per_s: 1_000.0, over }),
            ("burst:500", ScheduleShape::Burst { size: 500 }),
        ] {
            assert_eq!(parse_schedule(text), Ok(shape), "{text}");
        }
        for text in ["", "steady", "constant:5", "ramp", "burst", "burst:0", "burst:5G"] {
            assert_eq!(parse_schedule(text), Err(Form::Schedule.error(text)));
        }
        for text in ["ramp:slow", "ramp:1k:soon", "burst:x"] {
            assert!(parse_schedule(text).is_err(), "{text}");
        }
    }

    #[test]
    fn compressibility_is_a_share() {
        assert_eq!(parse_compressibility("0.25"), Ok(0.25));
        for text in ["1.1", "-0.1", "NaN", "half"] {
            assert!(parse_compressibility(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(
            text: String,
            spec in "(uniform|normal|lognormal|weighted|zipf|ramp|burst):[a-z0-9=.,:/-]{0,30}",
        ) {
            for text in [&text, &spec] {
                let _ = parse_record_size(text);
                let _ = parse_key(text);
                let _ = parse_schedule(text);
                let _ = parse_compressibility(text);
            }
        }
    }
}
