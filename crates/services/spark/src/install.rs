//! Spark from `PyPI`, and its connector for Kafka from Maven, in the cache.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bench_stack::{Cache, Launch, Progress, StackError, maven, programs};

/// A version of Spark that can be installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SparkVersion {
    /// What users choose it by: `4.2`.
    pub series: &'static str,
    /// The release, pinned.
    pub release: &'static str,
    connector: maven::Artifact,
}

/// The versions, the default first.
pub const VERSIONS: [SparkVersion; 2] = [
    SparkVersion {
        series: "4.2",
        release: "4.2.0",
        connector: ("org.apache.spark", "spark-sql-kafka-0-10_2.13", "4.2.0"),
    },
    SparkVersion {
        series: "3.5",
        release: "3.5.7",
        connector: ("org.apache.spark", "spark-sql-kafka-0-10_2.12", "3.5.7"),
    },
];

/// The jars of the connector. What else Maven brings along is part of Spark already.
const CONNECTOR_JARS: [&str; 4] =
    ["commons-pool2-", "kafka-clients-", "spark-sql-kafka-", "spark-token-provider-kafka-"];

/// Time to download and unpack half a gigabyte over a slow connection.
const INSTALL_TIMEOUT: Duration = Duration::from_mins(20);

/// The folder of the Python environment in the cache's.
const ENVIRONMENT: &str = "python";

/// The program in that folder.
const PYTHON: &str = "bin/python3";

/// An installed Spark with all that a job needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    /// The release.
    pub release: &'static str,
    /// Spark's own folder, `SPARK_HOME`.
    pub home: PathBuf,
    /// The Python that has `PySpark`, `PYSPARK_PYTHON`.
    pub python: PathBuf,
    /// The Java that runs it, `JAVA_HOME`.
    pub java_home: PathBuf,
    /// The connector for Kafka, for `spark-submit --jars`.
    pub jars: Vec<PathBuf>,
}

/// Finds a version in the cache, or downloads it. A part that is incomplete is downloaded again.
pub fn install(
    cache: &Cache,
    version: &SparkVersion,
    progress: &mut Progress<'_>,
) -> Result<Installation, StackError> {
    let java_home = java_home(&maven::java()?)?;
    let (_, artifact, release) = version.connector;
    let name = format!("{artifact}-{release}");
    // First, so that nobody waits for half a gigabyte to learn that Maven is missing.
    let jars = connector_jars(&maven::jars(cache, &name, &[version.connector], progress)?)?;
    let environment = environment(cache, version, progress)?;
    let home = site_packages(&environment)?.join("pyspark");
    let python = environment.join(PYTHON);
    Ok(Installation { release: version.release, home, python, java_home, jars })
}

/// The Python environment with `PySpark`.
fn environment(
    cache: &Cache,
    version: &SparkVersion,
    progress: &mut Progress<'_>,
) -> Result<PathBuf, StackError> {
    let name = format!("pyspark-{}", version.release);
    let part = cache.dir().join(&name);
    if part.is_dir() && !is_whole(&part.join(ENVIRONMENT), version) {
        progress(&format!("{} is incomplete and is downloaded again", part.display()));
        fs::remove_dir_all(&part).map_err(StackError::file("remove", &part))?;
    }
    let part = cache.part(&name, |folder| {
        let python = programs::find("python3").ok_or_else(|| StackError::Missing {
            what: "Spark is downloaded by Python's pip, and there is no 'python3' in PATH".into(),
            remedy: "install Python (Debian: apt-get install python3 python3-venv)".into(),
        })?;
        progress(&format!(
            "downloading Spark {} from PyPI into {}, half a gigabyte",
            version.release,
            cache.dir().display()
        ));
        download(&python, version, folder)?;
        if is_whole(&folder.join(ENVIRONMENT), version) {
            return Ok(());
        }
        Err(StackError::Missing {
            what: format!("pip left Spark {} incomplete", version.release),
            remedy: "look for a full disk".to_owned(),
        })
    })?;
    Ok(part.join(ENVIRONMENT))
}

/// Fills `folder` with an environment. The log stays in it.
fn download(python: &Path, version: &SparkVersion, folder: &Path) -> Result<(), StackError> {
    let environment = folder.join(ENVIRONMENT);
    let launch = |program: PathBuf, args: &[&str]| Launch {
        program,
        args: args.iter().map(|&argument| argument.to_owned()).collect(),
        // Unpacking takes more room than a small /tmp has.
        env: vec![("TMPDIR".to_owned(), folder.display().to_string())],
        current_dir: folder.to_owned(),
        log: folder.join("pip.log"),
    };
    launch(python.to_owned(), &["-m", "venv", ENVIRONMENT])
        .run("create a Python environment", folder, INSTALL_TIMEOUT)
        .map_err(|error| match error {
            StackError::Command { last_lines, .. } if lacks_venv(&last_lines) => {
                StackError::Missing {
                    what: "Python cannot create an environment for Spark".to_owned(),
                    remedy: "install its module venv (Debian: apt-get install python3-venv)"
                        .to_owned(),
                }
            }
            other => StackError::not_fetched(
                &format!("Spark {}", version.release),
                "check that 'python3 -m venv' works",
            )(other),
        })?;
    let package = format!("pyspark=={}", version.release);
    let options =
        ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-cache-dir"];
    launch(environment.join(PYTHON), &[&options[..], &[&package]].concat())
        .run("download Spark with pip", folder, INSTALL_TIMEOUT)
        .map_err(StackError::not_fetched(
            &format!("Spark {}", version.release),
            "pip needs the network or a mirror in its configuration",
        ))
}

