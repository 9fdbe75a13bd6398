//! The Java client's side: the syntax of its properties files, and the properties that only it has.

use std::iter::Peekable;
use std::str::Chars;

/// The property that holds the Java client's login.
pub(super) const JAAS: &str = "sasl.jaas.config";

/// Properties of the Java client that have no meaning for librdkafka, and what to do about each. A
/// name that starts or ends with a dot stands for all that end or start with it.
const JAVA_ONLY: [(&str, &str); 20] = [
    ("ssl.truststore.location", "use ssl.ca.location with a PEM file (`keytool -exportcert -rfc`)"),
    ("ssl.truststore.certificates", "use ssl.ca.pem"),
    ("ssl.truststore.", "use ssl.ca.location with a PEM file, which needs no password"),
    ("ssl.keystore.certificate.chain", "use ssl.certificate.pem"),
    ("ssl.keystore.key", "use ssl.key.pem"),
    ("ssl.keystore.type", "remove it: ssl.keystore.location is always PKCS#12"),
    ("ssl.enabled.protocols", "remove it: OpenSSL offers TLS 1.2 and 1.3"),
    ("ssl.protocol", "remove it: OpenSSL offers TLS 1.2 and 1.3"),
    ("sasl.login.", "use sasl.oauthbearer.method=oidc with sasl.oauthbearer.* properties"),
    ("sasl.client.callback.handler.class", "remove it"),
    ("buffer.memory", "use queue.buffering.max.kbytes"),
    ("fetch.max.wait.ms", "use fetch.wait.max.ms"),
    ("max.block.ms", "remove it: the tools wait for room in the queue"),
    ("max.poll.records", "remove it: the tools take what has arrived"),
    ("max.request.size", "use message.max.bytes"),
    ("metric.reporters", "remove it"),
    ("receive.buffer.bytes", "use socket.receive.buffer.bytes"),
    ("send.buffer.bytes", "use socket.send.buffer.bytes"),
    (".serializer", "remove it: the tools send bytes"),
    (".deserializer", "remove it: the tools receive bytes"),
];

/// What to do about a property of the Java client that librdkafka lacks or takes otherwise.
pub(super) fn remedy(name: &str, value: &str) -> Option<&'static str> {
    // librdkafka has the property, and reads PKCS#12 from it.
    if name == "ssl.keystore.location" && value.to_lowercase().ends_with(".jks") {
        return Some(
            "convert the JKS file to PKCS#12 (`keytool -importkeystore -deststoretype PKCS12`), or \
             use ssl.certificate.location and ssl.key.location with PEM files",
        );
    }
    if name == "ssl.endpoint.identification.algorithm" && value.is_empty() {
        return Some("write 'none' rather than nothing");
    }
    let matches = |pattern: &str| {
        name == pattern
            || (pattern.ends_with('.') && name.starts_with(pattern))
            || (pattern.starts_with('.') && name.ends_with(pattern))
    };
    JAVA_ONLY.iter().find(|(pattern, _)| matches(pattern)).map(|(_, remedy)| *remedy)
}

/// The user name and the password of a login for PLAIN or SCRAM:
/// `org.apache...PlainLoginModule required username="u" password="p";`. The reason of a failure
/// never quotes the value.
pub(super) fn parse_jaas(value: &str) -> Result<(String, String), &'static str> {
    let module = value.split_whitespace().next().unwrap_or_default();
    let known = ["PlainLoginModule", "ScramLoginModule"];
    if !known.iter().any(|known| module.rsplit('.').next() == Some(known)) {
        return Err("only the login modules of PLAIN and SCRAM can be translated; for others use \
                    librdkafka's sasl.oauthbearer.* properties");
    }
    let option = |name| jaas_option(value, name).filter(|found| !found.is_empty());
    match (option("username"), option("password")) {
        (Some(username), Some(password)) => Ok((username, password)),
        _ => Err("it has no username=\"...\" and password=\"...\"; use sasl.username and \
                  sasl.password"),
    }
}

/// The value of `name="value"`, in which a backslash hides the next character.
fn jaas_option(text: &str, name: &str) -> Option<String> {
    let at = text.match_indices(name).map(|(at, _)| at).find(|&at| {
        let starts_a_word = text[..at].ends_with(char::is_whitespace);
        starts_a_word && text[at + name.len()..].trim_start().starts_with('=')
    })?;
    let (_, rest) = text[at..].split_once('=')?;
    let rest = rest.trim_start();
    let Some(quoted) = rest.strip_prefix('"') else {
        let end = rest.find(|c: char| c.is_whitespace() || c == ';').unwrap_or(rest.len());
        return Some(rest[..end].to_owned());
    };
    let mut value = String::new();
    let mut chars = quoted.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => return Some(value),
            '\\' => value.push(chars.next()?),
            other => value.push(other),
        }
    }
    None
}

/// An entry of a properties file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) value: String,
    /// Where it starts, from 1.
    pub(super) line: usize,
}

/// Parses Java's properties format in UTF-8: `key=value`, `key: value` or `key value`, comments
/// after `#` or `!`, continuation by a backslash at the end of a line, escapes. A failure is a line
/// and a reason.
pub(super) fn parse(text: &str) -> Result<Vec<Entry>, (usize, String)> {
    let mut entries = Vec::new();
    let mut lines = text.trim_start_matches('\u{feff}').lines().enumerate();
    while let Some((index, first)) = lines.next() {
        let first = first.trim_start();
        if first.is_empty() || first.starts_with(['#', '!']) {
            continue;
        }
        let mut logical = first.to_owned();
        while is_continued(&logical) {
            logical.pop();
            match lines.next() {
                Some((_, next)) => logical.push_str(next.trim_start()),
                None => break,
            }
        }
        let line = index + 1;
        let (key, value) = split_entry(&logical).map_err(|reason| (line, reason))?;
        entries.push(Entry { key, value, line });
    }
    Ok(entries)
}

