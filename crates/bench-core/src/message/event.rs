//! A click-stream event: what studies of stream processing send and parse.

use std::io::Write as _;

use rand::RngExt as _;
use rand_xoshiro::Xoshiro256PlusPlus;

use super::header::Header;

/// The longest that the fields of an event can be, in front of those of the header.
pub(super) const LONGEST: &str = concat!(
    r#""event_id":"ffffffff-ffff-8fff-bfff-ffffffffffff","created_ts":-9223372036854775808,"#,
    r#""user_id":9999,"event_type":"purchase","value":999.99,"#
);

/// Users, as many as in the study that this form comes from.
const USERS: u16 = 10_000;

/// What users do.
const KINDS: [&str; 4] = ["click", "view", "purchase", "login"];

/// Exclusive upper bound of an event's value, in hundredths.
const VALUE_MAX_HUNDREDTHS: u32 = 100_000;

/// Appends the fields of an event, each with a comma behind it. Its id names the message, and is a
/// UUID of version 8; it was created when the message was sent.
pub(super) fn write_fields(out: &mut Vec<u8>, header: &Header, rng: &mut Xoshiro256PlusPlus) {
    let sent_ns = header.sent_ns.cast_signed();
    let created_ms = sent_ns.wrapping_add(header.origin.wall_offset_ns).div_euclid(1_000_000);
    let value = rng.random_range(0..VALUE_MAX_HUNDREDTHS);
    let id = id(header);
    let written = write!(
        out,
        concat!(
            r#""event_id":"{:08x}-{:04x}-{:04x}-{:04x}-{:012x}","created_ts":{},"user_id":{},"#,
            r#""event_type":"{}","value":{}.{:02},"#
        ),
        id[0],
        id[1],
        id[2],
        id[3],
        id[4],
        created_ms,
        rng.random_range(0..USERS),
        KINDS[rng.random_range(0..KINDS.len())],
        value / 100,
        value % 100,
    );
    debug_assert!(written.is_ok(), "writing to memory does not fail");
}

/// The groups of a UUID of version 8 (RFC 9562, section 5.8) that holds sequence, producer and run.
fn id(header: &Header) -> [u64; 5] {
    let (sequence, producer) = (header.sequence, u64::from(header.producer));
    [
        sequence >> 16 & 0xffff_ffff,
        sequence & 0xffff,
        0x8000 | producer >> 4,
        0x8000 | (producer & 0xf) << 8,
        header.run.to_bits(),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use rand::SeedableRng as _;

    use super::*;
    use crate::clock::{BootId, ClockOrigin};
    use crate::message::RunId;

    fn header(producer: u16, sequence: u64) -> Header {
        Header {
            run: RunId::from_bits(0xff_ffff_ffff),
            producer,
            sequence,
            intended_ns: 0,
            sent_ns: 5_000_000_000,
            origin: ClockOrigin {
                boot: BootId::from_hash(1),
                wall_offset_ns: 1_700_000_000_000_000_000,
            },
        }
    }

    fn text(header: &Header, rng: &mut Xoshiro256PlusPlus) -> String {
        let mut out = Vec::new();
        write_fields(&mut out, header, rng);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn events_fit_their_limits_and_are_of_all_kinds() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        let texts: Vec<_> = (0..200).map(|n| text(&header(u16::MAX, n), &mut rng)).collect();
        assert!(texts.iter().all(|text| text.len() <= LONGEST.len()), "{texts:?}");
        for kind in KINDS {
            assert!(texts.iter().any(|text| text.contains(kind)), "{kind}");
        }
        assert!(texts[0].contains(r#""created_ts":1700000005000,"#), "{}", texts[0]);
    }

    #[test]
    fn ids_name_messages() {
        let sequences = [0, 1, 0xffff, 0x1_0000, (1 << 48) - 1];
        let producers = [0, 1, 15, 16, u16::MAX];
        let all = producers.iter().flat_map(|&p| sequences.map(|sequence| header(p, sequence)));
        let ids: HashSet<_> = all.map(|header| id(&header)).collect();
        assert_eq!(ids.len(), sequences.len() * producers.len());
        let largest = id(&header(u16::MAX, (1 << 48) - 1));
        assert!(largest.iter().zip([32, 16, 16, 16, 48]).all(|(group, bits)| group >> bits == 0));
        assert_eq!((largest[2] >> 12, largest[3] >> 14), (8, 2), "version and variant");
    }
}
