//! Parses `--from`.

use bench_cli::quantity::parse_instant;
use bench_kinesis::receive::StreamStart;

const FORMS: &str = "use trim-horizon, latest, timestamp:TIME, sequence:SHARD/NUMBER or \
                     after-sequence:SHARD/NUMBER";

/// Parses a start position.
pub(crate) fn parse_start(text: &str) -> Result<StreamStart, String> {
    match text {
        "trim-horizon" => return Ok(StreamStart::TrimHorizon),
        "latest" => return Ok(StreamStart::Latest),
        _ => {}
    }
    match text.split_once(':') {
        Some(("timestamp", time)) => Ok(StreamStart::Timestamp(parse_instant(time)?.into())),
        Some(("sequence", place)) => parse_sequence(place, true),
        Some(("after-sequence", place)) => parse_sequence(place, false),
        _ => Err(FORMS.to_owned()),
    }
}

fn parse_sequence(place: &str, is_inclusive: bool) -> Result<StreamStart, String> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (shard, number) = place.split_once('/').unwrap_or_default();
    if shard.is_empty() || !is_number(number) {
        let example = "sequence:shardId-000000000000/4959...";
        return Err(format!("use a shard and one of its sequence numbers, such as {example}"));
    }
    let shard = if is_number(shard) { format!("shardId-{shard:0>12}") } else { shard.to_owned() };
    Ok(StreamStart::Sequence { shard, number: number.to_owned(), is_inclusive })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn start_positions_are_parsed() {
        assert_eq!(parse_start("trim-horizon"), Ok(StreamStart::TrimHorizon));
        assert_eq!(parse_start("latest"), Ok(StreamStart::Latest));
        let at = |seconds: f64| {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs_f64(seconds);
            Ok(StreamStart::Timestamp(time.into()))
        };
        assert_eq!(parse_start("timestamp:1700000000.5"), at(1_700_000_000.5));
        assert_eq!(parse_start("timestamp:2023-11-14T22:13:20Z"), at(1_700_000_000.0));
        let sequence = |is_inclusive| {
            let shard = "shardId-000000000007".to_owned();
            Ok(StreamStart::Sequence { shard, number: "49".to_owned(), is_inclusive })
        };
        assert_eq!(parse_start("sequence:shardId-000000000007/49"), sequence(true));
        assert_eq!(parse_start("after-sequence:7/49"), sequence(false));
    }

    #[test]
    fn invalid_positions_suggest_a_valid_form() {
        for (text, hint) in [
            ("oldest", "trim-horizon"),
            ("timestamp:yesterday", "2026-"),
            ("timestamp:-1", "1970"),
            ("timestamp:1e300", "1970"),
            ("sequence:49", "such as sequence:shardId-"),
            ("sequence:7/", "such as sequence:shardId-"),
            ("sequence:7/x", "such as sequence:shardId-"),
        ] {
            let error = parse_start(text).expect_err(text);
            assert!(error.contains(hint), "{text}: {error}");
        }
    }
}
