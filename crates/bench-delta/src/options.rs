//! Command-line options for a table's location.

use std::fmt;
use std::path::{Path, PathBuf};

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use bench_aws::{AwsArgs, AwsService};
use clap::{Args, ValueEnum};
use url::Url;

use crate::lake::{PathStyle, S3Location, io};
use crate::{DeltaError, LakeOptionsError};

mod named;
mod path;
mod service;
#[cfg(test)]
mod tests;

pub use named::NamedLake;

/// The bucket, set by run-suite or by the user.
const BUCKET_VARIABLE: &str = "BENCH_S3_BUCKET";

/// The variables of the keys that the earlier scripts used.
const MINIO_VARIABLES: [&str; 2] = ["MINIO_S3_ACCESS_KEY", "MINIO_S3_SECRET_ACCESS_KEY"];

/// A table's location and access; flatten it into a tool's options.
#[derive(Clone, Args)]
pub struct LakeArgs {
    // A doc comment would turn the addresses into links.
    #[arg(
        help_heading = "Table",
        long,
        value_name = "URI",
        alias = "lake_path",
        help = "Table: s3://BUCKET/PREFIX, file:///FOLDER, a folder's path, or the name of a table \
                in --bucket"
    )]
    lake_path: Option<String>,

    /// Kind of S3; minio puts the bucket into the path and prefers the keys in
    /// `MINIO_S3_ACCESS_KEY` and `MINIO_S3_SECRET_ACCESS_KEY`
    #[arg(help_heading = "Table", long, value_enum, value_name = "KIND", alias = "s3_backend")]
    s3_backend: Option<S3Backend>,

    /// Bucket of the table [env: `BENCH_S3_BUCKET`]
    #[arg(help_heading = "Table", long, value_name = "NAME")]
    bucket: Option<String>,

    /// Where requests name the bucket: in the path, or in the host name [default: auto]
    #[arg(
        help_heading = "Connection",
        long,
        value_enum,
        value_name = "WHEN",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "always"
    )]
    path_style: Option<PathStyle>,

    /// Access to S3.
    #[command(flatten)]
    pub aws: AwsArgs,
}

/// The kinds of `--s3-backend`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum S3Backend {
    /// Amazon S3, or a compatible service
    S3,
    /// `MinIO`
    Minio,
}

/// A table's location by options and environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LakeLocation {
    /// In a folder.
    Folder(PathBuf),
    /// On S3.
    S3(S3Location),
}

/// The table's settings in the environment.
struct Environment {
    /// The bucket.
    bucket: Option<String>,
    /// Whether it sets an endpoint of S3.
    has_endpoint: bool,
    /// Whether run-suite wants the tool to start an embedded service.
    asks_embedded: bool,
}

impl Environment {
    fn of_process() -> Self {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let asks_embedded = !AwsArgs::heeds_environment();
        Self {
            bucket: variable(BUCKET_VARIABLE).filter(|_| !asks_embedded),
            has_endpoint: !asks_embedded && variable(AwsService::S3.endpoint_variable()).is_some(),
            asks_embedded,
        }
    }
}

impl LakeArgs {
    /// The same options, with `uri` as the table unless an option sets one.
    #[must_use]
    pub fn or_path(self, uri: Option<String>) -> Self {
        Self { lake_path: self.lake_path.or(uri), ..self }
    }

    /// The table's location; `None` if neither an option nor a variable sets it, which means an
    /// embedded S3. `table` is the name to use if only a bucket is set; without one, that is an
    /// error. Sends no request.
    pub fn location(&self, table: Option<&str>) -> Result<Option<LakeLocation>, LakeOptionsError> {
        self.location_in(&Environment::of_process(), table)
    }

