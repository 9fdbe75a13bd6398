//! Where a table lies, as options of a command line.

use std::fmt;
use std::path::{Path, PathBuf};

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use bench_aws::{AwsArgs, AwsService};
use clap::{Args, ValueEnum};
use url::Url;

use crate::lake::{PathStyle, S3Place, io};
use crate::{DeltaError, LakeOptionsError};

mod named;
mod path;
mod service;
#[cfg(test)]
mod tests;

pub use named::NamedLake;

/// The bucket of a stack, or of the user's choice.
pub const BUCKET_VARIABLE: &str = "BENCH_S3_BUCKET";

/// The keys that the scripts before this took.
const MINIO_VARIABLES: [&str; 2] = ["MINIO_S3_ACCESS_KEY", "MINIO_S3_SECRET_ACCESS_KEY"];

/// Where the table lies, and how to reach it; flatten it into a tool's options.
#[derive(Clone, Args)]
pub struct LakeArgs {
    // Its text is no documentation comment, in which addresses would have to be links.
    #[arg(
        help_heading = "Table",
        long,
        value_name = "URI",
        alias = "lake_path",
        help = "Table: s3://BUCKET/PREFIX, file:///FOLDER, a folder's path, or a table's name in \
                --bucket"
    )]
    lake_path: Option<String>,

    /// Kind of S3: minio has the bucket in the path, and takes its keys from `MINIO_S3_ACCESS_KEY`
    /// and `MINIO_S3_SECRET_ACCESS_KEY` first
    #[arg(help_heading = "Table", long, value_enum, value_name = "KIND", alias = "s3_backend")]
    s3_backend: Option<S3Backend>,

    /// Bucket of the table [env: `BENCH_S3_BUCKET`]
    #[arg(help_heading = "Table", long, value_name = "NAME")]
    bucket: Option<String>,

    /// Where requests name the bucket: in the path, rather than in the host's name [default: auto]
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

    /// How to reach S3.
    #[command(flatten)]
    pub aws: AwsArgs,
}

/// Kinds of S3, as `--s3-backend` names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum S3Backend {
    /// Amazon S3, or what answers as it does
    S3,
    /// `MinIO`
    Minio,
}

/// Where the options say that the table lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LakePlace {
    /// In a folder.
    Folder(PathBuf),
    /// On S3.
    S3(S3Place),
}

/// What the environment says of the table.
struct Environment {
    /// The bucket.
    bucket: Option<String>,
    /// Whether it names an endpoint of S3.
    has_endpoint: bool,
    /// Whether a driver asks for an embedded service, which it leaves to the tool.
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
    /// The same with `uri` for the table where no option names one.
    #[must_use]
    pub fn or_path(self, uri: Option<String>) -> Self {
        Self { lake_path: self.lake_path.or(uri), ..self }
    }

    /// Where the table lies, or nothing if no option and no variable says so, in which case an
    /// embedded S3 is meant. `table` is its name in a bucket where only the bucket is named; without
    /// one, that is an error. Nothing is asked of anybody.
    pub fn place(&self, table: Option<&str>) -> Result<Option<LakePlace>, LakeOptionsError> {
        self.place_in(&Environment::of_process(), table)
    }

    fn place_in(
        &self,
        environment: &Environment,
        table: Option<&str>,
    ) -> Result<Option<LakePlace>, LakeOptionsError> {
        let Some(text) = &self.lake_path else {
            return self.unnamed(environment, table);
        };
        let place = match path::parse(text)? {
            path::LakePath::S3 { bucket, prefix } => {
                if self.bucket.as_ref().is_some_and(|other| other != bucket) {
                    let problem = "is another bucket than the one in --lake-path";
                    return Err(LakeOptionsError::new(
                        "--bucket",
                        problem,
                        "leave one of them out",
                    ));
                }
                LakePlace::S3(self.s3_place(bucket, prefix)?)
            }
            path::LakePath::Folder(folder) => match self.option_of_s3() {
                None => LakePlace::Folder(folder),
                Some(option) => {
                    let problem = "is for S3, and --lake-path names a folder";
                    let remedy = "leave it out, or name --lake-path s3://BUCKET/PREFIX";
                    return Err(LakeOptionsError::new(option, problem, remedy));
                }
            },
            path::LakePath::Name(name) => match self.option_of_s3() {
                None => LakePlace::Folder(PathBuf::from(name)),
                Some(option) => {
                    let bucket = self.named_bucket(environment, option)?;
                    LakePlace::S3(self.s3_place(bucket, path::prefix(name, "--lake-path")?)?)
                }
            },
        };
        Ok(Some(place))
    }

