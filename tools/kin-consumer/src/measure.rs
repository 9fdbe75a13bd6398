//! Measures latency and throughput, and audits the messages.

use anyhow::Result;
use bench_cli::{Exit, Invocation, Measurement};
use bench_core::clock::SystemClock;
use bench_core::counts::Counts;
use bench_core::message::RunId;

use crate::options::Options;
use crate::source::{Connected, Source};

/// Reads the stream's records, or new ones, and reports the result.
pub(crate) fn measure(options: &Options, invocation: &Invocation) -> Result<Exit> {
    let interval_ns = options.run.interval_ns()?;
    let required = options.reader.expect.required(&invocation.shutdown)?;
    let source = Source::named(options, &invocation.shutdown)?;
    let (clock, run, counts) = (SystemClock::new(), RunId::random(), Counts::default());
    let started = invocation.started(run, vec![source.service.clone()]);
    // Outlives the measurement.
    let mut registered = None;
    invocation.measure(&options.run, options.output.format, started, clock, |_| {
        let Connected { receivers, fan_out } = source.connect(run, clock, &counts)?;
        registered = fan_out;
        let consumer = options.reader.consumer_config(&required, clock);
        let measurement =
            Measurement::receiving(run, clock, interval_ns, required, consumer, receivers);
        Ok(Measurement { counts, ..measurement })
    })
}
