//! The line modes: what Kafka's console producer and console consumer do.

use std::io::{self, BufRead, BufWriter, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use anyhow::{Context, Result};
use bench_cli::{Exit, Shutdown};
use bench_core::clock::{Clock as _, InstantNs, SystemClock, duration_ns};
use bench_core::transport::{Batch, Publish, Receive};
use bench_kafka::{KafkaPublisher, KafkaReceiver, SendPlan};

use crate::cluster::Cluster;
use crate::consumers::take_partitions;
use crate::options::{From, Options, PrintArgs, SendArgs};
use crate::producers::config_of_lines;
use crate::settings::Settings;

/// Longest wait before an interrupt is noticed.
const POLL: Duration = Duration::from_millis(50);

/// Lines that are read before they are sent.
const LINES_AHEAD: usize = 1_000;

/// Longest wait for the answers to the last lines.
const FLUSH: Duration = Duration::from_secs(30);

/// Sends each line of standard input as one message.
pub(crate) fn send(options: &Options, args: &SendArgs) -> Result<Exit> {
    let shutdown = Shutdown::install().context("failed to listen for signals")?;
    let settings = Settings::new(&options.connection)?;
    let config = config_of_lines(&settings, FLUSH)?;
    let cluster = Cluster::named(&settings, "send")?;
    cluster.prepare_topic(&args.topic, args.topic.partitions.unwrap_or(1))?;
    let clock = SystemClock::new();
    let timeout = cluster.timeout();
    let plan = SendPlan::default();
    let publisher = KafkaPublisher::connect(&config, &args.topic.topic, clock, plan, timeout)?;
    let (batch, unanswered) = (Batch::default(), 0);
    let mut sender = LineSender { publisher, clock, timeout, batch, unanswered };
    let lines = lines_of_stdin();
    while !shutdown.is_requested() {
        match lines.recv_timeout(POLL) {
            Ok(line) => {
                let line = line.context("failed to read standard input")?;
                let text = line.strip_suffix(b"\n").unwrap_or(&line);
                let text = text.strip_suffix(b"\r").unwrap_or(text);
                sender.send(text, args.key_separator.as_deref(), &shutdown)?;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        sender.poll(clock.now_ns())?;
    }
    if shutdown.is_requested() {
        // After an interrupt, do not wait for brokers that are down.
        sender.timeout = Duration::ZERO;
    }
    sender.flush()?;
    Ok(if shutdown.is_requested() { Exit::Interrupted } else { Exit::Good })
}

/// The lines of standard input, each with its end. They are read by a thread of its own, so that
/// neither an interrupt nor the answer to a line waits for the next one.
fn lines_of_stdin() -> Receiver<io::Result<Vec<u8>>> {
    let (sender, lines) = sync_channel(LINES_AHEAD);
    std::thread::spawn(move || {
        let mut input = io::stdin().lock();
        loop {
            let mut line = Vec::new();
            let read = match input.read_until(b'\n', &mut line) {
                Ok(0) => return,
                Ok(_) => Ok(line),
                Err(error) => Err(error),
            };
            if sender.send(read).is_err() {
                return;
            }
        }
    });
    lines
}

struct LineSender {
    publisher: KafkaPublisher,
    clock: SystemClock,
    /// How long brokers may all be down.
    timeout: Duration,
    batch: Batch,
    unanswered: u64,
}

impl LineSender {
    /// Hands a line over; waits for room, unless it is to stop.
    fn send(
        &mut self,
        line: &[u8],
        key_separator: Option<&str>,
        shutdown: &Shutdown,
    ) -> Result<()> {
        let (key, value) = split_key(line, key_separator.map(str::as_bytes));
        self.batch.push(
            0,
            |out| {
                out.extend_from_slice(key.unwrap_or_default());
                key.is_some()
            },
            |out, _| out.extend_from_slice(value),
        );
        self.unanswered += 1;
        self.publisher.submit(&mut self.batch)?;
        while !self.batch.is_empty() && !shutdown.is_requested() {
            self.poll(after(self.clock, POLL))?;
            self.publisher.submit(&mut self.batch)?;
        }
        Ok(())
    }

    fn poll(&mut self, until_ns: InstantNs) -> Result<()> {
        let mut completions = Vec::new();
        self.publisher.poll(until_ns, &mut completions)?;
        for completion in completions {
            self.unanswered -= 1;
            if let Err(code) = completion.outcome {
                anyhow::bail!("a line was not taken: {}", self.publisher.explain(code));
            }
        }
        match self.publisher.lasting_outage(self.timeout).filter(|_| self.unanswered > 0) {
            Some(outage) => Err(self.unconfirmed(&outage)),
            None => Ok(()),
        }
    }

    fn unconfirmed(&self, reason: &str) -> anyhow::Error {
        anyhow::anyhow!("{} lines were not confirmed: {reason}; check the brokers", self.unanswered)
    }

    fn flush(&mut self) -> Result<()> {
        let deadline_ns = after(self.clock, FLUSH);
        while self.unanswered > 0 && self.clock.now_ns() < deadline_ns {
            self.poll(deadline_ns.min(after(self.clock, POLL)))?;
        }
        if self.unanswered > 0 {
            return Err(self.unconfirmed(&format!("no answer within {FLUSH:?}")));
        }
        Ok(())
    }
}

fn after(clock: SystemClock, duration: Duration) -> InstantNs {
    clock.now_ns() + duration_ns(duration)
}

/// Splits a line at the first separator.
fn split_key<'a>(line: &'a [u8], separator: Option<&[u8]>) -> (Option<&'a [u8]>, &'a [u8]) {
    let Some(separator) = separator.filter(|separator| !separator.is_empty()) else {
        return (None, line);
    };
    match line.windows(separator.len()).position(|window| window == separator) {
        Some(at) => (Some(&line[..at]), &line[at + separator.len()..]),
        None => (None, line),
    }
}

/// Prints each message as one line.
pub(crate) fn print(options: &Options, args: &PrintArgs) -> Result<Exit> {
    let shutdown = Shutdown::install().context("failed to listen for signals")?;
    let settings = Settings::new(&options.connection)?;
    let from = settings.from(args.from);
    let mut config = settings.config.clone();
    config.set("enable.partition.eof", (!args.follow).to_string());
    let config = settings.consumer_alone(config, "kafka-prodcon-print")?;
    config.check_consumer()?;
    let cluster = Cluster::named(&settings, "print")?;
    let starts = cluster.starts(&args.topic, from)?;
    let clock = SystemClock::new();
    let mut receiver = [KafkaReceiver::connect(&config, clock)?];
    take_partitions(&mut receiver, &args.topic, &starts)?;
    let [mut receiver] = receiver;

    let mut out = BufWriter::new(io::stdout().lock());
    let most = args.messages.unwrap_or(u64::MAX);
    let separator = args.key_separator.as_deref().unwrap_or_default();
    let mut printed = 0;
    let mut result = Ok(());
    while printed < most && !shutdown.is_requested() && result.is_ok() && !receiver.at_end() {
        if let Some(outage) = receiver.lasting_outage(cluster.timeout()).filter(|_| !args.follow) {
            anyhow::bail!("failed to read topic '{}' to its end: {outage}", args.topic);
        }
        receiver.receive(after(clock, POLL), |message| {
            if printed < most && result.is_ok() {
                let key = message.key.filter(|_| !separator.is_empty());
                result = print_line(&mut out, key, separator, message.value);
                printed += 1;
            }
        })?;
        result = result.and_then(|()| out.flush());
    }
    match result {
        // A reader that has gone away has what it wanted.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        result => result.context("failed to write to standard output")?,
    }
    let endless = args.follow && from == From::Latest;
    Ok(if shutdown.is_requested() && !endless { Exit::Interrupted } else { Exit::Good })
}

fn print_line(
    out: &mut impl Write,
    key: Option<&[u8]>,
    separator: &str,
    value: &[u8],
) -> io::Result<()> {
    if let Some(key) = key {
        out.write_all(key)?;
        out.write_all(separator.as_bytes())?;
    }
    out.write_all(value)?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_split_at_the_first_separator() {
        let split = |line: &'static str, separator: Option<&str>| {
            split_key(line.as_bytes(), separator.map(str::as_bytes))
        };
        assert_eq!(split("a:b:c", None), (None, &b"a:b:c"[..]));
        assert_eq!(split("a:b:c", Some(":")), (Some(&b"a"[..]), &b"b:c"[..]));
        assert_eq!(split("a=>b", Some("=>")), (Some(&b"a"[..]), &b"b"[..]));
        assert_eq!(split("abc", Some("=>")), (None, &b"abc"[..]));
        assert_eq!(split("abc", Some("")), (None, &b"abc"[..]));
    }
}
