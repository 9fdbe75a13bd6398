//! The stream of a run, on an embedded Kinesis or the user's.

use anyhow::{Context, Result};
use aws_sdk_kinesis::Client;
use bench_aws::{AwsService, SdkConfig};
use bench_cli::{Shutdown, UsageError, Waiting};
use bench_kinesis::KinesisError;
use bench_kinesis::admin::{self, Capacity, RECORD_BYTES_DEFAULT, Shard, Stream, StreamOutcome};
use bench_record::{ServiceInfo, ServiceOrigin};
use bench_service_kinesis::stand_in::VERSION;
use bench_service_kinesis::stand_in::{EmbeddedKinesis, KinesisLimits};
use bench_stack::origin_of;

use crate::options::{Options, StreamArgs};

/// The service of a run, and the stream before any change.
pub(crate) struct Service {
    pub(crate) sdk: SdkConfig,
    waiting: Waiting,
    client: Client,
    embedded: Option<EmbeddedKinesis>,
    info: ServiceInfo,
    /// The existing stream, if there is one.
    found: Option<Stream>,
}

/// An active stream.
pub(crate) struct ReadyStream {
    pub(crate) shards: Vec<Shard>,
    pub(crate) warning: Option<String>,
}

impl Service {
    /// Connects to the user's service, or starts an embedded one, and looks for the stream.
    pub(crate) fn connect(options: &Options, shutdown: &Shutdown) -> Result<Self> {
        let waiting = Waiting::new(shutdown)?;
        let is_named = options.aws.is_named(AwsService::Kinesis);
        check(&options.stream, is_named)?;
        let (sdk, embedded, info) = if is_named {
            let config = options.aws.config_for(AwsService::Kinesis);
            let sdk = waiting.until(config, "reading the AWS configuration")?;
            let sdk = sdk.map_err(UsageError::from_library)?;
            let info = options.aws.service_info(AwsService::Kinesis, &sdk);
            let info = origin_of(&info.name, &info.address).unwrap_or(info);
            (sdk, None, info)
        } else {
            let default = KinesisLimits::default();
            let limits = KinesisLimits {
                enforce_writes: !options.stream.no_limits,
                shard_limit: default.shard_limit.max(options.stream.shards.unwrap_or(1)),
                ..default
            };
            let embedded =
                EmbeddedKinesis::start(&limits).context("failed to start the embedded Kinesis")?;
            let address = embedded.endpoint_url().to_owned();
            let info = ServiceInfo {
                name: AwsService::Kinesis.name().to_owned(),
                origin: ServiceOrigin::Embedded,
                version: VERSION.to_owned(),
                address: address.clone(),
            };
            (options.aws.embedded_config(&address), Some(embedded), info)
        };
        let client = Client::new(&sdk);
        let mut service = Self { sdk, waiting, client, embedded, info, found: None };
        service.found = service.find(&options.stream.stream)?;
        if service.found.is_none() && !service.creates(&options.stream) {
            let stream = &options.stream.stream;
            let problem = format!("stream '{stream}' does not exist");
            let remedy = "use another one, or add --create and --shards or --on-demand";
            return Err(UsageError::new("--stream", problem, remedy).into());
        }
        Ok(service)
    }

    fn find(&self, stream: &str) -> Result<Option<Stream>> {
        if self.embedded.is_some() {
            return Ok(None);
        }
        let described = admin::describe(&self.client, stream);
        match self.waiting.until(described, "looking up the stream")? {
            Ok(found) => Ok(Some(found)),
            Err(KinesisError::NoStream { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the stream may be created or changed. On an embedded service, it is always created.
    fn creates(&self, args: &StreamArgs) -> bool {
        args.create || self.embedded.is_some()
    }

    /// Maximum size of the stream's records, bytes: data and partition key together.
    pub(crate) fn record_bytes_max(&self) -> usize {
        self.found.as_ref().map_or(RECORD_BYTES_DEFAULT, |found| found.record_bytes_max)
    }

    /// The service as results name it.
    pub(crate) fn info(&self) -> ServiceInfo {
        self.info.clone()
    }

    /// The stream's mode and shards for results, as it is or will be; no shards if neither the user
    /// nor the stream sets them.
    pub(crate) fn mode(&self, args: &StreamArgs) -> (&'static str, Option<u32>) {
        let asked = args.shards.or((!args.on_demand).then_some(1));
        match &self.found {
            Some(found) if found.on_demand => ("on-demand", Some(found.open_shards)),
            Some(found) if !args.create || args.on_demand => {
                ("provisioned", Some(found.open_shards))
            }
            Some(found) => ("provisioned", Some(args.shards.unwrap_or(found.open_shards))),
            None if args.on_demand => ("on-demand", None),
            None => ("provisioned", asked),
        }
    }

    /// Ensures that the stream exists and is active.
    pub(crate) fn prepare(&self, args: &StreamArgs) -> Result<ReadyStream> {
        let (client, stream) = (&self.client, args.stream.as_str());
        let doing = "waiting for the stream";
        let mut warning = None;
        if self.creates(args) {
            let found = self.found.as_ref().map(|found| Capacity::Shards(found.open_shards));
            let asked = match (args.shards, args.on_demand) {
                (_, true) => Capacity::OnDemand,
                (Some(shards), false) => Capacity::Shards(shards),
                // An existing stream is used unchanged.
                (None, false) => found.unwrap_or(Capacity::Shards(1)),
            };
            let ensured = admin::ensure(client, stream, asked, args.ready_timeout);
            let ensured = self.waiting.until(ensured, doing);
            let ensured = ensured.with_context(|| {
                format!("stream '{stream}' may still be created or changed, and stays")
            })?;
            warning = match ensured? {
                StreamOutcome::OtherMode if args.shards.is_some() || args.on_demand => {
                    Some(format!(
                        "stream '{stream}' is in the other capacity mode, and was not \
                                  changed"
                    ))
                }
                StreamOutcome::Resharded { from } => {
                    tracing::info!("stream '{stream}' had {from} shards");
                    None
                }
                _ => None,
            };
        }
        self.waiting.until(admin::await_active(client, stream, args.ready_timeout), doing)??;
        let shards = self.waiting.until(admin::open_shards(client, stream), doing)??;
        Ok(ReadyStream { shards, warning })
    }
}

/// Refuses stream options that do not apply to the kind of service.
fn check(args: &StreamArgs, is_named: bool) -> Result<(), UsageError> {
    if is_named && args.no_limits {
        let problem = "only the embedded Kinesis can run without limits";
        let remedy = "remove the option, or use no service";
        return Err(UsageError::new("--no-limits", problem, remedy));
    }
    let asks = if args.on_demand { Some("--on-demand") } else { args.shards.map(|_| "--shards") };
    match asks {
        Some(option) if is_named && !args.create => {
            let problem = "an existing stream is not changed";
            Err(UsageError::new(option, problem, "add --create, or remove the option"))
        }
        _ => Ok(()),
    }
}
