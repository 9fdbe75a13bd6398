//! Kinesis on this machine: its stand-in as a server of its own, for tools that run one after
//! another, and the [client](stand_in) of one that a tool starts for itself. Its streams are in
//! memory: they end with the process.

pub mod stand_in;

use bench_record::ServiceOrigin;
use bench_service_aws::{self as aws, CLIENT};
use bench_stack::{
    Cache, Embedded, Launch, NodeContext, Parts, Progress, Service, ServiceOption, ServiceOptions,
    StackError, one_of,
};

use stand_in::{KIND, KinesisLimits, VERSION};

/// The key of the limits among the options.
const LIMITS: &str = "limits";

/// Limits of writing, also of reading, or none.
const WRITES: &str = "writes";
const ALL: &str = "all";
const NONE: &str = "none";

const OPTIONS: &[ServiceOption] = &[ServiceOption {
    key: LIMITS,
    flag: Some("kinesis-limits"),
    value_name: "WHICH",
    help: "Limits per shard that the embedded Kinesis enforces: `writes` (1,000 records and 1 MiB \
           per second), `all` (also reads: 5 calls and 2 MiB per second, 10 MiB per call) or `none`",
    default: WRITES,
    check: |value| one_of(&[WRITES, ALL, NONE], value),
}];

/// Kinesis Data Streams.
#[derive(Debug)]
pub struct Kinesis;

impl Service for Kinesis {
    fn name(&self) -> &'static str {
        "kinesis"
    }

    fn title(&self) -> &'static str {
        "Kinesis"
    }

    fn embedded(&self) -> Embedded {
        Embedded::Shared
    }

    /// The next run would find the records, shards and checkpoints of the one before.
    fn is_for_one_run(&self) -> bool {
        true
    }

    fn options(&self) -> &'static [ServiceOption] {
        OPTIONS
    }

    fn difference(&self, old: &ServiceOptions, new: &ServiceOptions) -> Option<String> {
        (old != new).then(|| "has Kinesis with other limits".to_owned())
    }

    fn tool_options(&self) -> &'static [&'static str] {
        &["endpoint-url"]
    }

    fn fetch(
        &self,
        _cache: &Cache,
        _options: &ServiceOptions,
        _progress: &mut Progress<'_>,
    ) -> Result<Parts, StackError> {
        let program = KIND.find_program()?;
        Ok(Parts::new(VERSION.to_owned(), ServiceOrigin::Embedded, program))
    }

    fn ports(&self, _options: &ServiceOptions) -> Vec<&'static str> {
        vec![CLIENT]
    }

    fn launch(&self, node: &NodeContext<'_>) -> Result<Launch, StackError> {
        let limits = limits(node.options());
        Ok(node.launch(stand_in::arguments(node.port(CLIENT), &limits)?))
    }

    fn check(&self, node: &NodeContext<'_>) -> Result<(), String> {
        aws::check(node, "Kinesis_20131202.ListStreams", "application/x-amz-json-1.1")
    }

    fn address(&self, node: &NodeContext<'_>) -> String {
        aws::address(node)
    }

    fn environment(&self, nodes: &[NodeContext<'_>]) -> Vec<(String, String)> {
        let node = nodes.first();
        node.map(|node| aws::environment(node, "AWS_ENDPOINT_URL_KINESIS")).unwrap_or_default()
    }
}

fn limits(options: &ServiceOptions) -> KinesisLimits {
    let limits = options.get(LIMITS).unwrap_or(WRITES);
    KinesisLimits {
        enforce_writes: limits != NONE,
        enforce_reads: limits == ALL,
        ..KinesisLimits::default()
    }
}
