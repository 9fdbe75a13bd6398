//! Chooses the partition key of each message.

use std::borrow::Cow;
use std::fmt;

use bench_core::transport::Outgoing;
use rand::{RngExt as _, SeedableRng as _};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::Deserializer as _;
use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};

/// Maximum characters of a partition key.
pub const PARTITION_KEY_CHARS_MAX: usize = 256;

/// The key of records without the key field.
pub const PARTITION_KEY_DEFAULT: &str = "default_partition_key";

/// Number of generated keys, which messages without a key use in turn: enough to distribute them
/// evenly over the shards and over a Lambda's batches, few enough to take little space in an
/// aggregate.
const POOL_KEYS: usize = 1024;

/// Where partition keys come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// The message's own key. Messages without one use generated keys in turn.
    Message,
    /// A field of the JSON object in the message.
    Field {
        /// Its name.
        name: String,
        /// Offset of the object in a message, bytes: the size of the header.
        from_bytes: usize,
    },
}

/// Chooses the partition keys of one publisher.
pub(super) struct KeyChooser {
    source: KeySource,
    pool: Vec<String>,
    next: usize,
    /// Number of messages without the field.
    pub(super) defaults: usize,
}

impl KeyChooser {
    pub(super) fn new(source: KeySource, seed: u64) -> Self {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let pool = (0..POOL_KEYS).map(|_| format!("{:08x}", rng.random::<u32>())).collect();
        Self { source, pool, next: 0, defaults: 0 }
    }

    /// Chooses the key of a message, 1 to [`PARTITION_KEY_CHARS_MAX`] characters.
    pub(super) fn choose<'a>(&'a mut self, message: &Outgoing<'a>) -> Cow<'a, str> {
        match &self.source {
            KeySource::Message => {
                if let Some(key) = message.key.filter(|key| !key.is_empty()) {
                    shortened(String::from_utf8_lossy(key))
                } else {
                    self.next = (self.next + 1) % self.pool.len();
                    Cow::Borrowed(&self.pool[self.next])
                }
            }
            KeySource::Field { name, from_bytes } => {
                let object = message.value.get(*from_bytes..).unwrap_or_default();
                let key = partition_key_field(object, name);
                self.defaults += usize::from(key.is_none());
                key.map_or(Cow::Borrowed(PARTITION_KEY_DEFAULT), Cow::Owned)
            }
        }
    }
}

fn shortened(key: Cow<'_, str>) -> Cow<'_, str> {
    match key.char_indices().nth(PARTITION_KEY_CHARS_MAX) {
        Some((end, _)) => Cow::Owned(key[..end].to_owned()),
        None => key,
    }
}

/// The partition key in a field of a JSON object, 1 to [`PARTITION_KEY_CHARS_MAX`] characters;
/// `None` if [`PARTITION_KEY_DEFAULT`] is used instead.
#[must_use]
pub fn partition_key_field(object: &[u8], name: &str) -> Option<String> {
    field(object, name).map(|key| shortened(Cow::Owned(key)).into_owned())
}

/// The value of a field as a key: a non-empty string, a number or a boolean. `None` if it is
/// missing, null or nested, or if the bytes are not a JSON object.
fn field(object: &[u8], name: &str) -> Option<String> {
    let mut json = serde_json::Deserializer::from_slice(object);
    let found = json.deserialize_map(FieldVisitor { name }).ok()?;
    match found? {
        serde_json::Value::String(text) => Some(text).filter(|text| !text.trim().is_empty()),
        value @ (serde_json::Value::Number(_) | serde_json::Value::Bool(_)) => {
            Some(value.to_string())
        }
        _ => None,
    }
}

/// Reads one field and skips the others without allocating.
struct FieldVisitor<'a> {
    name: &'a str,
}

impl<'de> Visitor<'de> for FieldVisitor<'_> {
    type Value = Option<serde_json::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(name) = map.next_key::<Cow<'_, str>>()? {
            if name == self.name {
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>().map_err(A::Error::custom)?;
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message<'a>(key: Option<&'a [u8]>, value: &'a [u8]) -> Outgoing<'a> {
        Outgoing { token: 0, key, value }
    }

    #[test]
    fn messages_without_key_get_generated_keys() {
        let mut keys = KeyChooser::new(KeySource::Message, 1);
        assert_eq!(keys.choose(&message(Some(b"k"), b"")), "k");
        assert_eq!(keys.choose(&message(Some("\u{e9}".repeat(300).as_bytes()), b"")).len(), 512);
        let made: Vec<_> =
            (0..POOL_KEYS * 2).map(|_| keys.choose(&message(None, b"")).into_owned()).collect();
        assert_eq!(made[..POOL_KEYS], made[POOL_KEYS..], "keys are used in turn");
        let different: std::collections::HashSet<_> = made.iter().collect();
        assert!(different.len() > POOL_KEYS - 5, "{}", different.len());
        assert!(
            !keys.choose(&message(Some(b""), b"")).is_empty(),
            "an empty key counts as missing"
        );
    }

    #[test]
    fn missing_key_fields_give_the_default_key() {
        let source = KeySource::Field { name: "Title".to_owned(), from_bytes: 2 };
        let mut keys = KeyChooser::new(source, 1);
        for (object, key) in [
            (r#"{"Author":{"Title":"no"},"Title":"Ulysses"}"#, "Ulysses"),
            (r#"{"Title":1984,"Pages":[1,2]}"#, "1984"),
            (r#"{"T\u0069tle":"escaped"}"#, "escaped"),
            (r#"{"title":"lower"}"#, PARTITION_KEY_DEFAULT),
            (r#"{"Title":null}"#, PARTITION_KEY_DEFAULT),
            (r#"{"Title":" "}"#, PARTITION_KEY_DEFAULT),
            (r#"{"Title":["a"]}"#, PARTITION_KEY_DEFAULT),
            (r#"{"Title":"broken"#, PARTITION_KEY_DEFAULT),
            ("[1]", PARTITION_KEY_DEFAULT),
            ("", PARTITION_KEY_DEFAULT),
        ] {
            let value = format!("HH{object}");
            assert_eq!(keys.choose(&message(None, value.as_bytes())), key, "{object}");
        }
        assert_eq!(keys.choose(&message(None, b"")), PARTITION_KEY_DEFAULT);
        assert_eq!(keys.defaults, 8);
        let long = format!(r#"{{"Title":"{}"}}"#, "\u{e9}".repeat(300));
        let key = partition_key_field(long.as_bytes(), "Title").expect("a key");
        assert_eq!(key, "\u{e9}".repeat(PARTITION_KEY_CHARS_MAX), "characters, not bytes");
    }
}
