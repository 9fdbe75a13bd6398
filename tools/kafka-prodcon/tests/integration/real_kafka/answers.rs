//! Errors about messages and topics that a broker rejects.

use bench_testing::tool::ToolOutput;

use super::{Bench, unused_name};

fn send(bench: &Bench, args: &str, input: &str) -> ToolOutput {
    let servers = bench.kafka.bootstrap_servers();
    let args = format!("send {args} --bootstrap-servers {servers}");
    ToolOutput::of_input(bench.sandbox.command(&args), input)
}

/// Asserts that sending failed with one line that contains all `needles`.
fn assert_refused(output: &ToolOutput, needles: &[&str]) {
    assert_eq!((output.code, output.stderr.lines().count()), (1, 1), "{output:?}");
    for needle in needles {
        assert!(output.stderr.contains(needle), "no {needle}: {output:?}");
    }
    assert!(!output.stderr.contains("Broker: "), "{output:?}");
}

#[test]
fn lines_before_an_oversized_one_are_sent() {
    let Some(bench) = Bench::shared("a line that is too large") else { return };
    let good = "line 1\nline 2\nline 3\nline 4\nline 5\n";
    let input = format!("{good}{}\nbehind\n", "x".repeat(5_000));
    let one_batch = "--config batch.size=1000000 --config linger.ms=300";
    for (args, limit) in [
        ("", "max.message.bytes of topic"),
        (one_batch, "max.message.bytes of topic"),
        ("--config message.max.bytes=4000", "the client's message.max.bytes"),
    ] {
        let topic = bench.topic(1, 1, &[("max.message.bytes", "2000")]);
        let output = send(&bench, &format!("--topic {topic} {args}"), &input);
        let needles = [
            "line 6 was rejected",
            limit,
            "its 5001 bytes",
            "(5 lines before it were acknowledged",
        ];
        assert_refused(&output, &needles);
        let printed = bench.run(&format!("print --topic {topic} -n 5")).stdout;
        assert_eq!(printed.lines().take(5).collect::<Vec<_>>().join("\n") + "\n", good, "{args}");
    }
}

#[test]
fn oversized_batches_are_sent_in_parts() {
    let Some(bench) = Bench::shared("batches that are too large") else { return };
    let topic = bench.topic(1, 1, &[("max.message.bytes", "2000")]);
    let lines: Vec<String> = (1..=200).map(|line| format!("{line:0100}\n")).collect();
    let input = lines.concat();
    let args = format!("--topic {topic} --config batch.size=1000000 --config linger.ms=300");
    let output = send(&bench, &args, &input);
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    assert_eq!(bench.run(&format!("print --topic {topic}")).stdout, input);
}

#[test]
fn compacted_topics_need_keys_and_accept_tombstones() {
    let Some(bench) = Bench::shared("keys of a compacted topic") else { return };
    let topic = bench.topic(1, 1, &[("cleanup.policy", "compact")]);
    let output = send(&bench, &format!("--topic {topic} --key-separator :"), "k:v\nno key\n");
    assert_refused(
        &output,
        &["line 2 was rejected", "key", "(1 lines before it were acknowledged"],
    );
    let output =
        send(&bench, &format!("--topic {topic} --key-separator : --null-marker NIL"), "k:NIL\n");
    assert_eq!(output.code, 0, "{output:?}");
    let printed = bench.run(&format!("print --topic {topic} --key-separator : --null NIL"));
    assert_eq!(printed.stdout, "k:v\nk:NIL\n");
}

#[test]
fn runs_name_the_options_behind_oversized_messages() {
    let Some(bench) = Bench::shared("messages that are too large") else { return };
    let topic = bench.topic(1, 1, &[("max.message.bytes", "2000")]);
    let output = bench.run(&format!("fill -n 100 -r 5000 --topic {topic} --results-dir large"));
    assert_ne!(output.code, 0, "{output:?}");
    for needle in ["--batch-size", "--record-size", "max.message.bytes"] {
        assert!(output.stdout.contains(needle), "no {needle}: {output:?}");
    }
}

#[test]
fn name_collisions_use_the_brokers_message() {
    let Some(bench) = Bench::shared("names that collide") else { return };
    let name = unused_name().replace('-', "_");
    let other = name.replace('_', ".");
    let output = send(&bench, &format!("--topic {name}"), "one\n");
    assert_eq!(output.code, 0, "{output:?}");
    let output = send(&bench, &format!("--topic {other}"), "one\n");
    assert_refused(&output, &["collides with existing topic", &name, "use another name"]);
}

#[test]
fn groups_in_use_name_the_option() {
    let Some(bench) = Bench::shared("a group in use") else { return };
    let topic = bench.topic(1, 1, &[]);
    bench.measure(&format!("fill -n 10 --topic {topic}"), "filled", 0);
    let group = unused_name();
    let (sandbox, servers) = (&bench.sandbox, bench.kafka.bootstrap_servers());
    let follow = format!(
        "drain --follow --group {group} --topic {topic} --results-dir member \
         --bootstrap-servers {servers} --interval 100ms"
    );
    let member = bench_testing::tool::Running::start(sandbox.command(&follow));
    // Received messages are the tenth column: it has its partition by then.
    let has_read = || -> Option<bool> {
        let folder = std::fs::read_dir(sandbox.path().join("member")).ok()?.next()?.ok()?.path();
        let table = std::fs::read_to_string(folder.join("intervals.csv")).ok()?;
        let received = |row: &str| row.split(',').nth(9).is_some_and(|count| count != "0");
        Some(table.lines().skip(1).any(received))
    };
    bench_testing::tool::until("the member reads", || has_read().unwrap_or(false));
    let output = bench.run(&format!("-n 10 --group {group} --topic {topic} --results-dir other"));
    member.interrupt();
    assert_eq!(member.end().code, 130);
    assert_eq!(output.code, 1, "{output:?}");
    let in_use = format!("group '{group}' is in use");
    assert!(output.stderr.contains(&in_use) && output.stderr.contains("--group"), "{output:?}");
}
