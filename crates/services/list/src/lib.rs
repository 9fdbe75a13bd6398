//! The list of all services. To add one, write its crate, and add its dependency and one line here.

use bench_stack::Registry;

/// All services. Where two set the same environment variable, the earlier one wins: S3 comes before
/// the services of AWS that accept any keys.
pub static SERVICES: Registry = Registry::new(&[
    &bench_service_kafka::Kafka,
    &bench_service_connect::Connect,
    &bench_service_mysql::Mysql,
    &bench_service_s3::S3,
    &bench_service_kinesis::Kinesis,
    &bench_service_dynamodb::Dynamodb,
    &bench_service_spark::Spark,
    &bench_service_lambda::KIN_LAMBDA,
    &bench_service_lambda::SQL_LAMBDA,
]);

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use bench_stack::StackOptions;

    use super::*;

    #[test]
    fn names_are_unique_and_needs_are_listed() {
        let names: BTreeSet<_> = SERVICES.names().into_iter().collect();
        assert_eq!(names.len(), SERVICES.all().len());
        for service in SERVICES.all() {
            assert!(service.needs().iter().all(|need| names.contains(need)), "{}", service.name());
            for option in service.options() {
                assert!(option.default.is_empty() || (option.check)(option.default).is_ok());
            }
        }
    }

    #[test]
    fn needed_services_come_along() {
        let services = |name| {
            let options = SERVICES.options([name], &[]).expect("complete");
            options.services().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(services("connect"), ["connect", "kafka"]);
        assert_eq!(services("kin-lambda"), ["dynamodb", "kin-lambda", "kinesis"]);
        assert_eq!(services("sql-lambda"), ["kinesis", "mysql", "sql-lambda"]);
        assert_eq!(SERVICES.defaults(), ["kafka", "connect", "mysql", "s3"]);
    }

    #[test]
    fn settings_without_a_service_are_for_kafka() {
        let of = |key| SERVICES.setting_of(key).map(|(service, key)| (service.name(), key));
        assert_eq!(of("min.insync.replicas"), Ok(("kafka", "min.insync.replicas")));
        assert_eq!(of("kafka.brokers"), Ok(("kafka", "brokers")));
        assert_eq!(of("kin-lambda.batch-size"), Ok(("kin-lambda", "batch-size")));
        assert!(of("brokers").is_err());
    }

    #[test]
    fn bad_settings_are_refused() {
        for (service, key, value) in [
            ("kafka", "brokers", "0"),
            ("kafka", "brokers", "6"),
            ("kafka", "broker", "1"),
            ("kafka", "num.partitions", "1\nlog.dirs=/"),
            ("s3", "server", "s3"),
            ("kinesis", "limits", "some"),
            ("mysql", "port", "1"),
            ("sql-lambda", "batch-size", "0"),
        ] {
            let error = SERVICES.options([service], &[(service, key, value)]).expect_err(value);
            assert!(error.is_usage(), "{error}");
            assert!(error.to_string().starts_with(&format!("{service}.{key}: ")), "{error}");
        }
        SERVICES.options(["kafka"], &[("kafka", "num.partitions", "")]).expect("an empty value");
        let proxies =
            StackOptions::of([]).with("kafka", "brokers", 3).with_proxies("kafka", vec![1]);
        SERVICES.completed(&proxies).expect_err("a proxy for each");
    }

    /// Results name versions, which must be those that stand-ins are built with.
    #[test]
    fn versions_are_those_of_the_lock_file() {
        let lock = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../Cargo.lock");
        let lock = std::fs::read_to_string(lock).expect("readable");
        let crates = [
            ("ferrokinesis", bench_service_kinesis::stand_in::VERSION),
            ("dynoxide-rs", bench_service_dynamodb::stand_in::VERSION),
            ("s3s", bench_service_s3::stand_in::VERSION.trim_end_matches(", no fsync")),
        ];
        for (name, shown) in crates {
            let (_, rest) = lock.split_once(&format!("name = \"{name}\"\n")).expect("locked");
            let (_, version) = shown.split_once(' ').expect("a name and a version");
            assert!(rest.starts_with(&format!("version = \"{version}\"\n")), "{name}: {shown}");
        }
    }
}
