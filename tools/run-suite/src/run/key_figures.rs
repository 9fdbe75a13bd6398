//! The figures of a run that matter most.

use bench_cli::quantity::{duration_ns, rate};
use bench_record::{LatencySummary, RunDocument};

use crate::file::figure::throughput_msg_per_s;

/// The key figures of a run in a line.
pub(super) fn key_figures(document: Option<&RunDocument>) -> String {
    let Some(summary) = document.and_then(|document| document.summary.as_ref()) else {
        return "done".to_owned();
    };
    let throughput = throughput_msg_per_s(summary).map(rate);
    let latency = sampled(summary.end_to_end_latency.as_ref());
    let latency = latency.map(|latency| {
        let p99 = bound(latency.is_lower_bound(latency.p99_ns), duration_ns(latency.p99_ns));
        format!("end-to-end p99 {p99}")
    });
    let figures: Vec<String> = [throughput, latency].into_iter().flatten().collect();
    if figures.is_empty() { "done, without figures".to_owned() } else { figures.join(", ") }
}

/// A distribution that has samples: the percentiles of any other mean nothing.
pub(crate) fn sampled(latency: Option<&LatencySummary>) -> Option<&LatencySummary> {
    latency.filter(|latency| latency.count > 0)
}

/// A figure, marked if it is a lower bound.
pub(crate) fn bound(is_lower_bound: bool, figure: String) -> String {
    if is_lower_bound { format!(">={figure}") } else { figure }
}
