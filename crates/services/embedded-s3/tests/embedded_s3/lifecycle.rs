//! How it comes and goes.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use aws_sdk_s3::primitives::ByteStream;
use bench_service_s3::stand_in::EmbeddedS3;
use bench_stack::StackOptions;
use bench_testing::S3;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::{block_on, client_of};

/// Set for a process that starts the service, prints its process id, and ends with its input.
const HOLD: &str = "BENCH_TEST_HOLD";

/// The arguments of that process.
const HOLD_ARGUMENTS: [&str; 4] =
    ["--ignored", "--exact", "lifecycle::hold_service", "--nocapture"];

/// How long a process may take to end.
const TIMEOUT: Duration = Duration::from_secs(30);

#[test]
fn a_stack_keeps_its_objects() {
    let options = StackOptions::of([]).with("s3", "server", "embedded");
    let mut stack = bench_testing::alone("an embedded S3", &options).expect("needs nothing");
    let found = S3::of_stack(&stack);
    assert_eq!(found.bucket(), "bench");
    let node = stack.stack().nodes().remove(0);
    assert_eq!(node.version, "s3s 0.14.1, no fsync");
    let arguments = std::fs::read(format!("/proc/{}/cmdline", node.pid.expect("it runs")));
    let arguments = String::from_utf8_lossy(&arguments.expect("readable")).into_owned();
    assert!(arguments.contains("embedded-s3"), "{arguments}");
    assert!(!arguments.contains(found.secret_key()) && !arguments.contains(found.access_key()));
    let client = client_of(found.endpoint_url(), found.access_key(), found.secret_key());
    block_on(async {
        let put = client.put_object().bucket("bench").key("a/b");
        put.body(ByteStream::from_static(b"hello")).send().await.expect("put");
    });
    let before = get_text(&client, "a/b");
    stack.stack_mut().kill("s3").expect("killed");
    stack.stack_mut().start("s3", &mut |_| ()).expect("on the same port");
    assert_eq!(get_text(&client, "a/b"), before, "content and tag");
    stack.stack_mut().freeze("s3").expect("frozen");
    stack.stack_mut().thaw("s3").expect("thawed");
    assert_eq!(get_text(&client, "a/b"), before);
}

/// An object's tag and content.
fn get_text(client: &aws_sdk_s3::Client, key: &str) -> (Option<String>, bytes::Bytes) {
    block_on(async {
        let got = client.get_object().bucket("bench").key(key).send().await.expect("got");
        (got.e_tag, got.body.collect().await.expect("read").into_bytes())
    })
}

#[test]
fn temporary_folder_is_private_and_removed() {
    let tmp = tempfile::tempdir().expect("a folder");
    let (mut parent, service) = holding_service(tmp.path());
    let folder = std::fs::read_dir(tmp.path()).expect("a folder").next().expect("one");
    let folder = folder.expect("readable").path();
    let mode = std::fs::metadata(&folder).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o700, "whatever the umask is");
    kill_process(service, Signal::KILL).expect("killed");
    drop(parent.stdin.take());
    assert!(parent.wait().expect("reaped").success());
    assert_eq!(count_in(tmp.path()), 0, "removed by whoever started it");
}

#[test]
fn a_missing_temporary_folder_is_named() {
    let missing = Path::new("/proc/no-such-folder");
    let failed = Command::new(std::env::current_exe().expect("this program"))
        .args(HOLD_ARGUMENTS)
        .env(HOLD, "on")
        .env("TMPDIR", missing)
        .output()
        .expect("ran");
    let text = String::from_utf8_lossy(&failed.stdout).into_owned();
    let error = "failed to create a folder for the embedded S3 in /proc/no-such-folder: it does not \
                 exist; set TMPDIR to a folder with free space";
    assert!(text.lines().any(|line| line == error), "{text}");
}

#[test]
fn no_files_are_left_behind() {
    for is_killed in [false, true] {
        let tmp = tempfile::tempdir().expect("a folder");
        let (mut parent, service) = holding_service(tmp.path());
        assert_eq!(count_in(tmp.path()), 1, "the objects are in a folder");
        if is_killed {
            parent.kill().expect("killed");
        }
        drop(parent.stdin.take());
        assert_eq!(parent.wait().expect("reaped").success(), !is_killed);
        let deadline = Instant::now() + TIMEOUT;
        // An orphan may stay as a zombie where nobody reaps it.
        while test_kill_process(service).is_ok() && !is_zombie(service) {
            assert!(Instant::now() < deadline, "the service outlives its parent");
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(count_in(tmp.path()), 0, "killed: {is_killed}");
    }
}

/// Another process that has started the service, with its temporary folders in `tmp`.
fn holding_service(tmp: &Path) -> (Child, Pid) {
    let myself = std::env::current_exe().expect("this program");
    // A umask that keeps nothing from anybody.
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "umask 000; exec \"$0\" \"$@\""]).arg(myself);
    command
        .args(HOLD_ARGUMENTS)
        .env(HOLD, "on")
        .env("TMPDIR", tmp)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut parent = command.spawn().expect("starts");
    let stdout = parent.stdout.take().expect("piped");
    let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
    let pid = lines.find_map(|line| Pid::from_raw(line.trim().parse().ok()?));
    // What the harness prints at the end must have a reader.
    std::thread::spawn(move || lines.count());
    (parent, pid.expect("a process id"))
}

/// Not a test but a process that tests start.
#[test]
#[ignore = "started by other tests"]
fn hold_service() {
    if std::env::var_os(HOLD).is_none() {
        return;
    }
    let service = match EmbeddedS3::start() {
        Ok(service) => service,
        Err(error) => return say(&error.to_string()),
    };
    let client = client_of(service.endpoint_url(), service.access_key(), service.secret_key());
    block_on(async {
        let put = client.put_object().bucket(service.bucket()).key("a/b");
        put.body(ByteStream::from_static(b"hello")).send().await.expect("put");
    });
    assert_eq!(get_text(&client, "a/b").1, "hello");
    say(&service.pid().to_string());
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

/// Prints a line of its own after whatever the test harness has begun.
fn say(line: &str) {
    writeln!(std::io::stdout(), "\n{line}").expect("standard output");
}

fn count_in(dir: &Path) -> usize {
    std::fs::read_dir(dir).expect("a folder").count()
}

fn is_zombie(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    stat.is_ok_and(|stat| stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" Z")))
}
