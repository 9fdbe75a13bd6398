//! Sample result documents for the tests of reports.

use std::collections::BTreeMap;

use bench_core::results::verdict;
use bench_record::{
    AuditBasis, AuditSummary, ClockComparison, Consumed, EarlyStop, Guarantee, HostInfo,
    LatencySummary, LoadModel, Produced, ProducerAudit, Resources, RunDocument, SCHEMA_VERSION,
    SelfCheck, ServiceInfo, ServiceOrigin, Status, Summary, ToolInfo, Verdict, VerdictOutcome,
};

/// Percentiles that are multiples of `median_us`.
pub(super) fn latency(median_us: u64) -> LatencySummary {
    let p50_ns = median_us * 1_000;
    LatencySummary {
        count: 1_200_000,
        mean_ns: p50_ns as f64 * 1.1,
        std_dev_ns: p50_ns as f64 * 0.4,
        min_ns: p50_ns / 4,
        p50_ns,
        p75_ns: p50_ns * 3 / 2,
        p90_ns: p50_ns * 2,
        p95_ns: p50_ns * 5 / 2,
        p99_ns: p50_ns * 3,
        p99_9_ns: p50_ns * 5,
        p99_99_ns: p50_ns * 8,
        max_ns: p50_ns * 12,
        negative: 0,
        negative_min_ns: 0,
        beyond_range: 0,
        beyond_range_max_ns: 0,
        unanswered: 0,
        unanswered_min_ns: 0,
    }
}

fn producer(id: u16) -> ProducerAudit {
    ProducerAudit {
        run_id: "00c0ffee42".into(),
        producer: id,
        acked: 650_000,
        received: 650_000,
        lost: 0,
        unread: 0,
        duplicated: 0,
        reordered: 0,
        unacked_received: 0,
        aborted_received: 0,
        lost_ranges: Vec::new(),
    }
}

fn summary() -> Summary {
    Summary {
        load: LoadModel::Open,
        elapsed_s: 13.01,
        warm_up_s: 1.0,
        produced: Some(Produced {
            sent: 1_300_000,
            acked: 1_300_000,
            failed: 0,
            unresolved: 0,
            failures: BTreeMap::new(),
            acked_bytes: 130_000_000,
            unanswered_share: 0.0,
            unanswered_max: Produced::UNANSWERED_MAX_DEFAULT,
            outage: None,
            rate_msg_per_s: Some(99_987.5),
            rate_bytes_per_s: Some(9_998_750.0),
            target_rate_msg_per_s: Some(100_000.0),
        }),
        consumed: Some(Consumed {
            received: 1_300_000,
            received_bytes: 130_000_000,
            landed: 0,
            rate_msg_per_s: Some(99_980.0),
            rate_bytes_per_s: Some(9_998_000.0),
            early_stop: None,
            is_behind: false,
        }),
        publish_latency: Some(latency(1_030)),
        service_time: Some(latency(1_000)),
        schedule_lag: Some(latency(7)),
        end_to_end_latency: Some(latency(1_500)),
        end_to_end_clock: Some(ClockComparison { monotonic: 1_200_000, wall: 0 }),
        arrival_latency: None,
        landing_latency: None,
        table_time: None,
        audit: Some(AuditSummary {
            against: AuditBasis::Acked,
            received: 1_300_000,
            lost: 0,
            unread: 0,
            partial: None,
            duplicated: 0,
            reordered: 0,
            corrupt: 0,
            foreign: 0,
            unacked_received: 0,
            aborted_received: 0,
            guarantee: Guarantee::AtLeastOnce,
            producers: vec![producer(0), producer(1)],
        }),
        self_check: Some(SelfCheck {
            kept_schedule: true,
            lag_p99_ns: 21_000,
            blocked_ns: 0,
            unsent: 0,
        }),
        resources: Resources {
            cpu_s: 1.234,
            cpu_us_per_message: Some(0.4746),
            memory_max_bytes: 45_600_000,
        },
        counts: BTreeMap::new(),
        durations: BTreeMap::new(),
    }
}

/// A good run at a fixed rate against the user's own cluster.
pub(crate) fn open_loop() -> RunDocument {
    RunDocument {
        schema_version: SCHEMA_VERSION,
        tool: ToolInfo { name: "kafka-prodcon".into(), version: "0.1.0".into() },
        run_id: "00c0ffee42".into(),
        started_at: "2026-11-21T08:23:00Z".into(),
        schedule: None,
        status: Status::Complete,
        verdict: Some(Verdict { outcome: VerdictOutcome::Valid, reasons: Vec::new() }),
        options: BTreeMap::new(),
        services: vec![ServiceInfo {
            name: "kafka".into(),
            origin: ServiceOrigin::External,
            address: "kafka-1:9092".into(),
            version: "4.3.1".into(),
        }],
        host: HostInfo {
            name: "bench-1".into(),
            os: "Linux 6.1".into(),
            cpu: "Some CPU".into(),
            cpus: 2,
            memory_bytes: 8 << 30,
            load_average_1m: 0.3,
            settings: BTreeMap::new(),
        },
        versions: BTreeMap::new(),
        settings_in_force: BTreeMap::new(),
        summary: Some(summary()),
        warnings: Vec::new(),
        faults: Vec::new(),
    }
}

