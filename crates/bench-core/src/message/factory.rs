//! Builds messages: the specification of what to send, and the factory of one producer.

use std::sync::Arc;

use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

use super::header::{HEADER_BYTES, Header, HeaderWriter};
use super::key::write_key;
use super::{
    KeyDistribution, KeyError, KeyGenerator, MessageFormat, PayloadAlphabet, PayloadError,
    PayloadGenerator, RecordFile, RunId, SizeDistribution, SizeError, SizeSampler, event, json,
};
use crate::clock::{ClockOrigin, InstantNs};
use crate::pacing::Share;
use crate::transport::{Batch, Token};

/// The largest allowed message, in bytes: more than any of the systems accepts.
pub const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// The specification of a run's messages.
#[derive(Debug, Clone)]
pub struct MessageSpec {
    /// Layout.
    pub format: MessageFormat,
    /// Where the payloads come from.
    pub content: Content,
    /// Keys.
    pub keys: KeyDistribution,
    /// Seed of sizes, payloads and keys: the same seed gives the same messages.
    pub seed: u64,
}

/// Where payloads come from.
#[derive(Debug, Clone)]
pub enum Content {
    /// Generated.
    Generated {
        /// Size of whole messages, including the header but not the key.
        sizes: SizeDistribution,
        /// The share that zstd can remove, 0 to 1.
        compressibility: f64,
    },
    /// The records of a file in order, starting over after the last.
    Records(Arc<RecordFile>),
}

/// Why messages cannot be built as specified.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// The sizes.
    #[error(transparent)]
    Size(#[from] SizeError),
    /// The payloads.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// The keys.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// More producers than the header has ids for.
    #[error("producer {index} is one too many: use at most 65536 producers")]
    Producers {
        /// The producer, from 0.
        index: u32,
    },
}

impl MessageFormat {
    /// Size of the smallest message of this format, in bytes.
    #[must_use]
    pub fn smallest_bytes(self) -> usize {
        match self {
            Self::Binary => HEADER_BYTES,
            Self::Json => json::JSON_BYTES_MIN,
            Self::Event => event::LONGEST.len() + json::JSON_BYTES_MIN,
            Self::Raw => 0,
        }
    }
}

impl MessageSpec {
    /// Checks sizes, payloads and keys.
    pub fn validate(&self) -> Result<(), MessageError> {
        let origin = ClockOrigin { boot: crate::clock::BootId::from_hash(0), wall_offset_ns: 0 };
        MessageFactory::new(self, RunId::from_bits(0), Share::WHOLE, origin).map(|_| ())
    }

    /// Upper bound of the message size in bytes, header included; 0 for invalid sizes.
    #[must_use]
    pub fn largest_bytes(&self) -> usize {
        match &self.content {
            Content::Generated { sizes, .. } => {
                let sampler = SizeSampler::new(sizes, 0, MESSAGE_BYTES_MAX);
                sampler.map_or(0, |sampler| sampler.max_bytes())
            }
            Content::Records(records) => records.max_bytes() + self.format.smallest_bytes(),
        }
    }

    /// Size in bytes, header included, that practically no message exceeds: for unbounded
    /// distributions about one in a billion does, at six standard deviations above the middle.
    #[must_use]
    pub fn likely_largest_bytes(&self) -> f64 {
        match &self.content {
            Content::Generated {
                sizes: SizeDistribution::Normal { mean_bytes, std_dev_bytes },
                ..
            } => mean_bytes + 6.0 * std_dev_bytes,
            Content::Generated {
                sizes: SizeDistribution::LogNormal { median_bytes, sigma },
                ..
            } => median_bytes * (6.0 * sigma).exp(),
            _ => self.largest_bytes() as f64,
        }
    }
}

/// Builds the messages of one producer.
pub struct MessageFactory {
    run: RunId,
    producer: u16,
    origin: ClockOrigin,
    format: MessageFormat,
    header: HeaderWriter,
    content: ContentSource,
    keys: KeyGenerator,
    rng: Xoshiro256PlusPlus,
    share: Share,
    /// Holds a payload while its checksum is written into a JSON message's head.
    scratch: Vec<u8>,
}

enum ContentSource {
    Generated { sizes: SizeSampler, payload: PayloadGenerator },
    Records(Arc<RecordFile>),
}

