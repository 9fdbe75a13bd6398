//! Drivers that are killed on purpose: `--kill-driver AT[+AFTER]`.

use std::str::FromStr;
use std::time::Duration;

use bench_cli::{UsageError, quantity};

/// A kill of the driver on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DriverKill {
    /// Time after the start of the schedule.
    pub(crate) at: Duration,
    /// Time from the kill until it is started again.
    pub(crate) back_after: Duration,
}

impl FromStr for DriverKill {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let time = |text| quantity::parse_duration(text).map_err(|error| error.to_string());
        let (at, back_after) = text.split_once('+').unwrap_or((text, "0s"));
        Ok(Self { at: time(at)?, back_after: time(back_after)? })
    }
}

/// The kills in order of time. Each must be over before the next.
pub(crate) fn sorted(kills: &[DriverKill]) -> Result<Vec<DriverKill>, UsageError> {
    let mut kills = kills.to_vec();
    kills.sort_by_key(|kill| kill.at);
    let overlaps = |pair: &[DriverKill]| pair[0].at + pair[0].back_after >= pair[1].at;
    if kills.windows(2).any(overlaps) {
        let problem = "the driver is killed again before it is back";
        return Err(UsageError::new("--kill-driver", problem, "leave more time between the kills"));
    }
    Ok(kills)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kills_have_a_time_and_optional_return() {
        let seconds = Duration::from_secs;
        let kill = |at, back_after| Ok(DriverKill { at, back_after });
        assert_eq!("10s".parse(), kill(seconds(10), Duration::ZERO));
        assert_eq!("1m+5s".parse(), kill(seconds(60), seconds(5)));
        for wrong in ["", "soon", "1s+", "+1s", "-1s", "1s+2s+3s"] {
            assert!(wrong.parse::<DriverKill>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn kills_do_not_overlap() {
        let of = |texts: &[&str]| {
            let kills: Vec<DriverKill> =
                texts.iter().map(|text| text.parse().expect("a kill")).collect();
            sorted(&kills)
                .map(|kills| kills.iter().map(|kill| kill.at.as_secs()).collect::<Vec<_>>())
        };
        assert_eq!(of(&["30s", "10s+5s"]).expect("apart"), vec![10, 30]);
        assert!(of(&["10s+5s", "15s"]).is_err());
        assert!(of(&["10s", "10s"]).is_err());
    }
}
