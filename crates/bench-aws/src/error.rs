//! Explains the SDK's errors, with remedies.

use std::any::Any;
use std::error::Error;
use std::fmt::Debug;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::{DispatchFailure, SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::NetworkProblem;

/// Codes of services for exceeded rate limits.
const THROTTLING: [&str; 7] = [
    "LimitExceededException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "SlowDown",
    "ThrottledException",
    "ThrottlingException",
    "KMSThrottlingException",
];

/// Maximum length of a foreign text in an error message, characters.
pub const REASON_CHARS_MAX: usize = 300;

/// A permanent error of a request to AWS.
#[derive(Debug, thiserror::Error)]
#[error("failed to {attempted}: {reason}{}", remedy.as_deref().map(|text| format!("; {text}")).unwrap_or_default())]
pub struct AwsError {
    /// The attempted action and its object.
    pub attempted: String,
    /// The message of the service or the SDK, in one line.
    pub reason: String,
    /// The service's error code, if it answered.
    pub code: Option<String>,
    /// The remedy, if known.
    pub remedy: Option<String>,
}

impl AwsError {
    /// Converts the SDK's error in an attempted action, such as `describe stream 'x'`.
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
                    format!("the request could not be built: {}", last_cause(other)),
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

/// Whether the error code means throttling, so that the same request may succeed later.
#[must_use]
pub fn is_throttled(code: &str) -> bool {
    THROTTLING.contains(&code)
}

const POLICY: &str = "see docs/aws.md for the policy that the tools need";
const CLOCK: &str = "set this machine's clock";
const LOG_IN: &str = "log in again, for example with `aws sso login`, or renew them";

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
        | "PermanentRedirect" => Some("set its region with --region"),
        "RequestTimeTooSkewed" | "RequestExpired" => Some(CLOCK),
        "ExpiredTokenException" | "ExpiredToken" | "TokenRefreshRequired" => Some(LOG_IN),
        "OptInRequired" | "SubscriptionRequiredException" => {
            Some("enable the service in this account and region")
        }
        "InternalError" | "InternalFailure" | "InternalServerError" | "ServiceUnavailable" => {
            Some("retry later")
        }
        code if is_throttled(code) => Some("lower the rate, or raise the capacity"),
        _ => None,
    }
}

/// Explains a service's message and code, with a remedy.
fn refusal(code: &str, message: Option<&str>) -> (String, Option<&'static str>) {
    let message = message.map(one_line).filter(|message| !message.is_empty());
    let reason = match &message {
        Some(message) => format!("{} ({code})", message.trim_end_matches('.')),
        None => code.to_owned(),
    };
    let mentions = |words: &str| message.as_ref().is_some_and(|message| message.contains(words));
    // A wrong clock has no code of its own in the newer services.
    if mentions("Signature expired") || mentions("Signature not yet current") {
        return (reason, Some(CLOCK));
    }
    (reason, remedy_for(code))
}

/// Explains an answer that did not come from the service, but from a proxy or web server.
fn not_the_services(status: Option<u16>) -> (String, Option<&'static str>) {
    let what = match status {
        Some(403) => "access denied (status 403)".to_owned(),
        Some(407) => "a proxy requires a password (status 407)".to_owned(),
        Some(status @ 500..) => format!("the service is unavailable (status {status})"),
        Some(status) => format!("the answer did not come from the service (status {status})"),
        None => "the answer did not come from the service".to_owned(),
    };
    let remedy = match status {
        Some(403) => POLICY,
        _ => "check --endpoint-url, and whether a proxy or a web server answers instead",
    };
    (what, Some(remedy))
}

fn network(problem: NetworkProblem) -> (String, Option<&'static str>) {
    (problem.reason().to_owned(), Some(problem.remedy()))
}

/// The HTTP status of the answer, if there was one.
fn status<E, R: 'static>(error: &SdkError<E, R>) -> Option<u16> {
    let raw: &dyn Any = error.raw_response()?;
    Some(raw.downcast_ref::<HttpResponse>()?.status().as_u16())
}

