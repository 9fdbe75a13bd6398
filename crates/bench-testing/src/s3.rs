//! S3 servers for tests.

use std::fmt;

use bench_stack::StackOptions;
use embedded_s3::{BackgroundS3, S3Faults, serve_in_background};

use super::{TestStack, local};

/// An S3 server with a bucket that is empty at first; tests that share it use prefixes of their
/// own. It stops when this value is dropped, unless it is shared.
pub struct S3 {
    environment: Vec<(String, String)>,
    running: Running,
}

enum Running {
    Embedded(BackgroundS3),
    Stack(Box<TestStack>),
    /// Its owner stops it.
    Elsewhere,
}

impl S3 {
    /// The embedded one, in a thread of this process, for this test alone. It needs no
    /// installation.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn embedded() -> Self {
        let server = serve_in_background().expect("the embedded S3 starts");
        Self { environment: server.environment(), running: Running::Embedded(server) }
    }

    /// versitygw, which this process's tests share, where it is installed or can be built. `test`
    /// names the test in the message if it is skipped.
    #[must_use]
    pub fn versitygw(test: &str) -> Option<Self> {
        Self::local(test, "versitygw")
    }

    /// `MinIO`, likewise. Building it takes minutes.
    #[must_use]
    pub fn minio(test: &str) -> Option<Self> {
        Self::local(test, "minio")
    }

    fn local(test: &str, server: &str) -> Option<Self> {
        let options = StackOptions::of([]).with("s3", "server", server);
        let stack = local(test, &options)?;
        let environment = stack.environment().to_vec();
        Some(Self { environment, running: Running::Stack(Box::new(stack)) })
    }

    /// The embedded one, and versitygw if it can be had, for tests that must pass with a stand-in
    /// and with a real server.
    #[must_use]
    pub fn each(test: &str) -> Vec<Self> {
        [Some(Self::embedded()), Self::versitygw(test)].into_iter().flatten().collect()
    }

    /// The server of a stack, which must outlive this value.
    ///
    /// # Panics
    /// If the stack has none.
    #[must_use]
    pub fn of_stack(stack: &TestStack) -> Self {
        let found = Self { environment: stack.environment().to_vec(), running: Running::Elsewhere };
        assert!(found.find("AWS_ENDPOINT_URL_S3").is_some(), "the stack has no S3 server");
        found
    }

    /// The environment by which tools find the server.
    #[must_use]
    pub fn environment(&self) -> &[(String, String)] {
        &self.environment
    }

    /// Where clients reach it, as in `http://127.0.0.1:4566`.
    #[must_use]
    pub fn endpoint_url(&self) -> &str {
        self.variable("AWS_ENDPOINT_URL_S3")
    }

    /// The access key.
    #[must_use]
    pub fn access_key(&self) -> &str {
        self.variable("AWS_ACCESS_KEY_ID")
    }

    /// The secret key.
    #[must_use]
    pub fn secret_key(&self) -> &str {
        self.variable("AWS_SECRET_ACCESS_KEY")
    }

    /// The bucket.
    #[must_use]
    pub fn bucket(&self) -> &str {
        self.variable("BENCH_S3_BUCKET")
    }

    /// The region that requests are signed for.
    #[must_use]
    pub fn region(&self) -> &str {
        self.variable("AWS_REGION")
    }

    /// Faults that can be injected into the embedded one.
    ///
    /// # Panics
    /// If it is another server.
    #[must_use]
    pub fn faults(&self) -> &S3Faults {
        match &self.running {
            Running::Embedded(server) => server.faults(),
            Running::Stack(_) | Running::Elsewhere => panic!("only the embedded S3 has faults"),
        }
    }

    fn variable(&self, name: &str) -> &str {
        self.find(name).expect("every S3 server sets it")
    }

    fn find(&self, name: &str) -> Option<&str> {
        let found = self.environment.iter().find(|(variable, _)| variable == name);
        found.map(|(_, value)| value.as_str())
    }
}

impl fmt::Debug for S3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.running {
            Running::Embedded(_) => "embedded",
            Running::Stack(stack) => &stack.stack().nodes()[0].version,
            Running::Elsewhere => "of a stack",
        };
        write!(f, "S3 ({kind}) at {}", self.endpoint_url())
    }
}
