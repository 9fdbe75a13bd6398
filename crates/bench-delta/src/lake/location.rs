//! The location of a table on S3.

use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{Builder, RequestChecksumCalculation};
use bench_aws::{AwsService, SdkConfig};
use url::Url;

/// Request timeout if the SDK's configuration sets none.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);

/// The region for a custom endpoint if none is set: the signature must contain one.
const REGION_DEFAULT: &str = "us-east-1";

/// A prefix in a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Location {
    /// The bucket.
    pub bucket: String,
    /// The prefix of the table's root, without a slash at either end. Empty: the root of the
    /// bucket.
    pub prefix: String,
    /// How requests name the bucket.
    pub style: PathStyle,
}

/// The part of a request that names the bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum PathStyle {
    /// In the path if an endpoint is set, in the host name for AWS
    #[default]
    Auto,
    /// In the path
    Always,
    /// In the host name
    Never,
}

impl S3Location {
    /// The location as a URI: `s3://bucket/prefix`.
    #[must_use]
    pub fn uri(&self) -> String {
        match self.prefix.as_str() {
            "" => format!("s3://{}", self.bucket),
            prefix => format!("s3://{}/{prefix}", self.bucket),
        }
    }

    /// The key of an object below the prefix.
    pub(super) fn key(&self, name: &str) -> String {
        match self.prefix.as_str() {
            "" => name.to_owned(),
            prefix => format!("{prefix}/{name}"),
        }
    }

    /// Whether requests name the bucket in their path.
    pub(super) fn is_path_style(&self, endpoint: Option<&str>) -> bool {
        match self.style {
            // The certificates of AWS cover one label before `.s3.`.
            PathStyle::Auto => endpoint.is_some() || self.bucket.contains('.'),
            PathStyle::Always => true,
            PathStyle::Never => false,
        }
    }

    /// The configuration of the SDK's client for this location.
    pub(super) fn sdk_config(&self, sdk: &SdkConfig) -> Builder {
        let endpoint = AwsService::S3.endpoint(sdk);
        let mut config = Builder::from(sdk)
            .force_path_style(self.is_path_style(endpoint.as_deref()))
            // Older services do not support the newer checksums.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired);
        if sdk.region().is_none() && endpoint.is_some() {
            config = config.region(aws_config::Region::from_static(REGION_DEFAULT));
        }
        config
    }
}

/// The region used in signatures.
pub(super) fn region(sdk: &SdkConfig) -> &str {
    sdk.region().map_or(REGION_DEFAULT, AsRef::as_ref)
}

/// Request timeout.
pub(super) fn timeout(sdk: &SdkConfig) -> Duration {
    let configured = sdk.timeout_config().and_then(TimeoutConfig::operation_attempt_timeout);
    configured.unwrap_or(TIMEOUT_DEFAULT)
}

/// Puts the bucket before the endpoint's host name; returns an endpoint without a host unchanged.
pub(super) fn with_bucket(endpoint: &str, bucket: &str) -> String {
    let moved = Url::parse(endpoint).ok().and_then(|mut url| {
        let host = format!("{bucket}.{}", url.host_str()?);
        url.set_host(Some(&host)).ok()?;
        Some(url.as_str().trim_end_matches('/').to_owned())
    });
    moved.unwrap_or_else(|| endpoint.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(bucket: &str, prefix: &str, style: PathStyle) -> S3Location {
        S3Location { bucket: bucket.to_owned(), prefix: prefix.to_owned(), style }
    }

    #[test]
    fn empty_prefix_means_the_whole_bucket() {
        let root = location("b", "", PathStyle::Auto);
        assert_eq!((root.uri().as_str(), root.key("x").as_str()), ("s3://b", "x"));
        let below = location("b", "t/u", PathStyle::Auto);
        assert_eq!((below.uri().as_str(), below.key("x").as_str()), ("s3://b/t/u", "t/u/x"));
    }

    #[test]
    fn path_style_follows_the_endpoint_unless_set() {
        let ours = Some("http://127.0.0.1:9000");
        for (bucket, style, endpoint, expected) in [
            ("b", PathStyle::Auto, None, false),
            ("b.c", PathStyle::Auto, None, true),
            ("b", PathStyle::Auto, ours, true),
            ("b", PathStyle::Always, None, true),
            ("b", PathStyle::Never, ours, false),
        ] {
            let is_path_style = location(bucket, "", style).is_path_style(endpoint);
            assert_eq!(is_path_style, expected, "{bucket} {style:?} {endpoint:?}");
        }
    }

    #[test]
    fn bucket_is_prepended_to_the_host() {
        assert_eq!(with_bucket("https://s3.example:9000/", "b"), "https://b.s3.example:9000");
        assert_eq!(with_bucket("nonsense", "b"), "nonsense");
    }
}
