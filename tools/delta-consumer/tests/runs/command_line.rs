//! The command line, mainly mistakes in it.

use bench_testing::Silent;
use bench_testing::tool::Sandbox;

use crate::TOOL;

#[test]
fn invalid_options_name_option_and_remedy() {
    for (args, option, remedy) in [
        ("", "--lake-path: ", "--from-run"),
        ("--lake-paht t", "--lake-paht", "'--lake-path'"),
        ("--lake-path t --s3-backend minio", "--s3-backend", "--bucket"),
        ("--lake-path t --from oldest", "--from", "beginning, end"),
        ("--lake-path t --from version:-1", "--from", "version:17"),
        ("--lake-path t -n 0", "--messages: ", "at least 1"),
        ("--lake-path t --expected-messages 0", "--expected: ", "at least 1"),
        ("--lake-path t --expected 5 -n 5", "--expected", "--messages"),
        ("--lake-path t --expected 5 --from-run x", "--expected", "--from-run"),
        ("--lake-path t --raw --exactly-once", "--raw", "--exactly-once"),
        ("--lake-path t --query price --raw", "--query", "--raw"),
        ("--lake-path t --query price --exactly-once", "--query", "--exactly-once"),
        ("--lake-path t --query price --output-path w", "--query", "--output-path"),
        ("--query price --from-run x", "--query", "--from-run"),
        ("--lake-path t --group-by author", "--query", "--help"),
        ("--lake-path t --poll-interval 0s", "--poll-interval: ", "from 100µs to 60s"),
        (
            "--lake-path t --poll-interval 1s --autocommit-duration-ms 5",
            "--poll-interval",
            "--help",
        ),
        ("--lake-path t --read-ahead 1kB", "--read-ahead: ", "at least 1MiB"),
        ("--lake-path t --log-frequency 5s", "--output-path", "--help"),
        ("--lake-path t --output-path w --log-frequency 0", "--log-frequency", "at least 1"),
        ("--lake-path t --output-path w --log-frequency 1ms", "--log-frequency", "at least 10ms"),
        (
            "--lake-path t --wait-for-table 1h --output-path in_the_way/w",
            "--output-path: ",
            "folder that you may write to",
        ),
        ("--lake-path t --interval 1ms", "--interval: ", "at least 10ms"),
        (
            "--lake-path t --wait-for-table 1h --results-dir in_the_way",
            "--results-dir: ",
            "choose another folder",
        ),
        ("--lake-path t --from end", "--from: ", "--follow"),
        ("--lake-path t --from timestamp:1700000000123", "--from", "timestamp:1700000000"),
        ("--lake-path ~nobody/t", "--lake-path: ", "./~NAME"),
        ("--lake-path file:///a%2Fb", "--lake-path: ", "file:///srv/table"),
        ("--from-run nothing", "--from-run: ", "use the result folder"),
    ] {
        let sandbox = Sandbox::new(TOOL);
        sandbox.write("in_the_way", "");
        let output = sandbox.run(args);
        assert_eq!((output.code, output.stdout.as_str()), (2, ""), "{args}: {output:?}");
        for needle in [option, remedy] {
            assert!(output.stderr.contains(needle), "{args}: {needle}: {output:?}");
        }
        assert_eq!(sandbox.entries(), ["in_the_way"], "{args}");
    }
}

#[test]
fn help_and_generated_options_are_complete() {
    let sandbox = Sandbox::new(TOOL);
    let told = sandbox.run("--generate options").json();
    assert_eq!(told["tool"], "delta-consumer");
    let options = told["options"].as_array().expect("a list");
    for name in ["lake-path", "from", "from-run", "expected", "poll-interval", "follow"] {
        assert!(options.iter().any(|option| option["name"] == name), "{name}");
    }
    let help = sandbox.run("--help");
    assert_eq!((help.code, help.stderr.as_str()), (0, ""), "{help:?}");
    for needle in [
        "Examples:\n  delta-consumer --lake-path",
        "--expected-messages",
        "--autocommit-duration-ms",
        "Exit codes: 0 good; 1 failed; 2 bad usage; 3 the run is INVALID",
    ] {
        assert!(help.stdout.contains(needle), "{needle}: {help:?}");
    }
    for what in ["bash", "zsh", "fish", "man"] {
        let output = sandbox.run(&format!("--generate {what}"));
        assert!(output.code == 0 && output.stdout.contains("delta-consumer"), "{what}: {output:?}");
    }
}

#[test]
fn interrupts_end_connecting_at_once() {
    let (silent, sandbox) = (Silent::new(), Sandbox::new(TOOL));
    let mut command = sandbox.command("--lake-path s3://bench/t --timeout 1h");
    command.env("AWS_ENDPOINT_URL_S3", silent.url());
    command.env("AWS_ACCESS_KEY_ID", "key").env("AWS_SECRET_ACCESS_KEY", "secret");
    let output = silent.interrupt(command);
    assert_eq!((output.code, output.stdout.as_str()), (130, ""), "{output:?}");
    assert!(output.stderr.contains("error: interrupted while "), "{output:?}");
    assert_eq!(sandbox.entries(), [""; 0]);
}
