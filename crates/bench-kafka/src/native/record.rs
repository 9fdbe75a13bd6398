//! Messages as a consumer receives them.

use std::borrow::Cow;
use std::ffi::{CStr, c_void};
use std::ptr;

use rdkafka::bindings as rd;

use super::error_code;

/// A message as the broker stores it.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    pub(super) message: &'a rd::rd_kafka_message_t,
}

/// The timestamp of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordTime {
    /// The message has none.
    None,
    /// When the producer created the message, milliseconds since 1970.
    Created(i64),
    /// When the broker stored it, milliseconds since 1970.
    Appended(i64),
}

/// A header of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordHeader<'a> {
    /// Its name.
    pub name: Cow<'a, str>,
    /// Its value; `None` for null, as distinct from empty.
    pub value: Option<&'a [u8]>,
}

impl<'a> Record<'a> {
    /// The key; `None` for null, as distinct from empty.
    #[inline]
    #[must_use]
    pub fn key(&self) -> Option<&'a [u8]> {
        // SAFETY: the message and what it points to live for 'a.
        unsafe { bytes(self.message.key, self.message.key_len) }
    }

    /// The value; `None` for null (a tombstone), as distinct from empty.
    #[inline]
    #[must_use]
    pub fn value(&self) -> Option<&'a [u8]> {
        // SAFETY: the message and what it points to live for 'a.
        unsafe { bytes(self.message.payload, self.message.len) }
    }

    /// Its partition.
    #[inline]
    #[must_use]
    pub fn partition(&self) -> i32 {
        self.message.partition
    }

    /// Its offset within the partition.
    #[inline]
    #[must_use]
    pub fn offset(&self) -> i64 {
        self.message.offset
    }

    /// When it was created or stored.
    #[must_use]
    pub fn time(&self) -> RecordTime {
        let mut kind = rd::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is alive, and the result outlives the call.
        let ms = unsafe { rd::rd_kafka_message_timestamp(self.message, &raw mut kind) };
        match kind {
            rd::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_CREATE_TIME => {
                RecordTime::Created(ms)
            }
            rd::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME => {
                RecordTime::Appended(ms)
            }
            rd::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE => RecordTime::None,
        }
    }

    /// Its headers, in order.
    #[must_use]
    pub fn headers(&self) -> Vec<RecordHeader<'a>> {
        let mut headers = ptr::null_mut();
        let mut found = Vec::new();
        // SAFETY: the message is alive and owns its headers, which live for 'a as it does; names
        // end with a zero byte, and values have the returned length.
        unsafe {
            let code = rd::rd_kafka_message_headers(self.message, &raw mut headers);
            if error_code(code).is_some() {
                return found;
            }
            let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
            while error_code(rd::rd_kafka_header_get_all(
                headers,
                found.len(),
                &raw mut name,
                &raw mut value,
                &raw mut size,
            ))
            .is_none()
            {
                let name = CStr::from_ptr::<'a>(name).to_string_lossy();
                found.push(RecordHeader { name, value: bytes(value, size) });
            }
        }
        found
    }
}

/// Bytes borrowed from librdkafka; `None` for null, as distinct from empty.
///
/// # Safety
/// `start` is null or points to `len` bytes that live for `'a`.
unsafe fn bytes<'a>(start: *const c_void, len: usize) -> Option<&'a [u8]> {
    // SAFETY: guaranteed by the caller.
    (!start.is_null()).then(|| unsafe { std::slice::from_raw_parts(start.cast::<u8>(), len) })
}
