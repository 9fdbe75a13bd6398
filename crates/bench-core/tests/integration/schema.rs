//! The JSON Schemas in `docs/` match the types, and documents satisfy them.

use std::collections::BTreeMap;

use bench_core::audit::{AckLedger, StreamId};
use bench_core::message::RunId;
use bench_core::results::current_host;
use bench_record::{
    AuditBasis, AuditSummary, ClockComparison, Consumed, EarlyStop, FaultAction, FaultBand,
    FaultRecord, Guarantee, LatencyKind, LatencySummary, LedgerFile, LoadModel, Produced,
    ProducerAudit, Resources, RunDocument, SCHEMA_VERSION, ScheduleStart, SelfCheck, ServiceInfo,
    ServiceOrigin, Status, Summary, ToolInfo, Verdict, VerdictOutcome,
};
use schemars::{Schema, schema_for};
use serde_json::{Value, json};

/// Compares `docs/NAME.schema.json` with the schema of the types.
fn assert_documented(name: &str, schema: &Schema) {
    let path = format!("{}/../../docs/{name}.schema.json", env!("CARGO_MANIFEST_DIR"));
    let documented = std::fs::read(&path).expect("the schema is in the documentation");
    let documented: Value = serde_json::from_slice(&documented).expect("the schema is JSON");
    assert!(
        documented == *schema.as_value(),
        "docs/{name}.schema.json is not the schema of the types; regenerate it with \
         `cargo run --release -p bench-record --example run_schema {name} > docs/{name}.schema.json`"
    );
}

fn is_valid(schema: &Schema, document: &Value) -> bool {
    let (mut compiler, mut schemas) = (boon::Compiler::new(), boon::Schemas::new());
    compiler.add_resource("memory:schema", schema.as_value().clone()).expect("a schema");
    let index = compiler.compile("memory:schema", &mut schemas).expect("a valid schema");
    schemas.validate(document, index).is_ok()
}

fn latency() -> LatencySummary {
    LatencySummary {
        count: 1_000,
        mean_ns: 1.5e6,
        std_dev_ns: 3.5e5,
        min_ns: 200_000,
        p50_ns: 1_400_000,
        p75_ns: 1_600_000,
        p90_ns: 2_000_000,
        p95_ns: 2_500_000,
        p99_ns: 4_000_000,
        p99_9_ns: 9_000_000,
        p99_99_ns: 12_000_000,
        max_ns: 12_000_000,
        unanswered: 3,
        unanswered_min_ns: 700,
        negative: 1,
        negative_min_ns: -7,
        beyond_range: 1,
        beyond_range_max_ns: u64::MAX,
    }
}

fn audit() -> AuditSummary {
    let producer = ProducerAudit {
        run_id: "00000000ab".to_owned(),
        producer: u16::MAX,
        acked: 1_000,
        received: 998,
        lost: 2,
        unread: 0,
        duplicated: 1,
        reordered: 1,
        unacked_received: 0,
        aborted_received: 1,
        lost_ranges: vec![(3, 3), (7, 7)],
    };
    AuditSummary {
        against: AuditBasis::Acked,
        received: 998,
        lost: 2,
        unread: 0,
        partial: Some("the record is partial".to_owned()),
        duplicated: 1,
        reordered: 1,
        corrupt: 1,
        foreign: 1,
        unacked_received: 0,
        aborted_received: 1,
        guarantee: Guarantee::ExactlyOnce,
        producers: vec![producer],
    }
}

fn full_summary() -> Summary {
    Summary {
        load: LoadModel::Open,
        elapsed_s: 12.5,
        warm_up_s: 2.0,
        produced: Some(Produced {
            sent: 1_003,
            acked: 1_000,
            failed: 2,
            unresolved: 1,
            failures: BTreeMap::from([("timed out".to_owned(), 2)]),
            acked_bytes: 100_000,
            unanswered_share: 3.0 / 1_003.0,
            unanswered_max: Produced::UNANSWERED_MAX_DEFAULT,
            outage: Some("all brokers are down".to_owned()),
            rate_msg_per_s: Some(100.0),
            rate_bytes_per_s: Some(10_000.0),
            target_rate_msg_per_s: Some(100.0),
        }),
        consumed: Some(Consumed {
            received: 1_001,
            received_bytes: 100_100,
            landed: 1_001,
            rate_msg_per_s: Some(99.9),
            rate_bytes_per_s: Some(9_990.0),
            early_stop: Some(EarlyStop::Silence),
            is_behind: true,
        }),
        publish_latency: Some(latency()),
        service_time: Some(latency()),
        schedule_lag: Some(latency()),
        end_to_end_latency: Some(latency()),
        end_to_end_clock: Some(ClockComparison { monotonic: 1_000, wall: 2 }),
        arrival_latency: Some(latency()),
        landing_latency: Some(latency()),
        table_time: Some(latency()),
        audit: Some(audit()),
        self_check: Some(SelfCheck {
            kept_schedule: false,
            lag_p99_ns: 2_000_000,
            blocked_ns: 5,
            unsent: 1,
        }),
        resources: Resources {
            cpu_s: 0.5,
            cpu_us_per_message: Some(0.4),
            memory_max_bytes: 1 << 24,
        },
        counts: BTreeMap::from([("rows_retried".to_owned(), 3)]),
        durations: BTreeMap::from([("commit_time".to_owned(), latency())]),
    }
}

