//! Reasons for errors of the store and of delta-rs, each reduced to a short line.

use std::io::ErrorKind;

use bench_aws::{NetworkProblem, one_line, with_causes};
use deltalake::DeltaTableError;
use deltalake::logstore::object_store;
use deltalake::logstore::object_store::client::{HttpError, HttpErrorKind};

/// The error of delta-rs, in one sentence.
pub(crate) fn table_reason(error: &DeltaTableError) -> String {
    tracing::debug!("delta-rs: {error}");
    match error {
        DeltaTableError::ObjectStore { source } => store_reason(source),
        other => sentence(&other.to_string()),
    }
}

/// A store's error, in one line.
pub(crate) fn store_reason(error: &object_store::Error) -> String {
    if let Some(reason) = no_answer(error) {
        return reason;
    }
    tracing::debug!("store error: {error}");
    if let Some(reason) = disk_reason(error) {
        return reason;
    }
    let text = with_causes(error);
    let (code, message) = (element(&text, "Code"), element(&text, "Message"));
    match (message, code) {
        (Some(message), Some(code)) => format!("{} ({code})", one_line(message)),
        (None, Some(code)) => code.to_owned(),
        // The service's own words cannot be separated from the details of the request.
        _ if text.contains("<Error>") => "the service rejected it".to_owned(),
        _ if matches!(error, object_store::Error::NotFound { .. }) => {
            "it does not exist".to_owned()
        }
        _ => status_reason(&text).unwrap_or_else(|| last_line(error)),
    }
}

/// Whether the store denies access. Only its answers to some requests say so by their kind: a denied
/// listing is known by its status.
pub(crate) fn is_denied(error: &object_store::Error) -> bool {
    use object_store::Error::{PermissionDenied, Unauthenticated};
    matches!(error, PermissionDenied { .. } | Unauthenticated { .. })
        || matches!(status(&with_causes(error)), Some(401 | 403))
}

/// The operating system's reason, if the store is a folder.
fn disk_reason(error: &object_store::Error) -> Option<String> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            if matches!(io.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) {
                return Some(format!("{}; free up space", io_reason(io)));
            }
            return io.raw_os_error().map(|_| io_reason(io));
        }
        cause = error.source();
    }
    None
}

/// The operating system's error for a file, in a few words.
pub(crate) fn io_reason(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::StorageFull => "no space left on the disk".to_owned(),
        ErrorKind::QuotaExceeded => "no space left in this user's quota".to_owned(),
        ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => without_number(&error.to_string()).to_lowercase(),
    }
}

/// The reason for a response that is not S3's, from its status. The body may be a whole web page.
fn status_reason(text: &str) -> Option<String> {
    let status = status(text)?;
    Some(match status {
        401 | 403 => format!("access denied (status {status}); see docs/aws.md for the policy"),
        407 => "a proxy requires a password (status 407)".to_owned(),
        429 | 500.. => format!("the service is not available (status {status})"),
        _ => format!(
            "the response is not from S3 (status {status}); check --endpoint-url, and whether a \
             proxy or a web server responds in its place"
        ),
    })
}

/// The status of a response, from the client's text about it.
fn status(text: &str) -> Option<u16> {
    let (_, rest) = text.split_once("status code: ")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// The root cause of an error, in one line.
fn last_line(error: &object_store::Error) -> String {
    let text = with_causes(error);
    let of_client = ["Generic S3 error: ", "Error performing ", "Error decoding", "HTTP error"];
    if !of_client.iter().any(|word| text.contains(word)) {
        return one_line(&text);
    }
    let mut last: &dyn std::error::Error = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    without_number(&one_line(&last.to_string()))
}

/// A request that got no response within the caller's time limit.
#[derive(Debug, thiserror::Error)]
#[error("no answer in time")]
pub(crate) struct NoAnswer;

/// Why the store did not respond: unreachable or too slow. `None` if it responded, whatever the
/// response.
pub(crate) fn no_answer(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<NoAnswer>() {
            return Some(NoAnswer.to_string());
        }
        if let Some(http) = error.downcast_ref::<HttpError>() {
            return broken_off(http);
        }
        cause = error.source();
    }
    None
}

/// Why an HTTP request got no response.
pub(crate) fn broken_off(error: &HttpError) -> Option<String> {
    let mut last: &dyn std::error::Error = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    let known = NetworkProblem::of(error);
    let or_last = || match known {
        Some(problem) => problem.reason().to_owned(),
        None => without_number(&sentence(&last.to_string())),
    };
    match error.kind() {
        HttpErrorKind::Timeout => Some(NoAnswer.to_string()),
        HttpErrorKind::Connect => Some(format!("failed to connect: {}", or_last())),
        HttpErrorKind::Request | HttpErrorKind::Interrupted => {
            Some(format!("the connection broke: {}", or_last()))
        }
        _ => None,
    }
}

