//! `DynamoDB` for tools that run one after the other: the embedded one as a server of its own, or
//! Amazon's `DynamoDB` Local where the user has it. The tables of either are in memory: they go with
//! the process.

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};

use super::process::Launch;
use super::server::{Notice, Parts, Server, Site};
use super::{Cache, LocalError, StackOptions, aws, installed, maven};
use crate::embedded::dynamodb;

/// The environment variable that names the folder of an installed `DynamoDB` Local. It is never
/// fetched: its licence asks for an account of AWS.
const VARIABLE: &str = "DYNAMODB_LOCAL_HOME";

/// The file by which that folder is known.
const JAR: &str = "DynamoDBLocal.jar";

/// The libraries beside it.
const LIBRARIES: &str = "DynamoDBLocal_lib";

/// [`Parts::more`]: the folder of `DynamoDB` Local, if it is that.
const HOME: &str = "home";

pub(super) struct Dynamodb;

impl Server for Dynamodb {
    fn fetch(
        &self,
        _cache: &Cache,
        options: &StackOptions,
        _notice: &mut Notice<'_>,
    ) -> Result<Parts, LocalError> {
        let by_variable = || env::var_os(VARIABLE).filter(|value| !value.is_empty());
        match (&options.dynamodb_local, by_variable()) {
            (Some(home), _) => amazons(home, "--dynamodb-local"),
            (None, Some(home)) => amazons(&PathBuf::from(home), VARIABLE),
            (None, None) => Ok(Parts {
                version: dynamodb::VERSION.to_owned(),
                program: aws::embedded_program(options)?,
                more: BTreeMap::new(),
            }),
        }
    }

    fn ports(&self, _options: &StackOptions) -> Vec<&'static str> {
        vec!["client"]
    }

    fn prepare(&self, _nodes: &[Site<'_>]) -> Result<(), LocalError> {
        Ok(())
    }

    fn launch(&self, node: &Site<'_>) -> Result<Launch, LocalError> {
        let port = node.port("client");
        let home = node.node.parts.get(HOME);
        if home.is_empty() {
            return Ok(aws::launch(node, dynamodb::stand_alone(port)));
        }
        let home = Path::new(home);
        let libraries = format!("-Djava.library.path={}", home.join(LIBRARIES).display());
        let tmp = format!("-Djava.io.tmpdir={}", node.tmp_dir().display());
        let jar = home.join(JAR).display().to_string();
        let port = port.to_string();
        // One database for all keys and regions, as one account would have it.
        let args = [&libraries, &tmp, "-jar", &jar, "-inMemory", "-sharedDb", "-port", &port]
            .map(str::to_owned);
        Ok(Launch {
            program: node.node.parts.program.clone(),
            args: args.to_vec(),
            env: vec![("DDB_LOCAL_TELEMETRY".to_owned(), "0".to_owned())],
            current_dir: node.data_dir(),
            log: node.log(),
        })
    }

    fn check(&self, node: &Site<'_>) -> Result<(), String> {
        aws::check(node, "DynamoDB_20120810.ListTables", "application/x-amz-json-1.0")
    }

    fn address(&self, node: &Site<'_>) -> String {
        aws::address(node)
    }

    fn environment(&self, nodes: &[Site<'_>]) -> Vec<(String, String)> {
        let node = nodes.first();
        node.map(|node| aws::environment(node, "AWS_ENDPOINT_URL_DYNAMODB")).unwrap_or_default()
    }
}

/// The `DynamoDB` Local in this folder, which `named_by` names.
fn amazons(home: &Path, named_by: &str) -> Result<Parts, LocalError> {
    let home = std::path::absolute(home).map_err(LocalError::file("find", home))?;
    let jar = home.join(JAR);
    if !jar.is_file() {
        return Err(LocalError::Options(format!(
            "{named_by} names {}, which holds no {JAR}: name the folder of an installed DynamoDB \
             Local, or leave it out for the embedded one",
            home.display()
        )));
    }
    let java = maven::java()?;
    let said = installed::version_text(&java, &["-jar", &jar.to_string_lossy(), "-version"])?;
    Ok(Parts {
        version: format!("DynamoDB Local {}", version_in(&said)),
        program: java,
        more: [(HOME.to_owned(), home.display().to_string())].into(),
    })
}

/// The version in what it says of itself: `Version: 2.6.1`.
fn version_in(said: &str) -> &str {
    let is_version =
        |word: &&str| word.contains('.') && word.chars().all(|c| c.is_ascii_digit() || c == '.');
    said.split_whitespace().find(is_version).unwrap_or("of an unknown version")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_it_says() {
        assert_eq!(version_in("DynamoDB Local version\nVersion: 2.6.1 (build 7)\n"), "2.6.1");
        assert_eq!(version_in("no such option"), "of an unknown version");
    }

    #[test]
    fn a_folder_without_it_is_refused_by_its_name() {
        let dir = tempfile::tempdir().expect("a folder");
        let error = amazons(dir.path(), VARIABLE).expect_err("it is empty");
        assert!(error.is_usage() && error.to_string().starts_with(VARIABLE), "{error}");
    }
}
