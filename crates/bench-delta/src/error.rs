//! What can go wrong with tables: what was attempted, on what, and what helps.

use std::fmt::Display;
use std::io::ErrorKind;
use std::path::PathBuf;

use bench_aws::{AwsError, AwsOptionsError, NetworkProblem, one_line, with_causes};
use deltalake::DeltaTableError;
use deltalake::logstore::object_store;
use deltalake::logstore::object_store::client::{HttpError, HttpErrorKind};

use crate::log::LogError;
use crate::maintenance::MaintenanceError;
use crate::receive::FollowError;

/// Options of a table that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LakeOptionsError(String);

impl LakeOptionsError {
    /// Says which option or variable is wrong, what is wrong with it and what to do about it.
    pub(crate) fn new(option: &str, problem: impl Display, remedy: impl Display) -> Self {
        Self(format!("{option}: {problem}; {remedy}"))
    }

    /// Something secret stands where everybody can see it.
    pub(crate) fn credentials(option: &str) -> Self {
        let problem = "holds a user, a key or parameters, which do not belong there";
        let remedy = "name credentials as for the AWS command line: AWS_PROFILE, or \
                      AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
        Self::new(option, problem, remedy)
    }
}

/// Why something asked of a table, or of the place where it lies, did not work.
#[derive(Debug, thiserror::Error)]
pub enum DeltaError {
    /// The options ask for what cannot be.
    #[error(transparent)]
    Options(#[from] LakeOptionsError),
    /// The options or the environment name no service.
    #[error(transparent)]
    Service(#[from] AwsOptionsError),
    /// A file is where the table's folder should be.
    #[error("{} is a file; name a folder with --lake-path", path.display())]
    NotAFolder {
        /// The file.
        path: PathBuf,
    },
    /// A folder cannot be used.
    #[error(
        "failed to {attempted}: {}; use a folder that this user may write to with --lake-path",
        io_reason(error)
    )]
    Folder {
        /// What was attempted on what.
        attempted: String,
        /// Why it did not work.
        error: std::io::Error,
    },
    /// The bucket is not there.
    #[error(
        "there is no bucket '{bucket}'; name another one with --bucket or --lake-path, or create it \
         with delta-producer --create-bucket"
    )]
    NoBucket {
        /// Its name.
        bucket: String,
    },
    /// The bucket is in another region.
    #[error("bucket '{bucket}' is in another region than {region}; add --region {}", found.as_deref().unwrap_or("NAME"))]
    OtherRegion {
        /// Its name.
        bucket: String,
        /// The region that was asked.
        region: String,
        /// The region that it is in, if the service said so.
        found: Option<String>,
    },
    /// Neither an option nor the environment says in which region a bucket is.
    #[error("there is no region to look for bucket '{bucket}' in; name it with --region")]
    NoRegion {
        /// Its name.
        bucket: String,
    },
    /// The store does not let exactly one of several writers win.
    #[error(
        "{uri} is no place for a table: {reason}, so that commits would overwrite each other in \
         silence; use a store that honours If-None-Match on PUT, such as Amazon S3, MinIO or \
         versitygw"
    )]
    NoConditionalWrites {
        /// Where the table was to lie.
        uri: String,
        /// What the store did.
        reason: String,
    },
    /// A request to AWS, or to what stands in for it, failed for good.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// The store failed for good.
    #[error("failed to {attempted}: {reason}")]
    Store {
        /// What was attempted on what.
        attempted: String,
        /// What the store said, in a line.
        reason: String,
    },
    /// delta-rs failed.
    #[error("failed to {attempted}: {reason}")]
    Table {
        /// What was attempted on what.
        attempted: String,
        /// What it said, in a line.
        reason: String,
    },
    /// The table's log is damaged.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A table cannot be followed, or not any further.
    #[error(transparent)]
    Follow(#[from] FollowError),
    /// A table could not be kept in shape.
    #[error(transparent)]
    Maintenance(#[from] MaintenanceError),
    /// There is no table.
    #[error("there is no table at {uri}; create it with delta-producer")]
    NoTable {
        /// Where it was looked for.
        uri: String,
    },
    /// The table is not one of messages.
    #[error("table {uri} is not one that messages can be written to: {differences}; {remedy}")]
    OtherColumns {
        /// The table.
        uri: String,
        /// What is not as it should be.
        differences: String,
        /// What to do.
        remedy: &'static str,
    },
    /// The table asks something of its writers that this one does not do.
    #[error(
        "table {uri} asks writers for {rule}, which this one does not do; name another place with \
         --lake-path"
    )]
    UnknownRule {
        /// The table.
        uri: String,
        /// What it asks for.
        rule: String,
    },
    /// The runtime of a connection did not start.
    #[error("failed to start a connection's runtime; ask for fewer producers and consumers")]
    Runtime(#[source] std::io::Error),
}

