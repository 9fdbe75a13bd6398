//! The table of a run, on an embedded S3 or where the user says.

use anyhow::{Context, Result};
use bench_cli::{Shutdown, UsageError, Waiting};
use bench_core::counts::Counts;
use bench_core::message::RunId;
use bench_delta::schema::PartitionColumn;
use bench_delta::{Access, DeltaError, Lake, LakeLocation, NamedLake, Table};
use bench_record::{ServiceInfo, ServiceOrigin};
use bench_service_s3::stand_in::{self as s3, EmbeddedS3};
use bench_stack::origin_of;

use crate::options::Options;

/// The destination of a run's messages.
pub(crate) struct Target {
    named: NamedLake,
    service: ServiceInfo,
    waiting: Waiting,
    partition_by: Vec<PartitionColumn>,
    /// Ends with the run, together with the table.
    embedded: Option<EmbeddedS3>,
}

impl Target {
    /// Finds the table set by the options, or starts an embedded S3 for one. If only a bucket is
    /// set, the table is a new one named after the run. Rejects an unusable location before
    /// creating anything except, on request, the bucket.
    pub(crate) fn find(options: &Options, run: RunId, shutdown: &Shutdown) -> Result<Self> {
        let waiting = Waiting::new(shutdown)?;
        let name = format!("bench-{run}");
        let place = options.lake.location(Some(&name)).map_err(DeltaError::from)?;
        check_create_bucket(options, place.as_ref())?;
        let (named, embedded) = if let Some(place) = place {
            (waiting.until(options.lake.reach(place), CHECKING)??, None)
        } else {
            let embedded = EmbeddedS3::start().context("failed to start the embedded S3")?;
            let keys = (embedded.access_key(), embedded.secret_key());
            let (endpoint, bucket) = (embedded.endpoint_url(), embedded.bucket());
            (options.lake.embedded(endpoint, keys, bucket, &name), Some(embedded))
        };
        let access = Access::Write { create_bucket: options.create_bucket };
        let trying = if options.create_bucket {
            "checking the table's location; the bucket may have been created, and a probe \
             (_bench_probe_...) may be left in it"
        } else {
            "checking the table's location; a probe (_bench_probe_...) may be left there"
        };
        waiting.until(named.prepare(access), trying)??;
        let lake = named.connect(&Counts::default())?;
        let found = waiting.until(Table::open(&lake), "looking for the table")??;
        let partition_by = match &found {
            Some(table) if options.table.partition_by.is_empty() => table.own_partitions(),
            _ => options.table.partition_by.clone(),
        };
        if let Some(table) = found {
            table.check(&partition_by)?;
        }
        let service = service(options, &named, embedded.as_ref());
        Ok(Self { named, service, waiting, partition_by, embedded })
    }

    /// Creates the table if it does not exist, and connects to it.
    pub(crate) fn create(&self, counts: &Counts) -> Result<Lake> {
        let lake = self.named.connect(counts)?;
        let created = Table::create(&lake, &self.partition_by);
        let created = self.waiting.until(created, "creating the table");
        created.with_context(|| format!("{} may have been created", self.named.uri()))??;
        Ok(lake)
    }

    /// For other waits before the run.
    pub(crate) fn waiting(&self) -> &Waiting {
        &self.waiting
    }

    /// The current or future partition columns of the table.
    pub(crate) fn partition_by(&self) -> &[PartitionColumn] {
        &self.partition_by
    }

    /// The table's address.
    pub(crate) fn uri(&self) -> String {
        self.named.uri()
    }

    /// Whether no other process can reach the table.
    pub(crate) fn is_embedded(&self) -> bool {
        self.embedded.is_some()
    }

    /// The service of the table, as recorded in results.
    pub(crate) fn service(&self) -> ServiceInfo {
        self.service.clone()
    }

    /// The warning about the location for readers of the figures.
    pub(crate) fn warning(&self) -> Option<String> {
        self.named.warning()
    }
}

/// What was in progress at an interrupt.
const CHECKING: &str = "checking the table's location";

fn check_create_bucket(options: &Options, place: Option<&LakeLocation>) -> Result<(), UsageError> {
    if !options.create_bucket || matches!(place, Some(LakeLocation::S3(_))) {
        return Ok(());
    }
    let problem = "needs a table on S3";
    Err(UsageError::new("--create-bucket", problem, "remove it, or use --lake-path s3://..."))
}

fn service(options: &Options, named: &NamedLake, embedded: Option<&EmbeddedS3>) -> ServiceInfo {
    let info = named.service_info(&options.lake);
    match embedded {
        Some(embedded) => ServiceInfo {
            origin: ServiceOrigin::Embedded,
            version: s3::VERSION.to_owned(),
            address: embedded.endpoint_url().to_owned(),
            ..info
        },
        None => origin_of(&info.name, &info.address).unwrap_or(info),
    }
}
