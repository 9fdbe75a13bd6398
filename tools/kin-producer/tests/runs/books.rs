//! Records from files, such as books.

use std::collections::BTreeMap;

use bench_testing::tool::Sandbox;

use crate::TOOL;
use crate::kinesis::{Kinesis, acked, count};

#[test]
fn file_records_are_sent_once_keyed_by_field() {
    let kinesis = Kinesis::start(false);
    let csv = "Title,Price\n\"One, two\",9.50\n,3\n";
    let lines = "{\"Title\":\"One, two\",\"Price\":\"9.50\"}\n{\"Title\":\"\",\"Price\":\"3\"}\n";
    let array = "[{\"Title\":\"One, two\",\"Price\":\"9.50\"},\n {\"Title\":\"\",\"Price\":\"3\"}]";
    for (index, (name, text)) in
        [("b.csv", csv), ("b.jsonl", lines), ("b.json", array)].into_iter().enumerate()
    {
        for aggregate in ["", "-a 10000"] {
            let (sandbox, stream) = (Sandbox::new(TOOL), format!("s{index}{}", aggregate.len()));
            sandbox.write(name, text);
            let args = format!(
                "--stream {stream} --create --put record --in-flight 1 --input {name} \
                 --partition-key-field Title {aggregate}"
            );
            let output = kinesis.run(&sandbox, &args);
            assert_eq!(output.code, 0, "{name}: {output:?}");
            let text = lines.lines().map(|line| line.as_bytes().to_vec());
            let keys = ["One, two", "default_partition_key"].map(str::to_owned);
            let expected: Vec<_> = keys.into_iter().zip(text).collect();
            assert_eq!(kinesis.users(&stream), expected, "{name}");
            let document = sandbox.document("results");
            assert_eq!(document.options["format"], "raw");
            assert_eq!(document.options["messages"], "2");
            assert_eq!(count(&document, "default_partition_keys"), 1);
        }
    }
}

#[test]
fn key_limits_count_characters_and_record_bytes() {
    let kinesis = Kinesis::start(false);
    let send = |title: &str, size_bytes: usize| {
        let sandbox = Sandbox::new(TOOL);
        let empty = format!("{{\"Title\":\"{title}\",\"Text\":\"\"}}").len();
        let text = "x".repeat(size_bytes - empty);
        sandbox.write("b.jsonl", &format!("{{\"Title\":\"{title}\",\"Text\":\"{text}\"}}\n"));
        kinesis.run(&sandbox, "--create --input b.jsonl --partition-key-field Title")
    };
    let title = "\u{e9}".repeat(300);
    let output = send(&title, 1_000);
    assert_eq!(output.code, 0, "{output:?}");
    let [(key, _)] = &kinesis.users("benchmark")[..] else { panic!("not one record") };
    assert_eq!(key, &"\u{e9}".repeat(256), "cut to 256 characters");
    // A record holds 1 MiB, including its key.
    let output = send("AB", (1 << 20) - 2);
    assert_eq!(output.code, 0, "{output:?}");
    let output = send("AB", (1 << 20) - 1);
    assert_eq!(output.code, 2, "{output:?}");
    assert!(output.stderr.contains("--input: ") && output.stderr.contains("1048577"), "{output:?}");
}

#[test]
fn records_with_headers_keep_their_keys() {
    let (kinesis, sandbox) = (Kinesis::start(false), Sandbox::new(TOOL));
    sandbox.write("b.jsonl", "{\"Title\":\"A\"}\n{\"Title\":\"B\"}\n");
    let args = "--create --input b.jsonl --partition-key-field Title --format binary -n 10";
    let output = kinesis.run(&sandbox, args);
    assert_eq!(output.code, 0, "{output:?}");
    let mut keys = BTreeMap::<_, u32>::new();
    for (key, _) in kinesis.users("benchmark") {
        *keys.entry(key).or_default() += 1;
    }
    assert_eq!(keys, [("A".to_owned(), 5), ("B".to_owned(), 5)].into());
    assert!(kinesis.messages("benchmark") == acked(&sandbox));
}

#[test]
fn books_are_generated_merged_and_sent() {
    let (kinesis, sandbox) = (Kinesis::start(false), Sandbox::new(TOOL));
    let made = sandbox.run("books generate -n 100 --seed 1 --style a a.csv");
    assert_eq!(made.code, 0, "{made:?}");
    let text = "100 books in a.csv: 92 with a price, ";
    assert!(made.stdout.starts_with(text), "{made:?}");
    assert!(made.stdout.contains("5 without one, 3 with NaN; 2 without a title"), "{made:?}");
    let made = sandbox.run("books generate -n 112 --seed 2 --style b b.csv");
    assert_eq!(made.code, 0, "{made:?}");
    let merged = sandbox.run("books merge --output books.json a.csv b.csv");
    assert_eq!((merged.code, merged.stdout.as_str()), (0, "212 records in books.json\n"));
    let args = "--create --input books.json --partition-key-field Title";
    let output = kinesis.run(&sandbox, args);
    assert_eq!(output.code, 0, "{output:?}");
    let users = kinesis.users("benchmark");
    assert_eq!(users.len(), 212);
    let mut with_price = 0;
    for (key, data) in users {
        let book: serde_json::Value = serde_json::from_slice(&data).expect("JSON");
        assert_eq!(key, book["Title"].as_str().unwrap_or("default_partition_key"));
        with_price += u32::from(book["Price"].is_number());
        assert!(book["Price"].is_number() || book["Price"].is_null() || book["Price"] == "NaN");
    }
    // 5 of 112 books have no price, and three of 25, 50, 75 and 100 are not multiples of 20.
    assert_eq!(with_price, 92 + 112 - 5 - 3);
    assert_eq!(count(&sandbox.document("results"), "default_partition_keys"), 2 + 2);
}
