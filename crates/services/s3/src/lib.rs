//! S3 on this machine, on a folder: versitygw or `MinIO`, which were both found to answer
//! conditional writes soundly when writers race, unlike most other servers; or its stand-in as a
//! server of its own. And the [client](stand_in) of a stand-in that a tool starts for itself.

mod keys;
pub mod stand_in;

use std::fs;
use std::path::PathBuf;

use bench_record::ServiceOrigin;
use bench_service_aws::{self as aws, CLIENT};
use bench_stack::{
    Cache, Embedded, Launch, NodeContext, Parts, Progress, Service, ServiceOption, ServiceOptions,
    StackError, golang::GoProgram, http, one_of, programs, secret,
};

pub use keys::Keys;

use stand_in::{BUCKET, KIND, VERSION};

/// The name of the service.
pub const NAME: &str = "s3";

/// The key of the server among the options, and in [`Parts::more`].
pub const SERVER: &str = "server";

/// The values of [`SERVER`].
pub const SERVERS: [&str; 3] = [VERSITYGW.source.program, MINIO.source.program, EMBEDDED];

/// The stand-in.
pub const EMBEDDED: &str = "embedded";

const OPTIONS: &[ServiceOption] = &[ServiceOption {
    key: SERVER,
    flag: Some("s3-server"),
    value_name: "SERVER",
    help: "S3 server: versitygw, minio or embedded [default: the one that is installed, else \
           versitygw if Go can build it, else embedded]",
    default: "",
    check: |value| one_of(&SERVERS, value),
}];

/// Why the stand-in was chosen.
const NOTE: &str = "this is the embedded server, a stand-in: neither versitygw nor MinIO is \
                    installed, nor Go to build one";

/// The file of the keys, as [`Keys::lines`].
const KEYS: &str = "s3-keys";

/// A server that can be installed or built.
struct Product {
    /// Its name in results.
    name: &'static str,
    /// The environment variable that names an installed one.
    variable: &'static str,
    /// How Go builds it. The name of the program is the value of [`SERVER`].
    source: GoProgram,
    /// What a successful write guarantees.
    durability: &'static str,
}

const VERSITYGW: Product = Product {
    name: "versitygw",
    variable: "BENCH_VERSITYGW",
    source: GoProgram {
        program: "versitygw",
        package: "github.com/versity/versitygw/cmd/versitygw",
        module_version: "v1.8.0",
        version: "1.8.0",
        build_time: "a minute or two",
    },
    durability: "no fsync",
};

const MINIO: Product = Product {
    name: "MinIO",
    variable: "BENCH_MINIO",
    source: GoProgram {
        program: "minio",
        package: "github.com/minio/minio",
        module_version: "v0.0.0-20260212201848-7aac2a2c5b7c",
        version: "2026-02-12",
        build_time: "some minutes",
    },
    durability: "metadata O_DSYNC",
};

/// A server that speaks the protocol of Amazon S3.
#[derive(Debug)]
pub struct S3;

