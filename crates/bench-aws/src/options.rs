//! Command line options for the connection to an AWS service.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_types::service_config::ServiceConfigKey;
use bench_record::{ServiceInfo, ServiceOrigin, protocol};
use clap::Args;

use crate::endpoint::{self, AwsOptionsError, check_region};

/// Maximum of `--timeout`.
const TIMEOUT_MAX: Duration = Duration::from_hours(1);

/// The region of embedded services, and of stand-ins without one.
const EMBEDDED_REGION: &str = "us-east-1";

/// Options for the connection to an AWS service; flatten them into a tool's options.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Connection")]
pub struct AwsArgs {
    // No `env` here: the SDK's own chain reads the environment.
    #[arg(
        long,
        value_name = "URL",
        global = true,
        help = "Endpoint of a service outside AWS [env: AWS_ENDPOINT_URL_<SERVICE>, \
                AWS_ENDPOINT_URL]"
    )]
    endpoint_url: Option<String>,

    /// AWS region [env: `AWS_REGION`]
    #[arg(long, value_name = "NAME", global = true)]
    region: Option<String>,

    /// Profile in the AWS configuration files [env: `AWS_PROFILE`]
    #[arg(long, value_name = "NAME", global = true)]
    profile: Option<String>,

    /// Timeout of a request, including connecting
    #[arg(
        long,
        value_name = "TIME",
        default_value = "10s",
        value_parser = parse_timeout,
        global = true
    )]
    pub timeout: Duration,
}

/// An AWS service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AwsService {
    /// Kinesis Data Streams.
    Kinesis,
    /// `DynamoDB`.
    Dynamodb,
    /// Simple Storage Service.
    S3,
}

impl AwsService {
    /// Its name in results.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kinesis => "kinesis",
            Self::Dynamodb => "dynamodb",
            Self::S3 => "s3",
        }
    }

    /// Its id in configuration files.
    fn id(self) -> &'static str {
        match self {
            Self::Kinesis => "Kinesis",
            Self::Dynamodb => "DynamoDB",
            Self::S3 => "S3",
        }
    }

    /// The environment variable for its address.
    #[must_use]
    pub fn endpoint_variable(self) -> &'static str {
        match self {
            Self::Kinesis => "AWS_ENDPOINT_URL_KINESIS",
            Self::Dynamodb => "AWS_ENDPOINT_URL_DYNAMODB",
            Self::S3 => "AWS_ENDPOINT_URL_S3",
        }
    }

    /// The service's endpoint outside AWS, as the SDK's clients resolve it: from the configuration
    /// itself, else from the environment and profile for this service, else from those for all
    /// services.
    #[must_use]
    pub fn endpoint(self, config: &SdkConfig) -> Option<String> {
        let general = || config.endpoint_url().map(str::to_owned);
        if config.get_origin("endpoint_url").is_client_config() {
            return general();
        }
        let key = ServiceConfigKey::builder()
            .service_id(self.id())
            .env("AWS_ENDPOINT_URL")
            .profile("endpoint_url")
            .build()
            .ok();
        let of_service = key.and_then(|key| config.service_config()?.load_config(key));
        of_service.or_else(general)
    }
}

impl AwsArgs {
    /// Creates the options for a tool whose command line has some of them under other names.
    #[must_use]
    pub fn new(
        endpoint_url: Option<String>,
        region: Option<String>,
        profile: Option<String>,
        timeout: Duration,
    ) -> Self {
        Self { endpoint_url, region, profile, timeout }
    }

    /// The address in `--endpoint-url`.
    #[must_use]
    pub fn endpoint_url(&self) -> Option<&str> {
        self.endpoint_url.as_deref()
    }

