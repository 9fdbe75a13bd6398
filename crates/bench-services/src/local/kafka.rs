//! Apache Kafka: one node, or several that form a cluster, each broker and controller in one.

mod config;
mod health;
mod security;

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::process::Launch;
use super::server::{Notice, Parts, Server, Site};
use super::{Cache, LocalError, Service, StackOptions, interruptible, interruption, maven, secret};
pub(super) use config::{Listener, properties};

/// The version that is fetched.
const VERSION: &str = "4.3.1";

/// What Kafka, its command line tools and Connect consist of.
const ARTIFACTS: [maven::Artifact; 6] = [
    ("org.apache.kafka", "kafka_2.13", VERSION),
    ("org.apache.kafka", "kafka-tools", VERSION),
    ("org.apache.kafka", "connect-runtime", VERSION),
    ("org.apache.kafka", "connect-file", VERSION),
    ("org.apache.kafka", "connect-json", VERSION),
    ("org.apache.logging.log4j", "log4j-slf4j-impl", "2.24.3"),
];

/// The variables that name an installed Kafka.
const CLASS_PATH_VARIABLE: &str = "BENCH_KAFKA_CLASSPATH";
const HOME_VARIABLE: &str = "KAFKA_HOME";

/// The first version that is configured the way it is here.
const MAJOR_MIN: u32 = 4;

/// The part of [`Parts::more`] that has the class path.
pub(super) const CLASS_PATH: &str = "class_path";

/// How long initialising a node's storage may take.
const FORMAT_TIMEOUT: Duration = Duration::from_mins(1);

/// The log of a Java server shows what goes wrong, and nothing else.
pub(super) const LOGGING: &str = "status=error\nrootLogger.level=warn\nrootLogger.appenderRef.c.ref=C\n\
                       appender.c.type=Console\nappender.c.name=C\n\
                       appender.c.layout.type=PatternLayout\n\
                       appender.c.layout.pattern=%d %p %c %m%n\n";

/// Apache Kafka.
pub(super) struct Kafka;

impl Server for Kafka {
    fn fetch(
        &self,
        cache: &Cache,
        _options: &StackOptions,
        notice: &mut Notice<'_>,
    ) -> Result<Parts, LocalError> {
        let program = maven::java()?;
        let (class_path, version) = class_path(cache, notice)?;
        Ok(Parts {
            version: format!("Apache Kafka {version}"),
            program,
            more: BTreeMap::from([(CLASS_PATH.to_owned(), class_path)]),
        })
    }

