use super::*;

fn from_file(text: &str) -> Result<KafkaConfig, KafkaError> {
    let mut config = KafkaConfig::new();
    config.add_properties(text.as_bytes(), Path::new("client.properties")).map(|()| config)
}

#[test]
fn unreadable_files_are_named() {
    let path = Path::new("/nonexistent/client.properties");
    let text = KafkaConfig::new().load_properties(path).expect_err("no such file").to_string();
    assert!(text.contains("/nonexistent/client.properties: No such file"), "{text}");
    assert!(text.contains("--properties"), "{text}");
    let folder = Path::new("/");
    let text = KafkaConfig::new().load_properties(folder).expect_err("a folder").to_string();
    assert!(text.contains("Is a directory"), "{text}");
}

#[test]
fn files_in_other_encodings_name_the_line() {
    let mut config = KafkaConfig::new();
    let bytes = b"acks=1\n# caf\xe9\n";
    let error = config.add_properties(bytes, Path::new("client.properties"));
    let text = error.expect_err("Latin 1").to_string();
    assert!(
        text.starts_with("failed to read client.properties, line 2: it is not UTF-8"),
        "{text}"
    );
    assert!(text.contains("; save the file as UTF-8"), "{text}");
}

#[test]
fn later_layers_win() {
    let mut config = from_file("bootstrap.servers=file:1\nlinger.ms=1\nacks=0").expect("loads");
    config.load_environment(|name| match name {
        "KAFKA_BOOTSTRAP_SERVERS" => Some("environment:2".to_owned()),
        "KAFKA_SASL_MECHANISM" => Some(String::new()),
        _ => None,
    });
    config.set("linger.ms", "3");
    config.set_all_from_text(&["acks = all"]).expect("a setting");
    assert_eq!(config.bootstrap_servers(), Some("environment:2"));
    assert_eq!(config.get("linger.ms"), Some("3"));
    assert_eq!(config.get("acks"), Some("all"));
    assert_eq!(config.get("sasl.mechanism"), None, "an empty variable counts as absent");
    assert_eq!(config.get("allow.auto.create.topics"), Some("false"));
    config.validate().expect("librdkafka accepts it all");
}

#[test]
fn aliases_are_one_property() {
    let mut config = KafkaConfig::new();
    config.set("linger.ms", "1");
    config.set_all_from_text(&["queue.buffering.max.ms=7"]).expect("a setting");
    config.set("metadata.broker.list", "a:1");
    assert_eq!(config.get("linger.ms"), Some("7"));
    assert_eq!(config.bootstrap_servers(), Some("a:1"));
    assert_eq!(config.to_client_config().get("queue.buffering.max.ms"), None);
}

#[test]
fn defaults_never_override_set_values() {
    let mut config = from_file("max.in.flight=9").expect("loads");
    config.set_default(REQUESTS_IN_FLIGHT, "5");
    assert_eq!(config.get(REQUESTS_IN_FLIGHT), Some("9"));
    assert!(!config.is_from_command_line("max.in.flight"));
    config.set_all_from_text(&["max.in.flight=2"]).expect("a setting");
    assert!(config.is_from_command_line(REQUESTS_IN_FLIGHT));
    let mut config = KafkaConfig::new();
    config.set_default(REQUESTS_IN_FLIGHT, "5");
    assert_eq!(config.get("max.in.flight"), Some("5"));
}

#[test]
fn java_logins_become_user_name_and_password() {
    let config = from_file(
        "bootstrap.servers=a:1\n\
         security.protocol=SASL_SSL\n\
         sasl.mechanism=SCRAM-SHA-512\n\
         sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required \\\n\
         \x20 username=\"alice\" \\\n\
         \x20 password=\"hush\";\n",
    )
    .expect("loads");
    config.validate().expect("complete");
    let client = config.to_client_config();
    assert_eq!(client.get("sasl.username"), Some("alice"));
    assert_eq!(client.get("sasl.password"), Some("hush"));
    assert_eq!(client.get("sasl.jaas.config"), None);
}

#[test]
fn java_properties_are_refused_with_line_and_remedy() {
    let error = from_file("acks=1\nssl.truststore.location=/etc/ca.jks").expect_err("refused");
    let text = error.to_string();
    assert!(text.contains("(client.properties, line 2)"), "{text}");
    assert!(text.contains("ssl.ca.location"), "{text}");
}

