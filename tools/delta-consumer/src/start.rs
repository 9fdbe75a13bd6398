//! Where to begin, as people write it.

use std::time::Duration;

use bench_cli::quantity::parse_instant;
use bench_delta::receive::TableStart;

/// The place that `--from` names.
pub(crate) fn parse_start(text: &str) -> Result<TableStart, String> {
    match text.split_once(':') {
        None if text == "beginning" => Ok(TableStart::Beginning),
        None if text == "end" => Ok(TableStart::End),
        Some(("version", number)) => {
            let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
            let version = is_number.then(|| number.parse().ok()).flatten();
            let version = version.filter(|version| i64::try_from(*version).is_ok());
            let remedy = || "a version is a number from 0, as in version:17".to_owned();
            Ok(TableStart::Version(version.ok_or_else(remedy)?))
        }
        Some(("timestamp", time)) => {
            check_unit(time)?;
            Ok(TableStart::Timestamp(parse_instant(time)?))
        }
        _ => Err("name beginning, end, version:N or timestamp:TIME".to_owned()),
    }
}

/// Seconds since 1970 before which there was no Delta Lake, and there will be no more of it.
const SECONDS: [f64; 2] = [1e8, 1e11];

/// Refuses numbers of another unit than seconds. 0 means the time before all others.
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
            "{time} is not a time in seconds since 1970; write it as in 2026-11-21T14:00:00Z"
        ));
    };
    let seconds = Duration::try_from_secs_f64((number / per_s).floor()).unwrap_or_default();
    Err(format!(
        "{time} is a time in {unit}, and seconds since 1970 are read; write timestamp:{}",
        seconds.as_secs()
    ))
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn places_are_read_as_people_write_them() {
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
    fn what_is_no_place_is_refused_with_what_would_be_one() {
        for (text, hint) in [
            ("oldest", "name beginning, end"),
            ("beginning:0", "name beginning, end"),
            ("version:", "from 0"),
            ("version:-1", "from 0"),
            ("version:99999999999999999999", "from 0"),
            ("version:9223372036854775808", "from 0"),
            ("timestamp:yesterday", "2026-"),
            ("timestamp:-1", "1970"),
            (
                "timestamp:1700000000123",
                "in milliseconds, and seconds since 1970 are read; write timestamp:1700000000",
            ),
            (
                "timestamp:1700000000123456",
                "in microseconds, and seconds since 1970 are read; write timestamp:1700000000",
            ),
            (
                "timestamp:1700000000123456789",
                "in nanoseconds, and seconds since 1970 are read; write timestamp:1700000000",
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
