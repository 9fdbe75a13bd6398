//! The mode that prints messages, as Kafka's console consumer does.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::time::Duration;

use anyhow::{Context, Result};
use bench_cli::{Exit, Shutdown, printable_bytes};
use bench_core::clock::{Clock as _, SystemClock, duration_ns};
use bench_core::transport::Receive as _;
use bench_kafka::{KafkaReceiver, Record, RecordHeader, RecordTime};

use crate::cluster::Cluster;
use crate::consumers::{connect_alone, take_partitions};
use crate::escapes::Separator;
use crate::options::{From, Options, PrintArgs, Show};
use crate::settings::Settings;

/// Maximum wait until an interrupt is noticed.
const POLL: Duration = Duration::from_millis(50);

/// Default text for null, as in Kafka's console consumer.
const NULL_DEFAULT: &str = "null";

/// Prints each message as one line.
pub(crate) fn print(options: &Options, args: &PrintArgs, shutdown: &Shutdown) -> Result<Exit> {
    let settings = Settings::new(&options.connection)?;
    let from = settings.from(args.from);
    let mut config = settings.config.clone();
    config.set("enable.partition.eof", (!args.follow).to_string());
    let config = settings.consumer_alone(config)?;
    config.check_consumer()?;
    let cluster = Cluster::named(&settings, "print", shutdown)?;
    let starts = cluster.starts(&args.topic, from)?;
    let clock = SystemClock::new();
    let mut receivers = connect_alone(&config, 1, clock)?;
    take_partitions(&mut receivers, &args.topic, &starts)?;
    let Some(mut receiver) = receivers.pop() else { return Ok(Exit::Good) };

    let format = Format::new(args, io::stdout().is_terminal());
    let mut out = BufWriter::new(io::stdout().lock());
    let most = args.messages.unwrap_or(u64::MAX);
    let mut printed = 0;
    let mut result = Ok(());
    while printed < most && !shutdown.is_requested() && result.is_ok() && !receiver.at_end() {
        if let Some(outage) = outage(&receiver, &cluster, args) {
            anyhow::bail!("failed to read topic '{}' to its end: {outage}", args.topic);
        }
        receiver.receive_records(clock.now_ns() + duration_ns(POLL), |record, _| {
            if printed < most && result.is_ok() {
                result = format.write(&mut out, record);
                printed += 1;
            }
        })?;
        result = result.and_then(|()| out.flush());
    }
    match result {
        // A closed pipe means that its reader has all it wanted.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        result => result.context("failed to write to standard output")?,
    }
    let endless = args.follow && from == From::Latest;
    Ok(if shutdown.is_requested() && !endless { Exit::Interrupted } else { Exit::Good })
}

/// Why the topic cannot be read to its end; `None` while it can.
fn outage(receiver: &KafkaReceiver, cluster: &Cluster, args: &PrintArgs) -> Option<String> {
    receiver.lasting_outage(cluster.timeout()).filter(|_| !args.follow)
}

/// How messages are printed.
struct Format<'a> {
    show: &'a [Show],
    /// Text between key and value; without it, keys are not printed.
    key_separator: Option<&'a [u8]>,
    null: &'a str,
    /// Whether null keys are printed.
    shows_null_keys: bool,
    /// Whether terminal control characters are escaped.
    escapes: bool,
}

impl<'a> Format<'a> {
    fn new(args: &'a PrintArgs, is_terminal: bool) -> Self {
        Self {
            show: &args.show,
            key_separator: args.key_separator.as_ref().map(Separator::bytes),
            null: args.null.as_deref().unwrap_or(NULL_DEFAULT),
            shows_null_keys: args.null.is_some(),
            escapes: is_terminal && !args.raw_output,
        }
    }

    /// Writes the chosen fields, key and value, in the order of Kafka's console consumer.
    fn write(&self, out: &mut impl Write, record: Record<'_>) -> io::Result<()> {
        let shows = |what| self.show.contains(&what);
        if shows(Show::Timestamp) {
            match record.time() {
                RecordTime::None => out.write_all(b"NO_TIMESTAMP\t")?,
                RecordTime::Created(ms) => write!(out, "CreateTime:{ms}\t")?,
                RecordTime::Appended(ms) => write!(out, "LogAppendTime:{ms}\t")?,
            }
        }
        if shows(Show::Partition) {
            write!(out, "Partition:{}\t", record.partition())?;
        }
        if shows(Show::Offset) {
            write!(out, "Offset:{}\t", record.offset())?;
        }
        if shows(Show::Headers) {
            write!(out, "{}\t", headers(&record.headers(), self.null))?;
        }
        self.write_pair(out, record.key(), record.value())?;
        out.write_all(b"\n")
    }

