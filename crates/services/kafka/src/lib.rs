//! Apache Kafka on this machine: one node, or several that form a cluster, each broker and
//! controller in one; and the client of its [stand-in](stand_in).

mod config;
mod health;
mod listener;
mod nodes;
mod security;
pub mod stand_in;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bench_record::ServiceOrigin;
use bench_stack::{
    Cache, Embedded, Launch, NodeContext, Parts, Progress, Service, ServiceOption, ServiceOptions,
    StackError, current_interruption, interruptible, maven, secret,
};
use listener::Listener;
use nodes::{BROKERS, BROKERS_MAX, brokers, node_names, servers};

pub use config::properties;
pub use nodes::NAME;

/// The version that is downloaded.
const VERSION: &str = "4.3.1";

/// The artifacts of Kafka, its command line tools and Connect.
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

/// The first version with this form of configuration.
const MAJOR_MIN: u32 = 4;

/// The key of the class path in [`Parts::more`].
const CLASS_PATH: &str = "class_path";

/// Time to initialise a node's storage.
const FORMAT_TIMEOUT: Duration = Duration::from_mins(1);

/// Logging of a Java server: warnings and errors only.
pub const LOGGING: &str = "status=error\nrootLogger.level=warn\nrootLogger.appenderRef.c.ref=C\n\
                       appender.c.type=Console\nappender.c.name=C\n\
                       appender.c.layout.type=PatternLayout\n\
                       appender.c.layout.pattern=%d %p %c %m%n\n";

const OPTIONS: &[ServiceOption] = &[ServiceOption {
    key: BROKERS,
    flag: Some("brokers"),
    value_name: "N",
    help: "Kafka brokers; several form a replicated cluster",
    default: "1",
    check: |value| match value.parse() {
        Ok(1..=BROKERS_MAX) => Ok(()),
        Ok(_) => Err(format!("must be 1 to {BROKERS_MAX}, not {value}")),
        Err(_) => Err(format!("'{value}' is not a number from 1 to {BROKERS_MAX}")),
    },
}];

/// Apache Kafka. Besides its options it takes settings of the brokers, whose keys have dots:
/// `min.insync.replicas`.
#[derive(Debug)]
pub struct Kafka;

