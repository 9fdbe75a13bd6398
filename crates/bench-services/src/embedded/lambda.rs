//! The process of a function on this machine, with the mapping that feeds it.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde_json::json;
use signal_hook::consts::SIGTERM;

use super::process::Kind;
use super::serving::{ServeError, argument};
use crate::lambda::{self, MappingConfig};

pub(super) const KIND: Kind =
    Kind { name: "local Lambda", argument: "__local-lambda", remedy: "deploy the function to AWS" };

/// The arguments by which a program becomes the mapping of this configuration file, until it is
/// told to end.
pub(crate) fn stand_alone(config: &std::path::Path) -> Vec<String> {
    vec![KIND.argument.to_owned(), json!(config).to_string()]
}

/// The life of its process, which ends orderly on SIGTERM: what is under way is finished, and
/// checkpoints are kept.
pub(super) fn serve(text: &OsStr) -> Result<(), ServeError> {
    let path: PathBuf = argument(text)?;
    let config = fs::read(&path).map_err(|source| ServeError::Config { path, source })?;
    let config: MappingConfig = serde_json::from_slice(&config).map_err(ServeError::Argument)?;
    let stop = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(SIGTERM, Arc::clone(&stop)).map_err(ServeError::Signal)?;
    tracing_subscriber::fmt().with_ansi(false).with_writer(std::io::stderr).init();
    let report = lambda::run(&config, &stop)?;
    // Into the log, which stays when the state goes.
    tracing::info!(report = %json!(report), "ended");
    Ok(())
}
