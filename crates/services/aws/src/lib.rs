//! What the services of AWS have in common when they run on this machine.

use bench_stack::{NodeContext, http};

/// The key and the secret where nothing checks them.
const KEY: &str = "bench";

/// The region that clients use.
pub const REGION: &str = "us-east-1";

/// The name of the port that clients use.
pub const CLIENT: &str = "client";

/// Where clients reach a node.
#[must_use]
pub fn address(node: &NodeContext<'_>) -> String {
    format!("http://127.0.0.1:{}", node.port(CLIENT))
}

/// Checks that a service carries out an operation, one that needs no arguments.
pub fn check(node: &NodeContext<'_>, target: &str, content_type: &str) -> Result<(), String> {
    // A signature must be present, but nothing checks it.
    let headers = format!(
        "Content-Type: {content_type}\r\nContent-Length: 2\r\nX-Amz-Target: {target}\r\n\
         X-Amz-Date: 20000101T000000Z\r\nAuthorization: AWS4-HMAC-SHA256 \
         Credential={KEY}/20000101/{REGION}/service/aws4_request, SignedHeaders=host, \
         Signature=none\r\n"
    );
    http::asked(node.port(CLIENT), "POST /", &headers, "{}", 200)
}

/// The environment of clients, with the address in `variable`.
#[must_use]
pub fn environment(node: &NodeContext<'_>, variable: &str) -> Vec<(String, String)> {
    let all = [
        (variable, address(node)),
        ("AWS_REGION", REGION.to_owned()),
        ("AWS_ACCESS_KEY_ID", KEY.to_owned()),
        ("AWS_SECRET_ACCESS_KEY", KEY.to_owned()),
    ];
    all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