fn dispatch_failure(failure: &DispatchFailure) -> (String, Option<&'static str>) {
    let Some(error) = failure.as_connector_error() else {
        return ("the request could not be sent".to_owned(), Some("check --endpoint-url"));
    };
    let text = with_causes(error);
    let mentions = |words: &str| text.to_lowercase().contains(words);
    // Credential providers also use the network: rule them out before blaming it.
    if ["credential", "sso token", "profile `"].iter().any(|words| mentions(words)) {
        return credentials(&text);
    }
    match NetworkProblem::of(error) {
        Some(problem) => network(problem),
        None if failure.is_timeout() => network(NetworkProblem::Timeout),
        None => (last_cause(error), Some("check --endpoint-url and --region")),
    }
}

/// Explains missing credentials.
fn credentials(text: &str) -> (String, Option<&'static str>) {
    let text = text.to_lowercase();
    if text.contains("was not defined") || text.contains("could not find profile") {
        let remedy = "check --profile and AWS_PROFILE; `aws configure list-profiles` lists them";
        return ("the profile does not exist".to_owned(), Some(remedy));
    }
    if text.contains("expired") {
        return ("the credentials have expired".to_owned(), Some(LOG_IN));
    }
    let remedy = "set credentials as for the AWS command line: AWS_PROFILE, or AWS_ACCESS_KEY_ID \
                  and AWS_SECRET_ACCESS_KEY";
    ("no credentials found".to_owned(), Some(remedy))
}

/// The root cause of an error in one line, without the system's error number.
fn last_cause(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    let line = one_line(&last.to_string());
    line.split(" (os error").next().unwrap_or_default().to_owned()
}

/// The text of an error with any causes that it omits. The SDK's own display of causes ends in a
/// dump of the whole request, which is useless on a terminal.
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

/// The first line of a foreign text, at most [`REASON_CHARS_MAX`] characters.
#[must_use]
pub fn one_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default().trim();
    line.chars().take(REASON_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throttling_differs_from_refusal() {
        assert!(is_throttled("ProvisionedThroughputExceededException"));
        assert!(!is_throttled("ResourceNotFoundException"));
    }

    #[test]
    fn causes_fit_one_line_without_a_dump() {
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
    fn service_messages_become_one_sentence_with_remedy() {
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
            ("ThrottlingException", Some("Rate exceeded"), "(ThrottlingException); lower the rate"),
            ("Odd", Some("first line\nsecond"), "first line (Odd)"),
        ] {
            let (reason, remedy) = refusal(code, message);
            let text = format!("{reason}; {}", remedy.unwrap_or_default());
            assert!(text.contains(said) && !text.contains('\n'), "{text}");
        }
    }

    #[test]
    fn web_pages_and_proxies_are_not_services() {
        for (status, said) in [
            (
                Some(200),
                "did not come from the service (status 200); check --endpoint-url, and \
                         whether",
            ),
            (Some(404), "did not come from the service (status 404); check --endpoint-url"),
            (Some(407), "a proxy requires a password"),
            (Some(502), "the service is unavailable (status 502)"),
            (Some(403), "access denied (status 403); see docs/aws.md"),
        ] {
            let (reason, remedy) = not_the_services(status);
            let text = format!("{reason}; {}", remedy.unwrap_or_default());
            assert!(text.contains(said), "{text}");
        }
    }

    #[test]
    fn missing_credentials_differ_from_missing_profiles() {
        for (text, said) in [
            ("other: the credential provider was not enabled", "no credentials found"),
            ("profile `nope` was not defined", "the profile does not exist"),
            ("the SSO token has expired", "the credentials have expired"),
        ] {
            assert_eq!(credentials(text).0, said, "{text}");
        }
    }

    #[test]
    fn messages_name_action_and_remedy() {
        let error = AwsError {
            attempted: "describe stream 's'".to_owned(),
            reason: "not allowed (AccessDeniedException)".to_owned(),
            code: Some("AccessDeniedException".to_owned()),
            remedy: remedy_for("AccessDeniedException").map(str::to_owned),
        };
        assert_eq!(
            error.to_string(),
            "failed to describe stream 's': not allowed (AccessDeniedException); see docs/aws.md \
             for the policy that the tools need"
        );
        assert!(error.is("AccessDeniedException") && !error.is("ExpiredToken"));
    }
}
