//! Parses the Java client's login, `sasl.jaas.config`, as Java does: `JaasConfig` splits it with
//! `StreamTokenizer`.

use std::iter::Peekable;
use std::str::Chars;

/// The property.
pub(super) const JAAS: &str = "sasl.jaas.config";

const MODULE_MISSING: &str = "it does not begin with a login module class";
const FLAG_MISSING: &str =
    "the login module is not followed by required, requisite, sufficient or optional";
const VALUE_MISSING: &str = "one of its options has no value";
const NOT_CLOSED: &str = "it does not end with a semicolon";
const SEVERAL: &str = "it has more than one login module";
const NO_LOGIN: &str = "it has no username and password";

/// The form of a login; follows the problem in an error.
const FORM: &str = "write org.apache.kafka.common.security.plain.PlainLoginModule required \
                    username=\"...\" password=\"...\"; with quotes around the values";

/// The classes whose logins can be translated; programs that bundle Java's client add a prefix of
/// their own.
const BY_PASSWORD: [&str; 2] = [
    "org.apache.kafka.common.security.plain.PlainLoginModule",
    "org.apache.kafka.common.security.scram.ScramLoginModule",
];

/// Remedies for other login modules, by the last part of their names.
const OTHERS: [(&str, &str); 6] = [
    (
        "PlainLoginModule",
        "use the full name: org.apache.kafka.common.security.plain.PlainLoginModule",
    ),
    (
        "ScramLoginModule",
        "use the full name: org.apache.kafka.common.security.scram.ScramLoginModule",
    ),
    ("OAuthBearerLoginModule", "OAUTHBEARER is not built in; use a login for PLAIN or SCRAM"),
    ("Krb5LoginModule", "Kerberos is not built in; use a login for PLAIN or SCRAM"),
    ("IAMLoginModule", "AWS IAM logins are not built in; use a login for SCRAM"),
    ("", "only the login modules of PLAIN and SCRAM can be translated; use one of them"),
];

/// Extracts user name and password from a login for PLAIN or SCRAM: `org.apache...PlainLoginModule
/// required username='u' password='p';`. Errors never quote the value.
pub(super) fn parse(text: &str) -> Result<(String, String), String> {
    let entry = entry(&mut Tokens::new(text)).map_err(|problem| format!("{problem}; {FORM}"))?;
    let is_named = |class: &str| {
        entry.module.strip_suffix(class).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    if !BY_PASSWORD.iter().any(|class| is_named(class)) {
        let last = entry.module.rsplit('.').next().unwrap_or_default();
        let known = OTHERS.iter().find(|(name, _)| name.is_empty() || *name == last);
        return Err(known.map_or(String::new(), |(_, remedy)| (*remedy).to_owned()));
    }
    if entry.option("tokenauth").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Err("delegation tokens (tokenauth) are not supported; use a user's login".into());
    }
    let login = entry.option("username").zip(entry.option("password"));
    match login.filter(|(username, password)| !username.is_empty() && !password.is_empty()) {
        Some((username, password)) => Ok((username.to_owned(), password.to_owned())),
        None => Err(format!("{NO_LOGIN}; {FORM}")),
    }
}

/// A parsed login.
struct Login {
    module: String,
    options: Vec<(Option<String>, String)>,
}

impl Login {
    /// The value of an option; the last one wins.
    fn option(&self, name: &str) -> Option<&str> {
        let found = self.options.iter().rfind(|(key, _)| key.as_deref() == Some(name));
        found.map(|(_, value)| value.as_str())
    }
}