    fn write_pair(
        &self,
        out: &mut impl Write,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> io::Result<()> {
        if let Some(separator) = self.key_separator
            && (key.is_some() || self.shows_null_keys)
        {
            out.write_all(&self.shown(key))?;
            out.write_all(&self.shown(Some(separator)))?;
        }
        out.write_all(&self.shown(value))
    }

    fn shown<'b>(&'b self, part: Option<&'b [u8]>) -> Cow<'b, [u8]> {
        let bytes = part.unwrap_or(self.null.as_bytes());
        if !self.escapes {
            return Cow::Borrowed(bytes);
        }
        match printable_bytes(bytes, &['\n', '\t']) {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        }
    }
}

/// Formats headers as `name:value,name:value`. Ambiguous characters are escaped as `\xHH`.
fn headers(headers: &[RecordHeader<'_>], null: &str) -> String {
    if headers.is_empty() {
        return "NO_HEADERS".to_owned();
    }
    let shown = headers.iter().map(|header| {
        let value = header.value.map_or_else(|| null.to_owned(), |value| escaped(value, ",\\"));
        format!("{}:{value}", escaped(header.name.as_bytes(), ":,\\"))
    });
    shown.collect::<Vec<_>>().join(",")
}

fn escaped(bytes: &[u8], reserved: &str) -> String {
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if reserved.contains(character) || character.is_control() {
                let mut encoded = [0; 4];
                push_escapes(&mut shown, character.encode_utf8(&mut encoded).as_bytes());
            } else {
                shown.push(character);
            }
        }
        push_escapes(&mut shown, chunk.invalid());
    }
    shown
}

fn push_escapes(shown: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing to a string never fails.
        let _ = write!(shown, "\\x{byte:02x}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(format: &Format<'_>, key: Option<&[u8]>, value: Option<&[u8]>) -> String {
        let mut out = Vec::new();
        format.write_pair(&mut out, key, value).expect("written");
        out.escape_ascii().to_string()
    }

    const PLAIN: Format<'static> = Format {
        show: &[],
        key_separator: Some(b":"),
        null: "null",
        shows_null_keys: false,
        escapes: false,
    };

    #[test]
    fn null_and_empty_differ() {
        assert_eq!(pair(&PLAIN, Some(b"k"), None), "k:null");
        assert_eq!(pair(&PLAIN, Some(b"k"), Some(b"")), "k:");
        assert_eq!(pair(&PLAIN, Some(b""), Some(b"v")), ":v");
        assert_eq!(pair(&PLAIN, None, Some(b"v")), "v");
        let chosen = Format { null: "NIL", shows_null_keys: true, ..PLAIN };
        assert_eq!(pair(&chosen, None, Some(b"v")), "NIL:v");
        assert_eq!(pair(&chosen, None, None), "NIL:NIL");
        assert_eq!(pair(&chosen, Some(b""), Some(b"")), ":");
    }

    #[test]
    fn only_terminals_get_escapes() {
        let value = b"\x1b[2Jhi\tthere\xff\n";
        assert_eq!(pair(&PLAIN, None, Some(value)), value.escape_ascii().to_string());
        let terminal = Format { escapes: true, ..PLAIN };
        let shown = b"\\x1b[2Jhi\tthere\\xff\n";
        assert_eq!(pair(&terminal, None, Some(value)), shown.escape_ascii().to_string());
    }

    #[test]
    fn headers_are_unambiguous() {
        let header = |name: &'static str, value| RecordHeader { name: name.into(), value };
        assert_eq!(headers(&[], "null"), "NO_HEADERS");
        let some = [header("a", Some(&b"1"[..])), header("b", None), header("c", Some(b""))];
        assert_eq!(headers(&some, "null"), "a:1,b:null,c:");
        let odd = [header("a:b,c", Some(&b"x,y\t\x1b\xff:"[..]))];
        assert_eq!(headers(&odd, "null"), r"a\x3ab\x2cc:x\x2cy\x09\x1b\xff:");
    }
}
