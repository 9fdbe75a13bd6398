//! S3 on this machine, on a folder: versitygw or `MinIO`, which were both found to answer
//! conditional writes soundly when writers race, as most other stand-ins do not; or the embedded
//! one, as a server of its own.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::process::Launch;
use super::record::Node;
use super::server::{Notice, Parts, Server, Site};
use super::{Cache, LocalError, S3Server, StackOptions, aws, http, installed, secret};
use crate::embedded::s3::{self, BUCKET, Keys};

/// How long fetching and compiling may take, on a slow machine with a slow connection.
const BUILD_TIMEOUT: Duration = Duration::from_mins(20);

/// Which server it is, in the record.
const KIND: &str = "server";

/// Where the keys lie, as [`Keys::lines`].
const KEYS: &str = "s3-keys";

/// What there is to know of a server before it is there.
struct Product {
    server: S3Server,
    /// The name of its program.
    program: &'static str,
    /// As results name it.
    name: &'static str,
    /// The environment variable that names an installed one.
    variable: &'static str,
    /// What Go builds, and in which version.
    package: &'static str,
    module_version: &'static str,
    /// The same version as results name it.
    version: &'static str,
    /// What a write that succeeded is worth.
    durability: &'static str,
    build_minutes: &'static str,
}

const VERSITYGW: Product = Product {
    server: S3Server::Versitygw,
    program: "versitygw",
    name: "versitygw",
    variable: "BENCH_VERSITYGW",
    package: "github.com/versity/versitygw/cmd/versitygw",
    module_version: "v1.8.0",
    version: "1.8.0",
    durability: "no fsync",
    build_minutes: "a minute or two",
};

const MINIO: Product = Product {
    server: S3Server::Minio,
    program: "minio",
    name: "MinIO",
    variable: "BENCH_MINIO",
    package: "github.com/minio/minio",
    module_version: "v0.0.0-20260212201848-7aac2a2c5b7c",
    version: "2026-02-12",
    durability: "metadata O_DSYNC",
    build_minutes: "some minutes",
};

/// A server that speaks the protocol of Amazon S3.
pub(super) struct S3;

impl Server for S3 {
    fn fetch(
        &self,
        cache: &Cache,
        options: &StackOptions,
        notice: &mut Notice<'_>,
    ) -> Result<Parts, LocalError> {
        let wanted = match options.s3_server {
            Some(S3Server::Versitygw) => &[VERSITYGW][..],
            Some(S3Server::Minio) => &[MINIO],
            Some(S3Server::Embedded) => return embedded(options),
            None => &[VERSITYGW, MINIO],
        };
        for product in wanted {
            if let Some(program) = installed::named_by(product.variable)? {
                return product.installed(program);
            }
        }
        for product in wanted {
            if let Some(program) = installed::find(product.program) {
                return product.installed(program);
            }
        }
        let product = &wanted[0];
        match product.build(cache, notice) {
            Ok(program) => Ok(product.parts(program, product.version)),
            // Whoever has not asked for one of them has use for a stand-in, too.
            Err(LocalError::Missing { .. }) if options.s3_server.is_none() => embedded(options),
            Err(error) => Err(error),
        }
    }