    fn location_in(
        &self,
        environment: &Environment,
        table: Option<&str>,
    ) -> Result<Option<LakeLocation>, LakeOptionsError> {
        let Some(text) = &self.lake_path else {
            return self.unnamed(environment, table);
        };
        let location = match path::parse(text)? {
            path::LakePath::S3 { bucket, prefix } => {
                if self.bucket.as_ref().is_some_and(|other| other != bucket) {
                    let problem = "differs from the bucket in --lake-path";
                    return Err(LakeOptionsError::new("--bucket", problem, "remove one of them"));
                }
                LakeLocation::S3(self.s3_location(bucket, prefix)?)
            }
            path::LakePath::Folder(folder) => match self.option_of_s3() {
                None => LakeLocation::Folder(folder),
                Some(option) => {
                    let problem = "applies to S3, but --lake-path is a folder";
                    let remedy = "remove it, or use --lake-path s3://BUCKET/PREFIX";
                    return Err(LakeOptionsError::new(option, problem, remedy));
                }
            },
            path::LakePath::Name(name) => match self.option_of_s3() {
                None => LakeLocation::Folder(PathBuf::from(name)),
                Some(option) => {
                    let bucket = self.named_bucket(environment, option)?;
                    LakeLocation::S3(self.s3_location(bucket, path::prefix(name, "--lake-path")?)?)
                }
            },
        };
        Ok(Some(location))
    }

    /// The location without `--lake-path`.
    fn unnamed(
        &self,
        environment: &Environment,
        table: Option<&str>,
    ) -> Result<Option<LakeLocation>, LakeOptionsError> {
        let named = self.bucket.as_deref().or(environment.bucket.as_deref());
        if named.is_none() {
            let of_environment =
                environment.has_endpoint.then_some(AwsService::S3.endpoint_variable());
            // With an embedded service, the option only says which kind it stands for.
            let kind = self.s3_backend.filter(|_| !environment.asks_embedded);
            let option = kind.map(|_| "--s3-backend").or(self.option_of_service());
            return match option.or(of_environment) {
                None => Ok(None),
                Some(option) => self.named_bucket(environment, option).map(|_| None),
            };
        }
        let bucket = self.named_bucket(environment, "--bucket")?;
        let Some(table) = table else {
            let problem = "sets the bucket, but not the table in it";
            let remedy = "add --lake-path NAME";
            return Err(LakeOptionsError::new("--bucket", problem, remedy));
        };
        let prefix = path::prefix(table, "--lake-path")?;
        Ok(Some(LakeLocation::S3(self.s3_location(bucket, prefix)?)))
    }

