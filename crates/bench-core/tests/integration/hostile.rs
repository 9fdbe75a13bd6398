//! Input from outside (messages, and the list of acknowledged ones) never causes a panic, and a
//! damaged message is never taken for another one.

use bench_core::audit::{AckLedger, Audit, CHUNK_LEN, LedgerError, StreamId};
use bench_core::clock::{BootId, ClockOrigin};
use bench_core::message::header::{Header, MAGIC, SEQUENCE_MAX};
use bench_core::message::{
    Content, KeyDistribution, MessageFactory, MessageFormat, MessageSpec, RunId, SizeDistribution,
    decode,
};
use bench_core::pacing::Share;
use bench_core::transport::Batch;
use bench_record::file_names;
use proptest::prelude::*;
use proptest::sample::Index;

/// A message as a producer builds it.
fn message(format: MessageFormat, sequence: u64, intended_ns: u64, lag_ns: u64) -> Vec<u8> {
    let spec = MessageSpec {
        format,
        content: Content::Generated {
            sizes: SizeDistribution::Fixed { size_bytes: format.smallest_bytes() + 60 },
            compressibility: 0.5,
        },
        keys: KeyDistribution::None,
        seed: sequence,
    };
    let origin = ClockOrigin {
        boot: BootId::from_hash(0x00AB_CDEF),
        wall_offset_ns: 1_790_000_000_123_456_000,
    };
    let run = RunId::from_bits(0xFE_DCBA_9876);
    let mut factory =
        MessageFactory::new(&spec, run, Share::WHOLE, origin).expect("a valid specification");
    let mut batch = Batch::default();
    factory.push(&mut batch, 0, sequence, intended_ns, intended_ns.saturating_add(lag_ns));
    let message = batch.iter().next().expect("one was pushed");
    message.value.to_vec()
}

fn messages(format: MessageFormat) -> impl Strategy<Value = Vec<u8>> {
    (0..=SEQUENCE_MAX, any::<u64>(), 0..10_000_000_000_u64).prop_map(
        move |(sequence, intended_ns, lag_ns)| message(format, sequence, intended_ns, lag_ns),
    )
}

/// How Kafka Connect wraps a line.
#[derive(Debug, Clone, Copy)]
enum Wrapping {
    /// `schemas.enable=false`.
    Text,
    /// `schemas.enable=true`.
    Envelope,
}

impl Wrapping {
    fn wrap(self, line: &[u8]) -> Vec<u8> {
        let line = std::str::from_utf8(line).expect("JSON is text");
        let wrapped = match self {
            Self::Text => serde_json::json!(line),
            Self::Envelope => serde_json::json!({
                "schema": { "type": "string", "optional": false },
                "payload": line,
            }),
        };
        wrapped.to_string().into_bytes()
    }
}

fn wrappings() -> impl Strategy<Value = Wrapping> {
    prop::sample::select(vec![Wrapping::Text, Wrapping::Envelope])
}

/// Damage to bytes in transit.
#[derive(Debug, Clone)]
enum Damage {
    Change {
        at: Index,
        by: u8,
    },
    /// A digit becomes another one, which leaves JSON well-formed.
    Digit {
        at: Index,
        digit: u8,
    },
    Cut {
        at: Index,
    },
    Insert {
        at: Index,
        byte: u8,
    },
    Remove {
        at: Index,
    },
    Swap {
        a: Index,
        b: Index,
    },
    Append(Vec<u8>),
    Prepend(Vec<u8>),
}

impl Damage {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let len = bytes.len();
        match self {
            Self::Append(more) => bytes.extend_from_slice(more),
            Self::Prepend(more) => drop(bytes.splice(..0, more.iter().copied())),
            // The others need a byte to damage.
            _ if len == 0 => {}
            Self::Change { at, by } => bytes[at.index(len)] ^= by,
            Self::Digit { at, digit } => {
                let digits: Vec<usize> =
                    (0..len).filter(|&place| bytes[place].is_ascii_digit()).collect();
                if !digits.is_empty() {
                    bytes[*at.get(&digits)] = *digit;
                }
            }
            Self::Cut { at } => bytes.truncate(at.index(len)),
            Self::Insert { at, byte } => bytes.insert(at.index(len), *byte),
            Self::Remove { at } => drop(bytes.remove(at.index(len))),
            Self::Swap { a, b } => bytes.swap(a.index(len), b.index(len)),
        }
    }
}

