//! The producer loop: takes due messages from the pacer, hands them to the transport, and accounts
//! for each completion.

use bench_record::SelfCheck;

use super::control::{BACKLOG_WAIT_NS, RunControl};
use super::report::{Content, Outbox, ProducerEnd, ProducerSample, Timeline, Unanswered};
use crate::clock::{Clock, InstantNs};
use crate::message::MessageFactory;
use crate::pacing::{Due, Pacer};
use crate::transport::{Batch, Completion, Publish, Token, TransportError};

/// Longest wait for completions before the loop looks at the flags again.
const POLL_NS: u64 = 50_000_000;

/// Shortest sleep of a producer. At high rates it wakes for several messages at once: sleeping for
/// each would keep a processor busy with nothing but waking, and the messages wait for less than
/// the 100 us that a schedule lag of theirs may be.
const SLEEP_MIN_NS: u64 = 25_000;

/// How one producer works.
#[derive(Debug, Clone)]
pub struct ProducerConfig {
    /// When its messages are due.
    pub pacer: Pacer,
    /// Whether messages have due instants, so that latency counts from them.
    pub open_loop: bool,
    /// Messages without an answer at which it waits, above 0.
    pub in_flight_max: u32,
    /// Messages that are handed over at once, above 0.
    pub batch_max: usize,
    /// When it gives up sending what is overdue.
    pub give_up_ns: InstantNs,
    /// How long it waits for answers after the last message, nanoseconds.
    pub flush_timeout_ns: u64,
}

/// A producer at work.
pub(super) struct Producer<'a, C, T> {
    pub(super) clock: &'a C,
    pub(super) transport: T,
    pub(super) factory: MessageFactory,
    pub(super) config: ProducerConfig,
    pub(super) timeline: Timeline,
    pub(super) control: &'a RunControl,
    pub(super) outbox: Outbox<ProducerSample>,
    pub(super) state: ProducerState,
}

/// What a producer keeps between two turns of its loop.
pub(super) struct ProducerState {
    sequence: u64,
    flights: Flights,
    batch: Batch,
    completions: Vec<Completion>,
    failure_codes: Vec<i32>,
    /// Of the measured time, given up without an answer.
    unanswered: Vec<Unanswered>,
    /// Whether there is no room for what is due.
    held_up: bool,
    /// Since when nobody has answered, while there is no room.
    outage_since_ns: Option<InstantNs>,
}

impl ProducerState {
    pub(super) fn new(in_flight_max: u32) -> Self {
        Self {
            sequence: 0,
            flights: Flights::new(in_flight_max),
            batch: Batch::default(),
            completions: Vec::new(),
            failure_codes: Vec::new(),
            unanswered: Vec::new(),
            held_up: false,
            outage_since_ns: None,
        }
    }
}

/// What a producer waits for.
enum Wait {
    /// Nothing: there is more to send.
    No,
    /// The instant at which the next message is due.
    Due(InstantNs),
    /// Completions, that there be room for what is due.
    Room,
    /// Consumers, that there be room for what is due.
    Consumers,
    /// Completions, after the last message.
    Answers,
}

