//! A consumer that is killed during a run, as if its process crashed, and may come back.

use std::time::Duration;

use bench_core::clock::{Clock as _, InstantNs, SystemClock};
use bench_core::transport::{Incoming, Receive, TransportError};

use crate::config::KafkaConfig;
use crate::error::KafkaError;
use crate::receive::KafkaReceiver;

/// A scheduled kill of a consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kill {
    /// When the consumer is killed.
    pub at_ns: InstantNs,
    /// When it rejoins its group, as a new member; `None` for never.
    pub back_ns: Option<InstantNs>,
}

/// A group member with scheduled kills. Without kills it adds no cost to its receiver.
pub struct KillableReceiver {
    /// `None` while it is killed.
    receiver: Option<KafkaReceiver>,
    /// In reverse order: the next kill is the last element.
    kills: Vec<Kill>,
    back_ns: Option<InstantNs>,
    holds_back: bool,
    /// Messages that killed receivers had passed on but not settled. They stay unsettled here: the
    /// group's next readers receive them again.
    orphaned: usize,
    clock: SystemClock,
    config: KafkaConfig,
    topic: String,
}

impl KillableReceiver {
    /// Wraps a receiver of `topic` that was connected with `config`. `kills` are in order, each
    /// after the previous one's return.
    #[must_use]
    pub fn new(
        receiver: KafkaReceiver,
        config: &KafkaConfig,
        topic: &str,
        clock: SystemClock,
        mut kills: Vec<Kill>,
    ) -> Self {
        kills.reverse();
        Self {
            receiver: Some(receiver),
            kills,
            back_ns: None,
            holds_back: false,
            orphaned: 0,
            clock,
            config: config.clone(),
            topic: topic.to_owned(),
        }
    }

    /// The next kill or return.
    fn next_change_ns(&self) -> InstantNs {
        match self.receiver {
            Some(_) => self.kills.last().map_or(InstantNs::MAX, |kill| kill.at_ns),
            None => self.back_ns.unwrap_or(InstantNs::MAX),
        }
    }

    fn change(&mut self) -> Result<(), KafkaError> {
        if let Some(receiver) = self.receiver.take() {
            self.orphaned += receiver.held();
            receiver.kill();
            self.back_ns = self.kills.pop().and_then(|kill| kill.back_ns);
            tracing::info!("a consumer was killed");
        } else {
            let mut receiver = KafkaReceiver::connect(&self.config, self.clock)?;
            if self.holds_back {
                receiver.hold_back();
            }
            receiver.join(&self.topic)?;
            self.receiver = Some(receiver);
            tracing::info!("a killed consumer rejoined its group");
        }
        Ok(())
    }
}

impl Receive for KillableReceiver {
    fn receive(
        &mut self,
        until_ns: InstantNs,
        sink: impl FnMut(Incoming<'_>),
    ) -> Result<usize, TransportError> {
        let change_ns = self.next_change_ns();
        let now_ns = self.clock.now_ns();
        if now_ns >= change_ns {
            self.change().map_err(|error| TransportError::new(error.to_string()))?;
            return Ok(0);
        }
        let until_ns = until_ns.min(change_ns);
        if let Some(receiver) = &mut self.receiver {
            return receiver.receive(until_ns, sink);
        }
        std::thread::sleep(Duration::from_nanos(until_ns.saturating_sub(now_ns)));
        Ok(0)
    }

    fn at_end(&self) -> bool {
        // Other members read what a killed one did not.
        self.receiver.as_ref().is_some_and(KafkaReceiver::at_end)
    }

    fn is_behind(&self) -> bool {
        self.receiver.as_ref().is_some_and(KafkaReceiver::is_behind)
    }

    fn waits_for(&self) -> Option<String> {
        self.receiver.as_ref().and_then(KafkaReceiver::waits_for)
    }

    fn hold_back(&mut self) {
        self.holds_back = true;
        if let Some(receiver) = &mut self.receiver {
            receiver.hold_back();
        }
    }

    fn settle(&mut self, messages: usize) {
        let orphaned = messages.min(self.orphaned);
        self.orphaned -= orphaned;
        if let Some(receiver) = &mut self.receiver {
            receiver.settle(messages - orphaned);
        }
    }
}
