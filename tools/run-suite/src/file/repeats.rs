//! How often each cell runs: a fixed number of times, or until enough is known.

use bench_cli::UsageError;
use bench_cli::quantity::parse_share;
use serde::{Deserialize, Serialize};
use toml::Value;

use super::figure::Figure;
use super::form::{AdaptiveForm, refuse_unknown_keys};
use super::refusal::key;

const KEY: &str = "repeats";

/// How often each cell runs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Repeats {
    /// The most runs of a cell.
    pub(crate) max: u32,
    /// When fewer are enough.
    pub(crate) enough: Option<Enough>,
}

/// When no more repeats are needed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Enough {
    /// The fewest runs of a cell.
    pub(crate) min: u32,
    pub(crate) until: Until,
}

/// What has to be known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Until {
    /// A figure of every cell, with an interval of at most this half width as a share of the value.
    Precise { figure: Figure, half_width: f64 },
    /// How the cells compare with the first.
    Decided,
}

impl Repeats {
    /// Reads the value of the key.
    pub(super) fn read(value: Option<Value>) -> Result<Self, UsageError> {
        let refuse = |problem: &str, remedy: &str| Err(key(KEY, problem, remedy));
        match value {
            None => Ok(Self { max: 1, enough: None }),
            Some(Value::Integer(0)) => refuse("must be at least 1", "leave the key out for 1"),
            Some(Value::Integer(number)) => match u32::try_from(number) {
                Ok(max) => Ok(Self { max, enough: None }),
                Err(_) => refuse("must be from 1 to 4294967295", "use a smaller number"),
            },
            Some(Value::Table(table)) => {
                refuse_unknown_keys::<AdaptiveForm>(Some("`repeats`"), &table)?;
                let form: AdaptiveForm = table.try_into().map_err(|error: toml::de::Error| {
                    key(KEY, error.message(), "write { min = 5, max = 20, until = \"decided\" }")
                })?;
                Self::adaptive(&form)
            }
            Some(other) => refuse(
                &format!("is a {}", other.type_str()),
                "use a number, or { min = 5, max = 20, until = \"decided\" }",
            ),
        }
    }

    fn adaptive(form: &AdaptiveForm) -> Result<Self, UsageError> {
        if form.min < 2 {
            return Err(key(KEY, "min must be at least 2", "5 is a good start"));
        }
        if form.max < form.min {
            return Err(key(KEY, "max is below min", "raise max"));
        }
        let until = Until::parse(&form.until)?;
        Ok(Self { max: form.max, enough: Some(Enough { min: form.min, until }) })
    }
}

impl Until {
    /// Reads `decided` or `end_to_end.p99 ±5%`.
    fn parse(text: &str) -> Result<Self, UsageError> {
        if text.trim() == "decided" {
            return Ok(Self::Decided);
        }
        let parts = ["±", "+/-", "+-"].iter().find_map(|sign| text.split_once(sign));
        let Some((figure, share)) = parts else {
            let problem = format!("until = `{text}` is neither `decided` nor a precision");
            return Err(key(KEY, problem, "write a figure and a share: \"end_to_end.p99 ±5%\""));
        };
        let figure = Figure::parse("`repeats` until", figure.trim())?;
        match parse_share(share.trim()) {
            Ok(half_width) if half_width > 0.0 => Ok(Self::Precise { figure, half_width }),
            Ok(_) => Err(key(KEY, "until asks for a precision of 0", "use ±5%, for example")),
            Err(error) => Err(key(KEY, format!("until: {error}"), "use ±5%, for example")),
        }
    }
}

impl Enough {
    /// The numbers of repeats, at most `max`, after which `until` is checked. A precision is checked after
    /// every repeat. Checking a decision that often would find a difference by chance, so it is checked
    /// after 5, 10, 20 repeats.
    pub(crate) fn looks(&self, max: u32) -> Vec<u32> {
        match self.until {
            Until::Precise { .. } => (self.min..=max).collect(),
            Until::Decided => {
                let doubled = std::iter::successors(Some(self.min), |last| last.checked_mul(2));
                let mut looks: Vec<u32> = doubled.take_while(|look| *look < max).collect();
                looks.push(max);
                looks
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Repeats, String> {
        let mut table: toml::Table = toml::from_str(&format!("repeats = {text}")).expect("TOML");
        Repeats::read(table.remove("repeats")).map_err(|error| error.to_string())
    }

    #[test]
    fn repeats_are_a_number_or_adaptive() {
        assert_eq!(Repeats::read(None), Ok(Repeats { max: 1, enough: None }));
        assert_eq!(read("3"), Ok(Repeats { max: 3, enough: None }));
        let adaptive = read("{ min = 5, max = 20, until = \"decided\" }").expect("read");
        let enough = adaptive.enough.expect("adaptive");
        assert_eq!((enough.min, adaptive.max, &enough.until), (5, 20, &Until::Decided));
        assert_eq!(enough.looks(20), [5, 10, 20]);
        assert_eq!(enough.looks(25), [5, 10, 20, 25]);
        assert_eq!(enough.looks(5), [5]);
        for sign in ["±", "+-", "+/-"] {
            let text = format!("{{ min = 2, max = 4, until = \"end_to_end.p99 {sign}5%\" }}");
            let enough = read(&text).expect("read").enough.expect("adaptive");
            let Until::Precise { figure, half_width } = &enough.until else {
                panic!("a precision")
            };
            assert_eq!((figure.to_string().as_str(), *half_width), ("end_to_end.p99", 0.05));
            assert_eq!(enough.looks(4), [2, 3, 4]);
        }
    }

    #[test]
    fn bad_repeats_are_refused_with_a_remedy() {
        let refused = |text: &str, part: &str| {
            let error = read(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        };
        refused("0", "must be at least 1");
        refused("-1", "use a smaller number");
        refused("\"3\"", "is a string");
        refused("{ min = 1, max = 3, until = \"decided\" }", "min must be at least 2");
        refused("{ min = 5, max = 3, until = \"decided\" }", "max is below min");
        refused("{ min = 5, max = 9 }", "until");
        refused("{ min = 5, max = 9, untill = \"decided\" }", "did you mean `until`?");
        refused("{ min = 5, max = 9, until = \"sure\" }", "neither `decided` nor a precision");
        refused("{ min = 5, max = 9, until = \"p98 ±5%\" }", "no figure is called `p98`");
        refused("{ min = 5, max = 9, until = \"throughput ±0%\" }", "a precision of 0");
        refused("{ min = 5, max = 9, until = \"throughput ±x\" }", "until: ");
    }
}
