//! Where a table lies on S3.

use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{Builder, RequestChecksumCalculation};
use bench_aws::{AwsService, SdkConfig};
use url::Url;

/// Longest time for a request where the SDK's configuration names none.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);

/// The region where a service of one's own is asked and none is named: it has to stand in the
/// signature.
const REGION_DEFAULT: &str = "us-east-1";

/// A folder in a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Place {
    /// The bucket.
    pub bucket: String,
    /// Where in it the table's root is, without a slash at either end. Empty: the bucket is the
    /// table.
    pub prefix: String,
    /// How the bucket is named in requests.
    pub style: PathStyle,
}

/// Where requests name the bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum PathStyle {
    /// In the path of a service that an endpoint names, in the host's name of AWS
    #[default]
    Auto,
    /// In the path
    Always,
    /// In the host's name
    Never,
}

impl S3Place {
    /// Its address: `s3://bucket/prefix`.
    #[must_use]
    pub fn uri(&self) -> String {
        match self.prefix.as_str() {
            "" => format!("s3://{}", self.bucket),
            prefix => format!("s3://{}/{prefix}", self.bucket),
        }
    }

    /// The name of an object in it.
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

    /// What the SDK's client needs to know besides what is in its configuration.
    pub(super) fn sdk_config(&self, sdk: &SdkConfig) -> Builder {
        let endpoint = AwsService::S3.endpoint(sdk);
        let mut config = Builder::from(sdk)
            .force_path_style(self.is_path_style(endpoint.as_deref()))
            // Older services do not know the newer checksums.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired);
        if sdk.region().is_none() && endpoint.is_some() {
            config = config.region(aws_config::Region::from_static(REGION_DEFAULT));
        }
        config
    }
}

/// The region that requests are signed for.
pub(super) fn region(sdk: &SdkConfig) -> &str {
    sdk.region().map_or(REGION_DEFAULT, AsRef::as_ref)
}

/// Longest time for a request.
pub(super) fn timeout(sdk: &SdkConfig) -> Duration {
    let configured = sdk.timeout_config().and_then(TimeoutConfig::operation_attempt_timeout);
    configured.unwrap_or(TIMEOUT_DEFAULT)
}

/// An endpoint with the bucket in the host's name; as it is if it is no URL with a host.
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

    fn place(bucket: &str, prefix: &str, style: PathStyle) -> S3Place {
        S3Place { bucket: bucket.to_owned(), prefix: prefix.to_owned(), style }
    }

    #[test]
    fn a_bucket_may_be_the_table() {
        let root = place("b", "", PathStyle::Auto);
        assert_eq!((root.uri().as_str(), root.key("x").as_str()), ("s3://b", "x"));
        let below = place("b", "t/u", PathStyle::Auto);
        assert_eq!((below.uri().as_str(), below.key("x").as_str()), ("s3://b/t/u", "t/u/x"));
    }

    #[test]
    fn the_style_follows_the_service_unless_it_is_named() {
        let ours = Some("http://127.0.0.1:9000");
        for (bucket, style, endpoint, expected) in [
            ("b", PathStyle::Auto, None, false),
            ("b.c", PathStyle::Auto, None, true),
            ("b", PathStyle::Auto, ours, true),
            ("b", PathStyle::Always, None, true),
            ("b", PathStyle::Never, ours, false),
        ] {
            let is_path_style = place(bucket, "", style).is_path_style(endpoint);
            assert_eq!(is_path_style, expected, "{bucket} {style:?} {endpoint:?}");
        }
    }

    #[test]
    fn a_bucket_goes_before_the_host() {
        assert_eq!(with_bucket("https://s3.example:9000/", "b"), "https://b.s3.example:9000");
        assert_eq!(with_bucket("nonsense", "b"), "nonsense");
    }
}
