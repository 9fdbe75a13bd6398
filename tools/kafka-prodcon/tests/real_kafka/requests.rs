//! Requests that queue between client and broker, on a link that carries less than is sent.

use bench_proxy::Proxy;
use bench_stack::StackOptions;

use crate::{Bench, produced, unused_name};

/// What the link carries. Each of the requests below takes some 250 bytes of it.
const LINK_BYTES_PER_S: u64 = 200_000;

#[test]
fn requests_that_queue_are_named_with_their_round_trip() {
    let proxy = Proxy::listen().expect("a port");
    let options = StackOptions::of([]).with_proxies("kafka", vec![proxy.port()]);
    let Some(kafka) = bench_testing::alone("requests that queue", &options) else { return };
    let targets = kafka.stack().behind_proxies();
    proxy.set_target(targets[0].1);
    let bench = Bench::on(kafka);
    // A topic that is there, so that nothing but messages is slowed down.
    let topic = bench.topic(1, 1, &[]);
    proxy.set_bandwidth(Some(LINK_BYTES_PER_S));
    let fill = |args: &str| {
        let results = unused_name();
        let command = format!(
            "fill --topic {topic} --rate 2k/s -n 4000 --linger 0ms --results-dir {results} \
             --bootstrap-servers 127.0.0.1:{} {args}",
            proxy.port()
        );
        let said = bench.place.run(&command);
        assert_eq!(said.code, 0, "{args}: {said:?}");
        let document = bench.place.document(&results);
        assert_eq!(produced(&document).acked, 4_000, "{args}");
        document.warnings
    };
    let queued = |warnings: &[String]| warnings.iter().any(|w| w.contains("requests queued"));
    let warnings = fill("--config max.in.flight=1000000");
    assert!(queued(&warnings), "{warnings:?}");
    // Five requests carry as much, since each takes along what has become due.
    let warnings = fill("");
    assert!(!queued(&warnings), "{warnings:?}");
}
