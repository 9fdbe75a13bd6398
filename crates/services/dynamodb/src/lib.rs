//! `DynamoDB` on this machine: its stand-in as a server of its own, or Amazon's `DynamoDB` Local
//! where it is installed, for tools that run one after another; and the [client](stand_in) of a
//! stand-in that a tool starts for itself. The tables of either are in memory: they end with the
//! process.

pub mod stand_in;

use std::env;
use std::path::{Path, PathBuf};

use bench_record::ServiceOrigin;
use bench_service_aws::{self as aws, CLIENT};
use bench_stack::{
    Cache, Embedded, Launch, NodeContext, Parts, Progress, Service, ServiceOption, ServiceOptions,
    StackError, maven, programs,
};

use stand_in::{KIND, VERSION};

/// The key of the folder of an installed `DynamoDB` Local, among the options and in
/// [`Parts::more`].
const HOME: &str = "home";

const OPTIONS: &[ServiceOption] = &[ServiceOption {
    key: HOME,
    flag: Some("dynamodb-local"),
    value_name: "DIR",
    help: "Folder of an installed DynamoDB Local to use instead of the embedded one [env: \
           DYNAMODB_LOCAL_HOME]",
    default: "",
    check: |_| Ok(()),
}];

/// The environment variable that names that folder. `DynamoDB` Local is never downloaded: its
/// licence requires an AWS account.
const VARIABLE: &str = "DYNAMODB_LOCAL_HOME";

/// The file that must be in that folder.
const JAR: &str = "DynamoDBLocal.jar";

/// The libraries beside it.
const LIBRARIES: &str = "DynamoDBLocal_lib";

/// `DynamoDB`.
#[derive(Debug)]
pub struct Dynamodb;

impl Service for Dynamodb {
    fn name(&self) -> &'static str {
        "dynamodb"
    }

    fn title(&self) -> &'static str {
        "DynamoDB"
    }

    fn embedded(&self) -> Embedded {
        Embedded::Shared
    }

    fn options(&self) -> &'static [ServiceOption] {
        OPTIONS
    }

    fn difference(&self, old: &ServiceOptions, new: &ServiceOptions) -> Option<String> {
        let is_other = new.get(HOME).is_some() && old.get(HOME) != new.get(HOME);
        is_other.then(|| "has another DynamoDB".to_owned())
    }

    fn tool_options(&self) -> &'static [&'static str] {
        &["endpoint-url"]
    }

    fn fetch(
        &self,
        _cache: &Cache,
        options: &ServiceOptions,
        _progress: &mut Progress<'_>,
    ) -> Result<Parts, StackError> {
        let by_variable = || env::var_os(VARIABLE).filter(|value| !value.is_empty());
        match (options.get(HOME), by_variable()) {
            (Some(home), _) => amazons(Path::new(home), "--dynamodb-local"),
            (None, Some(home)) => amazons(&PathBuf::from(home), VARIABLE),
            (None, None) => {
                let program = KIND.find_program()?;
                Ok(Parts::new(VERSION.to_owned(), ServiceOrigin::Embedded, program))
            }
        }
    }

    fn ports(&self, _options: &ServiceOptions) -> Vec<&'static str> {
        vec![CLIENT]
    }

    fn launch(&self, node: &NodeContext<'_>) -> Result<Launch, StackError> {
        let port = node.port(CLIENT);
        let home = node.parts().get(HOME);
        if home.is_empty() {
            return Ok(node.launch(stand_in::arguments(port)?));
        }
        let home = Path::new(home);
        let libraries = format!("-Djava.library.path={}", home.join(LIBRARIES).display());
        let tmp = format!("-Djava.io.tmpdir={}", node.tmp_dir().display());
        let jar = home.join(JAR).display().to_string();
        let port = port.to_string();
        // One database for all keys and regions, as in one account.
        let args = [&libraries, &tmp, "-jar", &jar, "-inMemory", "-sharedDb", "-port", &port]
            .map(str::to_owned);
        Ok(Launch {
            env: vec![("DDB_LOCAL_TELEMETRY".to_owned(), "0".to_owned())],
            ..node.launch(args.to_vec())
        })
    }

    fn check(&self, node: &NodeContext<'_>) -> Result<(), String> {
        aws::check(node, "DynamoDB_20120810.ListTables", "application/x-amz-json-1.0")
    }

    fn address(&self, node: &NodeContext<'_>) -> String {
        aws::address(node)
    }

    fn environment(&self, nodes: &[NodeContext<'_>]) -> Vec<(String, String)> {
        let node = nodes.first();
        node.map(|node| aws::environment(node, "AWS_ENDPOINT_URL_DYNAMODB")).unwrap_or_default()
    }
}

/// The `DynamoDB` Local in this folder, which comes from `named_by`.
fn amazons(home: &Path, named_by: &str) -> Result<Parts, StackError> {
    let home = std::path::absolute(home).map_err(StackError::file("find", home))?;
    let jar = home.join(JAR);
    if !jar.is_file() {
        return Err(StackError::Options(format!(
            "{named_by} is {}, which holds no {JAR}: use the folder of an installed DynamoDB Local, or \
             leave it out for the embedded one",
            home.display()
        )));
    }
    let java = maven::java()?;
    let said = programs::version_text(&java, &["-jar", &jar.to_string_lossy(), "-version"])?;
    let version = format!("DynamoDB Local {}", version_in(&said));
    // Amazon's own stand-in is one too.
    Ok(Parts::new(version, ServiceOrigin::Embedded, java).with(HOME, home.display()))
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
    fn versions_are_parsed() {
        assert_eq!(version_in("DynamoDB Local version\nVersion: 2.6.1 (build 7)\n"), "2.6.1");
        assert_eq!(version_in("no such option"), "of an unknown version");
    }

    #[test]
    fn folder_without_jar_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let error = amazons(dir.path(), VARIABLE).expect_err("it is empty");
        assert!(error.is_usage() && error.to_string().starts_with(VARIABLE), "{error}");
    }
}