    /// An option that applies only to S3, if one is set.
    fn option_of_s3(&self) -> Option<&'static str> {
        let of_bucket = self.bucket.as_ref().map(|_| "--bucket");
        let of_backend = self.s3_backend.map(|_| "--s3-backend");
        of_backend.or(of_bucket).or(self.option_of_service())
    }

    /// An option about access to S3, if one is set.
    fn option_of_service(&self) -> Option<&'static str> {
        self.path_style.map(|_| "--path-style").or(self.aws.naming_option())
    }

    /// The bucket that `option` applies to.
    fn named_bucket<'a>(
        &'a self,
        environment: &'a Environment,
        option: &str,
    ) -> Result<&'a str, LakeOptionsError> {
        let (named, by) = match &self.bucket {
            Some(bucket) => (Some(bucket), "--bucket"),
            None => (environment.bucket.as_ref(), BUCKET_VARIABLE),
        };
        let Some(bucket) = named else {
            let problem = "needs a bucket, but none is set";
            let remedy = "use --lake-path s3://BUCKET/PREFIX, or add --bucket NAME";
            return Err(LakeOptionsError::new(option, problem, remedy));
        };
        path::check_bucket(bucket, by)?;
        Ok(bucket)
    }

    fn s3_location(&self, bucket: &str, prefix: &str) -> Result<S3Location, LakeOptionsError> {
        if self.aws.endpoint_url().is_some_and(bench_aws::has_credentials) {
            return Err(LakeOptionsError::credentials("--endpoint-url"));
        }
        let of_kind = match self.s3_backend {
            Some(S3Backend::Minio) => PathStyle::Always,
            _ => PathStyle::Auto,
        };
        Ok(S3Location {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            style: self.path_style.unwrap_or(of_kind),
        })
    }

    /// Everything needed to access a table located by [`LakeArgs::location`]. Reads configuration
    /// files, and on AWS asks the instance metadata for the region.
    pub async fn reach(&self, location: LakeLocation) -> Result<NamedLake, DeltaError> {
        let location = match location {
            LakeLocation::Folder(folder) => {
                let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
                let folder = path::resolve(&folder, home.as_deref().map(Path::new))?;
                return Ok(NamedLake::Folder(folder));
            }
            LakeLocation::S3(location) => location,
        };
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let keys = self.minio_keys(MINIO_VARIABLES.map(variable))?;
        let aws = self.aws.clone();
        // The chain may open connections.
        let sdk = io::run(async move { aws.config().await }).await?;
        let sdk = match keys {
            None => sdk,
            Some(keys) => {
                let provider = SharedCredentialsProvider::new(keys);
                sdk.into_builder().credentials_provider(provider).build()
            }
        };
        self.aws.check_endpoint(AwsService::S3, &sdk)?;
        match AwsService::S3.endpoint(&sdk) {
            Some(url) => check_style(&location, &url)?,
            None if self.s3_backend == Some(S3Backend::Minio) => {
                let problem = "minio has no default endpoint";
                let remedy = "add --endpoint-url URL, or set AWS_ENDPOINT_URL_S3";
                return Err(LakeOptionsError::new("--s3-backend", problem, remedy).into());
            }
            None if sdk.region().is_none() => {
                return Err(DeltaError::NoRegion { bucket: location.bucket });
            }
            None => {}
        }
        Ok(NamedLake::S3 { location, sdk: Box::new(sdk) })
    }

    /// The keys in the `MinIO` variables, if that kind is set.
    fn minio_keys(
        &self,
        variables: [Option<String>; 2],
    ) -> Result<Option<Credentials>, LakeOptionsError> {
        if self.s3_backend != Some(S3Backend::Minio) {
            return Ok(None);
        }
        let [name, other] = MINIO_VARIABLES;
        let (missing, given) = match variables {
            [Some(access_key), Some(secret_key)] => {
                let keys = Credentials::new(access_key, secret_key, None, None, "MinIO variables");
                return Ok(Some(keys));
            }
            [None, None] => return Ok(None),
            [Some(_), None] => (other, name),
            [None, Some(_)] => (name, other),
        };
        let problem = "is unset or empty, but the other key is set";
        Err(LakeOptionsError::new(missing, format!("{problem} ({given})"), "set both or neither"))
    }

    /// A table on an embedded S3, regardless of the environment.
    #[must_use]
    pub fn embedded(
        &self,
        endpoint_url: &str,
        (access_key, secret_key): (&str, &str),
        bucket: &str,
        table: &str,
    ) -> NamedLake {
        let location = S3Location {
            bucket: bucket.to_owned(),
            prefix: table.to_owned(),
            style: PathStyle::Always,
        };
        let sdk = self.aws.embedded_config_with(endpoint_url, access_key, secret_key);
        NamedLake::S3 { location, sdk: Box::new(sdk) }
    }
}

/// Rejects a bucket in the host name if the host is an IP address.
fn check_style(location: &S3Location, endpoint: &str) -> Result<(), LakeOptionsError> {
    let has_name = Url::parse(endpoint).is_ok_and(|url| url.domain().is_some());
    if location.style != PathStyle::Never || has_name {
        return Ok(());
    }
    let problem = "'never' needs a host name, but the endpoint has an IP address";
    Err(LakeOptionsError::new("--path-style", problem, "remove it, or use the host's name"))
}

/// A path may contain a secret until it has been checked.
impl fmt::Debug for LakeArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LakeArgs")
            .field("s3_backend", &self.s3_backend)
            .field("path_style", &self.path_style)
            .finish_non_exhaustive()
    }
}