fn fault() -> FaultRecord {
    FaultRecord {
        action: FaultAction::Latency,
        target: "kafka".to_owned(),
        setting: Some("100ms".to_owned()),
        begin_s: Some(20.001),
        end_s: Some(25.0),
        recovery_s: Some(5.25),
        unrecovered: Some("not within the run".to_owned()),
        disturbed_again: 1,
        band: Some(FaultBand {
            latency: LatencyKind::EndToEnd,
            intervals: 150,
            p99_max_ns: 4_000_000,
            rate_min_msg_per_s: 990.0,
        }),
    }
}

/// A document with every optional field.
fn full_document() -> RunDocument {
    RunDocument {
        status: Status::Incomplete,
        verdict: Some(Verdict {
            outcome: VerdictOutcome::Invalid,
            reasons: vec!["2 acknowledged messages were not received".to_owned()],
        }),
        options: BTreeMap::from([
            ("topic".to_owned(), json!("t")),
            ("config".to_owned(), json!(["linger.ms=5"])),
            ("messages".to_owned(), Value::Null),
        ]),
        services: vec![ServiceInfo {
            name: "kafka".to_owned(),
            origin: ServiceOrigin::Embedded,
            address: "127.0.0.1:9092".to_owned(),
            version: "0".to_owned(),
        }],
        versions: BTreeMap::from([("librdkafka".to_owned(), "2.12.1".to_owned())]),
        summary: Some(full_summary()),
        warnings: vec!["one".to_owned()],
        schedule: Some(ScheduleStart { monotonic_ns: 1, boot: 2, unix_ns: -3 }),
        faults: vec![fault()],
        ..minimal_document()
    }
}

/// A document as written when a run starts.
fn minimal_document() -> RunDocument {
    RunDocument {
        schema_version: SCHEMA_VERSION,
        tool: ToolInfo { name: "tool".to_owned(), version: "0.1.0".to_owned() },
        run_id: "00000000ab".to_owned(),
        started_at: "2026-11-21T08:50:43Z".to_owned(),
        schedule: None,
        status: Status::Running,
        verdict: None,
        options: BTreeMap::new(),
        services: Vec::new(),
        host: current_host(),
        versions: BTreeMap::new(),
        settings_in_force: BTreeMap::new(),
        summary: None,
        warnings: Vec::new(),
        faults: Vec::new(),
    }
}

fn value(document: &impl serde::Serialize) -> Value {
    serde_json::to_value(document).expect("serialises")
}

#[test]
fn run_documents_satisfy_the_documented_schema() {
    let schema = schema_for!(RunDocument);
    assert_documented("run", &schema);
    for document in [full_document(), minimal_document()] {
        let json = value(&document);
        assert!(is_valid(&schema, &json), "{json:#}");
        let read: RunDocument = serde_json::from_value(json).expect("deserialises");
        assert_eq!(read, document);
    }
}

#[test]
fn latencies_are_named_as_their_fields() {
    for kind in LatencyKind::ALL {
        let mut json = value(&full_summary());
        json[kind.field()] = Value::Null;
        let summary: Summary = serde_json::from_value(json).expect("a summary");
        let missing = LatencyKind::ALL.into_iter().filter(|it| summary.latency(*it).is_none());
        assert_eq!(missing.collect::<Vec<_>>(), [kind]);
    }
}

#[test]
fn altered_run_documents_violate_the_schema() {
    let schema = schema_for!(RunDocument);
    for (pointer, altered) in [
        ("/schema_version", json!("1")),
        ("/status", json!("halfway")),
        ("/services/0/origin", json!("cloud")),
        ("/summary/elapsed_s", json!("12.5")),
        ("/summary/publish_latency/p99_ns", Value::Null),
        ("/summary/produced/acked", json!(-1)),
        ("/summary/audit/producers/0/lost_ranges/0", json!([3])),
        ("/summary/resources", json!({})),
        ("/summary/counts/rows_retried", json!(-3)),
        ("/verdict/outcome", json!(true)),
        ("/schedule/monotonic_ns", json!(-1)),
        ("/faults/0/action", json!("bribe")),
        ("/faults/0/band/p99_max_ns", json!(0.5)),
    ] {
        let mut json = value(&full_document());
        *json.pointer_mut(pointer).expect(pointer) = altered;
        assert!(!is_valid(&schema, &json), "{pointer}");
    }
    let mut json = value(&full_document());
    json.as_object_mut().expect("an object").remove("run_id");
    assert!(!is_valid(&schema, &json), "a document without a run id");
}

#[test]
fn only_unaltered_ledgers_satisfy_the_documented_schema() {
    let schema = schema_for!(LedgerFile);
    assert_documented("acked", &schema);
    let mut ledger = AckLedger::default();
    assert!(is_valid(&schema, &value(&ledger.to_file(true))));
    let stream = StreamId { run: RunId::from_bits(0xAB), producer: 3 };
    ledger.insert_range(stream, 0, 99);
    ledger.insert_range(stream, 101, 101);
    let json = value(&ledger.to_file(true));
    assert!(is_valid(&schema, &json), "{json:#}");
    for (pointer, altered) in [
        ("/producers/0/producer", json!(65_536)),
        ("/producers/0/acked/1", json!([101, 101, 101])),
        ("/producers/0/acked/0/0", json!(0.5)),
        ("/producers/0/run_id", Value::Null),
        ("/producers", json!({})),
    ] {
        let mut json = json.clone();
        *json.pointer_mut(pointer).expect(pointer) = altered;
        assert!(!is_valid(&schema, &json), "{pointer}");
    }
}
