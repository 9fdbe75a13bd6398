//! The mode that sends lines, as Kafka's console producer does.

use std::collections::HashMap;
use std::io::{self, BufRead};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use bench_cli::{Exit, Shutdown};
use bench_core::clock::{Clock as _, InstantNs, SystemClock, duration_ns};
use bench_core::transport::{Delivery, Failure, Publish as _};
use bench_kafka::config::KafkaConfig;
use bench_kafka::{KafkaPublisher, SendPlan, SizeLimit};

use crate::cluster::Cluster;
use crate::options::{Options, SendArgs};
use crate::producers::config_of_lines;
use crate::settings::Settings;

/// Maximum wait until an interrupt is noticed.
const POLL: Duration = Duration::from_millis(50);

/// Maximum lines read ahead.
const LINES_AHEAD: usize = 1_000;

/// Maximum wait for the last acknowledgements.
const FLUSH: Duration = Duration::from_secs(30);

/// Maximum unacknowledged lines.
const UNANSWERED_MAX: usize = 100_000;

/// Maximum overhead of a batch beside its messages.
const BATCH_FRAME_BYTES: u64 = 128;

/// Sends each line of standard input as one message.
pub(crate) fn send(options: &Options, args: &SendArgs, shutdown: &Shutdown) -> Result<Exit> {
    let settings = Settings::new(&options.connection)?;
    let config = config_of_lines(&settings, FLUSH)?;
    let cluster = Cluster::named(&settings, "send", shutdown)?;
    cluster.prepare_topic(&args.topic, args.topic.partitions.unwrap_or(1))?;
    let config = fitted(config, &cluster, &args.topic.topic)?;
    let clock = SystemClock::new();
    let (topic, timeout) = (args.topic.topic.clone(), cluster.timeout());
    let publisher = shutdown.interruptible("the producer connected", {
        let topic = topic.clone();
        move || KafkaPublisher::connect(&config, &topic, clock, SendPlan::default(), timeout)
    })??;
    let format = LineFormat {
        separator: args.key_separator.as_ref().map(|separator| separator.bytes().to_vec()),
        null_marker: args.null_marker.as_ref().map(|marker| marker.clone().into_bytes()),
    };
    let mut sender = LineSender::new(publisher, clock, timeout, topic, format);
    let lines = lines_of_stdin();
    let mut input_error = None;
    while !shutdown.is_requested() {
        match lines.recv_timeout(POLL) {
            Ok(line) => {
                let Ok(line) = line.map_err(|error| input_error = Some(error)) else { break };
                sender.send(line, shutdown)?;
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
    // Lines read before the error are acknowledged.
    input_error.map_or(Ok(()), Err).context("failed to read standard input")?;
    Ok(if shutdown.is_requested() { Exit::Interrupted } else { Exit::Good })
}

/// Limits the producer's batches to the topic's maximum, if known, since the broker rejects a batch
/// as a whole.
fn fitted(mut config: KafkaConfig, cluster: &Cluster, topic: &str) -> Result<KafkaConfig> {
    if config.get("batch.size").is_none() {
        let name = topic.to_owned();
        let limit = cluster
            .ask("reading the topic's settings", move |admin| admin.message_max_bytes(&name))?;
        match limit {
            Ok(Some(limit)) if limit < 1_000_000 => {
                let size = limit.saturating_sub(BATCH_FRAME_BYTES).max(1);
                config.set_default("batch.size", size.to_string());
            }
            Ok(_) => {}
            Err(error) => tracing::debug!("{error}"),
        }
    }
    Ok(config)
}

/// The lines of standard input, each with its line end. A separate thread reads them, so that
/// neither an interrupt nor an acknowledgement waits for the next line.
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

/// How a line becomes a message.
struct LineFormat {
    separator: Option<Vec<u8>>,
    /// The key or value that stands for null.
    null_marker: Option<Vec<u8>>,
}

impl LineFormat {
    /// Key and value of a line; `None` for null.
    fn parse<'a>(&self, line: &'a [u8]) -> (Option<&'a [u8]>, Option<&'a [u8]>) {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let (key, value) = split_key(text, self.separator.as_deref());
        let is_null = |part: &[u8]| self.null_marker.as_deref().is_some_and(|null| null == part);
        (key.filter(|key| !is_null(key)), Some(value).filter(|value| !is_null(value)))
    }
}

/// A line of the input.
struct Line {
    /// From 1.
    number: u64,
    /// With its line end.
    text: Vec<u8>,
}

/// A rejected line, and how it failed.
struct Rejected {
    line: Line,
    failure: Failure,
}

struct LineSender {
    publisher: KafkaPublisher,
    clock: SystemClock,
    /// How long all brokers may be down.
    timeout: Duration,
    topic: String,
    format: LineFormat,
    read: u64,
    acknowledged: u64,
    unanswered: HashMap<u32, Line>,
    rejected: Vec<Rejected>,
}

impl LineSender {
    fn new(
        publisher: KafkaPublisher,
        clock: SystemClock,
        timeout: Duration,
        topic: String,
        format: LineFormat,
    ) -> Self {
        Self {
            publisher,
            clock,
            timeout,
            topic,
            format,
            read: 0,
            acknowledged: 0,
            unanswered: HashMap::new(),
            rejected: Vec::new(),
        }
    }

    /// Submits a line; waits for room, unless interrupted.
    fn send(&mut self, text: Vec<u8>, shutdown: &Shutdown) -> Result<()> {
        self.read += 1;
        let line = Line { number: self.read, text };
        while self.unanswered.len() >= UNANSWERED_MAX || !self.submit(&line) {
            if shutdown.is_requested() {
                return Ok(());
            }
            self.poll(after(self.clock, POLL))?;
        }
        self.unanswered.insert(token(&line), line);
        Ok(())
    }

    fn submit(&mut self, line: &Line) -> bool {
        let (key, value) = self.format.parse(&line.text);
        self.publisher.submit_one(token(line), key, value)
    }

    /// Handles queued acknowledgements. Rejected lines are handled before more are sent.
    fn poll(&mut self, until_ns: InstantNs) -> Result<()> {
        self.take_answers(until_ns)?;
        if self.rejected.is_empty() { Ok(()) } else { self.flush() }
    }

    fn take_answers(&mut self, until_ns: InstantNs) -> Result<()> {
        let mut completions = Vec::new();
        let polled = self.publisher.poll(until_ns, &mut completions);
        for completion in completions {
            let Some(line) = self.unanswered.remove(&completion.token) else { continue };
            match completion.delivery {
                Delivery::Acknowledged => self.acknowledged += 1,
                Delivery::Failed(failure) => self.rejected.push(Rejected { line, failure }),
            }
        }
        polled.map_err(|error| self.unacknowledged_error(&error.to_string()))?;
        match self.publisher.lasting_outage(self.timeout).filter(|_| !self.unanswered.is_empty()) {
            Some(outage) => Err(self.unacknowledged_error(&format!("{outage}; check the brokers"))),
            None => Ok(()),
        }
    }

    fn unacknowledged_error(&self, reason: &str) -> anyhow::Error {
        anyhow!(
            "{} lines were not acknowledged: {reason} ({} lines were acknowledged)",
            self.unanswered.len() + self.rejected.len(),
            self.acknowledged
        )
    }

    /// Waits until every submitted line is acknowledged.
    fn flush(&mut self) -> Result<()> {
        self.await_answers()?;
        let mut rejected = std::mem::take(&mut self.rejected);
        rejected.sort_by_key(|rejected| rejected.line.number);
        self.send_apart(rejected)
    }

    fn await_answers(&mut self) -> Result<()> {
        let deadline_ns = after(self.clock, FLUSH);
        while !self.unanswered.is_empty() && self.clock.now_ns() < deadline_ns {
            self.take_answers(deadline_ns.min(after(self.clock, POLL)))?;
        }
        if self.unanswered.is_empty() {
            return Ok(());
        }
        Err(self.unacknowledged_error(&format!("no answer within {FLUSH:?}; check the brokers")))
    }

    /// A broker rejects a whole batch because of one message. Resends the lines of rejected batches
    /// in ever smaller batches until the line at fault is found; all lines before it are then
    /// acknowledged.
    fn send_apart(&mut self, rejected: Vec<Rejected>) -> Result<()> {
        // In reverse order: the next group is the last element.
        let mut groups = vec![rejected];
        while let Some(mut group) = groups.pop() {
            let Some(first) = group.first() else { continue };
            if !self.publisher.is_about_batch(first.failure) {
                return Err(self.refusal(first));
            }
            // Lines after one that was rejected for itself are not resent.
            let own = group.iter().position(|one| !self.publisher.is_about_batch(one.failure));
            if let Some(own) = own {
                groups.push(group.split_off(own));
            }
            let was_alone = group.len() == 1;
            for Rejected { line, .. } in group {
                while !self.submit(&line) {
                    self.take_answers(after(self.clock, POLL))?;
                }
                self.unanswered.insert(token(&line), line);
            }
            self.await_answers()?;
            let mut again = std::mem::take(&mut self.rejected);
            again.sort_by_key(|rejected| rejected.line.number);
            match &again[..] {
                [] => {}
                [only] if was_alone => return Err(self.refusal(only)),
                _ => {
                    let rest = again.split_off(again.len().div_ceil(2));
                    groups.push(rest);
                    groups.push(again);
                }
            }
        }
        Ok(())
    }

    /// The error for a rejected line.
    fn refusal(&self, rejected: &Rejected) -> anyhow::Error {
        let Rejected { line, failure } = rejected;
        let reason = match self.publisher.size_limit(*failure) {
            Some(SizeLimit::Client) => format!(
                "its {} bytes exceed the client's message.max.bytes (MessageSizeTooLarge); shorten \
                 it, or raise --config message.max.bytes=N and the max.message.bytes of topic '{}'",
                line.text.len(),
                self.topic
            ),
            Some(SizeLimit::Topic) => format!(
                "its {} bytes exceed the max.message.bytes of topic '{}' (MessageSizeTooLarge); \
                 shorten it, or raise that setting",
                line.text.len(),
                self.topic
            ),
            None => self.publisher.explain(*failure),
        };
        let before = line.number - 1;
        let behind = self.acknowledged.saturating_sub(before);
        anyhow!(
            "line {} was rejected: {reason} ({before} lines before it were acknowledged, and \
             {behind} after it)",
            line.number,
        )
    }
}

fn token(line: &Line) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "far fewer are in flight at once")]
    let token = line.number as u32;
    token
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_split_at_the_first_separator() {
        let split = |line: &'static str, separator: Option<&str>| {
            split_key(line.as_bytes(), separator.map(str::as_bytes))
        };
        assert_eq!(split("a:b:c", None), (None, &b"a:b:c"[..]));
        assert_eq!(split("a:b:c", Some(":")), (Some(&b"a"[..]), &b"b:c"[..]));
        assert_eq!(split("a=>b", Some("=>")), (Some(&b"a"[..]), &b"b"[..]));
        assert_eq!(split("abc", Some("=>")), (None, &b"abc"[..]));
        assert_eq!(split("abc", Some("")), (None, &b"abc"[..]));
    }

    #[test]
    fn only_the_marker_means_null() {
        let format =
            LineFormat { separator: Some(b":".to_vec()), null_marker: Some(b"NULL".to_vec()) };
        let parse = |line: &'static [u8]| format.parse(line);
        assert_eq!(parse(b"k:NULL\n"), (Some(&b"k"[..]), None));
        assert_eq!(parse(b"NULL:v\r\n"), (None, Some(&b"v"[..])));
        assert_eq!(parse(b"k:\n"), (Some(&b"k"[..]), Some(&b""[..])));
        assert_eq!(parse(b":NULLS"), (Some(&b""[..]), Some(&b"NULLS"[..])));
        assert_eq!(parse(b"NULL"), (None, None));
        let plain = LineFormat { separator: None, null_marker: None };
        assert_eq!(plain.parse(b"NULL\n"), (None, Some(&b"NULL"[..])));
    }
}
