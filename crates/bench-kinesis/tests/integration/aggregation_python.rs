//! Exchanges aggregates with an independent implementation: Amazon's Python package
//! `aws-kinesis-agg`.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use bench_kinesis::aggregation::{Aggregator, Deaggregated, UserRecord, deaggregate};

/// A user record: partition key, explicit hash key, data.
type User = (String, Option<String>, Vec<u8>);

/// Records with lengths at which their encoding grows. Either all or none have explicit hash keys:
/// if only some have, the other implementation copies the first one to the rest.
fn users(with_hash_keys: bool) -> Vec<User> {
    let lengths = [0, 1, 127, 128, 200, 16_383, 16_384, 20_000];
    let user = |index: usize| {
        let key = format!("clé {}", index % 5);
        let hash_key = with_hash_keys.then(|| (u128::MAX / (index as u128 % 7 + 1)).to_string());
        let data = (0..lengths[index % lengths.len()]).map(|at| (at * 31 + index).to_le_bytes()[0]);
        (key, hash_key, data.collect())
    };
    (0..40).map(user).collect()
}

/// One line per user record: its parts in hexadecimal digits, an absent one as a dash.
fn lines(users: &[User]) -> String {
    let mut lines = String::new();
    for (key, hash_key, data) in users {
        let hash_key = hash_key.as_ref().map_or("-".to_owned(), |key| hex(key.as_bytes()));
        writeln!(lines, "{} {hash_key} {}", hex(key.as_bytes()), hex(data)).expect("in memory");
    }
    lines
}

fn hex(bytes: &[u8]) -> String {
    // A word for no bytes, so that a line always has three parts.
    if bytes.is_empty() {
        return "empty".to_owned();
    }
    let mut digits = String::new();
    for byte in bytes {
        write!(digits, "{byte:02x}").expect("in memory");
    }
    digits
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.trim();
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal digits");
    (0..digits.len()).step_by(2).map(byte).collect()
}

/// The script's output for this input.
fn python(action: &str, input: &str) -> String {
    let mut script = Command::new("python3")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration/aggregation.py"))
        .arg(action)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 starts");
    let mut stdin = script.stdin.take().expect("is piped");
    stdin.write_all(input.as_bytes()).expect("is read");
    drop(stdin);
    let output = script.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{action}");
    String::from_utf8(output.stdout).expect("text")
}

fn python_aggregates() -> bool {
    let import = ["-c", "import aws_kinesis_agg.aggregator, aws_kinesis_agg.deaggregator"];
    let status = Command::new("python3").args(import).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

#[test]
fn python_and_rust_read_each_others_aggregates() {
    if !python_aggregates() {
        // Written directly to the stream, which the test harness does not capture.
        let line = "skipped: exchanging aggregates with Python needs python3 and its packages \
                    aws-kinesis-agg and six (pip install aws-kinesis-agg six)\n";
        std::io::stderr().write_all(line.as_bytes()).expect("standard error");
        return;
    }
    for users in [users(false), users(true)] {
        let ours = aggregate(&users);
        // `assert!` does not print the values, which would fill screens.
        assert!(python("read", &hex(&ours)) == lines(&users), "Python reads our aggregate");
        let theirs = unhex(&python("write", &lines(&users)));
        assert!(read(&theirs) == users, "we read Python's aggregate");
        assert!(ours == theirs, "both write the same bytes");
    }
}

fn aggregate(users: &[User]) -> Vec<u8> {
    let mut aggregator = Aggregator::new(1 << 20);
    for (key, hash_key, data) in users {
        assert!(aggregator.push(key, hash_key.as_deref(), data), "there is room");
    }
    aggregator.close().expect("has records").data
}

fn read(data: &[u8]) -> Vec<User> {
    let found = deaggregate(data);
    assert!(matches!(found, Deaggregated::Aggregate(_)));
    let user = |user: &UserRecord<'_>| {
        let key = user.partition_key.expect("an aggregate has keys").to_owned();
        (key, user.explicit_hash_key.map(str::to_owned), user.data.to_vec())
    };
    found.records().iter().map(user).collect()
}
