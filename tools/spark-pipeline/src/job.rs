//! The streaming job: how it is submitted, and its process.

use std::fs::{self, OpenOptions};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use bench_cli::UsageError;
use bench_service_spark as spark;
use bench_stack::Cache;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::options::SparkArgs;

/// The job, unless the user has another.
const JOB: &str = include_str!("../../../experiments/kafka-spark/stream.py");

/// Time for a job to end by itself after it was asked to: it ends its batch first.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// Interval between looks at the process.
const POLL: Duration = Duration::from_millis(20);

/// The master where none is set.
const MASTER_DEFAULT: &str = "local[*]";

/// A Spark to submit jobs with.
pub(crate) struct Spark {
    home: PathBuf,
    master: String,
    /// Without these, the user's options must bring the connector along.
    jars: Option<String>,
    env: Vec<(String, String)>,
    version: String,
}

impl Spark {
    /// The Spark that the options or the environment name, or one that is downloaded.
    pub(crate) fn find(args: &SparkArgs) -> Result<Self> {
        if let Some(job) = args.job.as_ref().filter(|job| !job.is_file()) {
            let problem = format!("there is no file {}", job.display());
            return Err(UsageError::new("--job", problem, "use an existing file").into());
        }
        let master = args.master.clone().unwrap_or_else(|| MASTER_DEFAULT.to_owned());
        if let Some(home) = &args.spark_home {
            if !home.join("bin/spark-submit").is_file() {
                let problem = format!("there is no bin/spark-submit in {}", home.display());
                let remedy = "name the folder of an installed Spark, or none to download one";
                return Err(UsageError::new("--spark-home", problem, remedy).into());
            }
            let jars = std::env::var(spark::JARS_VARIABLE).ok().filter(|jars| !jars.is_empty());
            let version = version_of(home);
            return Ok(Self { home: home.clone(), master, jars, env: Vec::new(), version });
        }
        let cache = Cache::from_environment()?;
        let mut progress = |text: &str| tracing::info!("{text}");
        let found = spark::install(&cache, &spark::VERSIONS[0], &mut progress)?;
        let text = |path: &Path| path.display().to_string();
        let jars: Vec<String> = found.jars.iter().map(|jar| text(jar)).collect();
        let env = [
            (spark::HOME_VARIABLE, text(&found.home)),
            (spark::PYTHON_VARIABLE, text(&found.python)),
            ("JAVA_HOME", text(&found.java_home)),
        ];
        let env = env.map(|(name, value)| (name.to_owned(), value)).to_vec();
        let version = format!("Apache Spark {}", found.release);
        Ok(Self { home: found.home, master, jars: Some(jars.join(",")), env, version })
    }

    /// The version, as results show it.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// The address of the master.
    pub(crate) fn master(&self) -> &str {
        &self.master
    }

    /// Whether executors run on this machine alone, so that nobody else needs to reach the driver.
    fn is_local(&self) -> bool {
        self.master.starts_with("local") || self.master.starts_with("spark://127.0.0.1:")
    }
}

/// A job that can be started, also again after it was killed.
pub(crate) struct Job {
    program: PathBuf,
    args: Vec<String>,
    env: Vec<(String, String)>,
    log: PathBuf,
    /// Where the log of the last start begins.
    log_start: AtomicU64,
    child: Mutex<Option<Child>>,
    failure: OnceLock<String>,
}

impl Job {
    /// A job whose files are in `folder`, with these arguments of its own.
    pub(crate) fn new(
        spark: &Spark,
        args: &SparkArgs,
        name: &str,
        folder: &Path,
        own: Vec<String>,
    ) -> Result<Self> {
        let script = if let Some(job) = &args.job {
            std::path::absolute(job)?
        } else {
            let script = folder.join("stream.py");
            fs::write(&script, JOB)
                .with_context(|| format!("failed to write {}", script.display()))?;
            script
        };
        let mut all = vec!["--master".to_owned(), spark.master.clone()];
        let mut env = spark.env.clone();
        all.extend(["--name".to_owned(), name.to_owned()]);
        let mut set =
            |key: &str, value: &str| all.extend(["--conf".into(), format!("{key}={value}")]);
        // Its port would be taken by a second job.
        set("spark.ui.enabled", "false");
        set("spark.ui.showConsoleProgress", "false");
        if spark.is_local() {
            set("spark.driver.host", "127.0.0.1");
            env.push(("SPARK_LOCAL_IP".to_owned(), "127.0.0.1".to_owned()));
        }
        all.extend(spark.jars.iter().flat_map(|jars| ["--jars".to_owned(), jars.clone()]));
        all.extend(args.submit_option.iter().cloned());
        all.push(script.display().to_string());
        all.extend(own);
        // Ends the job when this process was killed.
        all.extend(["--parent".to_owned(), std::process::id().to_string()]);
        Ok(Self {
            program: spark.home.join("bin/spark-submit"),
            args: all,
            env,
            log: folder.join("spark.log"),
            log_start: AtomicU64::default(),
            child: Mutex::default(),
            failure: OnceLock::new(),
        })
    }

