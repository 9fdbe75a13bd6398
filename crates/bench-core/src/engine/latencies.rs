//! The distributions of latency that a run measures.

use bench_record::LatencyKind;

use crate::latency::LatencyHistogram;
use crate::transport::Incoming;

/// The distributions of latency of an interval or of a run.
#[derive(Clone, Default)]
pub struct Latencies {
    /// Acked less intended.
    pub publish_latency: LatencyHistogram,
    /// Acked less sent.
    pub service_time: LatencyHistogram,
    /// Sent less intended.
    pub schedule_lag: LatencyHistogram,
    /// Received less intended.
    pub end_to_end_latency: LatencyHistogram,
    /// The stages on the way to a table; `None` before the first message that knows of one, so that
    /// systems without them pay for no histogram.
    pub stages: Option<Box<StageLatencies>>,
}

/// The latencies of the stages that only some systems have.
#[derive(Clone, Default)]
pub struct StageLatencies {
    /// Arrived in the stream less intended.
    pub arrival_latency: LatencyHistogram,
    /// Landed less intended.
    pub landing_latency: LatencyHistogram,
    /// Landed less received: what the table costs.
    pub table_time: LatencyHistogram,
}

impl Latencies {
    /// One of the distributions; `None` for a stage that no message knows of.
    #[must_use]
    pub fn get(&self, kind: LatencyKind) -> Option<&LatencyHistogram> {
        let stages = self.stages.as_deref();
        match kind {
            LatencyKind::Publish => Some(&self.publish_latency),
            LatencyKind::ServiceTime => Some(&self.service_time),
            LatencyKind::EndToEnd => Some(&self.end_to_end_latency),
            LatencyKind::Arrival => stages.map(|stages| &stages.arrival_latency),
            LatencyKind::Landing => stages.map(|stages| &stages.landing_latency),
            LatencyKind::TableTime => stages.map(|stages| &stages.table_time),
            LatencyKind::ScheduleLag => Some(&self.schedule_lag),
        }
    }

    /// All distributions that there are, in the order of [`LatencyKind::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (LatencyKind, &LatencyHistogram)> {
        LatencyKind::ALL.into_iter().filter_map(|kind| Some((kind, self.get(kind)?)))
    }

    /// Adds all samples of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.publish_latency.merge(&other.publish_latency);
        self.service_time.merge(&other.service_time);
        self.schedule_lag.merge(&other.schedule_lag);
        self.end_to_end_latency.merge(&other.end_to_end_latency);
        self.merge_stages(other.stages.as_deref());
    }

    pub(super) fn merge_stages(&mut self, other: Option<&StageLatencies>) {
        if let Some(other) = other {
            let stages = self.stages.get_or_insert_default();
            stages.arrival_latency.merge(&other.arrival_latency);
            stages.landing_latency.merge(&other.landing_latency);
            stages.table_time.merge(&other.table_time);
        }
    }

    pub(super) fn clear(&mut self) {
        self.publish_latency.clear();
        self.service_time.clear();
        self.schedule_lag.clear();
        self.end_to_end_latency.clear();
        if let Some(stages) = &mut self.stages {
            stages.clear();
        }
    }
}

impl StageLatencies {
    /// Adds what is known of a message that was due at `intended_ns`, of any kind of message when
    /// that is `None`.
    pub(super) fn record(&mut self, incoming: &Incoming<'_>, intended_ns: Option<i64>) {
        let since_intended = |instant_ns: u64| {
            intended_ns.map(|intended_ns| instant_ns.cast_signed().wrapping_sub(intended_ns))
        };
        if let Some(latency_ns) = incoming.stamps.arrived_ns.and_then(since_intended) {
            self.arrival_latency.record(latency_ns);
        }
        if let Some(landed_ns) = incoming.stamps.landed_ns {
            self.table_time.record_between(incoming.received_ns, landed_ns);
            if let Some(latency_ns) = since_intended(landed_ns) {
                self.landing_latency.record(latency_ns);
            }
        }
    }

    pub(super) fn clear(&mut self) {
        self.arrival_latency.clear();
        self.landing_latency.clear();
        self.table_time.clear();
    }
}