    fn ports(&self, _options: &StackOptions) -> Vec<&'static str> {
        vec!["client", "console"]
    }

    fn prepare(&self, nodes: &[Site<'_>]) -> Result<(), LocalError> {
        for node in nodes {
            let keys = Keys { access_key: secret::password()?, secret_key: secret::password()? };
            secret::write(&keys_file(node), &keys.lines())?;
            if is_embedded(node.node) {
                continue;
            }
            // To either of the others, a folder in its root is a bucket.
            let bucket = node.data_dir().join(BUCKET);
            fs::create_dir_all(&bucket).map_err(LocalError::file("create", &bucket))?;
        }
        Ok(())
    }

    fn launch(&self, node: &Site<'_>) -> Result<Launch, LocalError> {
        if is_embedded(node.node) {
            let port = node.port("client");
            let args = s3::stand_alone(port, &node.data_dir(), &keys_file(node));
            return Ok(aws::launch(node, args));
        }
        let keys = read_keys(node)?;
        let (args, env) = if is_minio(node) { minio(node, &keys) } else { versitygw(node, &keys) };
        let tmp = node.tmp_dir().to_string_lossy().into_owned();
        let env = env.into_iter().chain([("TMPDIR", tmp)]);
        Ok(Launch {
            program: node.node.parts.program.clone(),
            args,
            env: env.map(|(name, value)| (name.to_owned(), value)).collect(),
            current_dir: node.data_dir(),
            log: node.log(),
        })
    }

    fn check(&self, node: &Site<'_>) -> Result<(), String> {
        let port = node.port("client");
        if !is_embedded(node.node) {
            http::answers(port, health(node), 200)?;
        }
        // MinIO calls itself ready a moment before it knows whom to let in; until then it answers
        // 503, and from then on it refuses whoever does not give a key.
        http::answers(port, &format!("/{BUCKET}/"), 403)
    }

    fn address(&self, node: &Site<'_>) -> String {
        format!("http://127.0.0.1:{}", node.port("client"))
    }

    fn environment(&self, nodes: &[Site<'_>]) -> Vec<(String, String)> {
        let Some(node) = nodes.first() else { return Vec::new() };
        // Without its keys there is no use for it.
        read_keys(node)
            .map_or_else(|_| Vec::new(), |keys| s3::environment(&self.address(node), &keys))
    }
}

impl Product {
    fn installed(&self, program: PathBuf) -> Result<Parts, LocalError> {
        let said = installed::version_text(&program, &["--version"])?;
        Ok(self.parts(program, version_in(&said)))
    }

    fn parts(&self, program: PathBuf, version: &str) -> Parts {
        Parts {
            version: format!("{} {version}, {}", self.name, self.durability),
            program,
            more: [(KIND.to_owned(), self.server.to_string())].into(),
        }
    }

    /// Has Go build it into the cache, unless that has been done.
    fn build(&self, cache: &Cache, notice: &mut Notice<'_>) -> Result<PathBuf, LocalError> {
        let name = self.program;
        let part = cache.part(&format!("{name}-{}", self.version), |folder| {
            let go = installed::find("go").ok_or_else(|| LocalError::Missing {
                what: format!("neither {name} nor Go to build it with is installed"),
                remedy: format!(
                    "install Go (package `golang-go`, or go.dev/dl), or {name} itself, in PATH or \
                     named by {}",
                    self.variable
                ),
            })?;
            notice(&format!(
                "building {} {} with Go, which takes {} the first time",
                self.name, self.version, self.build_minutes
            ));
            self.install(&go, folder)
        })?;
        Ok(part.join(name))
    }

    /// Leaves the program in `folder`, and nothing else anywhere.
    fn install(&self, go: &Path, folder: &Path) -> Result<(), LocalError> {
        let work = folder.join("go");
        let tmp = work.join("tmp");
        fs::create_dir_all(&tmp).map_err(LocalError::file("create", &tmp))?;
        let within = |name: &str| work.join(name).to_string_lossy().into_owned();
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let mut env = vec![
            ("GOPATH", within("path")),
            ("GOMODCACHE", within("modules")),
            ("GOCACHE", within("cache")),
            ("GOTMPDIR", text(&tmp)),
            ("GOBIN", text(folder)),
            ("GO111MODULE", "on".to_owned()),
            // No C compiler is needed, and the program runs beside any C library.
            ("CGO_ENABLED", "0".to_owned()),
            // Go counts its uses in the user's folder for settings.
            ("XDG_CONFIG_HOME", within("settings")),
        ];
        if let Some(settings) = go_settings() {
            env.push(("GOENV", text(&settings)));
        }
        let package = format!("{}@{}", self.package, self.module_version);
        let launch = Launch {
            program: go.to_owned(),
            // The folder of modules is removed below, which by default is not writable.
            args: strings(&["install", "-modcacherw", &package]),
            env: env.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            current_dir: folder.to_owned(),
            log: work.join("log"),
        };
        launch.run(&format!("build {}", self.name), folder, BUILD_TIMEOUT).map_err(
            LocalError::not_fetched(self.name, "Go needs the network or a mirror in GOPROXY"),
        )?;
        fs::remove_dir_all(&work).map_err(LocalError::file("remove", &work))
    }
}

/// The embedded one, which is this program.
fn embedded(options: &StackOptions) -> Result<Parts, LocalError> {
    Ok(Parts {
        version: s3::VERSION.to_owned(),
        program: aws::embedded_program(options)?,
        more: [(KIND.to_owned(), S3Server::Embedded.to_string())].into(),
    })
}

/// Whether a node is the embedded one.
pub(super) fn is_embedded(node: &Node) -> bool {
    node.parts.get(KIND) == S3Server::Embedded.to_string()
}

/// The file of settings that Go would read, proxies and mirrors among them.
fn go_settings() -> Option<PathBuf> {
    if env::var_os("GOENV").is_some() {
        return None;
    }
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || set("HOME").map(|home| home.join(".config"));
    Some(set("XDG_CONFIG_HOME").or_else(home)?.join("go").join("env"))
}

/// The version in what `--version` prints: `Version  : v1.0.14`, `minio version RELEASE.2025-...`.
fn version_in(said: &str) -> &str {
    let line = said.lines().find(|line| line.to_lowercase().contains("version")).unwrap_or("");
    let words = line.split_whitespace();
    let version = words.skip_while(|word| !word.eq_ignore_ascii_case("version"));
    let version = version.skip(1).find(|word| *word != ":").unwrap_or("of an unknown version");
    version.strip_prefix('v').unwrap_or(version)
}

/// Arguments and environment of a server. Keys are in the latter, where other users do not see them.
type Started = (Vec<String>, Vec<(&'static str, String)>);

fn versitygw(node: &Site<'_>, keys: &Keys) -> Started {
    let address = listen(node, "client");
    let data = node.data_dir().to_string_lossy().into_owned();
    let args = ["--quiet", "--port", &address, "--health", health(node), "posix", &data];
    let mut env = named(keys, "ROOT_ACCESS_KEY_ID", "ROOT_SECRET_ACCESS_KEY").to_vec();
    // By default it closes the connection after each request, as Amazon's does not.
    env.push(("VGW_KEEP_ALIVE", "true".to_owned()));
    (strings(&args), env)
}

fn minio(node: &Site<'_>, keys: &Keys) -> Started {
    let (address, console) = (listen(node, "client"), listen(node, "console"));
    let data = node.data_dir().to_string_lossy().into_owned();
    // It would look into the user's home.
    let certificates = node.config_dir().join("certs").to_string_lossy().into_owned();
    let places = ["--address", &address, "--console-address", &console, &data];
    let args = [&["server", "--quiet", "--certs-dir", &certificates], &places[..]].concat();
    let mut env = named(keys, "MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD").to_vec();
    env.extend(["MINIO_UPDATE", "MINIO_BROWSER"].map(|name| (name, "off".to_owned())));
    (strings(&args), env)
}

fn listen(node: &Site<'_>, port: &str) -> String {
    format!("127.0.0.1:{}", node.port(port))
}

/// The keys under names that a program expects.
fn named(keys: &Keys, access: &'static str, secret: &'static str) -> [(&'static str, String); 2] {
    [(access, keys.access_key.clone()), (secret, keys.secret_key.clone())]
}

fn keys_file(node: &Site<'_>) -> PathBuf {
    node.secrets_dir().join(KEYS)
}

fn read_keys(node: &Site<'_>) -> Result<Keys, LocalError> {
    let path = keys_file(node);
    let text = fs::read_to_string(&path).map_err(LocalError::file("read", &path))?;
    Ok(Keys::parse(&text))
}

fn is_minio(node: &Site<'_>) -> bool {
    node.node.parts.get(KIND) == S3Server::Minio.to_string()
}

fn health(node: &Site<'_>) -> &'static str {
    if is_minio(node) { "/minio/health/ready" } else { "/health" }
}

fn strings(arguments: &[&str]) -> Vec<String> {
    arguments.iter().map(|&argument| argument.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_the_servers_say() {
        let versitygw = "Version  : v1.0.14\nBuild    : 1a2b\nBuildTime: 2025-05-01\n";
        assert_eq!(version_in(versitygw), "1.0.14");
        let minio =
            "minio version RELEASE.2025-04-22T22-12-26Z (commit-id=0d7408fc)\nRuntime: go\n";
        assert_eq!(version_in(minio), "RELEASE.2025-04-22T22-12-26Z");
        assert_eq!(version_in("nothing of the kind"), "of an unknown version");
        assert_eq!(version_in(""), "of an unknown version");
    }

    #[test]
    fn results_name_what_a_write_is_worth() {
        let parts = VERSITYGW.parts(PathBuf::from("/bin/versitygw"), "1.8.0");
        assert_eq!(parts.version, "versitygw 1.8.0, no fsync");
        let parts = MINIO.parts(PathBuf::from("/bin/minio"), "2026-02-12");
        assert_eq!(parts.version, "MinIO 2026-02-12, metadata O_DSYNC");
    }
}