#[test]
fn single_quotes_are_removed_from_file_logins() {
    let config = from_file(
        "bootstrap.servers=a:1\n\
         security.protocol=SASL_SSL\n\
         sasl.mechanism=PLAIN\n\
         sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
         username='u' password='p\\\\u0041\\u0041';\n",
    )
    .expect("loads");
    config.validate().expect("complete");
    let client = config.to_client_config();
    assert_eq!(client.get("sasl.username"), Some("u"));
    // The file's escapes are undone before those of the login.
    assert_eq!(client.get("sasl.password"), Some("pu0041A"));
}

#[test]
fn invalid_logins_name_the_line_and_show_nothing() {
    let text = "acks=1\n\nsasl.jaas.config=org.apache.kafka.common.security.plain.\\\n  \
                PlainLoginModule required username='u' password='hush'\n";
    let error = from_file(text).expect_err("no semicolon");
    assert!(error.is_usage());
    let text = error.to_string();
    let start = "sasl.jaas.config (client.properties, line 3): it does not end with a semicolon; ";
    assert!(text.starts_with(start) && !text.contains("hush"), "{text}");
}

#[test]
fn unsupported_mechanisms_are_refused() {
    for mechanism in ["OAUTHBEARER", "GSSAPI", "plain"] {
        let settings = format!("security.protocol=SASL_SSL\nsasl.mechanism={mechanism}");
        let text = from_file(&settings).expect("loads").validate().expect_err(mechanism);
        let text = text.to_string();
        let start = format!("sasl.mechanism={mechanism} (client.properties, line 2): ");
        assert!(text.starts_with(&start) && text.contains("; use PLAIN"), "{text}");
    }
}

#[test]
fn missing_tls_files_are_named() {
    let text = "security.protocol=SASL_SSL\nssl.truststore.type=PEM\n\
                ssl.truststore.location=/nonexistent/ca.pem";
    let text = from_file(text).expect("loads").validate().expect_err("no file").to_string();
    let start = "ssl.ca.location=/nonexistent/ca.pem (client.properties, line 3): No such file";
    assert!(text.starts_with(start) && text.contains("; use a readable file"), "{text}");
    let unused = from_file("bootstrap.servers=a:1\nssl.ca.location=/nonexistent/ca.pem");
    unused.expect("loads").validate().expect("nothing reads it");
}

#[test]
fn wrong_servers_are_refused_with_their_origin() {
    let error_text = |config: &KafkaConfig| config.validate().expect_err("refused").to_string();
    let start = "bootstrap.servers (client.properties, line 2): 'a:95566' has the port";
    for name in ["bootstrap.servers", "metadata.broker.list"] {
        let config = from_file(&format!("acks=1\n{name}=b:1,a:95566")).expect("loads");
        let text = error_text(&config);
        assert!(text.starts_with(start), "{text}");
        assert!(text.ends_with("; use a port from 1 to 65535"), "{text}");
    }
    let mut config = KafkaConfig::new();
    config.load_environment(|name| {
        (name == "KAFKA_BOOTSTRAP_SERVERS").then(|| "http://a:1".to_owned())
    });
    let text = error_text(&config);
    assert!(text.contains("(environment variable KAFKA_BOOTSTRAP_SERVERS): "), "{text}");
    config.set_by_option("bootstrap.servers", "::1:9092", "--bootstrap-servers");
    let text = error_text(&config);
    assert!(text.starts_with("bootstrap.servers (--bootstrap-servers): "), "{text}");
    assert!(text.ends_with("write it like [::1]:9092"), "{text}");
    config.set_all_from_text(&["bootstrap.servers="]).expect("a setting");
    let text = error_text(&config);
    assert!(text.starts_with("bootstrap.servers (--config): it is empty"), "{text}");
    config.set_all_from_text(&["bootstrap.servers= a:1 , [::1]:2"]).expect("a setting");
    config.validate().expect("right");
    assert_eq!(config.bootstrap_servers(), Some("a:1,[::1]:2"));
}

#[test]
fn reserved_properties_are_refused_by_name_and_line() {
    let text = from_file("acks=1\nenable.partition.eof=false").expect_err("refused").to_string();
    let start = "enable.partition.eof=false (client.properties, line 2) cannot be set: ";
    assert!(text.starts_with(start) && text.contains("; remove it"), "{text}");
    let config = from_file("enable.partition.eof=true\nenable.auto.offset.store=false");
    let config = config.expect("the values in force anyway");
    assert_eq!(config.get("enable.partition.eof"), None, "the tool's own setting counts");
}

