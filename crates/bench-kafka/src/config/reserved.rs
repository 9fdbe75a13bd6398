//! Properties that the tools depend on. With other values they would wait forever or count wrongly.

/// Whether a property may be set by the user.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reserved {
    /// It may be set.
    No,
    /// The value is the one in force anyway.
    AsItIs,
    /// It may not have this value; the reason includes the remedy.
    Refused(&'static str),
}

const ENDS: &str = "the tools use it to find the ends of partitions; remove it (with --follow, \
                    print and drain continue at the end)";
const STORED: &str = "the tools store offsets themselves, once messages are processed; remove it";
const REPORTS: &str = "the tools count every acknowledgement; remove it";
const LOGS: &str = "the tools read the client's log themselves; remove it, and use -v";
const EVENTS: &str = "the tools choose the events they handle; remove it";
const SIGNALS: &str = "it would intercept a signal that the tools need; remove it";
const OFFSETS: &str = "group offsets are kept by the brokers; remove it";
const HIDDEN: &str = "it would hide topics from the tools; remove it";
const TOKENS: &str = "OAUTHBEARER is not built in; remove it";

pub(super) fn of(name: &str, value: &str) -> Reserved {
    let is_true = ["true", "t", "1"].iter().any(|word| value.eq_ignore_ascii_case(word));
    let is_false = ["false", "f", "0"].iter().any(|word| value.eq_ignore_ascii_case(word));
    match name {
        "enable.partition.eof" if is_true => Reserved::AsItIs,
        "enable.partition.eof" if is_false => Reserved::Refused(ENDS),
        "enable.auto.offset.store" if is_false => Reserved::AsItIs,
        "enable.auto.offset.store" if is_true => Reserved::Refused(STORED),
        "delivery.report.only.error" if is_true => Reserved::Refused(REPORTS),
        "log.queue" if is_true => Reserved::Refused(LOGS),
        "enabled_events" => Reserved::Refused(EVENTS),
        "internal.termination.signal" if value != "0" => Reserved::Refused(SIGNALS),
        "offset.store.method" if !value.eq_ignore_ascii_case("broker") => {
            Reserved::Refused(OFFSETS)
        }
        "topic.blacklist" if !value.is_empty() => Reserved::Refused(HIDDEN),
        "enable.sasl.oauthbearer.unsecure.jwt" if is_true => Reserved::Refused(TOKENS),
        _ => Reserved::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_properties_cannot_be_changed() {
        for (name, value) in [
            ("enable.partition.eof", "false"),
            ("enable.partition.eof", "F"),
            ("enable.auto.offset.store", "True"),
            ("delivery.report.only.error", "1"),
            ("log.queue", "t"),
            ("enabled_events", "0"),
            ("internal.termination.signal", "2"),
            ("offset.store.method", "none"),
            ("topic.blacklist", "^b"),
            ("enable.sasl.oauthbearer.unsecure.jwt", "true"),
        ] {
            let Reserved::Refused(reason) = of(name, value) else { panic!("{name}={value}") };
            assert!(reason.contains("; remove it"), "{reason}");
        }
        for (name, value) in [("enable.partition.eof", "TRUE"), ("enable.auto.offset.store", "0")] {
            assert_eq!(of(name, value), Reserved::AsItIs);
        }
        for (name, value) in [("delivery.report.only.error", "false"), ("linger.ms", "1")] {
            assert_eq!(of(name, value), Reserved::No);
        }
    }
}
