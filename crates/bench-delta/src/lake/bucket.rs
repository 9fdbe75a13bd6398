//! A bucket, checked through the SDK's client.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::put_object::PutObjectError;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};
use bench_aws::{AwsError, SdkConfig};
use futures_util::future::join_all;

use super::{S3Location, location};
use crate::DeltaError;

/// Concurrent writers in a race.
const WRITERS: usize = 8;

/// Size of a probe, bytes: large enough that a service which checks for an object before it reads
/// the body of the new one takes noticeable time.
const PROBE_BYTES: usize = 64 << 10;

static PROBE: [u8; PROBE_BYTES] = [b'p'; PROBE_BYTES];

/// Attempts of a request outside the race, and the longest delay between them. Both are low so that
/// a mistyped address fails quickly.
const TRIES_MAX: u32 = 2;
const BACKOFF_MAX: Duration = Duration::from_millis(200);

/// The region whose buckets have no location constraint.
const UNCONSTRAINED_REGION: &str = "us-east-1";

/// The header in which S3 returns a bucket's region.
const REGION_HEADER: &str = "x-amz-bucket-region";

/// A bucket to check.
pub(super) struct Bucket {
    location: S3Location,
    region: String,
    client: Client,
    /// The same client without retries: a retried PUT would race against itself.
    once: Client,
}

impl Bucket {
    pub(super) fn new(location: &S3Location, sdk: &SdkConfig) -> Self {
        let timeout = location::timeout(sdk);
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(timeout)
            .operation_attempt_timeout(timeout)
            .build();
        let client = |retry| {
            let config = location.sdk_config(sdk).timeout_config(timeouts.clone());
            Client::from_conf(config.retry_config(retry).build())
        };
        Self {
            location: location.clone(),
            region: location::region(sdk).to_owned(),
            client: client(
                RetryConfig::standard()
                    .with_max_attempts(TRIES_MAX)
                    .with_initial_backoff(BACKOFF_MAX),
            ),
            once: client(RetryConfig::disabled()),
        }
    }

    /// Checks that the bucket exists and can be listed. Readers need to list, and S3 reports a
    /// missing object as missing only to those who may list.
    pub(super) async fn look(&self) -> Result<(), DeltaError> {
        let request = self.client.list_objects_v2().bucket(&self.location.bucket);
        let answer = request.prefix(self.location.key("")).max_keys(1).send().await;
        answer.map(|_| ()).map_err(|error| self.failed("list", &error))
    }

    /// Creates the bucket. Losing a race to another creator is not an error.
    pub(super) async fn create(&self) -> Result<(), DeltaError> {
        let mut request = self.client.create_bucket().bucket(&self.location.bucket);
        if self.region != UNCONSTRAINED_REGION {
            let constraint = BucketLocationConstraint::from(self.region.as_str());
            let there = CreateBucketConfiguration::builder().location_constraint(constraint);
            request = request.create_bucket_configuration(there.build());
        }
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some("BucketAlreadyOwnedByYou") => Ok(()),
            Err(error) => {
                let attempted = format!("create bucket '{}'", self.location.bucket);
                Err(AwsError::new(attempted, &error).into())
            }
        }
    }

    /// Lets several writers create the same object, expects exactly one to succeed, and deletes it.
    pub(super) async fn race(&self, name: &str) -> Result<(), DeltaError> {
        let key = self.location.key(name);
        let answers = join_all((0..WRITERS).map(|_| {
            let request = self.once.put_object().bucket(&self.location.bucket).key(&key);
            request.if_none_match("*").body(ByteStream::from_static(&PROBE)).send()
        }))
        .await;
        let winners = answers.iter().filter(|answer| answer.is_ok()).count();
        // A request without a response may have been stored.
        let is_unanswered = |error: &SdkError<_, HttpResponse>| error.raw_response().is_none();
        if winners > 0 || answers.iter().any(|answer| answer.as_ref().is_err_and(is_unanswered)) {
            self.delete(&key).await;
        }
        match winners {
            1 => Ok(()),
            0 => Err(self.nobody_won(answers.into_iter().filter_map(Result::err))),
            several => Err(self.unsound(format!(
                "{several} of {WRITERS} concurrent writers of a new object were all told that they \
                 had created it"
            ))),
        }
    }

    fn nobody_won(
        &self,
        mut errors: impl Iterator<Item = SdkError<PutObjectError, HttpResponse>>,
    ) -> DeltaError {
        let status = |error: &SdkError<_, HttpResponse>| {
            error.raw_response().map(|response| response.status().as_u16())
        };
        match errors.find(|error| !matches!(status(error), Some(409 | 412))) {
            Some(error) if status(&error) == Some(501) => {
                self.unsound("it does not support If-None-Match on PUT".to_owned())
            }
            Some(error) => self.failed("write to", &error),
            None => self.unsound("it reported a new object as already existing".to_owned()),
        }
    }

    /// Deletes the probe. Appending needs no permission to delete, so a failure is only a warning.
    async fn delete(&self, key: &str) {
        let request = self.client.delete_object().bucket(&self.location.bucket).key(key);
        if let Err(error) = request.send().await {
            let attempted = format!("delete the probe s3://{}/{key}", self.location.bucket);
            tracing::warn!("{}", AwsError::new(attempted, &error));
        }
    }

    fn unsound(&self, reason: String) -> DeltaError {
        DeltaError::NoConditionalWrites { uri: self.location.uri(), reason }
    }

    fn failed<E>(&self, action: &str, error: &SdkError<E, HttpResponse>) -> DeltaError
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let bucket = &self.location.bucket;
        let response = error.raw_response();
        let found = response.and_then(|response| response.headers().get(REGION_HEADER));
        let is_elsewhere = found.is_some_and(|found| found != self.region)
            || response.is_some_and(|response| response.status().as_u16() == 301);
        if is_elsewhere {
            return DeltaError::OtherRegion {
                bucket: bucket.clone(),
                region: self.region.clone(),
                found: found.map(str::to_owned),
            };
        }
        if error.code() == Some("NoSuchBucket") {
            return DeltaError::NoBucket { bucket: bucket.clone() };
        }
        AwsError::new(format!("{action} {}", self.location.uri()), error).into()
    }
}
