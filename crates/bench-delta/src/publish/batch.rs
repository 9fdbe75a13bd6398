//! The open batch: messages that were submitted and whose upload has not begun.

use bench_core::clock::InstantNs;
use bench_core::transport::{Outgoing, Token, TransportError};

use super::rows::{Pool, Rows};

/// The messages of one data file.
pub(super) struct Batch {
    pub(super) rows: Rows,
    pub(super) tokens: Vec<Token>,
    /// The sequence number of the first row.
    pub(super) first_sequence: u64,
}

/// Collects messages and decides when a batch closes.
pub(super) struct Collector {
    instants: CommitInstants,
    file_bytes_max: usize,
    rows: Rows,
    tokens: Vec<Token>,
    /// When the open batch closes; `None` while it is empty.
    due_ns: Option<InstantNs>,
    next_sequence: u64,
    is_finishing: bool,
    pool: Pool<Rows>,
    spare_tokens: Vec<Vec<Token>>,
}

impl Collector {
    pub(super) fn new(instants: CommitInstants, file_bytes_max: usize, pool: Pool<Rows>) -> Self {
        Self {
            instants,
            file_bytes_max: file_bytes_max.clamp(1, super::config::FILE_BYTES_MAX),
            rows: Rows::default(),
            tokens: Vec::new(),
            due_ns: None,
            next_sequence: 0,
            is_finishing: false,
            pool,
            spare_tokens: Vec::new(),
        }
    }

    /// Whether the open batch has to be closed before `message` fits.
    #[inline]
    pub(super) fn is_full_for(&self, message: &Outgoing<'_>) -> bool {
        let size_bytes = message.value.len() + message.key.map_or(0, <[u8]>::len);
        self.rows.len() > 0 && self.rows.size_bytes() + size_bytes > self.file_bytes_max
    }

    /// Copies a message into the open batch.
    #[inline]
    pub(super) fn take(
        &mut self,
        message: &Outgoing<'_>,
        now_ns: InstantNs,
    ) -> Result<(), TransportError> {
        self.rows.push(message)?;
        self.tokens.push(message.token);
        self.next_sequence += 1;
        if self.due_ns.is_none() {
            self.due_ns = Some(self.due_from(now_ns));
        }
        Ok(())
    }

    /// When the open batch closes; `None` while it is empty.
    pub(super) fn due_ns(&self) -> Option<InstantNs> {
        self.due_ns
    }

    /// Closes the open batch and returns its messages.
    pub(super) fn close(&mut self) -> Batch {
        self.due_ns = None;
        let rows = std::mem::replace(&mut self.rows, self.pool.take());
        let empty = self.spare_tokens.pop().unwrap_or_default();
        let tokens = std::mem::replace(&mut self.tokens, empty);
        let first_sequence = self.next_sequence - tokens.len() as u64;
        Batch { rows, tokens, first_sequence }
    }

    /// Returns memory for reuse.
    pub(super) fn reuse(&mut self, mut tokens: Vec<Token>) {
        tokens.clear();
        self.spare_tokens.push(tokens);
    }

    /// From now on, batches close at once.
    pub(super) fn finish(&mut self, now_ns: InstantNs) {
        self.is_finishing = true;
        self.due_ns = self.due_ns.map(|_| now_ns);
    }

    fn due_from(&self, now_ns: InstantNs) -> InstantNs {
        if self.is_finishing { now_ns } else { self.instants.next_after(now_ns) }
    }
}

/// The instants at which commits begin. They are fixed, so a slow commit does not delay later ones.
pub(super) struct CommitInstants {
    pub(super) start_ns: InstantNs,
    /// Above 0.
    pub(super) interval_ns: u64,
}

impl CommitInstants {
    fn next_after(&self, now_ns: InstantNs) -> InstantNs {
        let interval_ns = self.interval_ns.max(1);
        let passed = now_ns.saturating_sub(self.start_ns) / interval_ns;
        self.start_ns.saturating_add((passed + 1).saturating_mul(interval_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collector(file_bytes_max: usize) -> Collector {
        let instants = CommitInstants { start_ns: 1_000, interval_ns: 100 };
        Collector::new(instants, file_bytes_max, Pool::default())
    }

    fn message(token: Token) -> Outgoing<'static> {
        Outgoing { token, key: Some(b"k"), value: b"123" }
    }

    #[test]
    fn batches_close_at_fixed_instants() {
        let mut collector = collector(100);
        assert_eq!(collector.due_ns(), None);
        for (now_ns, due_ns) in [(1_000, 1_100), (1_099, 1_100), (1_310, 1_400), (1_400, 1_500)] {
            collector.take(&message(7), now_ns).expect("it fits");
            collector.take(&message(8), now_ns + 500).expect("it fits");
            assert_eq!(collector.due_ns(), Some(due_ns), "taken at {now_ns}");
            let batch = collector.close();
            assert_eq!((batch.tokens.as_slice(), collector.due_ns()), (&[7, 8][..], None));
            collector.reuse(batch.tokens);
        }
        collector.take(&message(1), 1_510).expect("it fits");
        collector.finish(1_520);
        assert_eq!(collector.due_ns(), Some(1_520));
        assert_eq!(collector.close().first_sequence, 8);
        collector.take(&message(2), 1_530).expect("it fits");
        assert_eq!(collector.due_ns(), Some(1_530));
    }

    #[test]
    fn batches_fill_by_size_except_single_large_messages() {
        let mut collector = collector(8);
        let large = Outgoing { token: 1, key: None, value: &[0; 9] };
        assert!(!collector.is_full_for(&large));
        collector.take(&message(1), 0).expect("it fits");
        assert!(!collector.is_full_for(&message(2)));
        collector.take(&message(2), 0).expect("it fits");
        assert!(collector.is_full_for(&message(3)) && collector.is_full_for(&large));
    }
}
