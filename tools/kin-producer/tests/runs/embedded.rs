//! Runs without a service.

use bench_record::{ServiceOrigin, Status};
use bench_testing::tool::Sandbox;

use crate::TOOL;
use crate::kinesis::{acked, count};

#[test]
fn runs_without_service_use_a_labelled_embedded_one() {
    let sandbox = Sandbox::new(TOOL);
    let output = sandbox.run("-n 900");
    assert_eq!(output.code, 0, "{output:?}");
    assert_eq!(output.stderr, "");
    assert_eq!(sandbox.entries(), ["results"]);
    let heading: Vec<_> = output.stdout.lines().take(3).collect();
    assert!(heading[1].starts_with("kinesis: embedded (ferrokinesis "), "{output:?}");
    assert!(heading[2].contains("not the performance of kinesis"), "{output:?}");
    let document = sandbox.document("results");
    assert_eq!((document.status, acked(&sandbox).len()), (Status::Complete, 900));
    let [service] = &document.services[..] else { panic!("{:?}", document.services) };
    assert_eq!(service.origin, ServiceOrigin::Embedded);
    for (option, value) in [
        ("stream", "benchmark"),
        ("stream-mode", "provisioned"),
        ("shards", "1"),
        ("messages", "900"),
        ("record-size", "100"),
        ("linger", "5ms"),
        ("put", "records"),
        ("in-flight", "8"),
    ] {
        assert_eq!(document.options[option], value, "{option}");
    }
    assert_eq!(document.versions.keys().collect::<Vec<_>>(), ["aws-sdk-kinesis"]);
    assert_eq!((count(&document, "records"), count(&document, "requests_failed")), (900, 0));
}

#[test]
fn command_lines_of_the_old_script_still_run() {
    for (args, messages, size) in [
        ("-n 1250 -r 1600 -a 1043582", "1250", "1600"),
        ("--num_records 500 --record_size 800 --agg_size 1043582", "500", "800"),
        ("-n=100 -r=100", "100", "100"),
        ("-n 100 -a 0", "100", "100"),
    ] {
        let sandbox = Sandbox::new(TOOL);
        let output = sandbox.run(args);
        assert_eq!(output.code, 0, "{args}: {output:?}");
        let document = sandbox.document("results");
        let options = &document.options;
        assert_eq!(
            (&options["messages"], &options["record-size"]),
            (&messages.into(), &size.into())
        );
        assert_eq!(acked(&sandbox).len().to_string(), messages, "{args}");
        let records = count(&document, "records");
        let packed = options.get("aggregate").is_some_and(|size| size != "0");
        assert_eq!(records < 10, packed, "{args}: {records} records");
    }
}

#[test]
fn no_limits_disables_throttling() {
    let sandbox = Sandbox::new(TOOL);
    let output = sandbox.run("-n 20000 --no-limits -p 2 --shards 2");
    assert_eq!(output.code, 0, "{output:?}");
    let document = sandbox.document("results");
    assert_eq!(count(&document, "records_throttled"), 0);
    let acked = acked(&sandbox);
    assert_eq!((acked.len(), acked[10_000]), (20_000, (1, 0)));
}
