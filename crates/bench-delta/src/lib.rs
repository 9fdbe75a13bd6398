//! Delta Lake tables as a benchmark transport, in a folder or on S3.

mod error;
pub mod lake;
mod log;
pub mod maintenance;
mod options;
pub mod publish;
mod reason;
pub mod receive;
pub mod schema;
mod table;

pub use error::{DeltaError, LakeOptionsError};
pub use lake::{Access, Lake, PathStyle, S3Location};
pub use log::LogError;
pub use maintenance::MaintenanceError;
pub use options::{LakeArgs, LakeLocation, NamedLake, S3Backend};
pub use publish::DeltaPublisher;
pub use receive::{DeltaReceiver, FollowError};
pub use table::{TABLE_NAME, Table};

/// The crates whose versions affect the figures. A test compares them with `Cargo.lock`.
pub const VERSIONS: [(&str, &str); 3] =
    [("deltalake", "1.1.2"), ("object_store", "0.13.2"), ("parquet", "59.3.2")];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_match_the_lock_file() {
        let lock = include_str!("../../../Cargo.lock");
        for (name, version) in VERSIONS {
            let entry = format!("name = \"{name}\"\nversion = \"{version}\"");
            assert!(lock.contains(&entry), "Cargo.lock has another version of {name}");
        }
    }
}
