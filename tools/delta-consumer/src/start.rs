//! Parsing `--from`.

use std::time::Duration;

use bench_cli::quantity::parse_instant;
use bench_delta::receive::TableStart;

/// Parses the start given by `--from`.
pub(crate) fn parse_start(text: &str) -> Result<TableStart, String> {
    match text.split_once(':') {
        None if text == "beginning" => Ok(TableStart::Beginning),
        None if text == "end" => Ok(TableStart::End),
        Some(("version", number)) => {
            let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
            let version = is_number.then(|| number.parse().ok()).flatten();
            let version = version.filter(|version| i64::try_from(*version).is_ok());
            let remedy = || "a version must be a number from 0, such as version:17".to_owned();
            Ok(TableStart::Version(version.ok_or_else(remedy)?))
        }
        Some(("timestamp", time)) => {
            check_unit(time)?;
            Ok(TableStart::Timestamp(parse_instant(time)?))
        }
        _ => Err("use beginning, end, version:N or timestamp:TIME".to_owned()),
    }
}

/// The range of plausible seconds since 1970: Delta Lake did not exist before it.
const SECONDS: [f64; 2] = [1e8, 1e11];

/// Rejects numbers in units other than seconds. 0 means the beginning of time.
fn check_unit(time: &str) -> Result<(), String> {
    let Ok(number) = time.parse::<f64>() else { return Ok(()) };
    let [least, most] = SECONDS;
    if number <= 0.0 || (least..most).contains(&number) {
        return Ok(());
    }
    let units = [("milliseconds", 1e3), ("microseconds", 1e6), ("nanoseconds", 1e9)];
    let unit = units.iter().find(|(_, per_s)| (least..most).contains(&(number / per_s)));
    let Some((unit, per_s)) = unit else {
        return Err(format!(
            "{time} is not a time in seconds since 1970; use the form 2026-11-21T14:00:00Z"
        ));
    };
    let seconds = Duration::try_from_secs_f64((number / per_s).floor()).unwrap_or_default();
    Err(format!(
        "{time} is a time in {unit}, not in seconds since 1970; use timestamp:{}",
        seconds.as_secs()
    ))
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn starts_are_parsed() {
        let at =
            |seconds| TableStart::Timestamp(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        for (text, start) in [
            ("beginning", TableStart::Beginning),
            ("end", TableStart::End),
            ("version:0", TableStart::Version(0)),
            ("version:17", TableStart::Version(17)),
            ("timestamp:0", at(0)),
            ("timestamp:1700000000", at(1_700_000_000)),
            ("timestamp:2023-11-14T22:13:20Z", at(1_700_000_000)),
        ] {
            assert_eq!(parse_start(text), Ok(start), "{text}");
        }
    }

    #[test]
    fn invalid_starts_suggest_a_valid_form() {
        for (text, hint) in [
            ("oldest", "use beginning, end"),
            ("beginning:0", "use beginning, end"),
            ("version:", "from 0"),
            ("version:-1", "from 0"),
            ("version:99999999999999999999", "from 0"),
            ("version:9223372036854775808", "from 0"),
            ("timestamp:yesterday", "2026-"),
            ("timestamp:-1", "1970"),
            (
                "timestamp:1700000000123",
                "in milliseconds, not in seconds since 1970; use timestamp:1700000000",
            ),
            (
                "timestamp:1700000000123456",
                "in microseconds, not in seconds since 1970; use timestamp:1700000000",
            ),
            (
                "timestamp:1700000000123456789",
                "in nanoseconds, not in seconds since 1970; use timestamp:1700000000",
            ),
            ("timestamp:1700000", "not a time in seconds"),
            ("timestamp:1e30", "not a time in seconds"),
            ("timestamp:inf", "not a time"),
            ("timestamp:nan", "not a time"),
        ] {
            let error = parse_start(text).expect_err(text);
            assert!(error.contains(hint), "{text}: {error}");
        }
    }
}
