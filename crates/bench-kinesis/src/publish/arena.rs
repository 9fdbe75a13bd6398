//! Memory for keys and messages in flight.

use bytes::{Bytes, BytesMut};

/// Size of the chunks that are allocated, bytes.
const CHUNK_BYTES: usize = 256 << 10;

/// Copies keys and messages next to each other, with one allocation for many of them. Copies are
/// shared with the SDK and later retries; a chunk is freed with the last of its copies.
#[derive(Default)]
pub(super) struct Arena {
    chunk: BytesMut,
}

impl Arena {
    pub(super) fn copy(&mut self, bytes: &[u8]) -> Bytes {
        if self.chunk.capacity() < bytes.len() {
            self.chunk = BytesMut::with_capacity(bytes.len().max(CHUNK_BYTES));
        }
        self.chunk.extend_from_slice(bytes);
        self.chunk.split().freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_unchanged_by_later_ones() {
        let mut arena = Arena::default();
        let large = vec![7; CHUNK_BYTES + 1];
        let copies: Vec<_> = [&b"one"[..], b"", &large, b"two"].map(|b| arena.copy(b)).into();
        assert_eq!(copies, [&b"one"[..], b"", &large, b"two"]);
    }
}
