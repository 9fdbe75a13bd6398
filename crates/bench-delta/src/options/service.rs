//! The service behind a table, as recorded in results.

use bench_aws::AwsService;
use bench_record::{ServiceInfo, ServiceOrigin};

use super::{LakeArgs, NamedLake};

impl NamedLake {
    /// The service of the table: `s3` if known without a request, or `folder`.
    #[must_use]
    pub fn service_info(&self, args: &LakeArgs) -> ServiceInfo {
        match self {
            Self::S3 { sdk, .. } => args.aws.service_info(AwsService::S3, sdk),
            Self::Folder(_) => ServiceInfo {
                name: "folder".to_owned(),
                origin: ServiceOrigin::External,
                address: self.uri(),
                version: "a file system, not S3".to_owned(),
            },
        }
    }

    /// The warning about this location for readers of a run's figures.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let is_folder = matches!(self, Self::Folder(_));
        is_folder.then(|| {
            "the table is in a folder: the figures are those of a file system, not of S3".to_owned()
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        lake: LakeArgs,
    }

    #[test]
    fn folders_are_labelled_and_warned_about() {
        let args = Line::parse_from(["test"]).lake;
        let folder = NamedLake::Folder("/tmp/t".into());
        let info = folder.service_info(&args);
        assert_eq!((info.name.as_str(), info.address.as_str()), ("folder", "file:///tmp/t"));
        assert!(folder.warning().is_some());
        let s3 = args.embedded("http://127.0.0.1:1", ("key", "secret"), "b", "t");
        let info = s3.service_info(&args);
        assert_eq!((info.name.as_str(), info.address.as_str()), ("s3", "http://127.0.0.1:1"));
        assert_eq!(s3.warning(), None);
    }

    #[test]
    fn explicit_path_takes_precedence() {
        let path = |line: &[&str], other: &str| {
            let args = Line::parse_from(line).lake.or_path(Some(other.to_owned()));
            args.lake_path.expect("one of them")
        };
        assert_eq!(path(&["test"], "s3://b/t"), "s3://b/t");
        assert_eq!(path(&["test", "--lake-path", "x"], "s3://b/t"), "x");
    }
}