impl Service for S3 {
    fn name(&self) -> &'static str {
        NAME
    }

    fn title(&self) -> &'static str {
        "S3"
    }

    fn is_default(&self) -> bool {
        true
    }

    fn embedded(&self) -> Embedded {
        Embedded::Shared
    }

    fn embed(&self, options: &mut ServiceOptions) {
        options.settings.insert(SERVER.to_owned(), EMBEDDED.to_owned());
    }

    fn options(&self) -> &'static [ServiceOption] {
        OPTIONS
    }

    fn difference(&self, old: &ServiceOptions, new: &ServiceOptions) -> Option<String> {
        let is_other = new.get(SERVER).is_some() && old.get(SERVER) != new.get(SERVER);
        is_other.then(|| "has another S3 server".to_owned())
    }

    fn tool_options(&self) -> &'static [&'static str] {
        &["endpoint-url", "lake-path", "bucket"]
    }

    fn bears_process_faults(&self) -> bool {
        true
    }

    fn fetch(
        &self,
        cache: &Cache,
        options: &ServiceOptions,
        progress: &mut Progress<'_>,
    ) -> Result<Parts, StackError> {
        let wanted = match options.get(SERVER) {
            Some(EMBEDDED) => return embedded(),
            Some(program) if program == MINIO.source.program => &[MINIO][..],
            Some(_) => &[VERSITYGW],
            None => &[VERSITYGW, MINIO],
        };
        for product in wanted {
            if let Some(program) = programs::named_by(product.variable)? {
                return product.installed(program);
            }
        }
        for product in wanted {
            if let Some(program) = programs::find(product.source.program) {
                return product.installed(program);
            }
        }
        let product = &wanted[0];
        match product.build(cache, progress) {
            Ok(program) => Ok(product.parts(program, product.source.version)),
            Err(StackError::Missing { .. }) if options.get(SERVER).is_none() => {
                Ok(Parts { note: Some(NOTE.to_owned()), ..embedded()? })
            }
            Err(error) => Err(error),
        }
    }

    fn ports(&self, _options: &ServiceOptions) -> Vec<&'static str> {
        vec![CLIENT, "console"]
    }

    fn prepare(&self, nodes: &[NodeContext<'_>]) -> Result<(), StackError> {
        for node in nodes {
            secret::write(&keys_file(node), &Keys::random()?.lines())?;
            if is_embedded(node) {
                continue;
            }
            // For the other servers, a folder in their root is a bucket.
            let bucket = node.data_dir().join(BUCKET);
            fs::create_dir_all(&bucket).map_err(StackError::file("create", &bucket))?;
        }
        Ok(())
    }

    fn launch(&self, node: &NodeContext<'_>) -> Result<Launch, StackError> {
        if is_embedded(node) {
            let port = node.port(CLIENT);
            return Ok(node.launch(stand_in::arguments(port, node.data_dir(), keys_file(node))?));
        }
        let keys = read_keys(node)?;
        let (args, env) = if is_minio(node) { minio(node, &keys) } else { versitygw(node, &keys) };
        let tmp = node.tmp_dir().to_string_lossy().into_owned();
        let env = env.into_iter().chain([("TMPDIR", tmp)]);
        Ok(Launch {
            env: env.map(|(name, value)| (name.to_owned(), value)).collect(),
            ..node.launch(args)
        })
    }

    fn check(&self, node: &NodeContext<'_>) -> Result<(), String> {
        let port = node.port("client");
        if !is_embedded(node) {
            http::answers(port, health(node), 200)?;
        }
        // MinIO reports ready a moment before it knows its keys; until then it answers 503, and
        // from then on it refuses requests without a key.
        http::answers(port, &format!("/{BUCKET}/"), 403)
    }

    fn address(&self, node: &NodeContext<'_>) -> String {
        aws::address(node)
    }

    fn environment(&self, nodes: &[NodeContext<'_>]) -> Vec<(String, String)> {
        let Some(node) = nodes.first() else { return Vec::new() };
        // Without its keys nobody can use it.
        read_keys(node)
            .map_or_else(|_| Vec::new(), |keys| stand_in::environment(&self.address(node), &keys))
    }
}

impl Product {
    fn installed(&self, program: PathBuf) -> Result<Parts, StackError> {
        let said = programs::version_text(&program, &["--version"])?;
        Ok(self.parts(program, version_in(&said)))
    }

    fn parts(&self, program: PathBuf, version: &str) -> Parts {
        let version = format!("{} {version}, {}", self.name, self.durability);
        Parts::new(version, ServiceOrigin::Local, program).with(SERVER, self.source.program)
    }

    /// Builds it with Go into the cache, unless it is there.
    fn build(&self, cache: &Cache, progress: &mut Progress<'_>) -> Result<PathBuf, StackError> {
        let remedy = format!(
            "install Go (package `golang-go`, or go.dev/dl), or install {} in PATH or set {} to its \
             program",
            self.source.program, self.variable
        );
        self.source.program(cache, &remedy, progress)
    }
}

/// The stand-in.
fn embedded() -> Result<Parts, StackError> {
    let program = KIND.find_program()?;
    let parts = Parts::new(VERSION.to_owned(), ServiceOrigin::Embedded, program);
    Ok(parts.with(SERVER, EMBEDDED))
}

fn is_embedded(node: &NodeContext<'_>) -> bool {
    node.parts().get(SERVER) == EMBEDDED
}

/// The version in what `--version` prints: `Version  : v1.0.14`, `minio version RELEASE.2025-...`.
fn version_in(said: &str) -> &str {
    let line = said.lines().find(|line| line.to_lowercase().contains("version")).unwrap_or("");
    let words = line.split_whitespace();
    let version = words.skip_while(|word| !word.eq_ignore_ascii_case("version"));
    let version = version.skip(1).find(|word| *word != ":").unwrap_or("of an unknown version");
    version.strip_prefix('v').unwrap_or(version)
}

/// Arguments and environment of a server. The keys are in the environment, which other users cannot
/// see.
type Started = (Vec<String>, Vec<(&'static str, String)>);

fn versitygw(node: &NodeContext<'_>, keys: &Keys) -> Started {
    let address = listen(node, CLIENT);
    let data = node.data_dir().to_string_lossy().into_owned();
    let args = ["--quiet", "--port", &address, "--health", health(node), "posix", &data];
    let mut env = named(keys, "ROOT_ACCESS_KEY_ID", "ROOT_SECRET_ACCESS_KEY").to_vec();
    // By default it closes the connection after each request, unlike Amazon's.
    env.push(("VGW_KEEP_ALIVE", "true".to_owned()));
    (strings(&args), env)
}

fn minio(node: &NodeContext<'_>, keys: &Keys) -> Started {
    let (address, console) = (listen(node, CLIENT), listen(node, "console"));
    let data = node.data_dir().to_string_lossy().into_owned();
    // It would read the user's home.
    let certificates = node.config_dir().join("certs").to_string_lossy().into_owned();
    let places = ["--address", &address, "--console-address", &console, &data];
    let args = [&["server", "--quiet", "--certs-dir", &certificates], &places[..]].concat();
    let mut env = named(keys, "MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD").to_vec();
    env.extend(["MINIO_UPDATE", "MINIO_BROWSER"].map(|name| (name, "off".to_owned())));
    (strings(&args), env)
}

fn listen(node: &NodeContext<'_>, port: &str) -> String {
    format!("127.0.0.1:{}", node.port(port))
}

/// The keys under the names that a program expects.
fn named(keys: &Keys, access: &'static str, secret: &'static str) -> [(&'static str, String); 2] {
    [(access, keys.access_key.clone()), (secret, keys.secret_key.clone())]
}

fn keys_file(node: &NodeContext<'_>) -> PathBuf {
    node.secrets_dir().join(KEYS)
}

fn read_keys(node: &NodeContext<'_>) -> Result<Keys, StackError> {
    let path = keys_file(node);
    let text = fs::read_to_string(&path).map_err(StackError::file("read", &path))?;
    Ok(Keys::parse(&text))
}

fn is_minio(node: &NodeContext<'_>) -> bool {
    node.parts().get(SERVER) == MINIO.source.program
}

fn health(node: &NodeContext<'_>) -> &'static str {
    if is_minio(node) { "/minio/health/ready" } else { "/health" }
}

fn strings(arguments: &[&str]) -> Vec<String> {
    arguments.iter().map(|&argument| argument.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_parsed() {
        let versitygw = "Version  : v1.0.14\nBuild    : 1a2b\nBuildTime: 2025-05-01\n";
        assert_eq!(version_in(versitygw), "1.0.14");
        let minio =
            "minio version RELEASE.2025-04-22T22-12-26Z (commit-id=0d7408fc)\nRuntime: go\n";
        assert_eq!(version_in(minio), "RELEASE.2025-04-22T22-12-26Z");
        assert_eq!(version_in("nothing of the kind"), "of an unknown version");
        assert_eq!(version_in(""), "of an unknown version");
    }

    #[test]
    fn versions_state_the_durability() {
        let parts = VERSITYGW.parts(PathBuf::from("/bin/versitygw"), "1.8.0");
        assert_eq!(parts.version, "versitygw 1.8.0, no fsync");
        let parts = MINIO.parts(PathBuf::from("/bin/minio"), "2026-02-12");
        assert_eq!(parts.version, "MinIO 2026-02-12, metadata O_DSYNC");
    }
}