/// Whether Python has reported that its module for environments, or what Debian leaves out of it, is
/// missing.
fn lacks_venv(output: &str) -> bool {
    ["ensurepip", "No module named venv"].iter().any(|part| output.contains(part))
}

/// Whether every file that pip has listed is there in full, and the Python that it is for.
fn is_whole(environment: &Path, version: &SparkVersion) -> bool {
    // A link to the system's Python, which may have been replaced since.
    if !environment.join(PYTHON).is_file() {
        return false;
    }
    let Ok(site) = site_packages(environment) else { return false };
    let record = site.join(format!("pyspark-{}.dist-info/RECORD", version.release));
    let Ok(record) = fs::read_to_string(record) else { return false };
    // Path, hash, size; files that are compiled later have no size.
    let mut sized = record.lines().filter_map(|line| {
        let (rest, size_bytes) = line.rsplit_once(',')?;
        let (path, _hash) = rest.rsplit_once(',')?;
        Some((path.trim_matches('"'), size_bytes.parse::<u64>().ok()?))
    });
    let is_there = |(path, size_bytes): (&str, u64)| {
        fs::metadata(site.join(path)).is_ok_and(|found| found.len() == size_bytes)
    };
    sized.clone().count() > 0 && sized.all(is_there)
}

/// The folder of an environment's packages, whose name has Python's version.
fn site_packages(environment: &Path) -> Result<PathBuf, StackError> {
    let lib = environment.join("lib");
    let entries = fs::read_dir(&lib).map_err(StackError::file("read", &lib))?;
    let sites = entries.flatten().map(|entry| entry.path().join("site-packages"));
    sites.into_iter().find(|site| site.is_dir()).ok_or_else(|| StackError::Missing {
        what: format!("found no Python packages in {}", lib.display()),
        remedy: format!("remove {}, and it is created again", environment.display()),
    })
}

fn connector_jars(folder: &Path) -> Result<Vec<PathBuf>, StackError> {
    let entries = fs::read_dir(folder).map_err(StackError::file("read", folder))?;
    let mut jars: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    jars.retain(|jar| {
        let name = jar.file_name().unwrap_or_default().to_string_lossy();
        CONNECTOR_JARS.iter().any(|prefix| name.starts_with(prefix))
    });
    jars.sort();
    if jars.len() == CONNECTOR_JARS.len() {
        return Ok(jars);
    }
    Err(StackError::Missing {
        what: format!("{} does not hold Spark's connector for Kafka", folder.display()),
        remedy: "remove that folder, and it is downloaded again".to_owned(),
    })
}

/// The folder above `bin/java`, behind the links by which systems choose a Java.
fn java_home(java: &Path) -> Result<PathBuf, StackError> {
    let java = fs::canonicalize(java).map_err(StackError::file("find", java))?;
    Ok(java.parent().and_then(Path::parent).unwrap_or(Path::new("/")).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERSION: SparkVersion = VERSIONS[0];

    fn environment() -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a folder");
        let site = dir.path().join("lib/python3.11/site-packages");
        let info = site.join(format!("pyspark-{}.dist-info", VERSION.release));
        for folder in [&info, &site.join("pyspark/jars"), &dir.path().join("bin")] {
            fs::create_dir_all(folder).expect("created");
        }
        fs::write(dir.path().join(PYTHON), "").expect("written");
        fs::write(site.join("pyspark/jars/core.jar"), "12345").expect("written");
        let record = "pyspark/jars/core.jar,sha256=x,5\npyspark/__pycache__/x.pyc,,\n";
        fs::write(info.join("RECORD"), record).expect("written");
        dir
    }

    #[test]
    fn every_listed_file_must_be_there_in_full() {
        let dir = environment();
        let jar = dir.path().join("lib/python3.11/site-packages/pyspark/jars/core.jar");
        assert!(is_whole(dir.path(), &VERSION));
        assert!(!is_whole(dir.path(), &VERSIONS[1]), "another version");
        fs::write(&jar, "1234").expect("written");
        assert!(!is_whole(dir.path(), &VERSION), "cut off");
        fs::remove_file(&jar).expect("removed");
        assert!(!is_whole(dir.path(), &VERSION), "missing");
        let dir = environment();
        fs::remove_file(dir.path().join(PYTHON)).expect("removed");
        assert!(!is_whole(dir.path(), &VERSION), "without its Python");
        assert!(!is_whole(Path::new("/nonexistent"), &VERSION));
    }

    #[test]
    fn only_the_connector_is_taken_from_what_maven_brings() {
        let dir = tempfile::tempdir().expect("a folder");
        let write = |name: &str| fs::write(dir.path().join(name), "").expect("written");
        for name in ["commons-pool2-2.12.1.jar", "kafka-clients-3.9.2.jar", "lz4-java-1.8.0.jar"] {
            write(name);
        }
        assert!(connector_jars(dir.path()).expect_err("half").is_missing());
        write("spark-sql-kafka-0-10_2.13-4.2.0.jar");
        write("spark-token-provider-kafka-0-10_2.13-4.2.0.jar");
        assert_eq!(connector_jars(dir.path()).expect("all").len(), 4);
    }
}