fn damage() -> impl Strategy<Value = Vec<Damage>> {
    let few_bytes = || prop::collection::vec(any::<u8>(), 1..20);
    let index = any::<Index>;
    let one = prop_oneof![
        (index(), 1_u8..).prop_map(|(at, by)| Damage::Change { at, by }),
        (index(), b'0'..=b'9').prop_map(|(at, digit)| Damage::Digit { at, digit }),
        index().prop_map(|at| Damage::Cut { at }),
        (index(), any::<u8>()).prop_map(|(at, byte)| Damage::Insert { at, byte }),
        // Bytes that mean something in JSON.
        (index(), prop::sample::select(b"0123456789,:\" {}-".to_vec()))
            .prop_map(|(at, byte)| Damage::Insert { at, byte }),
        index().prop_map(|at| Damage::Remove { at }),
        (index(), index()).prop_map(|(a, b)| Damage::Swap { a, b }),
        few_bytes().prop_map(Damage::Append),
        few_bytes().prop_map(Damage::Prepend),
    ];
    prop::collection::vec(one, 1..4)
}

fn damaged(bytes: &[u8], damage: &[Damage]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for damage in damage {
        damage.apply(&mut bytes);
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn random_bytes_are_refused(mut bytes: Vec<u8>) {
        prop_assert!(decode(&bytes).is_err());
        bytes.insert(0, MAGIC);
        prop_assert!(decode(&bytes).is_err());
        for first in [b'{', b'"'] {
            bytes[0] = first;
            prop_assert!(decode(&bytes).is_err());
        }
    }

    #[test]
    fn wrapped_random_text_is_refused(
        line: String,
        wrapping in wrappings(),
    ) {
        prop_assert!(decode(&wrapping.wrap(line.as_bytes())).is_err());
    }

    #[test]
    fn damaged_binary_messages_are_refused(
        message in messages(MessageFormat::Binary),
        damage in damage(),
    ) {
        let damaged = damaged(&message, &damage);
        prop_assert!(decode(&message).is_ok());
        prop_assert!(damaged == message || decode(&damaged).is_err());
    }

    #[test]
    fn damaged_json_messages_are_refused_or_equivalent(
        message in messages(MessageFormat::Json),
        damage in damage(),
    ) {
        let original = decode(&message).expect("undamaged");
        // Other spacing is not damage, and the checksum covers the sent instant only as precisely
        // as the binary form stores it.
        if let Ok(header) = decode(&damaged(&message, &damage)) {
            prop_assert_eq!(Header { sent_ns: original.sent_ns, ..header }, original);
        }
    }

    #[test]
    fn wrapped_messages_decode_like_bare_ones(
        message in messages(MessageFormat::Json),
        wrapping in wrappings(),
        damage in damage(),
    ) {
        let original = decode(&message).expect("undamaged");
        let wrapped = wrapping.wrap(&message);
        prop_assert_eq!(decode(&wrapped), Ok(original));
        if let Ok(header) = decode(&damaged(&wrapped, &damage)) {
            prop_assert_eq!(Header { sent_ns: original.sent_ns, ..header }, original);
        }
    }

    #[test]
    fn truncated_messages_are_refused(
        format in prop::sample::select(vec![MessageFormat::Json, MessageFormat::Binary]),
        wrapping in prop::option::of(wrappings()),
        (sequence, intended_ns) in (0..=SEQUENCE_MAX, any::<u64>()),
        at: Index,
    ) {
        let mut message = message(format, sequence, intended_ns, 1);
        if let Some(wrapping) = wrapping.filter(|_| format == MessageFormat::Json) {
            message = wrapping.wrap(&message);
        }
        prop_assert!(decode(&message[..at.index(message.len())]).is_err());
    }
}

#[test]
fn deeply_nested_json_is_refused() {
    for field in ["payload", "unknown", "schema"] {
        let text = format!("{{\"{field}\":{}", "[".repeat(1_000_000));
        assert!(decode(text.as_bytes()).is_err());
    }
}

#[test]
fn only_one_wrapping_is_removed() {
    let message = message(MessageFormat::Json, 5, 1_000, 10);
    for outer in [Wrapping::Text, Wrapping::Envelope] {
        for inner in [Wrapping::Text, Wrapping::Envelope] {
            assert!(decode(&outer.wrap(&inner.wrap(&message))).is_err(), "{outer:?} {inner:?}");
        }
    }
    for envelope in [
        r#"{"schema":null,"payload":null}"#,
        r#"{"schema":null,"payload":{"run":"0"}}"#,
        r#"{"payload":"no schema"}"#,
        r#"{"schema":null,"payload":"a","payload":"b"}"#,
    ] {
        assert!(decode(envelope.as_bytes()).is_err(), "{envelope}");
    }
}

/// Reads `contents` as the `acked.json` of a folder.
fn read_ledger(contents: &[u8]) -> Result<AckLedger, LedgerError> {
    let folder = tempfile::tempdir().expect("temporary folder");
    std::fs::write(folder.path().join(file_names::ACKED), contents).expect("writes");
    AckLedger::read(folder.path())
}

/// Checks that a refusal names the file, and that a ledger that was read serves the audit.
fn check_ledger(read: Result<AckLedger, LedgerError>) {
    match read {
        Err(error) => assert!(error.to_string().contains("acked.json"), "{error}"),
        Ok(ledger) => {
            let ranges = ledger.to_file(true).producers.into_iter().flat_map(|p| p.acked);
            let counted: u64 = ranges.map(|(first, last)| last - first + 1).sum();
            assert_eq!(ledger.len(), counted);
            assert_eq!(Audit::default().missing(&ledger), counted, "nothing was received");
            let summary = Audit::default().summary(Some(&ledger));
            assert_eq!(summary.lost, counted);
            assert!(summary.producers.iter().all(|producer| producer.lost_ranges.len() <= 10));
        }
    }
}

/// Boundary numbers and others, up to `most`.
fn numbers(most: u64) -> impl Strategy<Value = u64> {
    let near = move |number: u64| number - 2..=most.min(number.saturating_add(2));
    prop_oneof![0..5_u64, near(CHUNK_LEN), near(3 * CHUNK_LEN), near(most), 0..=most]
}

/// Mostly valid ranges of sequence numbers; some of other numbers, some reversed.
fn ranges() -> impl Strategy<Value = (u64, u64)> {
    let sequences = (numbers(SEQUENCE_MAX), numbers(SEQUENCE_MAX));
    let ordered = sequences.prop_map(|(a, b)| (a.min(b), a.max(b)));
    prop_oneof![20 => ordered, 1 => (numbers(u64::MAX), numbers(u64::MAX))]
}

fn ledger_text() -> impl Strategy<Value = String> {
    let run = prop_oneof![20 => "[0-9a-f]{10}", 1 => any::<String>()];
    let acked = prop::collection::vec(ranges(), 0..5);
    let producer = (run, prop_oneof![20 => 0..3_u64, 1 => any::<u64>()], acked);
    let version = prop_oneof![20 => Just(1), 1 => any::<u64>()];
    (version, prop::collection::vec(producer, 0..4)).prop_map(|(version, producers)| {
        let producers: Vec<_> = producers
            .into_iter()
            .map(|(run_id, producer, acked)| {
                serde_json::json!({ "run_id": run_id, "producer": producer, "acked": acked })
            })
            .collect();
        serde_json::json!({ "schema_version": version, "producers": producers }).to_string()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn random_bytes_are_not_a_ledger(bytes: Vec<u8>) {
        prop_assert!(read_ledger(&bytes).is_err());
    }

    #[test]
    fn hostile_ledgers_are_refused_or_read(text in ledger_text()) {
        check_ledger(read_ledger(text.as_bytes()));
    }

    #[test]
    fn damaged_ledgers_are_refused_or_read(
        ranges in prop::collection::vec((0..200_000_u64, 0..70_000_u64), 1..5),
        damage in damage(),
    ) {
        let mut ledger = AckLedger::default();
        for (first, length) in ranges {
            let stream = StreamId { run: RunId::from_bits(0xAB), producer: 1 };
            ledger.insert_range(stream, first, first + length);
        }
        let text = serde_json::to_vec(&ledger.to_file(true)).expect("serialises");
        check_ledger(read_ledger(&damaged(&text, &damage)));
    }
}
