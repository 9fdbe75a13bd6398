//! Servers on this machine: Apache Kafka, Kafka Connect, `MariaDB` or `MySQL`, and an S3 server,
//! fetched, configured, started, watched and stopped; and what stands in for Kinesis, `DynamoDB`
//! and S3, for tools that run one after the other.
//!
//! The servers of one *stack* live in one folder, and nothing outside of it and of the [`Cache`] is
//! touched; several stacks stand side by side. The servers go on when the process that started them
//! ends: `stack.json` in the folder says what runs, and is written before anything is waited for, so
//! that a stack whose driver was killed is found and ended by [`Stack::open`] and [`Stack::down`].
//!
//! ```text
//! DIR/stack.json              what the stack is made of
//! DIR/kafka-*.properties      how clients reach the listeners with TLS and passwords
//! DIR/config/NODE/            a server's configuration
//! DIR/logs/NODE.log           what it says
//! DIR/data/NODE/  DIR/secrets/  DIR/tmp/     gone when the stack goes down
//! ```

mod aws;
mod cache;
mod connect;
mod dynamodb;
mod error;
mod folder;
mod http;
mod installed;
mod interruption;
mod kafka;
mod kinesis;
mod lambda;
mod maven;
mod mysql;
mod origin;
mod port;
mod process;
mod record;
mod s3;
mod secret;
mod server;
mod stack;

use std::collections::BTreeSet;
use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::embedded::KinesisLimits;

pub use cache::Cache;
pub use error::LocalError;
pub use interruption::interruptible;
pub use lambda::LambdaOptions;
pub use origin::origin_of;
pub use process::{MEMBER_VARIABLE, ProcessState};
pub use stack::{NodeStatus, Stack};

/// How many brokers a stack may have.
pub const BROKERS_MAX: u32 = 5;

/// A service that a stack can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Service {
    /// Apache Kafka, nodes that are broker and controller in one.
    Kafka,
    /// A Kafka Connect worker, which has Kafka with it.
    Connect,
    /// `MariaDB` or `MySQL`.
    Mysql,
    /// A server that speaks the protocol of Amazon S3.
    S3,
    /// The embedded Kinesis, in memory.
    Kinesis,
    /// The embedded `DynamoDB`, in memory, or Amazon's `DynamoDB` Local.
    Dynamodb,
    /// The function that lands a stream in `DynamoDB`, which has Kinesis and `DynamoDB` with it.
    KinLambda,
    /// The function that lands a stream in `MySQL`, which has Kinesis and `MySQL` with it.
    SqlLambda,
}

impl Service {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Kafka,
        Self::Connect,
        Self::Mysql,
        Self::S3,
        Self::Kinesis,
        Self::Dynamodb,
        Self::KinLambda,
        Self::SqlLambda,
    ];

    /// Those that are the real thing, or as good as it.
    pub const REAL: [Self; 4] = [Self::Kafka, Self::Connect, Self::Mysql, Self::S3];
}

/// What services bring with them.
const NEEDED: [(Service, &[Service]); 3] = [
    (Service::Connect, &[Service::Kafka]),
    (Service::KinLambda, &[Service::Kinesis, Service::Dynamodb]),
    (Service::SqlLambda, &[Service::Kinesis, Service::Mysql]),
];

impl Display for Service {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kafka => "kafka",
            Self::Connect => "connect",
            Self::Mysql => "mysql",
            Self::S3 => "s3",
            Self::Kinesis => "kinesis",
            Self::Dynamodb => "dynamodb",
            Self::KinLambda => "kin-lambda",
            Self::SqlLambda => "sql-lambda",
        })
    }
}

impl FromStr for Service {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|service| service.to_string() == text);
        found.ok_or_else(|| {
            let names = Self::ALL.map(|service| service.to_string());
            format!("'{text}' is none of {}", names.join(", "))
        })
    }
}

/// A program that serves S3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum S3Server {
    /// versitygw.
    Versitygw,
    /// `MinIO`.
    Minio,
    /// The embedded one.
    Embedded,
}

impl S3Server {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Versitygw, Self::Minio, Self::Embedded];
}

impl Display for S3Server {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Versitygw => "versitygw",
            Self::Minio => "minio",
            Self::Embedded => "embedded",
        })
    }
}

impl FromStr for S3Server {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|s3| s3.to_string() == text);
        found.ok_or_else(|| format!("'{text}' is none of versitygw, minio and embedded"))
    }
}

