//! Apache Spark on this machine: a standalone master, and workers that run the executors of jobs.

mod install;
mod state;

use std::fs;
use std::path::PathBuf;

use bench_record::ServiceOrigin;
use bench_stack::{
    Cache, Embedded, Launch, NodeContext, Parts, Progress, Service, ServiceOption, ServiceOptions,
    StackError, one_of,
};

pub use install::{Installation, SparkVersion, VERSIONS, install};

/// Its name as a service.
pub const NAME: &str = "spark";

/// The variable for the address of the master, `spark://HOST:PORT`.
pub const MASTER_VARIABLE: &str = "SPARK_MASTER";

/// The variable for Spark's own folder, which Spark's programs know.
pub const HOME_VARIABLE: &str = "SPARK_HOME";

/// The variable for the Python that has `PySpark`, which Spark's programs know.
pub const PYTHON_VARIABLE: &str = "PYSPARK_PYTHON";

/// The variable for the jars of the connector for Kafka, separated by commas.
pub const JARS_VARIABLE: &str = "BENCH_SPARK_JARS";

/// The keys of the options.
const VERSION: &str = "version";
const WORKERS: &str = "workers";
const CORES: &str = "cores";
const MEMORY: &str = "memory";

/// Defaults of the options, as they are given.
const WORKERS_DEFAULT: &str = "1";
const CORES_DEFAULT: &str = "4";
const MEMORY_DEFAULT: &str = "2g";

/// Most workers of a local cluster.
const WORKERS_MAX: u32 = 16;

/// Most cores of a worker. Spark offers as many as it is told, whatever the machine has.
const CORES_MAX: u32 = 256;

/// The names of ports.
const RPC: &str = "rpc";
const WEB: &str = "web";

/// The keys of [`Parts::more`].
const HOME: &str = "home";
const PYTHON: &str = "python";
const JAVA_HOME: &str = "java_home";
const JARS: &str = "jars";

/// The name of the master, and the beginning of those of workers.
const MASTER_NODE: &str = "spark-master";
const WORKER_NODE: &str = "spark-worker-";

/// Memory of a master or worker itself; executors have their own.
const DAEMON_MEMORY: &str = "256m";

/// Logging of master and workers: warnings and errors.
const LOGGING: &str = "rootLogger.level=warn\nrootLogger.appenderRef.c.ref=C\n\
                       appender.c.type=Console\nappender.c.name=C\n\
                       appender.c.target=SYSTEM_ERR\n\
                       appender.c.layout.type=PatternLayout\n\
                       appender.c.layout.pattern=%d %p %c %m%n\n";

const OPTIONS: &[ServiceOption] = &[
    ServiceOption {
        key: VERSION,
        flag: None,
        value_name: "VERSION",
        help: "Version of Spark: 4.2 or 3.5",
        default: VERSIONS[0].series,
        check: |value| one_of(&VERSIONS.map(|version| version.series), value),
    },
    ServiceOption {
        key: WORKERS,
        flag: None,
        value_name: "N",
        help: "Spark workers",
        default: WORKERS_DEFAULT,
        check: |value| check_number(value, WORKERS_MAX),
    },
    ServiceOption {
        key: CORES,
        flag: None,
        value_name: "N",
        help: "Cores that each Spark worker offers",
        default: CORES_DEFAULT,
        check: |value| check_number(value, CORES_MAX),
    },
    ServiceOption {
        key: MEMORY,
        flag: None,
        value_name: "SIZE",
        help: "Memory that each Spark worker offers to executors: 2g, 1500m",
        default: MEMORY_DEFAULT,
        check: check_memory,
    },
];

/// Apache Spark.
#[derive(Debug)]
pub struct Spark;

