//! S3 servers for tests.

use std::fmt;

use bench_services::embedded::s3::{S3Faults, S3Server as Embedded, serve_in_background};
use bench_services::local::{S3Server, Service, StackOptions};

use super::{TestStack, local};

/// An S3 server with a bucket, which is empty at first; those who share it keep to prefixes of their
/// own. Ends with its value where nobody shares it.
pub struct S3 {
    environment: Vec<(String, String)>,
    running: Running,
}

enum Running {
    Embedded(Embedded),
    Stack(Box<TestStack>),
    /// Somebody else looks after it.
    Elsewhere,
}

impl S3 {
    /// The embedded one, in a thread of this process, for this test alone. It needs nothing.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn embedded() -> Self {
        let server = serve_in_background().expect("the embedded S3 starts");
        Self { environment: server.environment(), running: Running::Embedded(server) }
    }

    /// versitygw, which this process's tests share, where this machine has it or can build it.
    /// `test` is what is skipped otherwise.
    #[must_use]
    pub fn versitygw(test: &str) -> Option<Self> {
        Self::local(test, S3Server::Versitygw)
    }

    /// `MinIO`, likewise. To build it takes minutes.
    #[must_use]
    pub fn minio(test: &str) -> Option<Self> {
        Self::local(test, S3Server::Minio)
    }

    fn local(test: &str, server: S3Server) -> Option<Self> {
        let options = StackOptions { s3_server: Some(server), ..StackOptions::of([Service::S3]) };
        let stack = local(test, &options)?;
        let environment = stack.environment().to_vec();
        Some(Self { environment, running: Running::Stack(Box::new(stack)) })
    }

    /// The embedded one, and versitygw where it can be had: for what has to work with a stand-in
    /// and with the real thing.
    #[must_use]
    pub fn each(test: &str) -> Vec<Self> {
        [Some(Self::embedded()), Self::versitygw(test)].into_iter().flatten().collect()
    }

    /// That of a stack, which has to outlive this value.
    ///
    /// # Panics
    /// If the stack has none.
    #[must_use]
    pub fn of_stack(stack: &TestStack) -> Self {
        let found = Self { environment: stack.environment().to_vec(), running: Running::Elsewhere };
        assert!(found.find("AWS_ENDPOINT_URL_S3").is_some(), "the stack has no S3 server");
        found
    }

    /// What a tool needs in its environment to find the server.
    #[must_use]
    pub fn environment(&self) -> &[(String, String)] {
        &self.environment
    }

    /// Where it is reached, as in `http://127.0.0.1:4566`.
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

    /// To have things go wrong with the embedded one.
    ///
    /// # Panics
    /// If it is another one.
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