impl DeltaError {
    /// Whether the command line asks for what is not there, so that nothing was done and another one
    /// may succeed at once.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Options(_)
            | Self::Service(_)
            | Self::NotAFolder { .. }
            | Self::NoBucket { .. }
            | Self::NoRegion { .. }
            | Self::OtherRegion { .. }
            | Self::NoTable { .. }
            | Self::OtherColumns { .. }
            | Self::UnknownRule { .. } => true,
            Self::Follow(error) => error.is_usage(),
            Self::Maintenance(error) => error.is_usage(),
            _ => false,
        }
    }

    /// What became of an attempt on the store, as in `read log entry 5 of s3://b/t`.
    ///
    /// What the store says is kept to a line without the request's details: answers to a wrong
    /// signature repeat the access key and what was signed.
    #[must_use]
    pub fn store(attempted: impl Into<String>, error: &object_store::Error) -> Self {
        Self::Store { attempted: attempted.into(), reason: store_reason(error) }
    }

    /// What became of an attempt of delta-rs.
    #[must_use]
    pub fn table(attempted: impl Into<String>, error: &DeltaTableError) -> Self {
        Self::Table { attempted: attempted.into(), reason: table_reason(error) }
    }
}

/// What delta-rs says, in a sentence.
pub(crate) fn table_reason(error: &DeltaTableError) -> String {
    tracing::debug!("delta-rs: {error}");
    match error {
        DeltaTableError::ObjectStore { source } => store_reason(source),
        other => sentence(&other.to_string()),
    }
}

/// What a store's error says, in a line.
#[must_use]
pub fn store_reason(error: &object_store::Error) -> String {
    if let Some(reason) = no_answer(error) {
        return reason;
    }
    tracing::debug!("the store: {error}");
    if let Some(reason) = disk_reason(error) {
        return reason;
    }
    let text = with_causes(error);
    let (code, message) = (element(&text, "Code"), element(&text, "Message"));
    match (message, code) {
        (Some(message), Some(code)) => format!("{} ({code})", one_line(message)),
        (None, Some(code)) => code.to_owned(),
        // What the service said cannot be told from the rest of the request.
        _ if text.contains("<Error>") => "the service refused it".to_owned(),
        _ if matches!(error, object_store::Error::NotFound { .. }) => "it is not there".to_owned(),
        _ => status_reason(&text).unwrap_or_else(|| last_line(error)),
    }
}

/// Why a folder did not do what was asked of it, if it is a folder.
fn disk_reason(error: &object_store::Error) -> Option<String> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            if matches!(io.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) {
                return Some(format!("{}; free some", io_reason(io)));
            }
            return io.raw_os_error().map(|_| io_reason(io));
        }
        cause = error.source();
    }
    None
}

/// What the system says of a file, in a few words.
fn io_reason(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::StorageFull => "no space left on the disk".to_owned(),
        ErrorKind::QuotaExceeded => "no space left in this user's quota".to_owned(),
        ErrorKind::PermissionDenied => "this user may not".to_owned(),
        _ => without_number(&error.to_string()).to_lowercase(),
    }
}