impl Service for Spark {
    fn name(&self) -> &'static str {
        NAME
    }

    fn title(&self) -> &'static str {
        "Spark"
    }

    fn embedded(&self) -> Embedded {
        Embedded::No
    }

    fn options(&self) -> &'static [ServiceOption] {
        OPTIONS
    }

    fn difference(&self, old: &ServiceOptions, new: &ServiceOptions) -> Option<String> {
        let other = OPTIONS.iter().find(|option| value(old, option) != value(new, option))?;
        let (has, wants) = (value(old, other), value(new, other));
        Some(format!("has Spark with {} {has}, not {wants}", other.key))
    }

    fn tool_options(&self) -> &'static [&'static str] {
        &["master", "spark-home"]
    }

    fn node_names(&self, options: &ServiceOptions) -> Vec<String> {
        node_names(setting(options, WORKERS).parse().unwrap_or(1))
    }

    fn possible_node_names(&self) -> Vec<String> {
        node_names(WORKERS_MAX)
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
        let series = setting(options, VERSION);
        let version = VERSIONS.iter().find(|version| version.series == series);
        let spark = install(cache, version.unwrap_or(&VERSIONS[0]), progress)?;
        let text = |path: &PathBuf| path.display().to_string();
        let jars: Vec<String> = spark.jars.iter().map(text).collect();
        let version = format!("Apache Spark {}", spark.release);
        let parts = Parts::new(version, ServiceOrigin::Local, spark.home.join("bin/spark-class"));
        Ok(parts
            .with(HOME, text(&spark.home))
            .with(PYTHON, text(&spark.python))
            .with(JAVA_HOME, text(&spark.java_home))
            .with(JARS, jars.join(",")))
    }

    fn ports(&self, _options: &ServiceOptions) -> Vec<&'static str> {
        vec![RPC, WEB]
    }

    fn prepare(&self, nodes: &[NodeContext<'_>]) -> Result<(), StackError> {
        for node in nodes {
            let file = node.config_dir().join("log4j2.properties");
            fs::write(&file, LOGGING).map_err(StackError::file("write", &file))?;
        }
        Ok(())
    }

    fn launch(&self, node: &NodeContext<'_>) -> Result<Launch, StackError> {
        let class = if is_master(node) { "master.Master" } else { "worker.Worker" };
        let mut args = vec![format!("org.apache.spark.deploy.{class}")];
        let (port, web) = (node.port(RPC).to_string(), node.port(WEB).to_string());
        args.extend(["--host", "127.0.0.1", "--port", &port, "--webui-port", &web].map(Into::into));
        if !is_master(node) {
            let (cores, memory) = (setting(node.options(), CORES), setting(node.options(), MEMORY));
            args.extend(["--cores", cores, "--memory", memory].map(Into::into));
            args.extend(master(node).map(|master| self.address(&master)));
        }
        Ok(Launch { env: environment_of(node), ..node.launch(args) })
    }

    fn check(&self, node: &NodeContext<'_>) -> Result<(), String> {
        let own = state::of(node.port(WEB))?;
        if is_master(node) {
            return own.is_serving();
        }
        match master(node).filter(NodeContext::is_running) {
            Some(master) => state::of(master.port(WEB))?.lists(&own),
            // Nobody can list it; that it runs is all it can do.
            None => Ok(()),
        }
    }

    fn address(&self, node: &NodeContext<'_>) -> String {
        let scheme = if is_master(node) { "spark://" } else { "" };
        format!("{scheme}127.0.0.1:{}", node.port(RPC))
    }

    fn environment(&self, nodes: &[NodeContext<'_>]) -> Vec<(String, String)> {
        let Some(master) = nodes.iter().find(|node| is_master(node)) else { return Vec::new() };
        let of = |key: &str| master.parts().get(key).to_owned();
        let all = [
            (MASTER_VARIABLE, self.address(master)),
            (HOME_VARIABLE, of(HOME)),
            (PYTHON_VARIABLE, of(PYTHON)),
            (JARS_VARIABLE, of(JARS)),
        ];
        all.map(|(name, value)| (name.to_owned(), value)).to_vec()
    }
}

/// The environment of a master or a worker, whose executors inherit it.
fn environment_of(node: &NodeContext<'_>) -> Vec<(String, String)> {
    let text = |path: PathBuf| path.display().to_string();
    let of = |key: &str| node.parts().get(key).to_owned();
    let data = node.data_dir();
    // A master that comes back knows its workers and jobs from a file. Its port for submissions by
    // REST is fixed, and would be taken in a second stack. A port that is taken must be an error: on
    // the next one, nobody would look for the answer.
    let java_options = format!(
        "-XX:-UsePerfData -Djava.io.tmpdir={} -Dspark.master.rest.enabled=false \
         -Dspark.port.maxRetries=0 \
         -Dspark.deploy.recoveryMode=FILESYSTEM -Dspark.deploy.recoveryDirectory={}",
        text(node.tmp_dir()),
        text(data.join("recovery")),
    );
    let all = [
        ("SPARK_HOME", of(HOME)),
        ("PYSPARK_PYTHON", of(PYTHON)),
        ("JAVA_HOME", of(JAVA_HOME)),
        ("SPARK_CONF_DIR", text(node.config_dir())),
        ("SPARK_LOCAL_IP", "127.0.0.1".to_owned()),
        ("SPARK_LOCAL_DIRS", text(data.join("local"))),
        ("SPARK_WORKER_DIR", text(data.join("work"))),
        ("SPARK_LOG_DIR", text(data.join("logs"))),
        ("SPARK_DAEMON_MEMORY", DAEMON_MEMORY.to_owned()),
        ("SPARK_DAEMON_JAVA_OPTS", java_options),
    ];
    all.map(|(name, value)| (name.to_owned(), value)).to_vec()
}

fn node_names(workers: u32) -> Vec<String> {
    let workers = (1..=workers).map(|number| format!("{WORKER_NODE}{number}"));
    std::iter::once(MASTER_NODE.to_owned()).chain(workers).collect()
}

fn is_master(node: &NodeContext<'_>) -> bool {
    node.name() == MASTER_NODE
}

fn master<'a>(node: &NodeContext<'a>) -> Option<NodeContext<'a>> {
    node.nodes_of(NAME).into_iter().find(is_master)
}