/// What a stack is to be made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StackOptions {
    /// The services, some of which bring others with them.
    pub services: BTreeSet<Service>,
    /// How many Kafka brokers, 1 to [`BROKERS_MAX`].
    pub brokers: u32,
    /// Settings of the brokers, which go before those that the stack makes.
    pub kafka_settings: Vec<(String, String)>,
    /// For each broker the port of a proxy on 127.0.0.1, at which its listener PROXIED sends its
    /// clients. Empty for no such listener.
    pub kafka_proxy_ports: Vec<u16>,
    /// The S3 server; without one, whichever this machine has, or versitygw, or the embedded one
    /// where Go is missing to build that.
    pub s3_server: Option<S3Server>,
    /// The limits of [`Service::Kinesis`].
    #[serde(default)]
    pub kinesis_limits: KinesisLimits,
    /// The folder of an installed `DynamoDB` Local, for [`Service::Dynamodb`]; without one, that
    /// which the environment variable `DYNAMODB_LOCAL_HOME` names, or the embedded one.
    #[serde(default)]
    pub dynamodb_local: Option<PathBuf>,
    /// The function of [`Service::KinLambda`], and what feeds it.
    #[serde(default)]
    pub kin_lambda: LambdaOptions,
    /// The same of [`Service::SqlLambda`].
    #[serde(default)]
    pub sql_lambda: LambdaOptions,
    /// The program that becomes an embedded service: one whose `main` calls
    /// [`crate::embedded::run_if_requested`]. Without one, the running program.
    #[serde(default)]
    pub embedded_program: Option<PathBuf>,
}

impl StackOptions {
    /// These services, with one broker and nothing out of the ordinary.
    pub fn of(services: impl IntoIterator<Item = Service>) -> Self {
        Self {
            services: services.into_iter().collect(),
            brokers: 1,
            kafka_settings: Vec::new(),
            kafka_proxy_ports: Vec::new(),
            s3_server: None,
            kinesis_limits: KinesisLimits::default(),
            dynamodb_local: None,
            kin_lambda: LambdaOptions::default(),
            sql_lambda: LambdaOptions::default(),
            embedded_program: None,
        }
    }

    /// So many Kafka brokers.
    #[must_use]
    pub fn kafka(brokers: u32) -> Self {
        Self { brokers, ..Self::of([Service::Kafka]) }
    }

    /// The same with the services that others need, if that can be started.
    pub fn completed(&self) -> Result<Self, LocalError> {
        let mut options = self.clone();
        for (service, others) in NEEDED {
            if options.services.contains(&service) {
                options.services.extend(others);
            }
        }
        let refuse = |reason: String| Err(LocalError::Options(reason));
        if options.services.is_empty() {
            return refuse("a stack has at least one service".to_owned());
        }
        if !(1..=BROKERS_MAX).contains(&options.brokers) {
            return refuse(format!("--brokers is 1 to {BROKERS_MAX}, not {}", options.brokers));
        }
        let proxies = options.kafka_proxy_ports.len();
        if proxies != 0 && proxies != options.brokers as usize {
            return refuse(format!("{proxies} proxies for {} broker(s)", options.brokers));
        }
        let is_one_line = |text: &str| !text.chars().any(char::is_control);
        for (key, value) in &options.kafka_settings {
            if key.trim().is_empty() || !is_one_line(key) || !is_one_line(value) {
                return refuse(format!("'{key}' is no name and line of a Kafka setting"));
            }
        }
        options.kin_lambda.validate(Service::KinLambda)?;
        options.sql_lambda.validate(Service::SqlLambda)?;
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for service in Service::ALL {
            assert_eq!(service.to_string().parse(), Ok(service));
        }
        for server in S3Server::ALL {
            assert_eq!(server.to_string().parse(), Ok(server));
        }
        assert!("Kafka".parse::<Service>().is_err() && "s3".parse::<S3Server>().is_err());
    }

    #[test]
    fn what_cannot_be_is_refused_before_anything_is_done() {
        let connect = StackOptions::of([Service::Connect]).completed().expect("with Kafka");
        assert!(connect.services.contains(&Service::Kafka));
        let lambda = StackOptions::of([Service::SqlLambda]).completed().expect("with the rest");
        assert!(lambda.services.is_superset(&[Service::Kinesis, Service::Mysql].into()));
        let with_setting = |key: &str, value: &str| {
            let kafka_settings = vec![(key.to_owned(), value.to_owned())];
            StackOptions { kafka_settings, ..StackOptions::kafka(1) }
        };
        with_setting("num.partitions", "").completed().expect("an empty value");
        let refused = [
            StackOptions::of([]),
            StackOptions::kafka(0),
            StackOptions::kafka(BROKERS_MAX + 1),
            StackOptions { kafka_proxy_ports: vec![1], ..StackOptions::kafka(3) },
            with_setting(" ", "1"),
            with_setting("num.partitions", "1\nlog.dirs=/"),
        ];
        let folder = tempfile::tempdir().expect("a folder");
        let dir = folder.path().join("stack");
        let cache = Cache::at(&folder.path().join("cache")).expect("a cache");
        for options in refused {
            let error = Stack::up(&dir, &cache, &options, &mut |_| ()).expect_err("refused");
            assert!(error.is_usage() && !error.is_missing(), "{error}");
            assert!(!dir.exists() && !cache.dir().exists());
        }
    }
}
