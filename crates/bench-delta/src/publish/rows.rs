//! Messages on their way into a data file, by column.

use std::sync::{Arc, Mutex, PoisonError};

use bench_core::transport::{Outgoing, TransportError};
use deltalake::arrow::array::{BinaryArray, NullBufferBuilder};
use deltalake::arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use deltalake::arrow::error::ArrowError;

/// The keys and values of a batch. Clearing keeps the memory.
#[derive(Default)]
pub(super) struct Rows {
    keys: Strings,
    values: Strings,
    /// Whether each row has a key; mostly all of them or none.
    keyed: Vec<bool>,
}

impl Rows {
    pub(super) fn len(&self) -> usize {
        self.keyed.len()
    }

    /// Size of the keys and values, bytes.
    pub(super) fn size_bytes(&self) -> usize {
        self.keys.bytes.len() + self.values.bytes.len()
    }

    /// Copies a message. It must fit, or be the first row.
    pub(super) fn push(&mut self, message: &Outgoing<'_>) -> Result<(), TransportError> {
        let size_bytes = message.value.len() + message.key.map_or(0, <[u8]>::len);
        if i32::try_from(self.size_bytes() + size_bytes).is_err() {
            return Err(TransportError::new(format!(
                "a message of {size_bytes} bytes does not fit into a data file, whose columns hold \
                 at most 2 GiB; lower --record-size"
            )));
        }
        self.keys.push(message.key.unwrap_or_default());
        self.values.push(message.value);
        self.keyed.push(message.key.is_some());
        Ok(())
    }

    /// Passes the columns of keys and of values to `write`, and takes their memory back.
    pub(super) fn lend<T, E: From<ArrowError>>(
        &mut self,
        write: impl FnOnce(BinaryArray, BinaryArray) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut nulls = NullBufferBuilder::new(self.len());
        self.keyed.drain(..).for_each(|keyed| nulls.append(keyed));
        let (keys, keys_back) = self.keys.lend(nulls.finish())?;
        let (values, values_back) = self.values.lend(None)?;
        let written = write(keys, values);
        self.keys = keys_back.into_strings();
        self.values = values_back.into_strings();
        written
    }
}

/// Byte strings one after another, with the end of each.
struct Strings {
    bytes: Vec<u8>,
    /// Including the start of the first.
    ends: Vec<i32>,
}

impl Default for Strings {
    fn default() -> Self {
        Self { bytes: Vec::new(), ends: vec![0] }
    }
}

impl Strings {
    #[inline]
    fn push(&mut self, string: &[u8]) {
        self.bytes.extend_from_slice(string);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_possible_wrap,
            reason = "the total size was checked"
        )]
        self.ends.push(self.bytes.len() as i32);
    }

    /// The strings as an array, and a handle that recovers their memory when the array is gone.
    fn lend(&mut self, nulls: Option<NullBuffer>) -> Result<(BinaryArray, Lent), ArrowError> {
        let bytes = Buffer::from_vec(std::mem::take(&mut self.bytes));
        let ends = ScalarBuffer::<i32>::from(std::mem::take(&mut self.ends));
        let lent = Lent { bytes: bytes.clone(), ends: ends.clone().into_inner() };
        let array = BinaryArray::try_new(OffsetBuffer::new(ends), bytes, nulls)?;
        Ok((array, lent))
    }
}

/// Memory lent to an array.
struct Lent {
    bytes: Buffer,
    ends: Buffer,
}

impl Lent {
    /// Recovers the memory, cleared; allocates new memory if the array is still in use.
    fn into_strings(self) -> Strings {
        let mut bytes = self.bytes.into_vec().unwrap_or_default();
        let mut ends = self.ends.into_vec().unwrap_or_default();
        bytes.clear();
        ends.clear();
        ends.push(0);
        Strings { bytes, ends }
    }
}

/// Memory of written batches, for reuse: new memory would come from the system page by page, which
/// takes longer than filling it.
pub(super) struct Pool<T>(Arc<Mutex<Vec<T>>>);

impl<T: Default> Pool<T> {
    pub(super) fn take(&self) -> T {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    pub(super) fn give_back(&self, memory: T) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(memory);
    }
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Clone for Pool<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(rows: &mut Rows, key: Option<&[u8]>, value: &[u8]) {
        rows.push(&Outgoing { token: 0, key, value }).expect("it fits");
    }

    #[test]
    fn lent_memory_is_recovered() {
        let mut rows = Rows::default();
        for _ in 0..3 {
            push(&mut rows, None, b"one");
            push(&mut rows, Some(b"k"), b"");
            push(&mut rows, Some(b""), b"three");
            assert_eq!((rows.len(), rows.size_bytes()), (3, 9));
            let result: Result<_, ArrowError> = rows.lend(|keys, values| {
                let keys: Vec<_> = keys.iter().map(|key| key.map(<[u8]>::to_vec)).collect();
                assert_eq!(keys, [None, Some(b"k".to_vec()), Some(vec![])]);
                let values: Vec<_> = values.iter().flatten().collect();
                assert_eq!(values, [&b"one"[..], b"", b"three"]);
                Ok(())
            });
            result.expect("columns");
            assert_eq!((rows.len(), rows.size_bytes()), (0, 0));
            assert!(rows.values.bytes.capacity() >= 8 && rows.values.ends.capacity() >= 4);
        }
    }
}
