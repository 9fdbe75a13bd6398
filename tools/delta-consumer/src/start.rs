//! Where to begin, as people write it.

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
        Some(("timestamp", time)) => Ok(TableStart::Timestamp(parse_instant(time)?)),
        _ => Err("name beginning, end, version:N or timestamp:TIME".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

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
        ] {
            let error = parse_start(text).expect_err(text);
            assert!(error.contains(hint), "{text}: {error}");
        }
    }
}