    /// The option with which the user chose a service, account or region, if any.
    #[must_use]
    pub fn naming_option(&self) -> Option<&'static str> {
        let options = [
            ("--endpoint-url", &self.endpoint_url),
            ("--region", &self.region),
            ("--profile", &self.profile),
        ];
        options.into_iter().find_map(|(option, value)| value.as_ref().map(|_| option))
    }

    /// Whether the environment may choose the service. A driver that requests an embedded service
    /// does not mean the user's environment, unless it has started that service itself.
    #[must_use]
    pub fn heeds_environment() -> bool {
        ServiceOrigin::requested() != Some(ServiceOrigin::Embedded)
            || std::env::var_os(protocol::STACK_VARIABLE).is_some()
    }

    /// Whether the user chose a service, by an option or in the environment. Otherwise an embedded
    /// one is used, so that a first run costs nothing and needs no account. Configuration files do
    /// not count.
    #[must_use]
    pub fn is_named(&self, service: AwsService) -> bool {
        let variables = [
            service.endpoint_variable(),
            "AWS_ENDPOINT_URL",
            "AWS_REGION",
            "AWS_DEFAULT_REGION",
            "AWS_PROFILE",
        ];
        let is_set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        self.naming_option().is_some()
            || (Self::heeds_environment() && variables.iter().any(is_set))
    }

    /// The SDK's configuration for the user's service. Requests are retried by the SDK's standard
    /// rules; a caller that counts requests disables retries on its own client.
    pub async fn config(&self) -> SdkConfig {
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .retry_config(RetryConfig::standard())
            .timeout_config(self.timeouts());
        if let Some(url) = &self.endpoint_url {
            loader = loader.endpoint_url(url);
        }
        if let Some(region) = &self.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(profile) = &self.profile {
            loader = loader.profile_name(profile);
        }
        loader.load().await
    }

    /// The SDK's configuration for one service, which must have an endpoint or an AWS region. A
    /// stand-in needs no region.
    pub async fn config_for(&self, service: AwsService) -> Result<SdkConfig, AwsOptionsError> {
        let config = self.config().await;
        let region = config.region().map(|region| region.as_ref().to_owned());
        match (self.check_endpoint(service, &config)?, region) {
            (true, None) => {
                let region = Region::from_static(EMBEDDED_REGION);
                Ok(config.into_builder().region(region).build())
            }
            (true, Some(_)) => Ok(config),
            (false, None) => Err(AwsOptionsError::new(
                "--region",
                "no region is set",
                "set it with --region or AWS_REGION, or an address with --endpoint-url",
            )),
            (false, Some(region)) => {
                let is_option = self.region.is_some();
                check_region(if is_option { "--region" } else { "AWS_REGION" }, &region)?;
                Ok(config)
            }
        }
    }

    /// Whether the service has an address of its own, outside AWS; fails if that is invalid.
    pub fn check_endpoint(
        &self,
        service: AwsService,
        config: &SdkConfig,
    ) -> Result<bool, AwsOptionsError> {
        let Some(url) = service.endpoint(config) else { return Ok(false) };
        let is_set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let variables = [service.endpoint_variable(), "AWS_ENDPOINT_URL"];
        let place = match &self.endpoint_url {
            Some(_) => "--endpoint-url",
            None => variables.into_iter().find(is_set).unwrap_or("endpoint_url of the profile"),
        };
        endpoint::check(place, &url)?;
        Ok(true)
    }

    /// The SDK's configuration for an embedded service, independent of the environment.
    #[must_use]
    pub fn embedded_config(&self, endpoint_url: &str) -> SdkConfig {
        self.embedded_config_with(endpoint_url, "embedded", "embedded")
    }

    /// The SDK's configuration for an embedded service that checks keys.
    #[must_use]
    pub fn embedded_config_with(
        &self,
        endpoint_url: &str,
        access_key: &str,
        secret_key: &str,
    ) -> SdkConfig {
        let credentials = Credentials::new(access_key, secret_key, None, None, "embedded");
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .retry_config(RetryConfig::standard())
            .timeout_config(self.timeouts())
            .endpoint_url(endpoint_url)
            .region(Region::from_static(EMBEDDED_REGION))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .build()
    }

    /// Describes a configured service for results.
    #[must_use]
    pub fn service_info(&self, service: AwsService, config: &SdkConfig) -> ServiceInfo {
        let region = config.region().map_or("an unknown region", AsRef::as_ref);
        let endpoint = service.endpoint(config);
        let version = match &endpoint {
            Some(_) => "unknown".to_owned(),
            None => format!("AWS {region}"),
        };
        let address =
            endpoint.unwrap_or_else(|| format!("{}.{region}.amazonaws.com", service.name()));
        ServiceInfo {
            name: service.name().to_owned(),
            origin: ServiceOrigin::External,
            address,
            version,
        }
    }

    fn timeouts(&self) -> TimeoutConfig {
        TimeoutConfig::builder()
            .connect_timeout(self.timeout)
            .operation_attempt_timeout(self.timeout)
            .build()
    }
}

/// Parses a time such as `10s`, or a number of seconds; above 0 and at most an hour.
fn parse_timeout(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().map(Duration::from_secs);
    let timeout = seconds
        .or_else(|_| humantime::parse_duration(text))
        .map_err(|_| "not a time; use a form such as 10s or 1m30s".to_owned())?;
    if timeout.is_zero() || timeout > TIMEOUT_MAX {
        return Err("out of range; must be above 0 and at most 1h".to_owned());
    }
    Ok(timeout)
}
