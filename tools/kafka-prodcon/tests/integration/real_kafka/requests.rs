//! Requests that queue between client and broker on a link slower than the producer.

use bench_proxy::Proxy;
use bench_stack::StackOptions;

use super::{Bench, produced, unused_name};

/// Bandwidth of the link. Each request below takes about 250 bytes.
const LINK_BYTES_PER_S: u64 = 200_000;

#[test]
fn queued_requests_cause_a_warning() {
    let proxy = Proxy::listen().expect("a port");
    let options = StackOptions::of([]).with_proxies("kafka", vec![proxy.port()]);
    let Some(kafka) = bench_testing::alone("requests that queue", &options) else { return };
    let targets = kafka.stack().behind_proxies();
    proxy.set_target(targets[0].1);
    let bench = Bench::on(kafka);
    // The topic exists already, so that only messages are slowed down.
    let topic = bench.topic(1, 1, &[]);
    proxy.set_bandwidth(Some(LINK_BYTES_PER_S));
    let fill = |args: &str| {
        let results = unused_name();
        let command = format!(
            "fill --topic {topic} --rate 2k/s -n 4000 --linger 0ms --results-dir {results} \
             --bootstrap-servers 127.0.0.1:{} {args}",
            proxy.port()
        );
        let output = bench.sandbox.run(&command);
        assert_eq!(output.code, 0, "{args}: {output:?}");
        let document = bench.sandbox.document(&results);
        assert_eq!(produced(&document).acked, 4_000, "{args}");
        document.warnings
    };
    let queued = |warnings: &[String]| warnings.iter().any(|w| w.contains("requests queued"));
    let warnings = fill("--config max.in.flight=1000000");
    assert!(queued(&warnings), "{warnings:?}");
    // Five requests carry as much, since each includes all messages due by then.
    let warnings = fill("");
    assert!(!queued(&warnings), "{warnings:?}");
}
