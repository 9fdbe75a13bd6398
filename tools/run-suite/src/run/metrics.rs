//! The figures of experiments while they go on, for Prometheus and whatever else reads `OpenMetrics`.

use std::collections::BTreeMap;
use std::fmt;
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bench_cli::{keep_metrics, serve_metrics};
use bench_record::intervals::IntervalRow;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use super::folder::State;
use super::run_state::RunStatus;

/// Begins all names.
const PREFIX: &str = "bench_suite";

/// The figures of all experiments of one call.
#[derive(Debug, Clone, Default)]
pub(crate) struct SuiteMetrics {
    now: Arc<Mutex<Now>>,
}

/// The figures at one instant.
#[derive(Debug, Clone, Default)]
struct Now {
    /// How many runs have which status, by its name.
    runs: BTreeMap<String, u32>,
    /// The run that goes on.
    run: Option<Run>,
}

/// A run that goes on.
#[derive(Debug, Clone)]
struct Run {
    /// The experiment, the cell, and the repeat.
    labels: [(&'static str, String); 3],
    elapsed: Duration,
    expected: Option<Duration>,
    target_per_s: Option<f64>,
    /// Its last interval.
    row: IntervalRow,
}

impl SuiteMetrics {
    /// Serves the figures from now on, until the process ends.
    pub(crate) fn serve(listener: TcpListener) -> Self {
        let metrics = Self::default();
        let served = metrics.clone();
        serve_metrics(listener, move || served.text());
        metrics
    }

    /// Takes how far the experiments have come.
    pub(super) fn count<'a>(&self, states: impl Iterator<Item = &'a State>) {
        let mut runs = BTreeMap::new();
        for run in states.flat_map(|state| &state.runs) {
            *runs.entry(run.status.name()).or_default() += 1;
        }
        self.now().runs = runs;
    }

    /// Takes the begin of a run.
    pub(super) fn begin(&self, state: &State, index: usize) {
        let (plan, run) = (&state.plan, state.plan.runs[index]);
        let mut now = self.now();
        if let Some(count) = now.runs.get_mut(&state.runs[index].status.name()) {
            *count = count.saturating_sub(1);
        }
        *now.runs.entry(RunStatus::Running.name()).or_default() += 1;
        now.run = Some(Run {
            labels: [
                ("experiment", plan.name.clone()),
                ("cell", plan.cells[run.cell].label.clone()),
                ("repeat", run.repeat.to_string()),
            ],
            elapsed: Duration::ZERO,
            expected: plan.expected(run),
            target_per_s: plan.target_rate_per_s(run),
            row: IntervalRow::default(),
        });
    }

    /// Takes how far the run has come.
    pub(super) fn update(&self, elapsed: Duration, row: Option<&IntervalRow>) {
        if let Some(run) = &mut self.now().run {
            run.elapsed = elapsed;
            if let Some(row) = row {
                run.row = row.clone();
            }
        }
    }

    /// Takes the end of the run.
    pub(super) fn end(&self) {
        self.now().run = None;
    }

    /// Keeps the last figures in the folder of the results.
    pub(super) fn keep(&self, dir: &Path) {
        keep_metrics(dir, &self.text());
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn text(&self) -> String {
        let mut registry = Registry::with_prefix(PREFIX);
        registry.register_collector(Box::new(self.now().clone()));
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = text::encode(&mut text, &registry);
        text
    }
}

impl Collector for Now {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let help = "Runs of all experiments by their status";
        let mut runs = encoder.encode_descriptor("runs", help, None, MetricType::Gauge)?;
        for (status, count) in &self.runs {
            let labels = [("status", status.as_str())];
            ConstGauge::new(f64::from(*count)).encode(runs.encode_family(&labels)?)?;
        }
        self.run.as_ref().map_or(Ok(()), |run| run.encode(&mut encoder))
    }
}

impl Run {
    fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut gauge = |name: &str, help: &str, unit: Option<&Unit>, value: f64| {
            let mut metric = encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?;
            ConstGauge::new(value).encode(metric.encode_family(&self.labels)?)
        };
        let seconds = Some(&Unit::Seconds);
        gauge("run_elapsed", "Since the run began", seconds, self.elapsed.as_secs_f64())?;
        if let Some(expected) = self.expected {
            gauge("run_expected", "What its schedule takes", seconds, expected.as_secs_f64())?;
        }
        let Self { row, target_per_s, .. } = self;
        let sent_per_s = row.sent as f64 / (row.end_s - row.start_s).max(f64::MIN_POSITIVE);
        let target_per_s = target_per_s.map(|rate| ("target", "What its schedule asks for", rate));
        let rates = [
            ("sent", "Sent in the last interval", sent_per_s),
            ("acked", "Confirmed in the last interval", row.acked_per_s),
            ("received", "Received in the last interval", row.received_per_s),
        ];
        for (name, help, per_s) in rates.into_iter().chain(target_per_s) {
            gauge(&format!("run_{name}_messages_per_second"), help, None, per_s)?;
        }
        let help = "Percentiles of the last interval";
        let mut latencies =
            encoder.encode_descriptor("run_latency", help, seconds, MetricType::Gauge)?;
        for (kind, latency) in &row.latencies {
            for (percentile, ns) in [("50", latency.p50_ns), ("99", latency.p99_ns)] {
                let mut labels = self.labels.to_vec();
                labels.push(("latency", kind.field().to_owned()));
                labels.push(("percentile", percentile.to_owned()));
                let metric = latencies.encode_family(&labels)?;
                ConstGauge::new(ns as f64 / 1e9).encode(metric)?;
            }
        }
        Ok(())
    }
}
