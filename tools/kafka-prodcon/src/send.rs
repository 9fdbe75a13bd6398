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

/// Longest wait before an interrupt is noticed.
const POLL: Duration = Duration::from_millis(50);

/// Lines that are read before they are sent.
const LINES_AHEAD: usize = 1_000;

/// Longest wait for the answers to the last lines.
const FLUSH: Duration = Duration::from_secs(30);

/// Lines without an answer at which sending waits.
const UNANSWERED_MAX: usize = 100_000;

/// What a batch has besides its messages, at most.
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
    // What was read before is confirmed.
    input_error.map_or(Ok(()), Err).context("failed to read standard input")?;
    Ok(if shutdown.is_requested() { Exit::Interrupted } else { Exit::Good })
}

/// The producer's settings, with batches no larger than the topic takes, where it tells, since the
/// broker refuses a batch as a whole.
fn fitted(mut config: KafkaConfig, cluster: &Cluster, topic: &str) -> Result<KafkaConfig> {
    if config.get("batch.size").is_none() {
        let name = topic.to_owned();
        let limit = cluster
            .ask("the topic's settings were read", move |admin| admin.message_max_bytes(&name))?;
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
    /// With its end.
    text: Vec<u8>,
}

/// A line that was refused, and how.
struct Refused {
    line: Line,
    failure: Failure,
}

struct LineSender {
    publisher: KafkaPublisher,
    clock: SystemClock,
    /// How long brokers may all be down.
    timeout: Duration,
    topic: String,
    format: LineFormat,
    read: u64,
    confirmed: u64,
    unanswered: HashMap<u32, Line>,
    refused: Vec<Refused>,
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
            confirmed: 0,
            unanswered: HashMap::new(),
            refused: Vec::new(),
        }
    }

    /// Hands a line over; waits for room, unless it is to stop.
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

    /// Takes the answers that are there. Refused lines are dealt with before more are sent.
    fn poll(&mut self, until_ns: InstantNs) -> Result<()> {
        self.take_answers(until_ns)?;
        if self.refused.is_empty() { Ok(()) } else { self.flush() }
    }

    fn take_answers(&mut self, until_ns: InstantNs) -> Result<()> {
        let mut completions = Vec::new();
        let polled = self.publisher.poll(until_ns, &mut completions);
        for completion in completions {
            let Some(line) = self.unanswered.remove(&completion.token) else { continue };
            match completion.delivery {
                Delivery::Acknowledged => self.confirmed += 1,
                Delivery::Failed(failure) => self.refused.push(Refused { line, failure }),
            }
        }
        polled.map_err(|error| self.unconfirmed(&error.to_string()))?;
        match self.publisher.lasting_outage(self.timeout).filter(|_| !self.unanswered.is_empty()) {
            Some(outage) => Err(self.unconfirmed(&format!("{outage}; check the brokers"))),
            None => Ok(()),
        }
    }

    fn unconfirmed(&self, reason: &str) -> anyhow::Error {
        anyhow!(
            "{} lines were not confirmed: {reason} ({} lines were confirmed)",
            self.unanswered.len() + self.refused.len(),
            self.confirmed
        )
    }

    /// Waits until every line that was handed over is confirmed.
    fn flush(&mut self) -> Result<()> {
        self.await_answers()?;
        let mut refused = std::mem::take(&mut self.refused);
        refused.sort_by_key(|refused| refused.line.number);
        self.send_apart(refused)
    }

    fn await_answers(&mut self) -> Result<()> {
        let deadline_ns = after(self.clock, FLUSH);
        while !self.unanswered.is_empty() && self.clock.now_ns() < deadline_ns {
            self.take_answers(deadline_ns.min(after(self.clock, POLL)))?;
        }
        if self.unanswered.is_empty() {
            return Ok(());
        }
        Err(self.unconfirmed(&format!("no answer within {FLUSH:?}; check the brokers")))
    }

    /// A broker refuses a batch for one of its messages. Sends those of refused batches again, in
    /// ever smaller ones, until it is known which line is at fault; all before it are then confirmed.
    fn send_apart(&mut self, refused: Vec<Refused>) -> Result<()> {
        // What comes next stands last.
        let mut groups = vec![refused];
        while let Some(mut group) = groups.pop() {
            let Some(first) = group.first() else { continue };
            if !self.publisher.is_about_batch(first.failure) {
                return Err(self.refusal(first));
            }
            // Those behind one that is at fault for itself are not sent again.
            let own = group.iter().position(|one| !self.publisher.is_about_batch(one.failure));
            if let Some(own) = own {
                groups.push(group.split_off(own));
            }
            let was_alone = group.len() == 1;
            for Refused { line, .. } in group {
                while !self.submit(&line) {
                    self.take_answers(after(self.clock, POLL))?;
                }
                self.unanswered.insert(token(&line), line);
            }
            self.await_answers()?;
            let mut again = std::mem::take(&mut self.refused);
            again.sort_by_key(|refused| refused.line.number);
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

    /// The error for a line that cannot be sent.
    fn refusal(&self, refused: &Refused) -> anyhow::Error {
        let Refused { line, failure } = refused;
        let reason = match self.publisher.size_limit(*failure) {
            Some(SizeLimit::Client) => format!(
                "its {} bytes are more than message.max.bytes of the client (MessageSizeTooLarge); \
                 shorten it, or raise --config message.max.bytes=N and max.message.bytes of topic '{}'",
                line.text.len(),
                self.topic
            ),
            Some(SizeLimit::Topic) => format!(
                "its {} bytes are more than max.message.bytes of topic '{}' (MessageSizeTooLarge); \
                 shorten it, or raise that setting",
                line.text.len(),
                self.topic
            ),
            None => self.publisher.explain(*failure),
        };
        let before = line.number - 1;
        let behind = self.confirmed.saturating_sub(before);
        anyhow!(
            "line {} was not taken: {reason} (of the lines before it {before} were confirmed, of those \
             behind it {behind})",
            line.number,
        )
    }
}

fn token(line: &Line) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "far fewer are unanswered at once")]
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

    #[test]
    fn only_the_marker_stands_for_null() {
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