/// Removes the number from an error of the operating system, as in ` (os error 111)`.
fn without_number(text: &str) -> String {
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

/// The first sentence of a library's error, without the error names before it and without a dump of
/// a structure after it.
pub(crate) fn sentence(text: &str) -> String {
    const SENTENCE_CHARS_MAX: usize = 160;
    const NAMES: [&str; 7] = [
        "Kernel error: ",
        "Generic delta kernel error: ",
        "Generic DeltaTable error: ",
        "Generic error: ",
        "Arrow error: ",
        "Parquet error: ",
        "External: ",
    ];
    let mut line = text.lines().next().unwrap_or_default().trim();
    while let Some(rest) = NAMES.iter().find_map(|name| line.strip_prefix(name)) {
        line = rest;
    }
    if let Some(dump) = line.find(['{', '[']) {
        line = line[..dump].rsplit_once([':', ',']).map_or(&line[..dump], |(before, _)| before);
    }
    let line = line.trim_end_matches(['.', ':', ' ']);
    match line.chars().count() {
        0 => "no reason given".to_owned(),
        count if count <= SENTENCE_CHARS_MAX => line.to_owned(),
        _ => line.chars().take(SENTENCE_CHARS_MAX).chain(['…']).collect(),
    }
}

/// The content of an element of an XML response.
fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    let (content, _) = rest.split_once('<')?;
    Some(content.trim()).filter(|content| !content.is_empty())
}

#[cfg(test)]
mod tests {
    use bench_aws::REASON_CHARS_MAX;

    use super::*;
    use crate::DeltaError;

    fn generic(text: &str) -> object_store::Error {
        object_store::Error::Generic { store: "S3", source: text.to_owned().into() }
    }

    #[test]
    fn xml_errors_show_only_code_and_message() {
        let answer = "Error performing PUT http://h/b/k: Server returned non-2xx status code: 403: \
                      <?xml version=\"1.0\"?><Error><Code>SignatureDoesNotMatch</Code><Message>The \
                      signature does not match.</Message><AWSAccessKeyId>AKIDSECRET\
                      </AWSAccessKeyId><StringToSign>AWS4\nx</StringToSign></Error>";
        let error = DeltaError::store("write x", &generic(answer));
        assert_eq!(
            error.to_string(),
            "failed to write x: The signature does not match. (SignatureDoesNotMatch)"
        );
        let nameless = generic("<Error><AWSAccessKeyId>AKIDSECRET</AWSAccessKeyId></Error>");
        assert_eq!(store_reason(&nameless), "the service rejected it");
    }

    #[test]
    fn denials_are_known_by_their_status_too() {
        for (status, denied) in [(401, true), (403, true), (404, false), (503, false)] {
            let answer = format!("Server returned non-2xx status code: {status} : <Error></Error>");
            assert_eq!(is_denied(&generic(&answer)), denied, "{status}");
        }
        assert!(!is_denied(&generic("connection refused")));
    }

    #[test]
    fn library_errors_are_cut_to_one_sentence() {
        for (text, expected) in [
            (
                "Kernel error: Generic delta kernel error: Expected contiguous commit files, but \
                 found gap: ParsedLogPath { location: FileMeta { location: Url",
                "Expected contiguous commit files, but found gap",
            ),
            ("Kernel error: Arrow error: External: Parquet error: EOF.\nat x", "EOF"),
            ("No table metadata found in delta log.", "No table metadata found in delta log"),
            ("{}", "no reason given"),
        ] {
            assert_eq!(sentence(text), expected);
        }
        assert_eq!(sentence(&"ä".repeat(1_000)).chars().count(), 161);
    }

    #[test]
    fn refusals_differ_from_missing_responses() {
        let io = || std::io::Error::other("connection refused (os error 111)");
        let of = |kind| object_store::Error::Generic {
            store: "S3",
            source: Box::new(HttpError::new(kind, io())),
        };
        let refused = no_answer(&of(HttpErrorKind::Connect));
        assert_eq!(refused.as_deref(), Some("failed to connect: connection refused"));
        assert_eq!(store_reason(&of(HttpErrorKind::Timeout)), "no answer in time");
        assert_eq!(no_answer(&of(HttpErrorKind::Decode)), None);
        assert_eq!(no_answer(&generic("503 Slow Down")), None);
        let late = object_store::Error::Generic { store: "storage", source: Box::new(NoAnswer) };
        assert_eq!(store_reason(&late), "no answer in time");
    }

    #[test]
    fn web_pages_and_disk_errors_are_summarised() {
        let page = "Error performing GET http://h/b/k: Server returned non-2xx status code: 502 Bad \
                    Gateway: <html>\n<body>sorry</body></html>";
        assert_eq!(store_reason(&generic(page)), "the service is not available (status 502)");
        let page = page.replace("502 Bad Gateway", "404 Not Found");
        let reason = store_reason(&generic(&page));
        assert!(reason.contains("not from S3 (status 404)"), "{reason}");
        assert!(!reason.contains('<') && reason.contains("--endpoint-url"), "{reason}");
        let full = object_store::Error::Generic {
            store: "LocalFileSystem",
            source: Box::new(std::io::Error::from(ErrorKind::StorageFull)),
        };
        assert_eq!(store_reason(&full), "no space left on the disk; free up space");
    }

    #[test]
    fn other_reasons_are_one_bounded_line() {
        assert!(store_reason(&generic("no route\nmore")).ends_with("no route"));
        assert_eq!(store_reason(&generic(&"x".repeat(10_000))).chars().count(), REASON_CHARS_MAX);
    }
}