impl<C: Clock, T: Publish> Producer<'_, C, T> {
    /// Runs to the end of the schedule and reports how it ended, also after an error.
    pub(super) fn run(mut self) -> Result<(), TransportError> {
        self.control.progress(self.clock.now_ns());
        let sent_all = self.send_all();
        // What falls due from here on is no longer asked for.
        let stopped_ns = self.clock.now_ns();
        let result = sent_all.and_then(|()| self.flush());
        let now_ns = self.clock.now_ns();
        let end = self.end(stopped_ns, now_ns);
        self.outbox.send(now_ns);
        self.outbox.post(Content::ProducerEnded(Box::new(end)));
        self.control.producer_ended(now_ns);
        result
    }

    /// Accounts for the messages without an answer: they have waited until `now_ns`. What fell due up
    /// to `stopped_ns` was asked for.
    fn end(&mut self, stopped_ns: InstantNs, now_ns: InstantNs) -> ProducerEnd {
        // What fell due just now would have been sent in time, had the run gone on.
        let missed_ns = stopped_ns.saturating_sub(SelfCheck::LAG_P99_MAX_NS);
        // An interrupt is no reason to take what would have been sent as a sign of slowness.
        let is_slow = self.state.held_up || stopped_ns >= self.config.give_up_ns;
        let mut end = ProducerEnd::default();
        let mut overdue = 0;
        for intended_ns in self.config.pacer.clone().overdue(missed_ns) {
            overdue += 1;
            if is_slow {
                self.never_sent(&mut end, intended_ns, now_ns);
            }
        }
        let refused: Vec<Token> = self.state.batch.iter().map(|message| message.token).collect();
        end.refused = refused.len() as u64;
        end.unresolved = u64::from(self.state.flights.count()) - end.refused;
        end.unsent = if self.config.open_loop { overdue + end.refused } else { 0 };
        end.held_up = if self.state.held_up && end.unresolved > 0 { end.unsent } else { 0 };
        end.asked_until_ns = self.config.pacer.asked_until_ns(stopped_ns);
        end.outage = self.transport.outage();
        end.remark = self.transport.remark();
        for (token, flight) in self.state.flights.open() {
            if refused.contains(&token) {
                self.never_sent(&mut end, flight.intended_ns, now_ns);
            } else {
                self.unanswered(&flight, now_ns);
            }
        }
        end.unanswered = std::mem::take(&mut self.state.unanswered);
        let codes = self.state.failure_codes.iter();
        end.explanations = codes.map(|&code| (code, self.transport.explain(code))).collect();
        end
    }

    /// Notes a message that was due and that the system left no room for.
    fn never_sent(&mut self, end: &mut ProducerEnd, intended_ns: InstantNs, now_ns: InstantNs) {
        if self.config.open_loop && intended_ns >= self.timeline.warm_up_end_ns {
            let sample = &mut *self.outbox.sample;
            sample.schedule_lag.record_unanswered(intended_ns, now_ns);
            sample.publish_latency.record_unanswered(intended_ns, now_ns);
            end.unsent_waits.record_unanswered(intended_ns, now_ns);
        }
    }

    /// Notes a message that was sent and that nobody answered until `now_ns`.
    #[cold]
    fn unanswered(&mut self, flight: &Flight, now_ns: InstantNs) {
        if flight.intended_ns < self.timeline.warm_up_end_ns {
            return;
        }
        let Flight { sequence, intended_ns, sent_ns, .. } = *flight;
        let sample = &mut *self.outbox.sample;
        sample.service_time.record_unanswered(sent_ns, now_ns);
        if self.config.open_loop {
            sample.publish_latency.record_unanswered(intended_ns, now_ns);
        }
        self.state.unanswered.push(Unanswered { sequence, intended_ns });
    }

    fn send_all(&mut self) -> Result<(), TransportError> {
        loop {
            let now_ns = self.clock.now_ns();
            if self.outbox.is_due(now_ns) {
                self.outbox.send(now_ns);
            }
            if self.control.is_producing_stopped() || now_ns >= self.config.give_up_ns {
                return Ok(());
            }
            let wait = self.fill(now_ns);
            if !self.state.batch.is_empty() {
                self.transport.submit(&mut self.state.batch)?;
            }
            let (until_ns, blocked) = match wait {
                Wait::No if self.state.batch.is_empty() => (now_ns, false),
                Wait::Due(due_ns) if self.state.batch.is_empty() => {
                    let lingered_ns = due_ns.saturating_add(self.transport.lingering_ns());
                    (lingered_ns.max(now_ns.saturating_add(SLEEP_MIN_NS)), false)
                }
                Wait::Answers if self.state.batch.is_empty() => return Ok(()),
                // What was lost on the way will never make room.
                Wait::Consumers if self.control.idle_ns(now_ns) >= self.config.flush_timeout_ns => {
                    self.state.held_up = true;
                    return Ok(());
                }
                // The transport refused something, or there is no room.
                _ => (now_ns.saturating_add(BACKLOG_WAIT_NS), true),
            };
            self.state.held_up = blocked;
            if self.is_out_for_good(now_ns) {
                return Ok(());
            }
            let until_ns = until_ns.min(now_ns.saturating_add(POLL_NS));
            self.poll(until_ns.min(self.outbox.interval_end_ns()))?;
            if blocked {
                self.outbox.sample.blocked_ns += self.clock.now_ns().saturating_sub(now_ns);
            }
        }
    }

    /// Whether nothing has been answered for as long as answers are waited for at the end. A schedule
    /// that ends by the clock waits for the system to come back; one of a number of messages would
    /// wait for ever.
    fn is_out_for_good(&mut self, now_ns: InstantNs) -> bool {
        let ends_by_itself = self.config.give_up_ns != InstantNs::MAX;
        if ends_by_itself || !self.state.held_up || self.transport.outage().is_none() {
            self.state.outage_since_ns = None;
            return false;
        }
        let since_ns = *self.state.outage_since_ns.get_or_insert(now_ns);
        now_ns.saturating_sub(since_ns) >= self.config.flush_timeout_ns
    }

    /// Moves what is due into the batch, as far as there is room.
    fn fill(&mut self, now_ns: InstantNs) -> Wait {
        let state = &mut self.state;
        let room_bytes = self.control.backlog_room_bytes();
        let mut filled_bytes = 0_u64;
        let mut filled = 0;
        let wait = loop {
            if state.batch.len() >= self.config.batch_max {
                break Wait::No;
            }
            if filled_bytes >= room_bytes {
                break Wait::Consumers;
            }
            if state.flights.is_full() {
                break match self.config.pacer.peek(now_ns) {
                    Due::Now(_) => Wait::Room,
                    Due::At(due_ns) => Wait::Due(due_ns),
                    Due::Finished => Wait::Answers,
                };
            }
            let intended_ns = match self.config.pacer.take(now_ns) {
                Due::Now(intended_ns) => intended_ns,
                Due::At(due_ns) => break Wait::Due(due_ns),
                Due::Finished => break Wait::Answers,
            };
            let token = state.flights.next_token();
            let sequence = state.sequence;
            state.sequence += 1;
            let size = self.factory.push(&mut state.batch, token, sequence, intended_ns, now_ns);
            state.flights.start(Flight {
                sequence,
                intended_ns,
                sent_ns: now_ns,
                size_bytes: size as u64,
            });
            filled_bytes += size as u64;
            filled += 1;
            if self.config.open_loop && intended_ns >= self.timeline.warm_up_end_ns {
                self.outbox.sample.schedule_lag.record_between(intended_ns, now_ns);
            }
        };
        if filled > 0 {
            self.outbox.sample.sent += filled;
            self.control.add_submitted(filled_bytes);
        }
        wait
    }

    /// Waits for the answers to what was sent, for a limited time.
    fn flush(&mut self) -> Result<(), TransportError> {
        self.transport.finish()?;
        let waiting = |state: &ProducerState| state.flights.count() as usize > state.batch.len();
        let deadline_ns = self.clock.now_ns().saturating_add(self.config.flush_timeout_ns);
        while waiting(&self.state) {
            let now_ns = self.clock.now_ns();
            if now_ns >= deadline_ns {
                break;
            }
            if self.outbox.is_due(now_ns) {
                self.outbox.send(now_ns);
            }
            let until_ns = deadline_ns.min(now_ns.saturating_add(POLL_NS));
            self.poll(until_ns.min(self.outbox.interval_end_ns()))?;
        }
        Ok(())
    }

    fn poll(&mut self, until_ns: InstantNs) -> Result<(), TransportError> {
        self.transport.poll(until_ns, &mut self.state.completions)?;
        let mut failed_bytes = 0;
        for index in 0..self.state.completions.len() {
            let completion = self.state.completions[index];
            let flight = self.state.flights.end(completion.token);
            match completion.outcome {
                Ok(()) => self.acked(&flight, completion.at_ns),
                Err(code) => {
                    failed_bytes += flight.size_bytes;
                    self.failed(code, &flight, completion.at_ns);
                }
            }
        }
        self.state.completions.clear();
        if failed_bytes > 0 {
            self.control.subtract_submitted(failed_bytes);
        }
        Ok(())
    }

    #[inline]
    fn acked(&mut self, flight: &Flight, at_ns: InstantNs) {
        let sample = &mut *self.outbox.sample;
        sample.acked.add_message(flight.size_bytes);
        sample.acked_sequences.insert(flight.sequence);
        sample.last_acked_ns = at_ns;
        if flight.intended_ns >= self.timeline.warm_up_end_ns {
            sample.measured.add_message(flight.size_bytes);
            sample.service_time.record_between(flight.sent_ns, at_ns);
            if self.config.open_loop {
                sample.publish_latency.record_between(flight.intended_ns, at_ns);
            }
        }
    }

    #[cold]
    fn failed(&mut self, code: i32, flight: &Flight, at_ns: InstantNs) {
        if self.transport.is_aborted(code) {
            self.outbox.sample.aborted_sequences.insert(flight.sequence);
        } else if self.transport.is_unanswered(code) {
            self.outbox.sample.timed_out += 1;
            self.unanswered(flight, at_ns);
        }
        let failures = &mut self.outbox.sample.failures;
        match failures.iter_mut().find(|(other, _)| *other == code) {
            Some((_, count)) => *count += 1,
            None => failures.push((code, 1)),
        }
        if !self.state.failure_codes.contains(&code) {
            self.state.failure_codes.push(code);
        }
    }
}