    /// The place where `--lake-path` says nothing.
    fn unnamed(
        &self,
        environment: &Environment,
        table: Option<&str>,
    ) -> Result<Option<LakePlace>, LakeOptionsError> {
        let named = self.bucket.as_deref().or(environment.bucket.as_deref());
        if named.is_none() {
            let of_environment =
                environment.has_endpoint.then_some(AwsService::S3.endpoint_variable());
            // A driver that asks for an embedded one says what kind its figures are to stand for.
            let kind = self.s3_backend.filter(|_| !environment.asks_embedded);
            let option = kind.map(|_| "--s3-backend").or(self.option_of_service());
            return match option.or(of_environment) {
                None => Ok(None),
                Some(option) => self.named_bucket(environment, option).map(|_| None),
            };
        }
        let bucket = self.named_bucket(environment, "--bucket")?;
        let Some(table) = table else {
            let problem = "says which bucket, and nothing says which table in it";
            let remedy = "add --lake-path NAME";
            return Err(LakeOptionsError::new("--bucket", problem, remedy));
        };
        let prefix = path::prefix(table, "--lake-path")?;
        Ok(Some(LakePlace::S3(self.s3_place(bucket, prefix)?)))
    }

    /// An option that means S3, if there is one.
    fn option_of_s3(&self) -> Option<&'static str> {
        let of_bucket = self.bucket.as_ref().map(|_| "--bucket");
        let of_backend = self.s3_backend.map(|_| "--s3-backend");
        of_backend.or(of_bucket).or(self.option_of_service())
    }

    /// An option that says how to reach S3, if there is one.
    fn option_of_service(&self) -> Option<&'static str> {
        self.path_style.map(|_| "--path-style").or(self.aws.naming_option())
    }

    /// The bucket for which `option` was given.
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
            let problem = "says how to reach S3, and nothing says which bucket";
            let remedy = "name --lake-path s3://BUCKET/PREFIX, or add --bucket NAME";
            return Err(LakeOptionsError::new(option, problem, remedy));
        };
        path::check_bucket(bucket, by)?;
        Ok(bucket)
    }

    fn s3_place(&self, bucket: &str, prefix: &str) -> Result<S3Place, LakeOptionsError> {
        if self.aws.endpoint_url().is_some_and(bench_aws::has_credentials) {
            return Err(LakeOptionsError::credentials("--endpoint-url"));
        }
        let of_kind = match self.s3_backend {
            Some(S3Backend::Minio) => PathStyle::Always,
            _ => PathStyle::Auto,
        };
        Ok(S3Place {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            style: self.path_style.unwrap_or(of_kind),
        })
    }

    /// All that is needed to reach a table that [`LakeArgs::place`] has found. Configuration files
    /// are read, and on a machine of AWS its metadata is asked for the region.
    pub async fn reach(&self, place: LakePlace) -> Result<NamedLake, DeltaError> {
        let place = match place {
            LakePlace::Folder(folder) => {
                let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
                let folder = path::resolve(&folder, home.as_deref().map(Path::new))?;
                return Ok(NamedLake::Folder(folder));
            }
            LakePlace::S3(place) => place,
        };
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let keys = self.minio_keys(MINIO_VARIABLES.map(variable))?;
        let aws = self.aws.clone();
        // The chain may make connections.
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
            Some(url) => check_style(&place, &url)?,
            None if self.s3_backend == Some(S3Backend::Minio) => {
                let problem = "minio has no address of its own";
                let remedy = "add --endpoint-url URL, or set AWS_ENDPOINT_URL_S3";
                return Err(LakeOptionsError::new("--s3-backend", problem, remedy).into());
            }
            None if sdk.region().is_none() => {
                return Err(DeltaError::NoRegion { bucket: place.bucket });
            }
            None => {}
        }
        Ok(NamedLake::S3 { place, sdk: Box::new(sdk) })
    }

    /// The keys that variables name for `MinIO`, if it is meant and they are set.
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
        let problem = "is not set or empty, while the other key is";
        Err(LakeOptionsError::new(missing, format!("{problem} ({given})"), "set both, or none"))
    }

    /// A table on an embedded S3, whatever the environment says.
    #[must_use]
    pub fn embedded(
        &self,
        endpoint_url: &str,
        (access_key, secret_key): (&str, &str),
        bucket: &str,
        table: &str,
    ) -> NamedLake {
        let place = S3Place {
            bucket: bucket.to_owned(),
            prefix: table.to_owned(),
            style: PathStyle::Always,
        };
        let sdk = self.aws.embedded_config_with(endpoint_url, access_key, secret_key);
        NamedLake::S3 { place, sdk: Box::new(sdk) }
    }
}

/// Refuses a bucket in a host's name where the host has none.
fn check_style(place: &S3Place, endpoint: &str) -> Result<(), LakeOptionsError> {
    let has_name = Url::parse(endpoint).is_ok_and(|url| url.domain().is_some());
    if place.style != PathStyle::Never || has_name {
        return Ok(());
    }
    let problem = "never puts the bucket into the host's name, and the endpoint has an IP address";
    Err(LakeOptionsError::new("--path-style", problem, "leave it out, or name the host"))
}

/// What stands in a path may be secret until it has been looked at.
impl fmt::Debug for LakeArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LakeArgs")
            .field("s3_backend", &self.s3_backend)
            .field("path_style", &self.path_style)
            .finish_non_exhaustive()
    }
}