impl MessageFactory {
    /// The factory of the producer that sends `share` of the messages of `run`, with instants from
    /// a clock of `origin`. The producer's id is its index.
    pub fn new(
        spec: &MessageSpec,
        run: RunId,
        share: Share,
        origin: ClockOrigin,
    ) -> Result<Self, MessageError> {
        let content = match &spec.content {
            Content::Generated { sizes, compressibility } => {
                let alphabet = match spec.format {
                    MessageFormat::Json | MessageFormat::Event => PayloadAlphabet::Text,
                    MessageFormat::Binary | MessageFormat::Raw => PayloadAlphabet::Bytes,
                };
                let smallest = spec.format.smallest_bytes();
                ContentSource::Generated {
                    sizes: SizeSampler::new(sizes, smallest, MESSAGE_BYTES_MAX)?,
                    payload: PayloadGenerator::new(*compressibility, alphabet)?,
                }
            }
            Content::Records(records) => ContentSource::Records(Arc::clone(records)),
        };
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(spec.seed);
        for _ in 0..share.index {
            rng.jump();
        }
        let producer = u16::try_from(share.index)
            .map_err(|_| MessageError::Producers { index: share.index })?;
        Ok(Self {
            run,
            producer,
            origin,
            format: spec.format,
            header: HeaderWriter::new(run, producer, origin),
            content,
            keys: KeyGenerator::new(&spec.keys)?,
            rng,
            share,
            scratch: Vec::new(),
        })
    }

    /// Appends the message `sequence` to `batch`; returns the size of key and value in bytes.
    #[inline]
    pub fn push(
        &mut self,
        batch: &mut Batch,
        token: Token,
        sequence: u64,
        intended_ns: InstantNs,
        sent_ns: InstantNs,
    ) -> usize {
        // Position in the whole run, in which the producers take turns.
        let position = sequence
            .wrapping_mul(u64::from(self.share.count))
            .wrapping_add(u64::from(self.share.index));
        let key = self.keys.next(position, &mut self.rng);
        batch.push(
            token,
            |out| {
                if let Some(number) = key {
                    write_key(number, out);
                }
                key.is_some()
            },
            |out, start| match self.format {
                MessageFormat::Raw => self.append_payload(out, position, 0),
                MessageFormat::Binary => {
                    out.resize(start + HEADER_BYTES, 0);
                    self.append_payload(out, position, HEADER_BYTES);
                    self.header.seal(&mut out[start..], sequence, intended_ns, sent_ns);
                }
                MessageFormat::Json | MessageFormat::Event => {
                    self.append_json(out, position, sequence, intended_ns, sent_ns);
                }
            },
        )
    }

    /// Appends the payload of a message whose header takes `head_bytes`.
    #[inline]
    fn append_payload(&mut self, out: &mut Vec<u8>, position: u64, head_bytes: usize) {
        match &mut self.content {
            ContentSource::Generated { sizes, payload } => {
                let start = out.len();
                let size_bytes = sizes.sample(&mut self.rng).saturating_sub(head_bytes);
                out.resize(start + size_bytes, 0);
                payload.fill(&mut self.rng, &mut out[start..]);
            }
            ContentSource::Records(records) => out.extend_from_slice(records.cycle(position)),
        }
    }