    fn ports(&self, options: &StackOptions) -> Vec<&'static str> {
        Listener::of(options).into_iter().map(Listener::name).collect()
    }

    fn prepare(&self, nodes: &[Site<'_>]) -> Result<(), LocalError> {
        let Some(first) = nodes.first() else { return Ok(()) };
        let password = secret::password()?;
        security::write_certificates(&first.secrets_dir())?;
        security::write_clients_files(nodes, &password)?;
        for node in nodes {
            secret::write(&server_properties(node), &config::server_properties(node, &password))?;
            secret::write(&logging_properties(node), LOGGING)?;
        }
        format_storage(nodes, &password)
    }

    fn launch(&self, node: &Site<'_>) -> Result<Launch, LocalError> {
        let heap = if node.record.options.brokers == 1 { "-Xmx512m" } else { "-Xmx384m" };
        // The collector and its goals are those of Kafka's own start script.
        let options = [heap, "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-Djava.awt.headless=true"];
        let main = ["kafka.Kafka".to_owned(), server_properties(node).display().to_string()];
        Ok(java(node, &options, &main))
    }

    fn check(&self, node: &Site<'_>) -> Result<(), String> {
        health::check(node)
    }

    fn address(&self, node: &Site<'_>) -> String {
        servers(&[*node], Listener::Plaintext)
    }

    fn environment(&self, nodes: &[Site<'_>]) -> Vec<(String, String)> {
        let mut all =
            vec![("KAFKA_BOOTSTRAP_SERVERS".to_owned(), servers(nodes, Listener::Plaintext))];
        if let Some(first) = nodes.first() {
            let class_path = first.node.parts.get(CLASS_PATH).to_owned();
            all.push((CLASS_PATH_VARIABLE.to_owned(), class_path));
        }
        all
    }
}

/// Where one listener of each of the nodes is. Nothing for those that do not have it.
pub(super) fn addresses(nodes: &[Site<'_>], listener: Listener) -> Vec<SocketAddr> {
    let ports = nodes.iter().filter_map(|node| node.node.ports.get(listener.name()));
    ports.map(|&port| SocketAddr::from((Ipv4Addr::LOCALHOST, port))).collect()
}

/// The same, for clients.
pub(super) fn servers(nodes: &[Site<'_>], listener: Listener) -> String {
    let addresses: Vec<String> =
        addresses(nodes, listener).iter().map(ToString::to_string).collect();
    addresses.join(",")
}

/// A Java program of a node, from the node's class path, which leaves no trace outside the stack's
/// folder.
pub(super) fn java(node: &Site<'_>, options: &[&str], main: &[String]) -> Launch {
    let mut args: Vec<String> = options.iter().map(ToString::to_string).collect();
    args.push("-XX:-UsePerfData".to_owned());
    args.push(format!("-Djava.io.tmpdir={}", node.tmp_dir().display()));
    args.push(format!("-Dlog4j2.configurationFile={}", logging_properties(node).display()));
    args.extend(["-cp".to_owned(), node.node.parts.get(CLASS_PATH).to_owned()]);
    args.extend_from_slice(main);
    Launch {
        program: node.node.parts.program.clone(),
        args,
        env: Vec::new(),
        // Java leaves notes about its own failures where it runs.
        current_dir: node.config_dir(),
        log: node.log(),
    }
}

/// Initialises the storage of all nodes, at the same time, and creates the users.
fn format_storage(nodes: &[Site<'_>], password: &str) -> Result<(), LocalError> {
    let id = &secret::password()?[..22];
    std::thread::scope(|scope| {
        let format = |node: &Site<'_>| -> Result<(), LocalError> {
            // In a file, because everybody can read a command line.
            let users = node.config_dir().join("users");
            secret::write(&users, &security::users(password))?;
            let config = server_properties(node).display().to_string();
            let main = ["kafka.tools.StorageTool", "format", "-t", id, "-c", &config];
            let mut main: Vec<String> = main.map(String::from).to_vec();
            main.push(format!("@{}", users.display()));
            let purpose = format!("initialise the storage of {}", node.node.name);
            let options = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx128m"];
            // It says what the users' credentials are, which the node's log is not to know.
            let log = node.config_dir().join("format.log");
            let launch = Launch { log: log.clone(), ..java(node, &options, &main) };
            launch.run(&purpose, node.dir, FORMAT_TIMEOUT)?;
            for done_with in [users, log] {
                fs::remove_file(&done_with).map_err(LocalError::file("remove", &done_with))?;
            }
            Ok(())
        };
        // What interrupts this thread interrupts those, too.
        let flag = interruption::current();
        let start = |node| {
            let flag = Arc::clone(&flag);
            scope.spawn(move || interruptible(&flag, || format(node)))
        };
        let running: Vec<_> = nodes.iter().map(start).collect();
        // A panic of such a thread would be one of this crate.
        running.into_iter().try_for_each(|thread| thread.join().unwrap_or(Ok(())))
    })
}

/// The class path of Kafka, and its version.
fn class_path(cache: &Cache, notice: &mut Notice<'_>) -> Result<(String, String), LocalError> {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let (class_path, origin) = if let Some(class_path) = set(CLASS_PATH_VARIABLE) {
        (class_path, CLASS_PATH_VARIABLE)
    } else if let Some(home) = set(HOME_VARIABLE) {
        (format!("{home}/libs/*"), HOME_VARIABLE)
    } else {
        let jars = maven::jars(cache, &format!("kafka-{VERSION}"), &ARTIFACTS, notice)?;
        (format!("{}/*", jars.display()), "Maven")
    };
    let missing = |what: String| LocalError::Missing {
        what: format!("{origin} names {what}"),
        remedy: format!("name Kafka {MAJOR_MIN} or later, or unset it to have Kafka fetched"),
    };
    let version = version(&class_path)
        .ok_or_else(|| missing(format!("'{class_path}', where there is no kafka-clients jar")))?;
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_none_or(|major| major < MAJOR_MIN) {
        return Err(missing(format!("Kafka {version}")));
    }
    Ok((class_path, version))
}

/// The version in the name of `kafka-clients-VERSION.jar`.
fn version(class_path: &str) -> Option<String> {
    let of_name = |name: &str| {
        let version = name.strip_prefix("kafka-clients-")?.strip_suffix(".jar")?;
        version.starts_with(|first: char| first.is_ascii_digit()).then(|| version.to_owned())
    };
    let of_entry = |entry: &str| match entry.strip_suffix('*') {
        Some(folder) => {
            let files = fs::read_dir(folder).ok()?.flatten();
            files.filter_map(|file| of_name(file.file_name().to_str()?)).max()
        }
        None => of_name(Path::new(entry).file_name()?.to_str()?),
    };
    class_path.split(':').find_map(of_entry)
}

fn server_properties(node: &Site<'_>) -> PathBuf {
    node.config_dir().join("server.properties")
}

/// Where [`java`] expects [`LOGGING`].
pub(super) fn logging_properties(node: &Site<'_>) -> PathBuf {
    node.config_dir().join("log4j2.properties")
}

/// The number in `kafka-N`.
fn number(node: &Site<'_>) -> u32 {
    let number = node.node.name.rsplit('-').next().and_then(|number| number.parse().ok());
    // The names were checked when the record was read.
    number.unwrap_or_default()
}

/// All nodes of the cluster that a node belongs to.
fn cluster<'a>(node: &Site<'a>) -> Vec<Site<'a>> {
    node.nodes_of(Service::Kafka)
}
