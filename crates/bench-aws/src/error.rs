//! What the SDK's errors mean for people.

use std::error::Error;

use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

/// Codes by which services say that they are asked too much.
const THROTTLING: [&str; 7] = [
    "LimitExceededException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "SlowDown",
    "ThrottledException",
    "ThrottlingException",
    "KMSThrottlingException",
];

/// Length of a text from elsewhere in an error message, characters.
pub const REASON_CHARS_MAX: usize = 300;

/// Why a request to AWS failed for good.
#[derive(Debug, thiserror::Error)]
#[error("failed to {attempted}: {reason}{}", remedy.as_deref().map(|text| format!("; {text}")).unwrap_or_default())]
pub struct AwsError {
    /// What was attempted on what.
    pub attempted: String,
    /// What the service or the SDK said, in a line.
    pub reason: String,
    /// The service's error code, if it answered.
    pub code: Option<String>,
    /// What to do about it, if that is known.
    pub remedy: Option<String>,
}

impl AwsError {
    /// What became of the attempt to do something, as in `describe stream 'x'`.
    pub fn new<E, R>(attempted: impl Into<String>, error: &SdkError<E, R>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        R: std::fmt::Debug,
    {
        let attempted = attempted.into();
        let code = error.code().map(str::to_owned);
        let (reason, remedy) = match error {
            SdkError::ServiceError(_) => {
                let message = error.message().unwrap_or("no reason was given");
                let reason = match &code {
                    Some(code) => format!("{message} ({code})"),
                    None => message.to_owned(),
                };
                (reason, code.as_deref().and_then(remedy_for))
            }
            SdkError::TimeoutError(_) => (
                "no answer in time".to_owned(),
                Some("see whether the service is reachable, or raise --timeout"),
            ),
            SdkError::DispatchFailure(failure) => dispatch_failure(failure),
            other => (one_line(&with_causes(other)), None),
        };
        Self { attempted, reason, code, remedy: remedy.map(str::to_owned) }
    }

    /// Whether the service answered with this code.
    #[must_use]
    pub fn is(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }
}

/// Whether an error code says that the service is asked too much, and that the same request may
/// succeed later.
#[must_use]
pub fn is_throttled(code: &str) -> bool {
    THROTTLING.contains(&code)
}

fn remedy_for(code: &str) -> Option<&'static str> {
    match code {
        "AccessDeniedException" | "AccessDenied" | "UnauthorizedOperation" => {
            Some("docs/aws.md has the policy that the tools need")
        }
        "UnrecognizedClientException"
        | "InvalidSignatureException"
        | "IncompleteSignature"
        | "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        // versitygw's for an unknown access key.
        | "XAdminUserNotFound" => Some("check the access key, its secret and --region"),
        "AuthorizationHeaderMalformed"
        | "IllegalLocationConstraintException"
        | "PermanentRedirect" => Some("name the region that it is in with --region"),
        "RequestTimeTooSkewed" => Some("set this machine's clock"),
        "ExpiredTokenException" | "ExpiredToken" => Some("log in again: the credentials expired"),
        code if is_throttled(code) => Some("ask for less at a time, or for more capacity"),
        _ => None,
    }
}

fn dispatch_failure(
    failure: &aws_smithy_runtime_api::client::result::DispatchFailure,
) -> (String, Option<&'static str>) {
    let source = failure.as_connector_error();
    let text = source.map_or_else(
        || "the request could not be sent".to_owned(),
        |error| one_line(&with_causes(error)),
    );
    if text.contains("credential") {
        let remedy = "name credentials as for the AWS command line: AWS_PROFILE, or \
                      AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
        return ("no credentials were found".to_owned(), Some(remedy));
    }
    let remedy = "see whether --endpoint-url and --region name a service that is there";
    (text, Some(remedy))
}

/// The text of an error and of what it does not say of its causes. The SDK's own text of all of them
/// ends in a dump of the whole request, which helps nobody on a terminal.
#[must_use]
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

/// The first line of a text from elsewhere, [`REASON_CHARS_MAX`] characters at most.
#[must_use]
pub fn one_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default().trim();
    line.chars().take(REASON_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throttling_is_told_from_refusal() {
        assert!(is_throttled("ProvisionedThroughputExceededException"));
        assert!(!is_throttled("ResourceNotFoundException"));
    }

    #[test]
    fn causes_are_told_in_a_line_without_a_dump() {
        let cause = std::io::Error::other("connection refused\nand more");
        let error =
            SdkError::<aws_smithy_types::error::metadata::ErrorMetadata, ()>::dispatch_failure(
                aws_smithy_runtime_api::client::result::ConnectorError::io(cause.into()),
            );
        let error = AwsError::new("list shards", &error).to_string();
        assert_eq!(
            error,
            "failed to list shards: io error: connection refused; see whether --endpoint-url and \
             --region name a service that is there"
        );
    }

    #[test]
    fn a_message_names_what_was_attempted_and_the_remedy() {
        let error = AwsError {
            attempted: "describe stream 's'".to_owned(),
            reason: "not allowed (AccessDeniedException)".to_owned(),
            code: Some("AccessDeniedException".to_owned()),
            remedy: remedy_for("AccessDeniedException").map(str::to_owned),
        };
        assert_eq!(
            error.to_string(),
            "failed to describe stream 's': not allowed (AccessDeniedException); docs/aws.md has \
             the policy that the tools need"
        );
        assert!(error.is("AccessDeniedException") && !error.is("ExpiredToken"));
    }
}
