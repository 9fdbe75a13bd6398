//! The table of a run, on an embedded S3 or where the user says.

use anyhow::{Context, Result};
use bench_cli::{Shutdown, UsageError, Waiting};
use bench_core::counts::Counts;
use bench_core::message::RunId;
use bench_core::results::{ServiceInfo, ServiceOrigin};
use bench_delta::schema::PartitionColumn;
use bench_delta::{Access, DeltaError, Lake, LakePlace, NamedLake, Table};
use bench_service_s3::stand_in::{self as s3, EmbeddedS3};
use bench_stack::origin_of;

use crate::options::Options;

/// Where the messages of a run go.
pub(crate) struct Target {
    named: NamedLake,
    service: ServiceInfo,
    waiting: Waiting,
    partition_by: Vec<PartitionColumn>,
    /// Ends with the run, and the table with it.
    embedded: Option<EmbeddedS3>,
}

impl Target {
    /// The table that is named, or one on an embedded S3 that is started. Where only a bucket is
    /// named, the table is a new one that is called after the run. What cannot be used is refused
    /// before anything is created but, where the user says so, the bucket.
    pub(crate) fn find(options: &Options, run: RunId, shutdown: &Shutdown) -> Result<Self> {
        let waiting = Waiting::new(shutdown)?;
        let name = format!("bench-{run}");
        let place = options.lake.place(Some(&name)).map_err(DeltaError::from)?;
        check_create_bucket(options, place.as_ref())?;
        let (named, embedded) = if let Some(place) = place {
            (waiting.until(options.lake.reach(place), REACHED)??, None)
        } else {
            let embedded = EmbeddedS3::start().context("failed to start the embedded S3")?;
            let keys = (embedded.access_key(), embedded.secret_key());
            let (endpoint, bucket) = (embedded.endpoint_url(), embedded.bucket());
            (options.lake.embedded(endpoint, keys, bucket, &name), Some(embedded))
        };
        let access = Access::Write { create_bucket: options.create_bucket };
        let trying = if options.create_bucket {
            "the place of the table was tried; the bucket may have been created, and a probe \
             (_bench_probe_...) be left in it"
        } else {
            "the place of the table was tried; a probe (_bench_probe_...) may be left there"
        };
        waiting.until(named.prepare(access), trying)??;
        let lake = named.connect(&Counts::default())?;
        let found = waiting.until(Table::open(&lake), "the table was looked for")??;
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

    /// Creates the table if it is not there, and connects to it.
    pub(crate) fn create(&self, counts: &Counts) -> Result<Lake> {
        let lake = self.named.connect(counts)?;
        let created = Table::create(&lake, &self.partition_by);
        let created = self.waiting.until(created, "the table was created");
        created.with_context(|| format!("{} may have been created", self.named.uri()))??;
        Ok(lake)
    }

    /// For what else is waited for before the run.
    pub(crate) fn waiting(&self) -> &Waiting {
        &self.waiting
    }

    /// The columns that the table is or will be partitioned by.
    pub(crate) fn partition_by(&self) -> &[PartitionColumn] {
        &self.partition_by
    }

    /// The table's address.
    pub(crate) fn uri(&self) -> String {
        self.named.uri()
    }

    /// Whether nobody else can reach the table.
    pub(crate) fn is_embedded(&self) -> bool {
        self.embedded.is_some()
    }

    /// What has the table, as results name it.
    pub(crate) fn service(&self) -> ServiceInfo {
        self.service.clone()
    }

    /// What the reader of the figures must know of the place.
    pub(crate) fn warning(&self) -> Option<String> {
        self.named.warning()
    }
}

/// What was done when the user had enough.
const REACHED: &str = "the place of the table was tried";

fn check_create_bucket(options: &Options, place: Option<&LakePlace>) -> Result<(), UsageError> {
    if !options.create_bucket || matches!(place, Some(LakePlace::S3(_))) {
        return Ok(());
    }
    let problem = "only a table on S3 that is named has a bucket to create";
    Err(UsageError::new("--create-bucket", problem, "leave it out, or name --lake-path s3://..."))
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
