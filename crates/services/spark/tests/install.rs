//! Downloads of Spark with programs that stand in for Java, Maven and Python: what is missing or goes
//! wrong, and a part of an earlier download that is broken.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use bench_service_spark::{VERSIONS, install};
use bench_stack::Cache;
use tempfile::TempDir;

/// Marks the process that a test starts.
const DRIVER: &str = "BENCH_TEST_SPARK_DRIVER";

const JAVA: &str = r#"echo 'openjdk version "17.0.15" 2025-04-15' >&2"#;

/// Fetches jars that are nothing but the record that ends every jar.
const MAVEN: &str = "mkdir -p repository jars && for jar in commons-pool2 kafka-clients \
                     spark-sql-kafka spark-token-provider-kafka; do printf 'PK\\005\\006%018d' 0 \
                     >jars/$jar-1.jar; done";

/// What Debian's Python without python3-venv does.
const NO_VENV: &str = "echo 'The virtual environment was not created successfully because ensurepip \
                       is not'; echo 'available.  On Debian/Ubuntu systems, you need to install the \
                       python3-venv'; exit 1";

/// Creates an environment with itself as the Python of it, for which `pip` is a script.
fn python(pip: &str) -> String {
    format!(
        "case $2 in\n\
         venv) mkdir -p $3/bin $3/lib/python3.11/site-packages && cp $0 $3/bin/python3 ;;\n\
         pip) cd ${{0%/bin/python3}}/lib/python3.11/site-packages && {pip} ;;\n\
         esac"
    )
}

/// What pip does for a tiny Spark, of whose two files it may write one.
fn pip(writes: &str) -> String {
    let info = format!("pyspark-{}.dist-info", VERSIONS[0].release);
    format!(
        "mkdir -p pyspark/bin pyspark/jars {info} && echo one >pyspark/bin/spark-submit && {writes} && \
         printf 'pyspark/bin/spark-submit,sha256=x,4\\npyspark/jars/core.jar,sha256=x,4\\n' >{info}/RECORD"
    )
}

struct Machine {
    folder: TempDir,
}

impl Machine {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("bin")).expect("created");
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Installs a program. What it runs itself is found as everywhere.
    fn program(&self, name: &str, script: &str) {
        let file = self.path("bin").join(name);
        let script = format!("#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n");
        fs::write(&file, script).expect("written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("made executable");
    }

    /// What the driver prints about an installation.
    fn install(&self) -> String {
        let output = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "driver", "--ignored", "--nocapture"])
            .env(DRIVER, "1")
            .env("PATH", self.path("bin"))
            .env("BENCH_CACHE_DIR", self.path("cache"))
            .env_remove("JAVA_HOME")
            .output()
            .expect("it runs");
        String::from_utf8(output.stdout).expect("text")
    }

    #[track_caller]
    fn fails_with(&self, expected: &[&str]) {
        let output = self.install();
        for part in expected.iter().chain(&["missing: true"]) {
            assert!(output.contains(part), "{part}: {output}");
        }
    }
}

#[test]
fn missing_programs_are_named_with_a_remedy() {
    let machine = Machine::new();
    machine.fails_with(&["found no 'java' in PATH or JAVA_HOME; install Java 17 or later"]);
    machine.program("java", "echo 'openjdk version \"11.0.2\" 2019-01-15' >&2");
    machine.fails_with(&["is Java 11; install Java 17 or later"]);
    machine.program("java", JAVA);
    machine.fails_with(&["there is no 'mvn' in PATH; install Maven"]);
    machine.program("mvn", MAVEN);
    // Programs are found there, too.
    if !Path::new("/usr/local/bin/python3").exists() {
        machine.fails_with(&["there is no 'python3' in PATH; install Python"]);
    }
    machine.program("python3", NO_VENV);
    machine.fails_with(&["install its module venv (Debian: apt-get install python3-venv)"]);
    machine.program("python3", "echo 'No space left on device'; exit 1");
    machine.fails_with(&["check that 'python3 -m venv' works", "No space left on device"]);
    machine.program("python3", &python("echo 'ERROR: No matching distribution'; exit 1"));
    machine.fails_with(&["pip needs the network or a mirror", "ERROR: No matching distribution"]);
    machine.program("python3", &python(&pip("true")));
    machine.fails_with(&["pip left Spark 4.2.0 incomplete; look for a full disk"]);
    let left = fs::read_dir(machine.path("cache")).expect("the cache").count();
    assert_eq!(left, 1, "the connector, and no half of Spark");
}

#[test]
fn broken_downloads_are_fetched_again() {
    let machine = Machine::new();
    machine.program("java", JAVA);
    machine.program("mvn", MAVEN);
    machine.program("python3", &python(&pip("echo two >pyspark/jars/core.jar")));
    let output = machine.install();
    assert!(output.contains("installed") && output.contains("downloading Spark"), "{output}");
    let output = machine.install();
    assert!(output.contains("installed") && !output.contains("downloading"), "{output}");
    let environment = machine.path("cache/pyspark-4.2.0/python");
    let jar = environment.join("lib/python3.11/site-packages/pyspark/jars/core.jar");
    fs::write(&jar, "tw").expect("cut off");
    let output = machine.install();
    assert!(output.contains("is incomplete and is downloaded again"), "{output}");
    assert!(output.contains("installed"), "{output}");
    assert_eq!(fs::read_to_string(jar).expect("there"), "two\n");
    fs::remove_file(environment.join("bin/python3")).expect("removed");
    let output = machine.install();
    assert!(output.contains("installed") && output.contains("downloading Spark"), "{output}");
    let parts = fs::read_dir(machine.path("cache")).expect("the cache");
    let mut jars = parts.flatten().map(|part| part.path().join("jars/kafka-clients-1.jar"));
    fs::write(jars.find(|jar| jar.exists()).expect("the connector"), "PK").expect("cut off");
    let output = machine.install();
    assert!(output.contains("kafka-clients-1.jar is cut off"), "{output}");
    assert!(output.contains("installed") && !output.contains("downloading Spark"), "{output}");
    assert!(!machine.install().contains("downloading"), "all is whole");
}

/// Not a test but the process that the tests above start: installs Spark with the programs in PATH.
#[test]
#[ignore = "is started by other tests"]
#[expect(clippy::print_stdout, reason = "read by the tests that start it")]
fn driver() {
    if std::env::var_os(DRIVER).is_none() {
        return;
    }
    let cache = Cache::from_environment().expect("a cache");
    match install(&cache, &VERSIONS[0], &mut |progress| println!("{progress}")) {
        Ok(spark) => println!("installed {}", spark.home.display()),
        Err(error) => println!("{error} (missing: {})", error.is_missing()),
    }
}