    /// The log of all its starts.
    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    /// Where the log of the last start begins in [`Job::log`], bytes.
    pub(crate) fn log_start(&self) -> u64 {
        self.log_start.load(Ordering::Relaxed)
    }

    /// Submits it.
    pub(crate) fn start(&self) -> Result<()> {
        let open = || -> std::io::Result<_> {
            let log = OpenOptions::new().create(true).append(true).open(&self.log)?;
            self.log_start.store(log.metadata()?.len(), Ordering::Relaxed);
            Ok((log.try_clone()?, log))
        };
        let (out, errors) =
            open().with_context(|| format!("failed to write {}", self.log.display()))?;
        let child = Command::new(&self.program)
            .args(&self.args)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(errors)
            // A Ctrl-C at the terminal is this tool's to handle.
            .process_group(0)
            .spawn()
            .with_context(|| format!("failed to start {}", self.program.display()))?;
        *self.child() = Some(child);
        Ok(())
    }

    /// How it has ended, if it has.
    pub(crate) fn ended(&self) -> Option<ExitStatus> {
        self.child().as_mut().and_then(|child| child.try_wait().ok().flatten())
    }

    /// Notes why it has ended before it should have. The first reason counts.
    pub(crate) fn fail(&self, reason: String) {
        let _ = self.failure.set(reason);
    }

    /// Why it has ended before it should have, if it has.
    pub(crate) fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }

    /// Kills the driver as if it crashed.
    pub(crate) fn kill(&self) {
        if let Some(mut child) = self.child().take() {
            let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
            let _ = child.wait();
        }
    }

    /// Asks it to end after its batch, and kills it if it does not.
    pub(crate) fn stop(&self) {
        let Some(pid) = self.child().as_ref().map(Pid::from_child) else { return };
        // The program is a child of Spark's JVM, which ends after it.
        for child in children(pid) {
            let _ = kill_process(child, Signal::TERM);
        }
        let deadline = Instant::now() + STOP_TIMEOUT;
        while self.ended().is_none() && Instant::now() < deadline {
            std::thread::sleep(POLL);
        }
        self.kill();
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The version in the name of `spark-core_2.13-4.2.0.jar`.
fn version_of(home: &Path) -> String {
    let of = |name: &str| {
        let (_, version) =
            name.strip_prefix("spark-core_")?.strip_suffix(".jar")?.split_once('-')?;
        Some(format!("Apache Spark {version}"))
    };
    let entries = fs::read_dir(home.join("jars")).into_iter().flatten().flatten();
    let mut found = entries.filter_map(|entry| of(entry.file_name().to_str()?));
    found.next().unwrap_or_else(|| "unknown".to_owned())
}

/// The processes whose parent is `pid`.
fn children(pid: Pid) -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids =
        entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let is_child = |candidate: &i32| {
        let stat = fs::read_to_string(format!("/proc/{candidate}/stat")).unwrap_or_default();
        // The name before the last parenthesis may contain anything.
        let fields = stat.rsplit(')').next().unwrap_or_default();
        let parent = fields.split_whitespace().nth(1).and_then(|parent| parent.parse::<i32>().ok());
        parent == Some(pid.as_raw_nonzero().get())
    };
    pids.filter(is_child).filter_map(Pid::from_raw).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::end_of;

    #[test]
    fn errors_of_earlier_starts_do_not_count() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name).display().to_string();
        // Fails for a known reason once, then for none.
        let script = "test -e \"$0\" || { touch \"$0\"; echo 'error: first'; }; exit 3";
        let job = Job {
            program: "/bin/sh".into(),
            args: vec!["-c".to_owned(), script.to_owned(), path("again")],
            env: Vec::new(),
            log: path("spark.log").into(),
            log_start: AtomicU64::default(),
            child: Mutex::default(),
            failure: OnceLock::new(),
        };
        for expected in
            ["has ended: first; its log is", "has ended (exit status: 3) for an unknown"]
        {
            job.start().expect("started");
            while job.ended().is_none() {
                std::thread::sleep(POLL);
            }
            assert!(end_of(&job).contains(expected), "{}", end_of(&job));
        }
    }
}