impl Service for Kafka {
    fn name(&self) -> &'static str {
        NAME
    }

    fn title(&self) -> &'static str {
        "Kafka"
    }

    fn is_default(&self) -> bool {
        true
    }

    fn embedded(&self) -> Embedded {
        Embedded::No
    }

    fn options(&self) -> &'static [ServiceOption] {
        OPTIONS
    }

    fn claims(&self, key: &str) -> bool {
        is_broker_setting(key)
    }

    fn check_setting(&self, key: &str, value: &str) -> Result<(), String> {
        if !is_broker_setting(key) {
            return bench_stack::check_listed(OPTIONS, key, value)
                .map_err(|problem| format!("{problem}, or a setting of the brokers with a dot"));
        }
        let is_one_line = |text: &str| !text.chars().any(char::is_control);
        if key.trim().is_empty() || !is_one_line(key) || !is_one_line(value) {
            return Err("must be one line of text".to_owned());
        }
        Ok(())
    }

    fn difference(&self, old: &ServiceOptions, new: &ServiceOptions) -> Option<String> {
        if brokers(old) != brokers(new) {
            return Some(format!("has {} broker(s), not {}", brokers(old), brokers(new)));
        }
        if old.settings != new.settings {
            return Some("has other Kafka settings".to_owned());
        }
        (old != new).then(|| "has Kafka behind other proxies, or none".to_owned())
    }

    fn tool_options(&self) -> &'static [&'static str] {
        &["bootstrap-servers", "bootstrap-server"]
    }

    fn node_names(&self, options: &ServiceOptions) -> Vec<String> {
        node_names(brokers(options))
    }

    fn possible_node_names(&self) -> Vec<String> {
        node_names(BROKERS_MAX)
    }

    fn bears_process_faults(&self) -> bool {
        true
    }

    fn proxied_port(&self) -> Option<&'static str> {
        Some(Listener::Proxied.name())
    }

    fn fetch(
        &self,
        cache: &Cache,
        _options: &ServiceOptions,
        progress: &mut Progress<'_>,
    ) -> Result<Parts, StackError> {
        let program = maven::java()?;
        let (class_path, version) = class_path(cache, progress)?;
        let version = format!("Apache Kafka {version}");
        Ok(Parts::new(version, ServiceOrigin::Local, program).with(CLASS_PATH, class_path))
    }

    fn ports(&self, options: &ServiceOptions) -> Vec<&'static str> {
        Listener::of(options).into_iter().map(Listener::name).collect()
    }

    fn prepare(&self, nodes: &[NodeContext<'_>]) -> Result<(), StackError> {
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

    fn launch(&self, node: &NodeContext<'_>) -> Result<Launch, StackError> {
        let heap = if brokers(node.options()) == 1 { "-Xmx512m" } else { "-Xmx384m" };
        // The collector and its goals are those of Kafka's own start script.
        let options = [heap, "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-Djava.awt.headless=true"];
        let main = ["kafka.Kafka".to_owned(), server_properties(node).display().to_string()];
        Ok(java(node, &options, &main))
    }

    fn check(&self, node: &NodeContext<'_>) -> Result<(), String> {
        health::check(node)
    }

    fn address(&self, node: &NodeContext<'_>) -> String {
        servers(&[*node], Listener::Plaintext)
    }

    fn environment(&self, nodes: &[NodeContext<'_>]) -> Vec<(String, String)> {
        let proxies: Vec<String> =
            nodes.iter().filter_map(|node| Some(format!("127.0.0.1:{}", node.proxy()?))).collect();
        let servers = match &proxies[..] {
            [] => servers(nodes, Listener::Plaintext),
            proxies => proxies.join(","),
        };
        let mut all = vec![("KAFKA_BOOTSTRAP_SERVERS".to_owned(), servers)];
        if let Some(first) = nodes.first() {
            let class_path = first.parts().get(CLASS_PATH).to_owned();
            all.push((CLASS_PATH_VARIABLE.to_owned(), class_path));
        }
        all
    }
}

fn is_broker_setting(key: &str) -> bool {
    key.contains('.')
}

/// A Java program of a node, from the node's class path, which writes only in the stack's folder.
pub fn java(node: &NodeContext<'_>, options: &[&str], main: &[String]) -> Launch {
    let mut args: Vec<String> = options.iter().map(ToString::to_string).collect();
    args.push("-XX:-UsePerfData".to_owned());
    args.push(format!("-Djava.io.tmpdir={}", node.tmp_dir().display()));
    args.push(format!("-Dlog4j2.configurationFile={}", logging_properties(node).display()));
    args.extend(["-cp".to_owned(), node.parts().get(CLASS_PATH).to_owned()]);
    args.extend_from_slice(main);
    Launch {
        // Java writes reports of its own crashes to where it runs.
        current_dir: node.config_dir(),
        ..node.launch(args)
    }
}

/// Initialises the storage of all nodes concurrently, and creates the users.
fn format_storage(nodes: &[NodeContext<'_>], password: &str) -> Result<(), StackError> {
    let id = &secret::password()?[..22];
    std::thread::scope(|scope| {
        let format = |node: &NodeContext<'_>| -> Result<(), StackError> {
            // In a file, since other users can read a command line.
            let users = node.config_dir().join("users");
            secret::write(&users, &security::users(password))?;
            let config = server_properties(node).display().to_string();
            let main = ["kafka.tools.StorageTool", "format", "-t", id, "-c", &config];
            let mut main: Vec<String> = main.map(String::from).to_vec();
            main.push(format!("@{}", users.display()));
            let purpose = format!("initialise the storage of {}", node.name());
            let options = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx128m"];
            // It prints the users' credentials, which must not reach the node's log.
            let log = node.config_dir().join("format.log");
            let launch = Launch { log: log.clone(), ..java(node, &options, &main) };
            launch.run(&purpose, node.stack_dir(), FORMAT_TIMEOUT)?;
            for done_with in [users, log] {
                fs::remove_file(&done_with).map_err(StackError::file("remove", &done_with))?;
            }
            Ok(())
        };
        let flag = current_interruption();
        let start = |node| {
            let flag = Arc::clone(&flag);
            scope.spawn(move || interruptible(&flag, || format(node)))
        };
        let running: Vec<_> = nodes.iter().map(start).collect();
        // A panic there would be a bug in this crate.
        running.into_iter().try_for_each(|thread| thread.join().unwrap_or(Ok(())))
    })
}

/// The class path of Kafka, and its version.
fn class_path(cache: &Cache, progress: &mut Progress<'_>) -> Result<(String, String), StackError> {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let (class_path, origin) = if let Some(class_path) = set(CLASS_PATH_VARIABLE) {
        (class_path, CLASS_PATH_VARIABLE)
    } else if let Some(home) = set(HOME_VARIABLE) {
        (format!("{home}/libs/*"), HOME_VARIABLE)
    } else {
        let jars = maven::jars(cache, &format!("kafka-{VERSION}"), &ARTIFACTS, progress)?;
        (format!("{}/*", jars.display()), "Maven")
    };
    let missing = |what: String| StackError::Missing {
        what: format!("{origin} is {what}"),
        remedy: format!("use Kafka {MAJOR_MIN} or later, or unset it to download Kafka"),
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

fn server_properties(node: &NodeContext<'_>) -> PathBuf {
    node.config_dir().join("server.properties")
}

/// The file in which [`java`] expects [`LOGGING`].
#[must_use]
pub fn logging_properties(node: &NodeContext<'_>) -> PathBuf {
    node.config_dir().join("log4j2.properties")
}
