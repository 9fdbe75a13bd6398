//! What a job's log says about why the job has ended, or does not begin, in one sentence.

use bench_core::system::shortened;

/// Parts of a log, and what they mean. The first that is found counts, so the specific come first.
const CAUSES: &[(&str, &str)] = &[
    ("UnsupportedClassVersionError", "its Java is too old; set JAVA_HOME to Java 17 or later"),
    (
        "JAVA_HOME is not set",
        "there is no Java; install Java 17 (Debian: openjdk-17-jre-headless) or set JAVA_HOME",
    ),
    // What spark-class prints after any Java that printed nothing to run.
    ("CMD: bad array subscript", "its Java does not start; correct JAVA_HOME, or java in PATH"),
    ("Cannot run program", "its Python does not start; correct PYSPARK_PYTHON"),
    ("Error: Unrecognized option", "spark-submit does not know an option; check --submit-option"),
    ("Master must either be", "Spark does not understand the master; check --master"),
    ("Could not parse Master URL", "Spark does not understand the master; check --master"),
    ("Invalid master URL", "Spark does not understand the master; check --master"),
    ("All masters are unresponsive", "the master does not answer; check --master"),
    (
        "increase heap size using the --driver-memory",
        "Spark needs more memory than its driver has; use --submit-option=--driver-memory=1g",
    ),
    (
        "increase executor memory using the --executor-memory",
        "Spark needs more memory than its executors have; use --submit-option=--executor-memory=1g",
    ),
    (
        "BindException",
        "a port that it needs is taken; use another in --submit-option, or none for any that is free",
    ),
    (
        "Failed to find data source: kafka",
        "it lacks Spark's connector for Kafka; add it with --submit-option=--packages=...",
    ),
    ("NoClassDefFoundError", WRONG_JARS),
    ("NoSuchMethodError", WRONG_JARS),
    ("OutOfMemoryError", NO_MEMORY),
    ("Java heap space", NO_MEMORY),
    ("MISSING_STATE_DIRECTORY", OTHER_QUERY),
    (
        "Some data may have been lost",
        "Kafka lacks messages that it continues with (deleted, expired, or of another topic's \
         checkpoint); use another --checkpoint",
    ),
    ("UnknownTopicOrPartitionException", "a topic that it uses does not exist; check --topic"),
    ("Timed out waiting for a node assignment", NO_BROKER),
    // Warnings that say why nothing happens, while it still runs.
    (
        "Initial job has not accepted any resources",
        "no worker has the cores and memory that it asks for; start more workers, or lower \
         --executor-memory and --executor-cores in --submit-option",
    ),
    ("Failed to connect to master", "the master does not answer; check --master"),
    ("Broker may not be available", NO_BROKER),
];

const WRONG_JARS: &str = "its jars do not fit this Spark; use the connector of the same version of \
                          Spark and Scala";
const NO_MEMORY: &str = "it ran out of memory; raise it with --submit-option=--driver-memory=4g and \
                         --executor-memory";
const OTHER_QUERY: &str = "its checkpoint is that of another query; use another --checkpoint";
const NO_BROKER: &str = "no broker answers it; check --bootstrap-servers";

/// How spark-submit reports that it cannot submit a job.
const REFUSAL: &str = "Exception in thread \"main\" org.apache.spark.SparkException: ";

/// How a frame begins in a trace of Python.
const FRAME: &str = "  File \"";

/// Why the job has ended, from the log of its last start.
pub(crate) fn end(log: &str) -> Option<String> {
    let last = conclusion(log);
    // Before its end, the log may hold exceptions that did no harm.
    known(last).or_else(|| reported(last)).or_else(|| known(log)).or_else(|| refused(log))
}

/// Why the job does nothing, from its log until now.
pub(crate) fn delay(log: &str) -> Option<String> {
    known(log)
}

fn known(log: &str) -> Option<String> {
    CAUSES.iter().find(|(part, _)| log.contains(part)).map(|(_, cause)| (*cause).to_owned())
}

/// The job's own report of its error, else the exception at the end of Python's last trace.
fn conclusion(log: &str) -> &str {
    let last = |prefix: &str| {
        let at = log.rfind(&format!("\n{prefix}")).map(|at| at + 1);
        at.or_else(|| log.starts_with(prefix).then_some(0)).map(|at| &log[at..])
    };
    let end = last("error: ").or_else(|| last(FRAME)).unwrap_or(log);
    // The plan that follows may contain anything.
    end.split("=== Streaming Query ===").next().unwrap_or_default()
}

/// The sentence in a conclusion: Python's exception, or the job's own error unless that is only the
/// name of an exception in Java.
fn reported(conclusion: &str) -> Option<String> {
    raised(conclusion).or_else(|| {
        let own = conclusion.lines().next()?.strip_prefix("error: ")?;
        let class = own.split(':').next().unwrap_or_default();
        let is_java = class.contains('.') && !class.contains(' ');
        (!is_java && !own.is_empty()).then(|| sentence(own))
    })
}

