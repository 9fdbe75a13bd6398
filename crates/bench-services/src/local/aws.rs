//! What the stand-ins for services of AWS have in common.

use std::path::PathBuf;

use super::process::Launch;
use super::server::Site;
use super::{LocalError, StackOptions, http};

/// The key and the secret where no S3 server has real ones. Nobody checks them.
const KEY: &str = "bench";

/// The region that they believe to be in.
const REGION: &str = "us-east-1";

/// The program that becomes an embedded service.
pub(super) fn embedded_program(options: &StackOptions) -> Result<PathBuf, LocalError> {
    if let Some(program) = &options.embedded_program {
        return std::path::absolute(program).map_err(LocalError::file("find", program));
    }
    std::env::current_exe().map_err(LocalError::file("find", "this program's own file".as_ref()))
}

/// How a program becomes the embedded service, given the arguments by which it does.
pub(super) fn launch(node: &Site<'_>, args: Vec<String>) -> Launch {
    Launch {
        program: node.node.parts.program.clone(),
        args,
        env: Vec::new(),
        current_dir: node.data_dir(),
        log: node.log(),
    }
}

/// Where a service is reached.
pub(super) fn address(node: &Site<'_>) -> String {
    format!("http://127.0.0.1:{}", node.port("client"))
}

/// Whether the service does what it is asked for: an operation that takes no arguments.
pub(super) fn check(node: &Site<'_>, target: &str, content_type: &str) -> Result<(), String> {
    // The signature is looked for and not looked at.
    let headers = format!(
        "Content-Type: {content_type}\r\nContent-Length: 2\r\nX-Amz-Target: {target}\r\n\
         X-Amz-Date: 20000101T000000Z\r\nAuthorization: AWS4-HMAC-SHA256 \
         Credential={KEY}/20000101/{REGION}/service/aws4_request, SignedHeaders=host, \
         Signature=none\r\n"
    );
    http::asked(node.port("client"), "POST /", &headers, "{}", 200)
}

/// What clients need besides the address, which goes by the name `variable`.
pub(super) fn environment(node: &Site<'_>, variable: &str) -> Vec<(String, String)> {
    let all = [
        (variable, address(node)),
        ("AWS_REGION", REGION.to_owned()),
        ("AWS_ACCESS_KEY_ID", KEY.to_owned()),
        ("AWS_SECRET_ACCESS_KEY", KEY.to_owned()),
    ];
    all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
