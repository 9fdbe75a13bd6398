//! The stream of a run, on an embedded Kinesis or on the one that the user names.

use anyhow::{Context, Result};
use aws_sdk_kinesis::Client;
use bench_aws::{AwsService, SdkConfig};
use bench_cli::{Shutdown, UsageError, Waiting};
use bench_core::results::{ServiceInfo, ServiceOrigin};
use bench_kinesis::KinesisError;
use bench_kinesis::admin::{self, Capacity, RECORD_BYTES_DEFAULT, Shard, Stream, StreamOutcome};
use bench_service_kinesis::stand_in::VERSION;
use bench_service_kinesis::stand_in::{EmbeddedKinesis, KinesisLimits};
use bench_stack::origin_of;

use crate::options::{Options, StreamArgs};

/// The service of a run, and what is known of the stream before anything is changed.
pub(crate) struct Service {
    pub(crate) sdk: SdkConfig,
    waiting: Waiting,
    client: Client,
    embedded: Option<EmbeddedKinesis>,
    info: ServiceInfo,
    /// The stream as it was found, if it was there.
    found: Option<Stream>,
}

/// A stream that can be used.
pub(crate) struct ReadyStream {
    pub(crate) shards: Vec<Shard>,
    pub(crate) warning: Option<String>,
}

impl Service {
    /// Connects to the service that is named, or starts an embedded one, and looks for the stream.
    pub(crate) fn connect(options: &Options, shutdown: &Shutdown) -> Result<Self> {
        let waiting = Waiting::new(shutdown)?;
        let is_named = options.aws.is_named(AwsService::Kinesis);
        check(&options.stream, is_named)?;
        let (sdk, embedded, info) = if is_named {
            let config = options.aws.config_for(AwsService::Kinesis);
            let sdk = waiting.until(config, "the configuration was read")?;
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
            let problem = format!("there is no stream '{stream}'");
            let remedy = "name another one, or add --create and --shards or --on-demand";
            return Err(UsageError::new("--stream", problem, remedy).into());
        }
        Ok(service)
    }

    fn find(&self, stream: &str) -> Result<Option<Stream>> {
        if self.embedded.is_some() {
            return Ok(None);
        }
        let described = admin::describe(&self.client, stream);
        match self.waiting.until(described, "the stream was looked for")? {
            Ok(found) => Ok(Some(found)),
            Err(KinesisError::NoStream { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the stream may be created or changed. An embedded one is always made for its run.
    fn creates(&self, args: &StreamArgs) -> bool {
        args.create || self.embedded.is_some()
    }

    /// The largest record that the stream takes, bytes: data and partition key together.
    pub(crate) fn record_bytes_max(&self) -> usize {
        self.found.as_ref().map_or(RECORD_BYTES_DEFAULT, |found| found.record_bytes_max)
    }

    /// The service as results name it.
    pub(crate) fn info(&self) -> ServiceInfo {
        self.info.clone()
    }

    /// What the stream is, or is to be, as results record it: the mode, and the shards where the
    /// user or the stream says how many.
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

    /// Sees to it that the stream is there and can be used.
    pub(crate) fn prepare(&self, args: &StreamArgs) -> Result<ReadyStream> {
        let (client, stream) = (&self.client, args.stream.as_str());
        let doing = "the stream became ready";
        let mut warning = None;
        if self.creates(args) {
            let found = self.found.as_ref().map(|found| Capacity::Shards(found.open_shards));
            let asked = match (args.shards, args.on_demand) {
                (_, true) => Capacity::OnDemand,
                (Some(shards), false) => Capacity::Shards(shards),
                // What is there is good as it is.
                (None, false) => found.unwrap_or(Capacity::Shards(1)),
            };
            let ensured = admin::ensure(client, stream, asked, args.ready_timeout);
            let ensured = self.waiting.until(ensured, doing);
            let ensured = ensured.with_context(|| {
                format!("stream '{stream}' may be created or changed all the same, and stays")
            })?;
            warning = match ensured? {
                StreamOutcome::OtherMode if args.shards.is_some() || args.on_demand => {
                    Some(format!("stream '{stream}' has the other mode, and was left as it was"))
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

/// Checks the options of the stream that mean something on one kind of service only.
fn check(args: &StreamArgs, is_named: bool) -> Result<(), UsageError> {
    if is_named && args.no_limits {
        let problem = "only the embedded Kinesis can be without limits";
        let remedy = "leave the option out, or name no service";
        return Err(UsageError::new("--no-limits", problem, remedy));
    }
    let asks = if args.on_demand { Some("--on-demand") } else { args.shards.map(|_| "--shards") };
    match asks {
        Some(option) if is_named && !args.create => {
            let problem = "a stream that is there is left as it is";
            Err(UsageError::new(option, problem, "add --create, or leave the option out"))
        }
        _ => Ok(()),
    }
}