    fn append_json(
        &mut self,
        out: &mut Vec<u8>,
        position: u64,
        sequence: u64,
        intended_ns: InstantNs,
        sent_ns: InstantNs,
    ) {
        let header = Header {
            run: self.run,
            producer: self.producer,
            sequence,
            intended_ns,
            sent_ns,
            origin: self.origin,
        };
        let start = out.len();
        out.push(b'{');
        if self.format == MessageFormat::Event {
            event::write_fields(out, &header, &mut self.rng);
        }
        if let ContentSource::Records(records) = &self.content {
            // A record may need escaping in JSON.
            let record = String::from_utf8_lossy(records.cycle(position));
            json::write_fields(out, &header, header.checksum(record.as_bytes()));
            // The serialized string has its own opening quotation mark.
            out.pop();
            let written = serde_json::to_writer(&mut *out, &record);
            debug_assert!(written.is_ok(), "writing to memory does not fail");
            out.extend_from_slice(&json::TAIL[1..]);
            return;
        }
        // The checksum precedes the payload, whose length depends on that of the head: write the
        // header once to measure it, and again with the checksum.
        let header_start = out.len();
        json::write_fields(out, &header, 0);
        let head_bytes = out.len() - start + json::TAIL.len();
        out.truncate(header_start);
        let mut payload = std::mem::take(&mut self.scratch);
        payload.clear();
        self.append_payload(&mut payload, position, head_bytes);
        let checksum = header.checksum(&payload);
        json::write_fields(out, &header, checksum);
        out.extend_from_slice(&payload);
        out.extend_from_slice(json::TAIL);
        self.scratch = payload;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::BootId;
    use crate::message::decode;

    const SEQUENCES: u64 = 200;

    fn origin() -> ClockOrigin {
        ClockOrigin { boot: BootId::from_hash(42), wall_offset_ns: 1_700_000_000_000_001_000 }
    }

    fn spec(format: MessageFormat, content: Content) -> MessageSpec {
        MessageSpec { format, content, keys: KeyDistribution::RoundRobin { keys: 3 }, seed: 1 }
    }

    fn generated(size_bytes: usize) -> Content {
        let sizes = SizeDistribution::Fixed { size_bytes };
        Content::Generated { sizes, compressibility: 0.5 }
    }

    #[test]
    fn largest_and_likely_largest_sizes_are_known() {
        let of =
            |sizes| spec(MessageFormat::Raw, Content::Generated { sizes, compressibility: 0.0 });
        let uniform = of(SizeDistribution::Uniform { min_bytes: 50, max_bytes: 900 });
        assert_eq!((uniform.largest_bytes(), uniform.likely_largest_bytes()), (900, 900.0));
        let normal = of(SizeDistribution::Normal { mean_bytes: 1_000.0, std_dev_bytes: 10.0 });
        assert!((normal.likely_largest_bytes() - 1_060.0).abs() < 1e-6);
        let log_normal = of(SizeDistribution::LogNormal { median_bytes: 500.0, sigma: 0.5 });
        let likely = log_normal.likely_largest_bytes();
        assert!((10_042.0..10_043.0).contains(&likely), "{likely}");
        assert_eq!(log_normal.largest_bytes(), MESSAGE_BYTES_MAX);
    }

    fn messages(spec: &MessageSpec, share: Share) -> Vec<(Option<Vec<u8>>, Vec<u8>)> {
        let run = RunId::from_bits(0xBEEF);
        let mut factory = MessageFactory::new(spec, run, share, origin()).expect("valid");
        let mut batch = Batch::default();
        for sequence in 0..SEQUENCES {
            let intended_ns = sequence * 1_000_000_007;
            factory.push(&mut batch, 0, sequence, intended_ns, intended_ns + 5);
        }
        batch.iter().map(|m| (m.key.map(<[u8]>::to_vec), m.value.to_vec())).collect()
    }

    #[test]
    fn all_forms_have_the_same_header_and_size() {
        for format in [MessageFormat::Binary, MessageFormat::Json, MessageFormat::Event] {
            let share = Share { index: 1, count: 2 };
            for (sequence, (_, value)) in
                messages(&spec(format, generated(400)), share).into_iter().enumerate()
            {
                let header = decode(&value).expect("decodes");
                let intended_ns = sequence as u64 * 1_000_000_007;
                let expected = Header {
                    run: RunId::from_bits(0xBEEF),
                    producer: 1,
                    sequence: sequence as u64,
                    intended_ns,
                    sent_ns: intended_ns + 5,
                    origin: origin(),
                };
                assert_eq!(header, expected);
                assert_eq!(value.len(), 400, "{format:?}");
            }
        }
    }

    #[test]
    fn smallest_sizes_are_those_of_the_format() {
        for format in [MessageFormat::Binary, MessageFormat::Json, MessageFormat::Event] {
            let smallest = format.smallest_bytes();
            assert!(spec(format, generated(smallest)).validate().is_ok());
            let error = spec(format, generated(smallest - 1)).validate().expect_err("too small");
            assert!(error.to_string().contains(&smallest.to_string()), "{error}");
        }
        assert_eq!(MessageFormat::Binary.smallest_bytes(), 40);
    }

    #[test]
    fn damaged_json_messages_are_detected() {
        let (_, value) = messages(&spec(MessageFormat::Json, generated(300)), Share::WHOLE)
            .pop()
            .expect("messages");
        let text = String::from_utf8(value).expect("text");
        assert!(decode(text.replace("\"producer\":0", "\"producer\":1").as_bytes()).is_err());
        assert!(decode(&text.as_bytes()[..200]).is_err());
        let spaced = text.replace("\",\"", "\" ,\t\"");
        assert!(decode(spaced.as_bytes()).is_ok(), "spacing is not damage");
    }

    #[test]
    fn producers_share_records_in_order() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("records.txt");
        std::fs::write(&path, "a \"quoted\"\nb\nc\n").expect("writes");
        let records = RecordFile::load(&path, crate::message::RecordFormat::Lines).expect("loads");
        let content = Content::Records(Arc::new(records));
        let raw = spec(MessageFormat::Raw, content.clone());
        let values =
            |index| messages(&raw, Share { index, count: 2 }).into_iter().map(|(_, value)| value);
        let first: Vec<_> = values(0).zip(values(1)).take(2).collect();
        let owned = |text: &str| text.as_bytes().to_vec();
        assert_eq!(
            first,
            [(owned("a \"quoted\""), owned("b")), (owned("c"), owned("a \"quoted\""))]
        );
        for format in [MessageFormat::Binary, MessageFormat::Json, MessageFormat::Event] {
            for (_, value) in messages(&spec(format, content.clone()), Share::WHOLE) {
                assert!(decode(&value).is_ok(), "{}", String::from_utf8_lossy(&value));
            }
        }
    }

    #[test]
    fn seeds_reproduce_messages_and_producers_differ() {
        let spec = spec(MessageFormat::Binary, generated(100));
        let share = |index| Share { index, count: 2 };
        assert_eq!(messages(&spec, share(0)), messages(&spec, share(0)));
        let payloads = |index| {
            messages(&spec, share(index)).into_iter().map(|(_, value)| value[40..].to_vec())
        };
        assert!(payloads(0).zip(payloads(1)).all(|(a, b)| a != b));
    }
}
