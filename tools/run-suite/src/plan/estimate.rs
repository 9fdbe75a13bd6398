//! How long the schedule of a run takes.

use std::time::Duration;

use bench_cli::UsageError;
use bench_cli::quantity::{duration_ns, parse_count, parse_duration, parse_rate};
use bench_core::clock;

use crate::file::fault::Fault;
use crate::file::options::{OptionValue, Options};
use crate::file::refusal::at;

/// How long the schedule of a run with these options takes, if they tell: a duration after a warm-up,
/// or a number of messages at a rate.
pub(super) fn expected(options: &Options) -> Option<Duration> {
    let text = |name| text(options, name);
    if let Some(duration) = text("duration") {
        let warm_up = text("warm-up").map_or(Ok(Duration::ZERO), parse_duration).ok()?;
        return parse_duration(duration).ok()?.checked_add(warm_up);
    }
    let messages = parse_count(text("messages")?).ok()?;
    let rate_per_s = parse_rate(text("rate")?).ok()?;
    Duration::try_from_secs_f64(messages as f64 / rate_per_s).ok()
}

/// The rate at which a run with these options sends, messages per second, if they tell.
pub(super) fn target_rate_per_s(options: &Options) -> Option<f64> {
    parse_rate(text(options, "rate")?).ok()
}

fn text<'a>(options: &'a Options, name: &str) -> Option<&'a str> {
    options.iter().find_map(|(option, value)| match value {
        OptionValue::Text(text) if option == name => Some(text.as_str()),
        _ => None,
    })
}

/// Refuses a fault after the end of the schedule of a run with these options, if they tell the end.
pub(super) fn refuse_late(
    faults: &[Fault],
    cell: &str,
    options: &Options,
) -> Result<(), UsageError> {
    let (Some(fault), Some(end)) = (faults.last(), expected(options)) else { return Ok(()) };
    if fault.at_ns < clock::duration_ns(end) {
        return Ok(());
    }
    let problem = format!(
        "{} is too late: the schedule of {cell} ends after {}",
        duration_ns(fault.at_ns),
        duration_ns(clock::duration_ns(end)),
    );
    Err(at("[[fault]]", "at", &problem, "use an earlier time, or a longer duration"))
}
