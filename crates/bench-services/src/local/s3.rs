//! S3 on this machine.

use super::process::Launch;
use super::server::{Notice, Parts, Server, Site};
use super::{Cache, LocalError, StackOptions};

/// S3.
pub(super) struct S3;

impl Server for S3 {
    fn fetch(
        &self,
        _cache: &Cache,
        _options: &StackOptions,
        _notice: &mut Notice<'_>,
    ) -> Result<Parts, LocalError> {
        Err(LocalError::Options("s3 cannot be started yet".to_owned()))
    }

    fn ports(&self, _options: &StackOptions) -> Vec<&'static str> {
        vec!["client"]
    }

    fn prepare(&self, _nodes: &[Site<'_>]) -> Result<(), LocalError> {
        Ok(())
    }

    fn launch(&self, _node: &Site<'_>) -> Result<Launch, LocalError> {
        Err(LocalError::Options("s3 cannot be started yet".to_owned()))
    }

    fn check(&self, _node: &Site<'_>) -> Result<(), String> {
        Ok(())
    }

    fn address(&self, node: &Site<'_>) -> String {
        format!("127.0.0.1:{}", node.port("client"))
    }

    fn environment(&self, _nodes: &[Site<'_>]) -> Vec<(String, String)> {
        Vec::new()
    }
}