/// A message between its making and its completion.
#[derive(Debug, Clone, Copy)]
struct Flight {
    sequence: u64,
    intended_ns: InstantNs,
    sent_ns: InstantNs,
    size_bytes: u64,
}

/// The messages that wait for an answer. The token is the place in a table of fixed size, so that
/// answers may come in any order and nothing is searched for.
///
/// The table is reserved whole, so that nothing moves while messages are sent, and written as far as
/// it is used: of the rest no memory is taken.
struct Flights {
    places: Vec<Flight>,
    /// Places that were used and are free. Those freed last are given out first: they are in cache.
    free: Vec<Token>,
    most: usize,
}

impl Flights {
    fn new(most: u32) -> Self {
        let most = most as usize;
        Self { places: Vec::with_capacity(most), free: Vec::with_capacity(most), most }
    }

    #[inline]
    fn is_full(&self) -> bool {
        self.free.is_empty() && self.places.len() >= self.most
    }

    fn count(&self) -> u32 {
        #[expect(clippy::cast_possible_truncation, reason = "the table was sized by a u32")]
        let count = (self.places.len() - self.free.len()) as u32;
        count
    }

    /// The messages that wait.
    fn open(&self) -> Vec<(Token, Flight)> {
        let mut is_open = vec![true; self.places.len()];
        for &token in &self.free {
            is_open[token as usize] = false;
        }
        let all = (0..).zip(&self.places).zip(is_open);
        all.filter(|(_, is_open)| *is_open).map(|((token, flight), _)| (token, *flight)).collect()
    }