/// What spark-submit finds wrong with its options.
fn refused(log: &str) -> Option<String> {
    let message = log.lines().find_map(|line| line.strip_prefix(REFUSAL))?;
    Some(format!("{}; check --master and --submit-option", sentence(message)))
}

/// The exception behind the last frame of Python.
fn raised(conclusion: &str) -> Option<String> {
    let frames = &conclusion[conclusion.rfind(FRAME)?..];
    let line = frames.lines().skip(1).find(|line| !line.starts_with(' '))?;
    let class = line.split(':').next().unwrap_or_default();
    let name = class.rfind('.').map_or(0, |dot| dot + 1);
    // Those of Py4J only wrap what Java has thrown.
    let is_python = !class.contains(' ') && !class[name..].starts_with("Py4J");
    is_python.then(|| format!("it raised {}", sentence(&line[name..])))
}

/// A message without the dot or semicolon at its end.
fn sentence(message: &str) -> String {
    shortened(message.trim_end_matches(['.', ';', ' '])).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The end of what Spark 4.2 and 3.5 write, without frames and paths.
    const LOGS: &[(&str, &str)] = &[
        (
            "Error: LinkageError occurred while loading main class org.apache.spark.launcher.Main\n\
             \tjava.lang.UnsupportedClassVersionError: org/apache/spark/launcher/Main has been \
             compiled by a more recent version of the Java Runtime (class file version 61.0), this \
             version of the Java Runtime only recognizes class file versions up to 55.0\n\
             spark-class: line 97: CMD: bad array subscript\n",
            "its Java is too old",
        ),
        ("JAVA_HOME is not set\n", "there is no Java"),
        (
            "spark-class: line 71: /nonexistent/bin/java: No such file or directory\n\
             spark-class: line 97: CMD: bad array subscript\n",
            "its Java does not start",
        ),
        (
            "Exception in thread \"main\" java.io.IOException: Cannot run program \
             \"/nonexistent/python3\": error=2, No such file or directory\n\
             \tat java.base/java.lang.ProcessBuilder.start(ProcessBuilder.java:1143)\n",
            "its Python does not start",
        ),
        (
            "Error: Unrecognized option: --nonsense\n\nUsage: spark-submit [options] <app jar>\n",
            "spark-submit does not know an option",
        ),
        (
            "Exception in thread \"main\" org.apache.spark.SparkException: Master must either be \
             yarn or start with spark, k8s, or local\n\
             \tat org.apache.spark.deploy.SparkSubmit.error(SparkSubmit.scala:1068)\n",
            "Spark does not understand the master",
        ),
        (
            "26/11/30 13:36:28 ERROR StandaloneSchedulerBackend: Application has been killed. \
             Reason: All masters are unresponsive! Giving up.\n\
             Traceback (most recent call last):\n  File \"session.py\", line 666, in __init__\n\
             py4j.protocol.Py4JJavaError: An error occurred while calling \
             None.org.apache.spark.sql.classic.SparkSession.\n\
             : java.lang.IllegalStateException: Cannot call methods on a stopped SparkContext.\n",
            "the master does not answer",
        ),
        (
            "  File \"protocol.py\", line 327, in get_return_value\n\
             py4j.protocol.Py4JJavaError: An error occurred while calling \
             None.org.apache.spark.api.java.JavaSparkContext.\n\
             : org.apache.spark.SparkIllegalArgumentException: [INVALID_DRIVER_MEMORY] System \
             memory 67108864 must be at least 471859200.\nPlease increase heap size using the \
             --driver-memory option or \"spark.driver.memory\" in Spark configuration.\n",
            "Spark needs more memory than its driver has",
        ),
        (
            "26/11/30 13:39:34 ERROR SparkContext: Error initializing SparkContext.\n\
             java.net.BindException: bind(..) failed with error(-98): Address already in use: \
             Service 'sparkDriver' failed after 0 retries (starting from 17999)!\n",
            "a port that it needs is taken",
        ),
        (
            "Exception in thread \"Thread-5\" java.lang.OutOfMemoryError: Java heap space\n\
             Traceback (most recent call last):\n  File \"protocol.py\", line 335, in x\n\
             py4j.protocol.Py4JError: An error occurred while calling None.None\n",
            "it ran out of memory",
        ),
        (
            "26/11/30 13:39:17 WARN KafkaOffsetReaderAdmin: Error in attempt 3 getting Kafka \
             offsets: \njava.util.concurrent.ExecutionException: \
             org.apache.kafka.common.errors.UnknownTopicOrPartitionException: This server does not \
             host this topic-partition.\n\
             error: org.apache.kafka.common.errors.UnknownTopicOrPartitionException: This server \
             does not host this topic-partition.\n=== Streaming Query ===\n",
            "a topic that it uses does not exist",
        ),
        (
            "error: Some data may have been lost because they are not available in Kafka any more;\n\
             If you don't want your streaming query to fail on such cases, set the source option \
             failOnDataLoss to false.\n\
             Reason: Partitions Set(t2-0, t2-1, t2-2) have been deleted.\n",
            "Kafka lacks messages",
        ),
        ("error: Java heap space\n=== Streaming Query ===\n", "it ran out of memory"),
        (
            "Exception in thread \"main\" org.apache.spark.SparkException: Executor memory must be a \
             positive number\n\tat org.apache.spark.deploy.SparkSubmitArguments.error(x.scala:652)\n",
            "Executor memory must be a positive number",
        ),
        (
            "error: Some data may have been lost because they are not available in Kafka any more;\n\
             Reason: Could not read records in offset [0, 2) for topic partition t2-2\n",
            "Kafka lacks messages",
        ),
        (
            "error: Set(t2-2, t2-1, t2-0) are gone. Some data may have been missed.. \nSome data may \
             have been lost because they are not available in Kafka any more; either the\n data was \
             aged out by Kafka or the topic may have been deleted\n",
            "Kafka lacks messages",
        ),
        (
            "error: [STREAMING_STATEFUL_OPERATOR_MISSING_STATE_DIRECTORY] Cannot restart streaming \
             query with stateful operators because the state directory is empty or missing.\n\
             This typically occurs when state files have been deleted or the streaming query was \
             previously run without stateful operators but restarted with stateful operators.\n",
            "its checkpoint is that of another query",
        ),
    ];

    #[test]
    fn real_logs_end_in_a_sentence_with_a_remedy() {
        for (log, expected) in LOGS {
            let log = format!("WARNING: Using incubator modules: jdk.incubator.vector\n{log}");
            let cause = end(&log).unwrap_or_else(|| panic!("unknown: {log}"));
            assert!(cause.starts_with(expected), "{cause}: {log}");
            assert!(cause.contains("; "), "no remedy: {cause}");
        }
    }

    #[test]
    fn exceptions_of_python_are_quoted() {
        let trace = "Traceback (most recent call last):\n  File \"job.py\", line 349, in main\n    \
                     raise ValueError(\"no such\\nthing\")\nValueError: no such\nthing\n";
        let syntax = "WARN x\n  File \"job.py\", line 347\n    def main(arguments:\n            ^\n\
                      SyntaxError: '(' was never closed\n";
        let spark = "WARN x\n  File \"captured.py\", line 257, in deco\n\
                     pyspark.errors.exceptions.captured.AnalysisException: [FIELD_NOT_FOUND] No \
                     such struct field `no_such_field`.\n";
        let worker = "WARN x\nerror: [PYTHON_EXCEPTION] An exception was thrown from the Python \
                      worker: Traceback (most recent call last):\n  File \"job.py\", line 221, in \
                      <lambda>\n    return 1 // 0\n           ~~^^~~\n\
                      ZeroDivisionError: integer division or modulo by zero\n SQLSTATE: 38000\n";
        for (log, expected) in [
            (worker, "it raised ZeroDivisionError: integer division or modulo by zero"),
            (trace, "it raised ValueError: no such"),
            (syntax, "it raised SyntaxError: '(' was never closed"),
            ("  File \"job.py\", line 3\nAssertionError\n", "it raised AssertionError"),
            (
                spark,
                "it raised AnalysisException: [FIELD_NOT_FOUND] No such struct field \
                 `no_such_field`",
            ),
        ] {
            assert_eq!(end(log).as_deref(), Some(expected));
        }
    }

    #[test]
    fn own_errors_are_quoted_before_earlier_exceptions() {
        let log = "java.lang.OutOfMemoryError: survived\nerror: --trigger real-time needs Spark 4.1 \
                   or later, and this is 3.5.7\n";
        let own = "--trigger real-time needs Spark 4.1 or later, and this is 3.5.7";
        assert_eq!(end(log).as_deref(), Some(own));
    }

    #[test]
    fn stack_traces_are_never_quoted() {
        for log in [
            "",
            "\tat a.b(c)\n",
            "\nerror: java.lang.IllegalStateException: x\n",
            "\nerror: ",
            "\n  File \"",
            "\n  File \"x\nno exception\n",
            "\n  File \"x\npy4j.protocol.Py4JError: An error occurred\n",
        ] {
            assert_eq!(end(log), None, "{log}");
        }
    }

    #[test]
    fn jobs_without_resources_are_explained_while_they_wait() {
        let log = "26/11/30 13:50:00 WARN TaskSchedulerImpl: Initial job has not accepted any \
                   resources; check your cluster UI to ensure that workers are registered and have \
                   sufficient resources\n";
        assert!(delay(log).expect("known").starts_with("no worker has the cores and memory"));
        assert_eq!(delay("26/11/30 13:50:00 WARN x\n"), None);
    }
}