/// What an answer that is not S3's says by its status. Its body may be a whole web page.
fn status_reason(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("status code: ")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let status: u16 = digits.parse().ok()?;
    Some(match status {
        401 | 403 => format!("access denied (status {status}); docs/aws.md has the policy"),
        407 => "a proxy asks for a password (status 407)".to_owned(),
        429 | 500.. => format!("the service is not available (status {status})"),
        _ => format!(
            "the answer is not that of S3 (status {status}); check --endpoint-url, and whether a \
             proxy or a web server answers in its place"
        ),
    })
}

/// What an error says at its root, in a line.
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

/// A request that was not answered within the time that the caller had for it.
#[derive(Debug, thiserror::Error)]
#[error("no answer in time")]
pub(crate) struct NoAnswer;

/// Why there was no answer from the store, if there was none: it cannot be reached, or takes too
/// long. Whatever it answers is another matter.
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

/// Why an HTTP request has no answer.
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

/// A text of the system without its number, as in ` (os error 111)`.
fn without_number(text: &str) -> String {
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

/// The first sentence of a text of libraries, without the names of their errors before it and without
/// the dump of a structure after it.
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
        0 => "no reason was given".to_owned(),
        count if count <= SENTENCE_CHARS_MAX => line.to_owned(),
        _ => line.chars().take(SENTENCE_CHARS_MAX).chain(['…']).collect(),
    }
}

/// What stands in an element of an XML answer.
fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    let (content, _) = rest.split_once('<')?;
    Some(content.trim()).filter(|content| !content.is_empty())
}

#[cfg(test)]
mod tests {
    use bench_aws::REASON_CHARS_MAX;

    use super::*;

    fn generic(text: &str) -> object_store::Error {
        object_store::Error::Generic { store: "S3", source: text.to_owned().into() }
    }

    #[test]
    fn an_answer_in_xml_is_its_code_and_message_and_nothing_else() {
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
        assert_eq!(store_reason(&nameless), "the service refused it");
    }

    #[test]
    fn libraries_are_cut_to_a_sentence() {
        for (text, expected) in [
            (
                "Kernel error: Generic delta kernel error: Expected contiguous commit files, but \
                 found gap: ParsedLogPath { location: FileMeta { location: Url",
                "Expected contiguous commit files, but found gap",
            ),
            ("Kernel error: Arrow error: External: Parquet error: EOF.\nat x", "EOF"),
            ("No table metadata found in delta log.", "No table metadata found in delta log"),
            ("{}", "no reason was given"),
        ] {
            assert_eq!(sentence(text), expected);
        }
        assert_eq!(sentence(&"ä".repeat(1_000)).chars().count(), 161);
    }

    #[test]
    fn a_refusal_is_told_from_no_answer() {
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
    fn web_pages_and_disks_are_summed_up() {
        let page = "Error performing GET http://h/b/k: Server returned non-2xx status code: 502 Bad \
                    Gateway: <html>\n<body>sorry</body></html>";
        assert_eq!(store_reason(&generic(page)), "the service is not available (status 502)");
        let page = page.replace("502 Bad Gateway", "404 Not Found");
        let reason = store_reason(&generic(&page));
        assert!(reason.contains("not that of S3 (status 404)"), "{reason}");
        assert!(!reason.contains('<') && reason.contains("--endpoint-url"), "{reason}");
        let full = object_store::Error::Generic {
            store: "LocalFileSystem",
            source: Box::new(std::io::Error::from(ErrorKind::StorageFull)),
        };
        assert_eq!(store_reason(&full), "no space left on the disk; free some");
    }

    #[test]
    fn other_reasons_are_one_line_of_bounded_length() {
        assert!(store_reason(&generic("no route\nmore")).ends_with("no route"));
        assert_eq!(store_reason(&generic(&"x".repeat(10_000))).chars().count(), REASON_CHARS_MAX);
    }
}
