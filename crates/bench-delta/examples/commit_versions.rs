//! Measures commit times over many versions: `commit_versions [folder|s3] [direct|std] [VERSIONS]
//! [CHECKPOINT_EVERY]`, in a folder or on an embedded S3; a `CHECKPOINT_EVERY` of 0 disables
//! checkpoints.
//!
//! Each version adds one small file. Prints percentiles of the time from a message's submission to
//! its acknowledgement, for each tenth of the versions.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use bench_aws::AwsArgs;
use bench_core::clock::{Clock as _, SECOND_NS, SystemClock};
use bench_core::counts::Counts;
use bench_core::durations::Durations;
use bench_core::transport::{Batch, Publish as _};
use bench_delta::publish::{CommitPath, Compression, DeltaPublisher, PublishConfig};
use bench_delta::{Lake, PathStyle, S3Location, Table};
use bench_service_s3::stand_in::EmbeddedS3;

/// Messages per version.
const ROWS: u32 = 100;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let is_s3 = arguments.next().is_some_and(|text| text == "s3");
    let is_std = arguments.next().is_some_and(|text| text == "std");
    let versions: usize = arguments.next().map_or(Ok(1_000), |text| text.parse())?;
    let checkpoint_every: u64 = arguments.next().map_or(Ok(100), |text| text.parse())?;
    let counts = Counts::default();
    let folder = tempfile::tempdir()?;
    let server = if is_s3 { Some(EmbeddedS3::start()?) } else { None };
    let lake = match &server {
        None => Lake::folder(folder.path(), &counts)?,
        Some(server) => {
            let args = AwsArgs::new(None, None, None, Duration::from_secs(30));
            let (key, secret) = (server.access_key(), server.secret_key());
            let sdk = args.embedded_config_with(server.endpoint_url(), key, secret);
            let (bucket, prefix) = (server.bucket().to_owned(), "table".to_owned());
            Lake::s3(&S3Location { bucket, prefix, style: PathStyle::Auto }, &sdk, &counts)?
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(Table::create(&lake, &[]))?;
    let config = PublishConfig {
        producer: 0,
        commit_interval_ns: 1,
        commit: if is_std { CommitPath::Std } else { CommitPath::Direct },
        file_bytes_max: 1 << 20,
        rows_per_group: 100_000,
        compression: Compression::None,
        partition_by: Vec::new(),
        uploads_max: 1,
        checkpoint_every: Some(checkpoint_every).filter(|&every| every > 0),
        log_retention: Duration::from_hours(720),
        give_up_ns: 60 * SECOND_NS,
    };
    let clock = SystemClock::new();
    let mut publisher =
        DeltaPublisher::connect(&lake, config, clock, &counts, &Durations::default())?;
    println!("versions   p50 ms   p99 ms   max ms");
    let part = versions.div_ceil(10).max(1);
    for begin in (0..versions).step_by(part) {
        let times = (begin..versions.min(begin + part)).map(|_| commit(&mut publisher, clock));
        let mut times = times.collect::<Result<Vec<_>, _>>()?;
        times.sort_unstable();
        let at = |part: f64| {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
            let place = ((times.len() - 1) as f64 * part).round() as usize;
            times[place] as f64 / 1e6
        };
        println!("{:>8} {:>8.2} {:>8.2} {:>8.2}", begin + times.len(), at(0.5), at(0.99), at(1.0));
    }
    drop(publisher);
    println!("{:?}", counts.read());
    Ok(())
}

/// Commits one version; returns the time taken, nanoseconds.
fn commit(publisher: &mut DeltaPublisher, clock: SystemClock) -> Result<u64, Box<dyn Error>> {
    let mut batch = Batch::default();
    for token in 0..ROWS {
        batch.push(token, |_| false, |bytes, _| bytes.extend_from_slice(&[7; 100]));
    }
    let begun_ns = clock.now_ns();
    publisher.submit(&mut batch)?;
    let mut completions = Vec::new();
    while completions.len() < ROWS as usize {
        publisher.poll(clock.now_ns() + SECOND_NS, &mut completions)?;
    }
    match completions.iter().find_map(|completion| completion.delivery.failure()) {
        Some(failure) => Err(publisher.explain(failure).into()),
        None => Ok(clock.now_ns() - begun_ns),
    }
}
