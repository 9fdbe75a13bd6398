//! What the SDK's errors mean for people.

use std::any::Any;
use std::error::Error;
use std::fmt::Debug;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::{DispatchFailure, SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::NetworkProblem;

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
        E: ProvideErrorMetadata + Error + 'static,
        R: Debug + 'static,
    {
        let attempted = attempted.into();
        tracing::debug!("failed to {attempted}: {}", with_causes(error));
        let code = error.code().map(str::to_owned);
        let status = status(error);
        let (reason, remedy) = match error {
            SdkError::ServiceError(_) => match (&code, error.message()) {
                (Some(code), message) => refusal(code, message),
                (None, _) => not_the_services(status),
            },
            SdkError::ResponseError(_) => not_the_services(status),
            SdkError::TimeoutError(_) => network(NetworkProblem::Timeout),
            SdkError::DispatchFailure(failure) => dispatch_failure(failure),
            other => match NetworkProblem::of(other) {
                Some(problem) => network(problem),
                None => (
                    format!("the request cannot be made: {}", last_cause(other)),
                    Some("check --endpoint-url and --region"),
                ),
            },
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

const POLICY: &str = "docs/aws.md has the policy that the tools need";
const CLOCK: &str = "set this machine's clock";
const LOG_IN: &str = "log in again, as with `aws sso login`, or renew them";

fn remedy_for(code: &str) -> Option<&'static str> {
    match code {
        "AccessDeniedException"
        | "AccessDenied"
        | "AllAccessDisabled"
        | "KMSAccessDeniedException"
        | "NotAuthorized"
        | "UnauthorizedOperation" => Some(POLICY),
        "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidToken"
        | "InvalidSignatureException"
        | "IncompleteSignature"
        | "IncompleteSignatureException"
        | "InvalidAccessKeyId"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "SignatureDoesNotMatch"
        // versitygw's for an unknown access key.
        | "XAdminUserNotFound" => Some("check the access key, its secret and --region"),
        "AuthorizationHeaderMalformed"
        | "IllegalLocationConstraintException"
        | "PermanentRedirect" => Some("name the region that it is in with --region"),
        "RequestTimeTooSkewed" | "RequestExpired" => Some(CLOCK),
        "ExpiredTokenException" | "ExpiredToken" | "TokenRefreshRequired" => Some(LOG_IN),
        "OptInRequired" | "SubscriptionRequiredException" => {
            Some("have the service enabled in this account and region")
        }
        "InternalError" | "InternalFailure" | "InternalServerError" | "ServiceUnavailable" => {
            Some("try again later")
        }
        code if is_throttled(code) => Some("ask for less at a time, or for more capacity"),
        _ => None,
    }
}

/// What a service says in words and with a code, and what to do.
fn refusal(code: &str, message: Option<&str>) -> (String, Option<&'static str>) {
    let message = message.map(one_line).filter(|message| !message.is_empty());
    let reason = match &message {
        Some(message) => format!("{} ({code})", message.trim_end_matches('.')),
        None => code.to_owned(),
    };
    let says = |words: &str| message.as_ref().is_some_and(|message| message.contains(words));
    // A wrong clock has no code of its own in the newer services.
    if says("Signature expired") || says("Signature not yet current") {
        return (reason, Some(CLOCK));
    }
    (reason, remedy_for(code))
}

/// An answer that is not in the service's form: of a proxy, of a web server, of what stands in front.
fn not_the_services(status: Option<u16>) -> (String, Option<&'static str>) {
    let what = match status {
        Some(403) => "access denied (status 403)".to_owned(),
        Some(407) => "a proxy asks for a password (status 407)".to_owned(),
        Some(status @ 500..) => format!("the service is not available (status {status})"),
        Some(status) => format!("the answer is not that of the service (status {status})"),
        None => "the answer is not that of the service".to_owned(),
    };
    let remedy = match status {
        Some(403) => POLICY,
        _ => "check --endpoint-url, and whether a proxy or a web server answers in its place",
    };
    (what, Some(remedy))
}

fn network(problem: NetworkProblem) -> (String, Option<&'static str>) {
    (problem.reason().to_owned(), Some(problem.remedy()))
}

/// The status of an answer over HTTP, if there was one.
fn status<E, R: 'static>(error: &SdkError<E, R>) -> Option<u16> {
    let raw: &dyn Any = error.raw_response()?;
    Some(raw.downcast_ref::<HttpResponse>()?.status().as_u16())
}

fn dispatch_failure(failure: &DispatchFailure) -> (String, Option<&'static str>) {
    let Some(error) = failure.as_connector_error() else {
        return ("the request could not be sent".to_owned(), Some("check --endpoint-url"));
    };
    let text = with_causes(error);
    let says = |words: &str| text.to_lowercase().contains(words);
    // Providers of credentials ask the network, too: it is to blame only where they are not.
    if ["credential", "sso token", "profile `"].iter().any(|words| says(words)) {
        return credentials(&text);
    }
    match NetworkProblem::of(error) {
        Some(problem) => network(problem),
        None if failure.is_timeout() => network(NetworkProblem::Timeout),
        None => (last_cause(error), Some("check --endpoint-url and --region")),
    }
}

/// Why there are no credentials.
fn credentials(text: &str) -> (String, Option<&'static str>) {
    let text = text.to_lowercase();
    if text.contains("was not defined") || text.contains("could not find profile") {
        let remedy = "check --profile and AWS_PROFILE; `aws configure list-profiles` shows which \
                      there are";
        return ("there is no such profile".to_owned(), Some(remedy));
    }
    if text.contains("expired") {
        return ("the credentials have expired".to_owned(), Some(LOG_IN));
    }
    let remedy = "name credentials as for the AWS command line: AWS_PROFILE, or \
                  AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
    ("no credentials were found".to_owned(), Some(remedy))
}

/// What an error says at its root, in a line, without the system's numbers.
fn last_cause(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    let line = one_line(&last.to_string());
    line.split(" (os error").next().unwrap_or_default().to_owned()
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
            "failed to list shards: connection refused; check --endpoint-url and --region"
        );
    }

    #[test]
    fn what_a_service_says_is_one_sentence_with_what_to_do() {
        for (code, message, said) in [
            (
                "RequestTimeTooSkewed",
                Some("The difference is too large."),
                "The difference is too large (RequestTimeTooSkewed); set this machine's clock",
            ),
            (
                "InvalidSignatureException",
                Some("Signature expired: 20260101T000000Z is now earlier than 20260102T000000Z"),
                "(InvalidSignatureException); set this machine's clock",
            ),
            ("InvalidSignatureException", None, "; check the access key, its secret and --region"),
            ("ExpiredToken", None, "ExpiredToken; log in again"),
            ("ThrottlingException", Some("Rate exceeded"), "(ThrottlingException); ask for less"),
            ("Odd", Some("first line\nsecond"), "first line (Odd)"),
        ] {
            let (reason, remedy) = refusal(code, message);
            let text = format!("{reason}; {}", remedy.unwrap_or_default());
            assert!(text.contains(said) && !text.contains('\n'), "{text}");
        }
    }

    #[test]
    fn web_pages_and_proxies_are_no_services() {
        for (status, said) in [
            (Some(200), "not that of the service (status 200); check --endpoint-url, and whether"),
            (Some(404), "not that of the service (status 404); check --endpoint-url"),
            (Some(407), "a proxy asks for a password"),
            (Some(502), "the service is not available (status 502)"),
            (Some(403), "access denied (status 403); docs/aws.md"),
        ] {
            let (reason, remedy) = not_the_services(status);
            let text = format!("{reason}; {}", remedy.unwrap_or_default());
            assert!(text.contains(said), "{text}");
        }
    }

    #[test]
    fn missing_credentials_are_told_from_missing_profiles() {
        for (text, said) in [
            ("other: the credential provider was not enabled", "no credentials were found"),
            ("profile `nope` was not defined", "there is no such profile"),
            ("the SSO token has expired", "the credentials have expired"),
        ] {
            assert_eq!(credentials(text).0, said, "{text}");
        }
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