/// A good run whose messages went through a stream and landed in a table.
pub(super) fn landed() -> RunDocument {
    let mut summary = summary();
    (summary.arrival_latency, summary.landing_latency) =
        (Some(latency(1_200)), Some(latency(9_000)));
    summary.table_time = Some(latency(7_500));
    summary.consumed = summary.consumed.map(|it| Consumed { landed: it.received, ..it });
    summary.counts = BTreeMap::from([
        ("records_throttled".into(), 12),
        ("rows_failed".into(), 0),
        ("rows_retried".into(), 1_500),
    ]);
    let mut document = RunDocument { summary: Some(summary), ..open_loop() };
    document.services.push(ServiceInfo {
        name: "dynamodb".into(),
        origin: ServiceOrigin::Embedded,
        address: "http://127.0.0.1:40124".into(),
        version: "dynoxide 3.2.0".into(),
    });
    document
}

/// A good run whose system commits and records the durations.
pub(super) fn committed() -> RunDocument {
    let mut summary = summary();
    let of = |count, median_us| LatencySummary { count, ..latency(median_us) };
    summary.durations = BTreeMap::from([
        ("commit_time".into(), of(130, 2_500)),
        (
            "upload_time".into(),
            LatencySummary {
                beyond_range: 1,
                beyond_range_max_ns: 4_000_000_000_000,
                ..of(131, 6_000)
            },
        ),
    ]);
    summary.counts = BTreeMap::from([("put_requests".into(), 260)]);
    RunDocument { summary: Some(summary), ..open_loop() }
}

/// A good run as fast as possible against a stand-in.
pub(super) fn closed_loop() -> RunDocument {
    let mut summary = Summary { load: LoadModel::Closed, warm_up_s: 0.0, ..summary() };
    (summary.publish_latency, summary.schedule_lag, summary.self_check) = (None, None, None);
    if let Some(produced) = &mut summary.produced {
        produced.target_rate_msg_per_s = None;
        (produced.rate_msg_per_s, produced.rate_bytes_per_s) =
            (Some(2_345_678.0), Some(234_567_800.0));
    }
    let mut document = RunDocument { summary: Some(summary), ..open_loop() };
    document.services[0] = ServiceInfo {
        name: "kafka".into(),
        origin: ServiceOrigin::Embedded,
        address: "127.0.0.1:40123".into(),
        version: "librdkafka 2.12.1 mock cluster".into(),
    };
    document
}

/// An open-loop run in which everything went wrong.
pub(super) fn invalid() -> RunDocument {
    let mut summary = summary();
    if let Some(produced) = &mut summary.produced {
        (produced.sent, produced.failed, produced.unresolved) = (1_300_017, 12, 5);
        produced.failures = BTreeMap::from([("message timed out".into(), 12)]);
    }
    let latencies = [&mut summary.publish_latency, &mut summary.end_to_end_latency];
    for latency in latencies.into_iter().flatten() {
        (latency.beyond_range, latency.beyond_range_max_ns) = (2, 4_000_000_000_000);
    }
    if let Some(latency) = &mut summary.end_to_end_latency {
        (latency.negative, latency.negative_min_ns) = (1_234, -2_500_000);
    }
    if let Some(audit) = &mut summary.audit {
        (audit.lost, audit.corrupt, audit.duplicated) = (3, 1, 7);
        (audit.foreign, audit.unacked_received) = (20, 4);
        audit.received = 1_300_001;
        let losing = &mut audit.producers[0];
        (losing.lost, losing.received) = (3, 649_997);
        losing.lost_ranges = vec![(17, 18), (40_000, 40_000)];
    }
    summary.self_check = Some(SelfCheck {
        kept_schedule: false,
        lag_p99_ns: 5_000_000,
        blocked_ns: 1_230_000_000,
        unsent: 9,
    });
    let reasons =
        vec!["3 acknowledged messages were lost".into(), "1 message arrived corrupt".into()];
    RunDocument {
        verdict: Some(Verdict { outcome: VerdictOutcome::Invalid, reasons }),
        summary: Some(summary),
        warnings: vec!["the topic held 20 messages of another run".into()],
        ..open_loop()
    }
}

/// An open-loop run whose system stopped responding for good.
pub(super) fn outage() -> RunDocument {
    let mut summary = summary();
    if let Some(produced) = &mut summary.produced {
        (produced.acked, produced.unresolved) = (300_000, 1_000_000);
        produced.unanswered_share = 1_000_000.0 / 1_300_000.0;
        produced.outage = Some("all brokers are down".into());
        produced.rate_msg_per_s = Some(24_996.9);
    }
    if let Some(publish) = &mut summary.publish_latency {
        (publish.unanswered, publish.unanswered_min_ns) = (1_000_000, publish.p95_ns);
    }
    if let Some(consumed) = &mut summary.consumed {
        (consumed.rate_msg_per_s, consumed.rate_bytes_per_s) = (None, None);
    }
    let verdict = verdict(&summary);
    RunDocument { verdict: Some(verdict), summary: Some(summary), ..open_loop() }
}

/// A run that read messages of another run whose record is incomplete.
pub(super) fn partial() -> RunDocument {
    let mut summary = summary();
    if let Some(audit) = &mut summary.audit {
        audit.partial = Some("the other run's record of acknowledged messages is partial".into());
    }
    let verdict = verdict(&summary);
    RunDocument { verdict: Some(verdict), summary: Some(summary), ..open_loop() }
}

/// A run that stopped reading before the end.
pub(super) fn unread() -> RunDocument {
    let mut summary = summary();
    if let Some(consumed) = &mut summary.consumed {
        (consumed.early_stop, consumed.is_behind) = (Some(EarlyStop::Count), true);
    }
    if let Some(audit) = &mut summary.audit {
        audit.unread = 300;
        (audit.producers[0].unread, audit.producers[0].lost_ranges) = (300, vec![(0, 299)]);
    }
    let verdict = verdict(&summary);
    RunDocument { verdict: Some(verdict), summary: Some(summary), ..open_loop() }
}