fn setting<'a>(options: &'a ServiceOptions, key: &str) -> &'a str {
    let option = OPTIONS.iter().find(|option| option.key == key);
    option.map_or("", |option| value(options, option))
}

fn value<'a>(options: &'a ServiceOptions, option: &ServiceOption) -> &'a str {
    options.get(option.key).unwrap_or(option.default)
}

fn check_number(value: &str, max: u32) -> Result<(), String> {
    match value.parse::<u32>() {
        Ok(number) if (1..=max).contains(&number) => Ok(()),
        Ok(_) => Err(format!("must be 1 to {max}, not {value}")),
        Err(_) => Err(format!("'{value}' is not a number from 1 to {max}")),
    }
}

/// Spark's form: a number and `m` or `g`. An executor takes at least a gigabyte by default.
fn check_memory(value: &str) -> Result<(), String> {
    let mebibytes = |factor: u64| move |number: u64| number.checked_mul(factor);
    let size = match value.split_at_checked(value.len().saturating_sub(1)) {
        Some((number, "m")) => number.parse().ok().and_then(mebibytes(1)),
        Some((number, "g")) => number.parse().ok().and_then(mebibytes(1024)),
        _ => None,
    };
    match size {
        Some(1024..=1_048_576) => Ok(()),
        Some(_) => Err(format!("must be 1g to 1024g, not {value}")),
        None => Err(format!("'{value}' is not a size such as 2g or 1500m")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_memory_have_sparks_form() {
        for good in ["1g", "1024m", "1500m", "64g"] {
            assert_eq!(check_memory(good), Ok(()), "{good}");
        }
        for bad in ["", "g", "2", "2G", "2 g", "-1g", "1023m", "0g", "9999999999999999999g", "2ä"]
        {
            assert!(check_memory(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_cluster_has_a_master_and_its_workers() {
        assert_eq!(
            Spark.node_names(&ServiceOptions::default()),
            ["spark-master", "spark-worker-1"]
        );
        assert_eq!(Spark.possible_node_names().len(), 17);
    }

    #[test]
    fn clusters_differ_in_what_was_asked_not_in_what_was_left_out() {
        let with = |key: &str, value: &str| {
            let mut options = ServiceOptions::default();
            options.settings.insert(key.to_owned(), value.to_owned());
            options
        };
        let default = ServiceOptions::default();
        assert_eq!(Spark.difference(&default, &with(VERSION, "4.2")), None);
        let other = Spark.difference(&default, &with(VERSION, "3.5")).expect("differs");
        assert_eq!(other, "has Spark with version 4.2, not 3.5");
        assert!(Spark.difference(&default, &with(MEMORY, "3g")).is_some());
    }
}