#[test]
fn pem_stores_are_read_in_any_order() {
    for lines in [
        "ssl.truststore.location=/ca.pem\nssl.truststore.type=pem",
        "\
        ssl.truststore.type=PEM\nssl.truststore.location=/ca.pem",
    ] {
        let config = from_file(lines).expect("loads");
        assert_eq!(config.get("ssl.ca.location"), Some("/ca.pem"));
    }
    let mut config = KafkaConfig::new();
    let settings = ["ssl.keystore.location=/k.pem", "ssl.keystore.type=PEM"];
    config.set_all_from_text(&settings).expect("they belong together");
    assert_eq!(config.get("ssl.key.location"), Some("/k.pem"));
    assert_eq!(config.get("ssl.certificate.location"), Some("/k.pem"));
}

#[test]
fn unknown_names_suggest_the_nearest_known_name() {
    let mut config = KafkaConfig::new();
    config.set_all_from_text(&["lingr.ms=5"]).expect("a setting");
    let text = config.validate().expect_err("unknown").to_string();
    assert_eq!(text, "lingr.ms (--config) is not a librdkafka property; did you mean linger.ms?");
    let mut config = KafkaConfig::new();
    config.set_all_from_text(&["colour=blue"]).expect("a setting");
    let text = config.validate().expect_err("unknown").to_string();
    assert!(text.contains("CONFIGURATION.md"), "{text}");
}

#[test]
fn bad_values_name_the_property_without_secrets() {
    let mut config = KafkaConfig::new();
    config.set_all_from_text(&["acks=many"]).expect("a setting");
    let text = config.validate().expect_err("no such value").to_string();
    assert!(text.starts_with("acks (--config): "), "{text}");
    let mut config = KafkaConfig::new();
    config.set("sasl.password", "hu\0sh");
    let text = config.validate().expect_err("a NUL byte").to_string();
    assert!(text.contains("sasl.password") && !text.contains("hu"), "{text}");
}

#[test]
fn incomplete_sasl_is_refused_before_connecting() {
    let error_text = |settings: &[&str]| {
        let mut config = KafkaConfig::new();
        config.set("bootstrap.servers", "a:1");
        for setting in settings {
            config.set_all_from_text(&[setting]).expect("a setting");
        }
        config.validate().expect_err("incomplete").to_string()
    };
    assert!(error_text(&["security.protocol=sasl_ssl"]).contains("KAFKA_SASL_MECHANISM"));
    assert!(
        error_text(&["security.protocol=SASL_SSL", "sasl.mechanisms=PLAIN", "sasl.username=u"])
            .contains("KAFKA_SASL_PASSWORD")
    );
    assert!(error_text(&["sasl.username=u", "sasl.password=p"]).contains("security.protocol"));
}

#[test]
fn missing_servers_are_an_error_with_remedy() {
    let text = KafkaConfig::new().validate().expect_err("no server").to_string();
    assert!(text.contains("--bootstrap-servers") && text.contains("KAFKA_BOOTSTRAP_SERVERS"));
}

#[test]
fn settings_need_a_value() {
    let text = split_setting("linger.ms").expect_err("no value").to_string();
    assert!(text.contains("'linger.ms'") && text.contains("--config KEY=VALUE"), "{text}");
    let text = split_setting("=hush").expect_err("no key").to_string();
    assert!(!text.contains("hush"), "{text}");
    let text = split_setting("sasl.password: hush").expect_err("no equals sign").to_string();
    assert!(text.contains("'sasl.password'") && !text.contains("hush"), "{text}");
    let (name, value) = split_setting("a=b=c").expect("a setting");
    assert_eq!((name.as_str(), value.as_str()), ("a", "b=c"));
}

#[test]
fn secrets_are_never_shown() {
    let mut config = KafkaConfig::new();
    for name in [
        "sasl.password",
        "ssl.key.password",
        "ssl.keystore.password",
        "ssl.key.pem",
        "sasl.oauthbearer.client.secret",
        "sasl.oauthbearer.config",
        "sasl.oauthbearer.assertion.private.key.passphrase",
        "sasl.oauthbearer.assertion.private.key.pem",
        "sasl.pasword",
    ] {
        config.set(name, "hush");
        assert_eq!(config.redacted()[name], "***", "{name}");
    }
    config.set("sasl.username", "alice");
    assert_eq!(config.redacted()["sasl.username"], "alice");
    let debug = format!("{config:?}");
    assert!(debug.contains("alice") && !debug.contains("hush"), "{debug}");
}

#[test]
fn librdkafka_knows_every_suggested_name() {
    for name in KNOWN_NAMES.lines() {
        let mut config = ClientConfig::new();
        config.set(name, "no value of anything");
        let unknown = matches!(
            config.create_native_config(),
            Err(LibraryError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, ..))
        );
        assert!(!unknown, "{name}");
    }
}
