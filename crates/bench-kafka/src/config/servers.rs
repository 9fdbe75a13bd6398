//! Checks the list of bootstrap servers. librdkafka accepts any text: port 95566 becomes 30030, and
//! entries that it cannot parse are skipped.

use bench_core::address;

/// Kafka's usual port, for examples.
const PORT: u16 = 9092;

const PROTOCOLS: [&str; 4] = ["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"];

/// Checks a list of servers for clients that use `protocol`; errors say what to write instead.
pub(super) fn check(list: &str, protocol: &str) -> Result<(), String> {
    if list.trim().is_empty() {
        return Err("it is empty; remove it, or use --bootstrap-servers HOST:PORT".to_owned());
    }
    list.split(',').try_for_each(|entry| check_one(entry.trim(), protocol))
}

/// Removes the blanks around entries, which librdkafka would take for parts of names.
pub(super) fn tidy(list: &str) -> String {
    list.split(',').map(str::trim).collect::<Vec<_>>().join(",")
}

fn check_one(entry: &str, protocol: &str) -> Result<(), String> {
    if entry.is_empty() {
        return Err("the list has an empty entry; remove the extra comma".to_owned());
    }
    let address = match entry.split_once("://") {
        None => entry,
        Some((prefix, address)) => {
            check_prefix(prefix, protocol)?;
            address
        }
    };
    address::check(address, PORT).map_err(|error| error.to_string())
}

fn check_prefix(prefix: &str, protocol: &str) -> Result<(), String> {
    if prefix.eq_ignore_ascii_case(protocol) {
        return Ok(());
    }
    if PROTOCOLS.iter().any(|known| prefix.eq_ignore_ascii_case(known)) {
        let protocol = protocol.to_uppercase();
        return Err(format!(
            "the prefix {prefix}:// does not match security.protocol={protocol}; write HOST:PORT, \
             and set security.protocol={}",
            prefix.to_uppercase()
        ));
    }
    Err("it is a URL, not a Kafka address; write HOST:PORT".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_lists_are_accepted() {
        for right in ["a:1", "a:1,b:2", " a:1 , [::1]:9092 ", "PLAINTEXT://a:1,plaintext://b:2"] {
            assert_eq!(check(right, "plaintext"), Ok(()), "{right}");
        }
        assert_eq!(tidy(" a:1 , b:2\t"), "a:1,b:2");
        assert_eq!(check("SASL_SSL://a:1", "sasl_ssl"), Ok(()));
    }

    #[test]
    fn wrong_lists_suggest_what_to_write() {
        for (wrong, expected) in [
            ("", "it is empty"),
            (" ", "it is empty"),
            (",", "remove the extra comma"),
            ("a:1,", "remove the extra comma"),
            ("a:1,,b:2", "remove the extra comma"),
            ("a:1,b", "b:9092"),
            ("a:1 b:2", "more than one colon"),
            ("127.0.0.1:95566", "from 1 to 65535"),
            ("http://a:1", "write HOST:PORT"),
            ("a:1,https://b:2/c", "write HOST:PORT"),
            ("://a:1", "write HOST:PORT"),
            ("PLAINTEXT://a:1/b", "'1/b'"),
            ("SSL://a:1", "security.protocol=SSL"),
            ("::1:9092", "[::1]:9092"),
        ] {
            let reason = check(wrong, "plaintext").expect_err(wrong);
            assert!(reason.contains(expected), "{wrong}: {reason}");
        }
    }
}
