//! What a page may do: run its own scripts, use its own styles, and nothing else.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

/// The content security policy of a page with these scripts and styles, which are known by their hashes:
/// whatever else got into the page would not run, and nothing is ever fetched. Pictures are in the page
/// itself.
pub(crate) fn policy(scripts: &[&str], styles: &[&str]) -> String {
    let sources = |texts: &[&str]| {
        let hashes: Vec<String> = texts.iter().map(|text| format!("'{}'", hash(text))).collect();
        hashes.join(" ")
    };
    format!(
        "default-src 'none'; script-src {}; style-src {}; img-src data:; base-uri 'none'; form-action 'none'",
        sources(scripts),
        sources(styles)
    )
}

fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_specification() {
        // The example of <https://www.w3.org/TR/CSP3/#external-hash>'s syntax, by OpenSSL.
        let script = "alert('Hello, world.');";
        assert_eq!(hash(script), "sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng=");
        let policy = policy(&[script], &["a{}", "b{}"]);
        assert!(policy.starts_with("default-src 'none'; script-src 'sha256-qznL"), "{policy}");
        assert_eq!(policy.matches("'sha256-").count(), 3);
    }
}
