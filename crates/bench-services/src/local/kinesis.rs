//! The embedded Kinesis as a server of its own, for tools that run one after the other. Its streams
//! are in memory: they go with the process.

use std::collections::BTreeMap;

use super::process::Launch;
use super::server::{Notice, Parts, Server, Site};
use super::{Cache, LocalError, StackOptions, aws};
use crate::embedded::kinesis;

pub(super) struct Kinesis;

impl Server for Kinesis {
    fn fetch(
        &self,
        _cache: &Cache,
        options: &StackOptions,
        _notice: &mut Notice<'_>,
    ) -> Result<Parts, LocalError> {
        Ok(Parts {
            version: kinesis::VERSION.to_owned(),
            program: aws::embedded_program(options)?,
            more: BTreeMap::new(),
        })
    }

    fn ports(&self, _options: &StackOptions) -> Vec<&'static str> {
        vec!["client"]
    }

    fn prepare(&self, _nodes: &[Site<'_>]) -> Result<(), LocalError> {
        Ok(())
    }

    fn launch(&self, node: &Site<'_>) -> Result<Launch, LocalError> {
        let limits = &node.record.options.kinesis_limits;
        Ok(aws::launch(node, kinesis::stand_alone(node.port("client"), limits)))
    }

    fn check(&self, node: &Site<'_>) -> Result<(), String> {
        aws::check(node, "Kinesis_20131202.ListStreams", "application/x-amz-json-1.1")
    }

    fn address(&self, node: &Site<'_>) -> String {
        aws::address(node)
    }

    fn environment(&self, nodes: &[Site<'_>]) -> Vec<(String, String)> {
        let node = nodes.first();
        node.map(|node| aws::environment(node, "AWS_ENDPOINT_URL_KINESIS")).unwrap_or_default()
    }
}