    /// The token that the next [`Flights::start`] uses. Only to be called when there is room.
    #[inline]
    fn next_token(&self) -> Token {
        #[expect(clippy::cast_possible_truncation, reason = "the table was sized by a u32")]
        let unused = self.places.len() as Token;
        self.free.last().copied().unwrap_or(unused)
    }

    #[inline]
    fn start(&mut self, flight: Flight) {
        match self.free.pop() {
            Some(token) => self.places[token as usize] = flight,
            None => self.places.push(flight),
        }
    }

    #[inline]
    fn end(&mut self, token: Token) -> Flight {
        self.free.push(token);
        self.places[token as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flights_use_the_places_that_they_need() {
        let mut flights = Flights::new(3);
        assert!(flights.places.is_empty(), "no place is written before it is used");
        let start = |flights: &mut Flights, sequence| {
            let token = flights.next_token();
            flights.start(Flight { sequence, intended_ns: 0, sent_ns: 0, size_bytes: 0 });
            token
        };
        let tokens: Vec<_> = (0..3).map(|sequence| start(&mut flights, sequence)).collect();
        assert_eq!(
            (tokens.as_slice(), flights.is_full(), flights.count()),
            (&[0, 1, 2][..], true, 3)
        );
        assert_eq!(flights.end(1).sequence, 1);
        assert_eq!((flights.is_full(), flights.count()), (false, 2));
        assert_eq!(start(&mut flights, 3), 1, "a place that is free again comes first");
        assert_eq!((flights.end(1).sequence, flights.end(0).sequence), (3, 0));
        assert_eq!((flights.places.len(), flights.count()), (3, 1));
    }
}