/// Whether a line ends in a backslash that is not itself escaped.
fn is_continued(line: &str) -> bool {
    (line.len() - line.trim_end_matches('\\').len()) % 2 == 1
}

fn split_entry(line: &str) -> Result<(String, String), String> {
    let mut chars = line.chars().peekable();
    let is_separator = |c: char| c.is_whitespace() || c == '=' || c == ':';
    let key = unescape(&mut chars, is_separator)?;
    let skip_blanks = |chars: &mut Peekable<Chars<'_>>| {
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
    };
    skip_blanks(&mut chars);
    if chars.next_if(|&c| c == '=' || c == ':').is_some() {
        skip_blanks(&mut chars);
    }
    let value = unescape(&mut chars, |_| false)?;
    if key.is_empty() {
        return Err("there is no key before the separator; write key=value".to_owned());
    }
    // Java keeps blanks at the end of a value; nobody means them.
    Ok((key, value.trim_end().to_owned()))
}

/// Takes characters up to the first one, not escaped, at which `stop` says so.
fn unescape(
    chars: &mut Peekable<Chars<'_>>,
    stop: impl Fn(char) -> bool,
) -> Result<String, String> {
    let mut text = String::new();
    while let Some(c) = chars.next_if(|&c| !stop(c)) {
        if c != '\\' {
            text.push(c);
            continue;
        }
        match chars.next() {
            Some('t') => text.push('\t'),
            Some('n') => text.push('\n'),
            Some('r') => text.push('\r'),
            Some('f') => text.push('\u{c}'),
            Some('u') => {
                let digits: String = chars.by_ref().take(4).collect();
                let is_hex = digits.len() == 4 && digits.chars().all(|c| c.is_ascii_hexdigit());
                let code = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
                let known = code.filter(|_| is_hex);
                text.push(known.ok_or("\\u needs four hexadecimal digits")?);
            }
            Some(other) => text.push(other),
            None => {}
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        let entries = parse(text).expect("parses");
        entries.into_iter().map(|entry| (entry.key, entry.value)).collect()
    }

    fn pair(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    #[test]
    fn all_forms_of_an_entry_are_read() {
        let text = "# comment\n! another\n\na=1\nb : 2\nc 3\n  d = x = y \ne=\nf\r\n";
        let expected = [("a", "1"), ("b", "2"), ("c", "3"), ("d", "x = y"), ("e", ""), ("f", "")];
        assert_eq!(pairs(text), expected.map(|(key, value)| pair(key, value)));
    }

    #[test]
    fn escapes_and_continuations_are_undone() {
        assert_eq!(pairs("path=C\\:\\\\kafka\\tx\\u00e9"), [pair("path", "C:\\kafka\tx\u{e9}")]);
        assert_eq!(
            pairs("a\\ b=1, \\\n    2, \\\n    3\nc=4"),
            [pair("a b", "1, 2, 3"), pair("c", "4")]
        );
        assert_eq!(pairs("a=ends in one\\\\\nb=2"), [pair("a", "ends in one\\"), pair("b", "2")]);
        assert_eq!(pairs("a=continued into nothing\\"), [pair("a", "continued into nothing")]);
    }

    #[test]
    fn a_malformed_line_is_named() {
        let (line, reason) = parse("a=1\nb=\\\n2\n=3").expect_err("no key");
        assert_eq!((line, reason.contains("key=value")), (4, true));
        assert_eq!(parse("a=\\u12").expect_err("short escape").0, 1);
        assert_eq!(parse("a=\\ud800").expect_err("half a surrogate pair").0, 1);
    }

    #[test]
    fn logins_with_a_password_are_translated() {
        let plain = "org.apache.kafka.common.security.plain.PlainLoginModule required \
                     username=\"alice\" password=\"a \\\"b\\\\c=;\";";
        assert_eq!(parse_jaas(plain), Ok(pair("alice", "a \"b\\c=;")));
        let scram = "org.apache.kafka.common.security.scram.ScramLoginModule required\n\
                     password = secret username=bob;";
        assert_eq!(parse_jaas(scram), Ok(pair("bob", "secret")));
    }

    #[test]
    fn other_logins_are_refused_without_being_quoted() {
        for text in [
            "",
            "com.sun.security.auth.module.Krb5LoginModule required password=\"hush\";",
            "org.apache.kafka.common.security.plain.PlainLoginModule required password=\"hush\";",
            "x.PlainLoginModule required username=\"u\" password=\"hush",
        ] {
            let reason = parse_jaas(text).expect_err("is refused");
            assert!(!reason.contains("hush"), "{reason}");
        }
    }

    #[test]
    fn every_java_only_property_has_a_remedy() {
        for name in [
            "ssl.truststore.location",
            "ssl.truststore.password",
            "key.serializer",
            "value.deserializer",
            "sasl.login.callback.handler.class",
            "max.poll.records",
        ] {
            assert!(remedy(name, "x").is_some(), "{name}");
        }
        assert!(remedy("ssl.keystore.location", "client.JKS").is_some());
        assert_eq!(remedy("ssl.keystore.location", "client.p12"), None);
        assert_eq!(remedy("linger.ms", "5"), None);
    }
}