fn entry(tokens: &mut Tokens<'_>) -> Result<Login, &'static str> {
    let module = tokens.token().text().filter(|module| !module.is_empty()).ok_or(MODULE_MISSING)?;
    let flag = tokens.token().text().unwrap_or_default().to_lowercase();
    if !["required", "requisite", "sufficient", "optional"].contains(&flag.as_str()) {
        return Err(FLAG_MISSING);
    }
    let mut options = Vec::new();
    loop {
        match tokens.token() {
            Token::Other(';') => break,
            Token::End => return Err(NOT_CLOSED),
            key => {
                if tokens.token() != Token::Other('=') {
                    return Err(VALUE_MISSING);
                }
                options.push((key.text(), tokens.token().text().ok_or(VALUE_MISSING)?));
            }
        }
    }
    if tokens.token() != Token::End {
        return Err(SEVERAL);
    }
    Ok(Login { module, options })
}

#[derive(Debug, PartialEq, Eq)]
enum Token {
    /// A word, or quoted text.
    Text(String),
    /// A number, which has no text for Java.
    Number,
    Other(char),
    End,
}

impl Token {
    fn text(self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// Java's `StreamTokenizer` with both kinds of comments, and with `-`, `_` and `$` as letters.
struct Tokens<'a> {
    chars: Peekable<Chars<'a>>,
}

impl<'a> Tokens<'a> {
    fn new(text: &'a str) -> Self {
        Self { chars: text.chars().peekable() }
    }

    fn token(&mut self) -> Token {
        loop {
            let Some(c) = self.chars.next() else { return Token::End };
            match c {
                // Before a word begins, these begin a number.
                '-' if self.chars.peek().is_none_or(|next| !is_of_number(*next)) => {
                    return Token::Other('-');
                }
                '-' | '.' | '0'..='9' => return self.number(c),
                '"' | '\'' => return self.quoted(c),
                '/' if !self.skip_comment() => return Token::End,
                '/' | '\0'..=' ' => {}
                c if is_of_word(c) => return self.word(c),
                c => return Token::Other(c),
            }
        }
    }

    fn word(&mut self, first: char) -> Token {
        let mut word = String::from(first);
        while let Some(c) = self.chars.next_if(|c| is_of_word(*c) || is_of_number(*c)) {
            word.push(c);
        }
        Token::Text(word)
    }

    /// Skips a number: digits with at most one dot.
    fn number(&mut self, first: char) -> Token {
        let mut has_dot = first == '.';
        while let Some(c) = self.chars.next_if(|c| c.is_ascii_digit() || (*c == '.' && !has_dot)) {
            has_dot |= c == '.';
        }
        Token::Number
    }

    /// Reads quoted text. As in Java, the end of a line also closes the quote.
    fn quoted(&mut self, quote: char) -> Token {
        let mut text = String::new();
        while let Some(c) = self.chars.next_if(|c| *c != '\n' && *c != '\r') {
            match c {
                c if c == quote => break,
                '\\' => text.extend(self.escape()),
                c => text.push(c),
            }
        }
        Token::Text(text)
    }

    /// Reads the character after a backslash, by its name or up to three octal digits.
    fn escape(&mut self) -> Option<char> {
        let first = self.chars.next()?;
        let Some(digit) = first.to_digit(8) else {
            return Some(match first {
                'a' => '\u{7}',
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'v' => '\u{b}',
                other => other,
            });
        };
        let mut code = digit;
        // \377 is the largest.
        for _ in 0..if digit <= 3 { 2 } else { 1 } {
            let Some(c) = self.chars.next_if(|c| c.is_digit(8)) else { break };
            code = code * 8 + c.to_digit(8).unwrap_or_default();
        }
        char::from_u32(code)
    }

    /// Skips the rest of a comment; false if it never ends. A single slash also begins one.
    fn skip_comment(&mut self) -> bool {
        if self.chars.next_if_eq(&'*').is_none() {
            while self.chars.next_if(|c| *c != '\n' && *c != '\r').is_some() {}
            return true;
        }
        let mut before = '\0';
        for c in self.chars.by_ref() {
            if before == '*' && c == '/' {
                return true;
            }
            before = c;
        }
        false
    }
}

fn is_of_number(c: char) -> bool {
    c.is_ascii_digit() || c == '.'
}

fn is_of_word(c: char) -> bool {
    c.is_ascii_alphabetic() || matches!(c, '-' | '_' | '$') || c >= '\u{a0}'
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "org.apache.kafka.common.security.plain.PlainLoginModule";
    const SCRAM: &str = "org.apache.kafka.common.security.scram.ScramLoginModule";

    fn login(username: &str, password: &str) -> (String, String) {
        (username.to_owned(), password.to_owned())
    }

    #[test]
    fn single_and_double_quotes_mean_the_same() {
        for text in [
            format!("{PLAIN} required username='u' password='p';"),
            format!("{PLAIN} required username=\"u\" password=\"p\";"),
            format!("{PLAIN} required username=u password=p;"),
            format!("{PLAIN} REQUIRED\n  username = 'u'\n  password\t=\"p\" ;  "),
            format!("'{PLAIN}' \"optional\" 'username'=u serviceName=\"kafka\" password=p;"),
            format!("{SCRAM} Sufficient password='p' username='x' username='u';"),
            format!("kafkashaded.{PLAIN} requisite username='u' password='p';"),
            format!("// one\n{PLAIN} /* two */ required username=u / three\n password=p; // four"),
        ] {
            assert_eq!(parse(&text), Ok(login("u", "p")), "{text}");
        }
    }

    /// Java's own `JaasConfig` read each of these values.
    #[test]
    fn escapes_are_those_of_java() {
        for (quoted, value) in [
            (r#"'a"b'"#, "a\"b"),
            (r#""a'b""#, "a'b"),
            (r#""a\"b\\c=;""#, "a\"b\\c=;"),
            (r"'a\'b'", "a'b"),
            (r"'\a\b\f\n\r\t\v'", "\u{7}\u{8}\u{c}\n\r\t\u{b}"),
            (r"'\z\q\ '", "zq "),
            (r"'\101\60\7x'", "A0\u{7}x"),
            (r"'\377\400\18'", "\u{ff} 0\u{1}8"),
            (r"'\1234'", "S4"),
            ("'// /* # '", "// /* # "),
            ("'p\u{e9}\u{20ac}\u{1f600}'", "p\u{e9}\u{20ac}\u{1f600}"),
            ("p\u{e9}\u{20ac}", "p\u{e9}\u{20ac}"),
            ("a-b_c$d.e1", "a-b_c$d.e1"),
            ("'a\n", "a"),
        ] {
            let text = format!("{PLAIN} required username='u' password={quoted};");
            assert_eq!(parse(&text), Ok(login("u", value)), "{text}");
        }
    }

    #[test]
    fn invalid_logins_are_refused_without_quoting_them() {
        for (text, problem) in [
            (String::new(), MODULE_MISSING),
            ("7 required password='hush';".to_owned(), MODULE_MISSING),
            (PLAIN.to_owned(), FLAG_MISSING),
            (format!("{PLAIN} username='u' password='hush';"), FLAG_MISSING),
            (format!("{PLAIN} mandatory username='u' password='hush';"), FLAG_MISSING),
            (format!("{PLAIN} required username='u' password='hush'"), NOT_CLOSED),
            (format!("{PLAIN} required username='u' password='hush;"), NOT_CLOSED),
            (format!("{PLAIN} required username='u' password='hush'; /* {PLAIN}"), ""),
            (format!("{PLAIN} required username='u' /* password='hush';"), NOT_CLOSED),
            (format!("{PLAIN} required username='u' password;"), VALUE_MISSING),
            (format!("{PLAIN} required username='u', password='hush';"), VALUE_MISSING),
            (format!("{PLAIN} required username='u' password=7hush;"), VALUE_MISSING),
            (format!("{PLAIN} required username='u' password=-hush;"), VALUE_MISSING),
            (format!("{PLAIN} required username='u' password=hu%sh;"), VALUE_MISSING),
            (format!("{PLAIN} required username=u password=hush; {PLAIN} required;"), SEVERAL),
            (format!("{PLAIN} required username=u password=hush; x"), SEVERAL),
        ] {
            if problem.is_empty() {
                // An unterminated comment ends the text.
                assert_eq!(parse(&text), Ok(login("u", "hush")), "{text}");
                continue;
            }
            let reason = parse(&text).expect_err(&text);
            assert!(reason.starts_with(problem) && reason.ends_with(FORM), "{text}: {reason}");
            assert!(!reason.contains("hush"), "{reason}");
        }
    }

    #[test]
    fn unsupported_logins_name_the_reason() {
        let oauth = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required \
                     clientId='c' clientSecret='hush';";
        for (text, remedy) in [
            (oauth.to_owned(), "OAUTHBEARER is not built in"),
            ("com.sun.security.auth.module.Krb5LoginModule required;".into(), "Kerberos is not"),
            (
                "software.amazon.msk.auth.iam.IAMLoginModule required;".into(),
                "use a login for SCRAM",
            ),
            ("PlainLoginModule required username=u password=hush;".into(), PLAIN),
            ("x.ScramLoginModule required username=u password=hush;".into(), SCRAM),
            ("com.example.Login required password=hush;".into(), "PLAIN and SCRAM"),
            (format!("{SCRAM} required username=u password=hush tokenauth='TRUE';"), "tokenauth"),
            (format!("{PLAIN} required password=\"hush\";"), NO_LOGIN),
            (format!("{PLAIN} required username='' password=\"hush\";"), NO_LOGIN),
        ] {
            let reason = parse(&text).expect_err(&text);
            assert!(reason.contains(remedy), "{text}: {reason}");
            assert!(!reason.contains("hush"), "{reason}");
        }
    }
}
