//! What a job's log says about why it ended, in one sentence.

/// Parts of lines in a log, and what they mean. The first that is found counts.
const CAUSES: &[(&str, &str)] = &[
    ("JAVA_HOME is not set", "there is no Java; install Java 17 (Debian: openjdk-17-jre-headless)"),
    ("UnsupportedClassVersionError", "this Java is too old for it; use Java 17"),
    (
        "Failed to find data source: kafka",
        "it lacks Spark's connector for Kafka; add --submit-option=--packages and the connector",
    ),
    ("UnknownTopicOrPartitionException", "a topic does not exist; check --topic"),
    ("Failed to construct kafka consumer", "it cannot use the brokers; check --bootstrap-servers"),
    ("Timed out waiting for a node assignment", "no broker answers it; check --bootstrap-servers"),
    ("OutOfMemoryError", "it ran out of memory; raise it with --submit-option=--driver-memory=4g"),
    ("All masters are unresponsive", "the master does not answer; check --master"),
    ("Could not parse Master URL", "its master is not understood; check --master"),
    ("Address already in use", "a port that it needs is taken"),
    (
        "in the checkpoint offsets and now there are",
        "its checkpoint is that of another query; use another --checkpoint",
    ),
    ("CHECKPOINT", "its checkpoint is that of another query or version; use another --checkpoint"),
    (
        "UnsupportedLogVersion",
        "its checkpoint is that of another version; use another --checkpoint",
    ),
    ("TRIGGER", "this version of Spark does not support the trigger for this query"),
    ("data was lost", "Kafka no longer has messages that its checkpoint needs"),
];

/// Why the job ended, from its log.
pub(crate) fn cause(log: &str) -> Option<String> {
    // What the job itself says is exact.
    let own = log.lines().rev().find_map(|line| line.strip_prefix("error: "));
    let known = CAUSES.iter().find(|(part, _)| log.contains(part)).map(|(_, cause)| *cause);
    known.or(own.filter(|line| !line.contains("java."))).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_named_without_stack_traces() {
        let trace = "WARN x\njava.lang.OutOfMemoryError: Java heap space\n\tat a.b(c)\n";
        assert!(cause(trace).expect("known").starts_with("it ran out of memory"));
        let own =
            "WARN x\nerror: --trigger real-time needs Spark 4.1 or later, and this is 3.5.9\n";
        assert_eq!(
            cause(own).as_deref(),
            Some("--trigger real-time needs Spark 4.1 or later, and this is 3.5.9")
        );
        assert_eq!(cause("WARN x\n\tat a.b(c)\n"), None);
        assert_eq!(cause("error: java.lang.IllegalStateException: x\n"), None);
    }
}
