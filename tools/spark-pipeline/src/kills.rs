//! Drivers that are killed on purpose: `--kill-driver AT[+AFTER]`.

use std::str::FromStr;
use std::time::Duration;

use bench_cli::{UsageError, quantity};
use bench_core::clock::InstantNs;
use bench_record::{FaultAction, FaultRecord};

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

/// What became of a kill.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Killed {
    /// When the driver was killed, unless the run ended before.
    pub(crate) killed_ns: Option<InstantNs>,
    /// When the job's query ran again.
    pub(crate) back_ns: Option<InstantNs>,
}

impl Killed {
    /// The entry in the results of a run whose schedule started at `start_ns`.
    pub(crate) fn record(self, start_ns: InstantNs) -> FaultRecord {
        let seconds = |at_ns: InstantNs| at_ns.saturating_sub(start_ns) as f64 / 1e9;
        FaultRecord {
            action: FaultAction::Kill,
            target: "driver".to_owned(),
            setting: None,
            begin_s: self.killed_ns.map(seconds),
            end_s: self.back_ns.map(seconds),
            recovery_s: None,
            unrecovered: None,
            disturbed_again: 0,
            band: None,
        }
    }
}

/// A warning for each kill that the run did not reach.
pub(crate) fn missed(kills: &[DriverKill], killed: &[Killed]) -> Vec<String> {
    let is_missed = |(_, killed): &(&DriverKill, &Killed)| killed.killed_ns.is_none();
    let warning = |(kill, _): (&DriverKill, _)| {
        format!("the run ended before the driver was to be killed at {:?}", kill.at)
    };
    kills.iter().zip(killed).filter(is_missed).map(warning).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kills_are_recorded_from_the_start_of_the_schedule() {
        let killed = Killed { killed_ns: Some(3_500_000_000), back_ns: Some(9_000_000_000) };
        let record = killed.record(1_000_000_000);
        assert_eq!(record.name(), "kill driver");
        assert_eq!((record.begin_s, record.end_s), (Some(2.5), Some(8.0)));
        let kills: Vec<DriverKill> =
            ["2s", "90s"].map(|text| text.parse().expect("a kill")).to_vec();
        let missed = missed(&kills, &[killed, Killed::default()]);
        assert_eq!(missed, ["the run ended before the driver was to be killed at 90s"]);
    }

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
