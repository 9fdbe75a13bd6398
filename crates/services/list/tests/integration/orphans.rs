//! What becomes of stand-ins whose parent is killed.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bench_service_dynamodb::stand_in::EmbeddedDynamodb;
use bench_service_kafka::stand_in::EmbeddedKafka;
use bench_service_kinesis::stand_in::{EmbeddedKinesis, KinesisLimits};
use rustix::process::{Pid, test_kill_process};

/// Set for a process that starts stand-ins, prints their process ids, and then does nothing.
const HOLD: &str = "BENCH_TEST_HOLD";

#[test]
fn killed_parent_leaves_no_stand_ins() {
    let myself = std::env::current_exe().expect("this program");
    let mut parent = Command::new(myself)
        .args(["--ignored", "--exact", "orphans::hold_stand_ins", "--nocapture"])
        .env(HOLD, "on")
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let stdout = parent.stdout.take().expect("piped");
    let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
    let pids = |line: String| line.strip_prefix("pids ").map(str::to_owned);
    let pids = lines.find_map(pids).expect("process ids");
    let stand_ins: Vec<Pid> =
        pids.split(' ').filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect();
    assert_eq!(stand_ins.len(), 3, "{pids}");
    for &stand_in in &stand_ins {
        test_kill_process(stand_in).expect("it runs");
    }
    parent.kill().expect("killed");
    parent.wait().expect("reaped");
    let deadline = Instant::now() + Duration::from_secs(5);
    for stand_in in stand_ins {
        // An orphan may stay as a zombie where nobody reaps it.
        while test_kill_process(stand_in).is_ok() && !is_zombie(stand_in) {
            assert!(Instant::now() < deadline, "a stand-in outlives its parent");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Not a test but a process that a test starts and kills.
#[test]
#[ignore = "started by another test"]
fn hold_stand_ins() {
    if std::env::var_os(HOLD).is_none() {
        return;
    }
    let kafka = EmbeddedKafka::start(1).expect("starts");
    let kinesis = EmbeddedKinesis::start(&KinesisLimits::default()).expect("starts");
    let dynamodb = EmbeddedDynamodb::start().expect("starts");
    let pids = [kafka.pid(), kinesis.pid(), dynamodb.pid()].map(|pid| pid.to_string());
    writeln!(std::io::stdout(), "\npids {}", pids.join(" ")).expect("printed");
    loop {
        std::thread::park();
    }
}

pub(crate) fn is_zombie(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    stat.is_ok_and(|stat| stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" Z")))
}
