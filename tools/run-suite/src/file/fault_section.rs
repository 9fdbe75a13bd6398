//! The sections `[[fault]]` of an experiment file.

use std::fmt::Display;
use std::time::Duration;

use bench_cli::UsageError;
use bench_cli::quantity::{duration_ns, parse_duration, parse_size_bytes};
use bench_core::clock;
use bench_core::results::ServiceOrigin;
use bench_services::local::BROKERS_MAX;
use toml::{Table, Value};

use super::experiment::{at, nearest, remedy, scalar};
use super::fault::{Deed, Fault, TOOL};

/// The place of faults in the file, as messages name it.
const FAULT: &str = "[[fault]]";

/// What is done, and to what.
const ACTIONS: [&str; 4] = ["kill", "stop", "restart", "network"];

/// What a network can do.
const EFFECTS: [&str; 3] = ["latency", "bandwidth", "reset"];

const KEYS: [&str; 10] = [
    "at",
    "kill",
    "stop",
    "restart",
    "network",
    "restart_after",
    "for",
    "latency",
    "bandwidth",
    "reset",
];

/// The worst network that is offered: everything stands still for a minute.
const LATENCY_MAX: Duration = Duration::from_mins(1);

/// Reads the faults of an experiment, in the order of time.
pub(crate) fn parse(tables: Vec<Table>, services: ServiceOrigin) -> Result<Vec<Fault>, UsageError> {
    let mut faults = tables
        .into_iter()
        .map(|table| Section { table }.fault(services))
        .collect::<Result<Vec<_>, _>>()?;
    faults.sort_by_key(|fault| fault.at_ns);
    refuse_overlaps(&faults)?;
    Ok(faults)
}

/// Refuses a fault that comes when the run is over.
pub(crate) fn refuse_late(
    faults: &[Fault],
    cell: &str,
    ends_after: Option<Duration>,
) -> Result<(), UsageError> {
    let (Some(fault), Some(end)) = (faults.last(), ends_after) else { return Ok(()) };
    if fault.at_ns < clock::duration_ns(end) {
        return Ok(());
    }
    let problem = format!(
        "the schedule of {cell} has ended after {}, {} comes too late",
        duration_ns(clock::duration_ns(end)),
        duration_ns(fault.at_ns)
    );
    Err(at(FAULT, "at", &problem, "name an earlier time, or a longer duration"))
}

/// The number in `consumer-3`.
pub(super) fn consumer_number(target: &str) -> Option<u32> {
    target.strip_prefix("consumer-")?.parse().ok().filter(|number| *number > 0)
}

/// One `[[fault]]`.
struct Section {
    table: Table,
}

impl Section {
    fn fault(self, services: ServiceOrigin) -> Result<Fault, UsageError> {
        if let Some(key) = self.table.keys().find(|key| !KEYS.contains(&key.as_str())) {
            let known = || format!("the keys are {}", KEYS.join(", "));
            return Err(at(FAULT, key, "no key of a fault", &remedy(nearest(key, KEYS), known)));
        }
        let action = self.one_of(&ACTIONS, "says nothing that is done")?;
        let at_ns = self.time_ns("at")?.ok_or_else(|| {
            at(FAULT, "at", "is missing", "say when, as in at = \"20s\" after the start")
        })?;
        let target = self.target(action)?;
        let (deed, setting, lasts_ns) = match action {
            "kill" => {
                self.keep_to(action, &["restart_after"])?;
                let deed = if consumer_number(&target).is_some() {
                    Deed::KillConsumer
                } else {
                    Deed::Kill
                };
                (deed, None, self.time_ns("restart_after")?)
            }
            "stop" => {
                self.keep_to(action, &["for"])?;
                let deed = if target == TOOL { Deed::StopTool } else { Deed::Stop };
                (deed, None, Some(self.length_ns()?))
            }
            "restart" => {
                self.keep_to(action, &[])?;
                (Deed::Restart, None, None)
            }
            _ => self.network()?,
        };
        if deed.needs_local() && services != ServiceOrigin::Local {
            let problem = format!(
                "only services that run-suite has started can be treated so, and \
                 these are {services}"
            );
            return Err(at(FAULT, action, &problem, "say services = \"local\""));
        }
        Ok(Fault { at_ns, deed, target, setting, lasts_ns })
    }

    /// What a network does, how much, and for how long.
    fn network(&self) -> Result<(Deed, Option<String>, Option<u64>), UsageError> {
        let effect = self.one_of(&EFFECTS, "names a network and says nothing that it does")?;
        if effect == "reset" {
            self.keep_to("network", &[effect])?;
            return match self.table.get(effect) {
                Some(Value::Boolean(true)) => Ok((Deed::Reset, None, None)),
                _ => Err(at(FAULT, effect, "is not true", "say reset = true, or leave it out")),
            };
        }
        self.keep_to("network", &[effect, "for"])?;
        let setting = self.text(effect)?.unwrap_or_default();
        let deed = if effect == "latency" {
            let latency = parse_duration(&setting)
                .map_err(|error| wrong(effect, error, "say latency = \"100ms\""))?;
            if latency.is_zero() || latency > LATENCY_MAX {
                return Err(wrong(effect, "is out of range", "name more than 0 and at most 1m"));
            }
            Deed::Latency(clock::duration_ns(latency))
        } else {
            const REMEDY: &str = "say bandwidth = \"1MiB/s\"";
            let size = setting.trim().strip_suffix("/s");
            let size = size.ok_or_else(|| wrong(effect, "is not a size a second", REMEDY))?;
            let bytes_per_s =
                parse_size_bytes(size).map_err(|error| wrong(effect, error, REMEDY))?;
            if bytes_per_s == 0 {
                return Err(wrong(effect, "lets nothing through", "stop the service instead"));
            }
            Deed::Bandwidth(bytes_per_s)
        };
        Ok((deed, Some(setting), Some(self.length_ns()?)))
    }

    /// The one key of `keys` that is there.
    fn one_of(&self, keys: &[&'static str], none: &str) -> Result<&'static str, UsageError> {
        let mut given = keys.iter().filter(|key| self.table.contains_key(**key));
        match (given.next(), given.next()) {
            (Some(key), None) => Ok(key),
            (Some(first), Some(second)) => {
                let problem = format!("stands beside `{first}`");
                Err(at(FAULT, second, &problem, "write two faults with the same time"))
            }
            (None, _) => {
                let problem = none.to_owned();
                Err(UsageError::new(FAULT, problem, format!("give one of {}", keys.join(", "))))
            }
        }
    }

    /// Refuses keys that say nothing about `action`.
    fn keep_to(&self, action: &str, keys: &[&str]) -> Result<(), UsageError> {
        let fits = |key: &str| key == "at" || key == action || keys.contains(&key);
        match self.table.keys().find(|key| !fits(key)) {
            Some(key) => {
                let problem = format!("does not go with `{}`", keys_said(action, keys));
                Err(at(FAULT, key, &problem, "leave it out"))
            }
            None => Ok(()),
        }
    }

    /// What `action` is done to.
    fn target(&self, action: &str) -> Result<String, UsageError> {
        let target = self.text(action)?.unwrap_or_default();
        let nodes = || {
            let brokers = (1..=BROKERS_MAX).map(|number| format!("kafka-{number}"));
            brokers.chain(["kafka".to_owned()])
        };
        let mut known: Vec<String> = nodes().collect();
        if action != "network" {
            known.extend(["connect", "mysql", "s3"].map(str::to_owned));
        }
        match action {
            "kill" if consumer_number(&target).is_some() => return Ok(target),
            "kill" => known.push("consumer-1".to_owned()),
            "stop" => known.push(TOOL.to_owned()),
            _ => {}
        }
        if known.contains(&target) {
            return Ok(target);
        }
        let problem = match (action, target.as_str()) {
            (_, TOOL) => "the tool can only be stopped for a time".to_owned(),
            (_, target) if consumer_number(target).is_some() => {
                "a worker can only be killed".to_owned()
            }
            ("network", "connect" | "mysql" | "s3") => {
                format!("there is no proxy before {target}")
            }
            _ => format!("there is no `{target}`"),
        };
        let nearest = nearest(&target, known.iter().map(String::as_str));
        let remedy = remedy(nearest.filter(|nearest| *nearest != target), || {
            format!("name one of {}", known.join(", "))
        });
        Err(at(FAULT, action, &problem, &remedy))
    }

    /// The value of `for`.
    fn length_ns(&self) -> Result<u64, UsageError> {
        self.time_ns("for")?.filter(|ns| *ns > 0).ok_or_else(|| {
            at(FAULT, "for", "is missing, or 0", "say for how long, as in for = \"5s\"")
        })
    }

    fn time_ns(&self, key: &str) -> Result<Option<u64>, UsageError> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        let time = parse_duration(&text)
            .map_err(|error| wrong(key, error, "write a time such as \"20s\""))?;
        Ok(Some(clock::duration_ns(time)))
    }

    fn text(&self, key: &str) -> Result<Option<String>, UsageError> {
        let Some(value) = self.table.get(key) else { return Ok(None) };
        scalar(value.clone()).map(Some).map_err(|kind| {
            at(FAULT, key, &format!("is a {kind}"), "give a text, as in \"20s\" or \"kafka-1\"")
        })
    }
}

/// `network` and its effect in words; any other action alone.
fn keys_said(action: &str, keys: &[&str]) -> String {
    match keys.first() {
        Some(effect) if EFFECTS.contains(effect) => format!("{action}` and `{effect}"),
        _ => action.to_owned(),
    }
}

fn wrong(key: &str, problem: impl Display, remedy: &str) -> UsageError {
    at(FAULT, key, &problem.to_string(), remedy)
}

/// Refuses a fault while another one of its kind holds the same target: neither could be undone for
/// itself.
fn refuse_overlaps(faults: &[Fault]) -> Result<(), UsageError> {
    for (index, later) in faults.iter().enumerate() {
        let holds = |earlier: &&Fault| {
            let until_ns = match earlier.deed {
                Deed::Restart | Deed::Reset => Some(earlier.at_ns),
                Deed::Kill | Deed::KillConsumer => earlier.end_ns(),
                _ => earlier.end_ns().or(Some(earlier.at_ns)),
            };
            kind(earlier.deed) == kind(later.deed)
                && overlap(&earlier.target, &later.target)
                && (until_ns.is_none_or(|until_ns| later.at_ns < until_ns)
                    || later.at_ns == earlier.at_ns)
        };
        if let Some(earlier) = faults[..index].iter().find(holds) {
            let problem =
                format!("{} is not over at {}", earlier.record().name(), duration_ns(later.at_ns));
            let remedy = "let the one end before the other begins";
            return Err(at(FAULT, "at", &problem, remedy));
        }
    }
    Ok(())
}

/// Faults of one kind exclude each other.
fn kind(deed: Deed) -> u8 {
    match deed {
        Deed::Kill | Deed::Stop | Deed::Restart | Deed::StopTool | Deed::KillConsumer => 0,
        Deed::Latency(_) => 1,
        Deed::Bandwidth(_) => 2,
        Deed::Reset => 3,
    }
}

/// Whether two names mean the same, or one of them the whole service of the other.
fn overlap(one: &str, other: &str) -> bool {
    let within = |node: &str, service: &str| {
        node.strip_prefix(service).is_some_and(|rest| rest.starts_with('-'))
    };
    one == other || within(one, other) || within(other, one)
}

#[cfg(test)]
mod tests {
    use super::super::fault::kill_consumer_values;
    use super::*;

    fn faults(text: &str, services: ServiceOrigin) -> Result<Vec<Fault>, String> {
        let mut file: Table = toml::from_str(text).expect("TOML");
        let Some(Value::Array(sections)) = file.remove("fault") else { panic!("no faults") };
        let table = |section| match section {
            Value::Table(table) => table,
            other => panic!("{other}"),
        };
        parse(sections.into_iter().map(table).collect(), services)
            .map_err(|error| error.to_string())
    }

    fn local(text: &str) -> Result<Vec<Fault>, String> {
        faults(text, ServiceOrigin::Local)
    }

    /// The error for one fault at 20 s.
    fn error(text: &str) -> String {
        local(&format!("[[fault]]\nat = \"20s\"\n{text}")).expect_err(text)
    }

    fn fault(at_s: u64, deed: Deed, target: &str, lasts_s: Option<u64>) -> Fault {
        Fault {
            at_ns: at_s * 1_000_000_000,
            deed,
            target: target.to_owned(),
            setting: None,
            lasts_ns: lasts_s.map(|s| s * 1_000_000_000),
        }
    }

    #[test]
    fn every_kind_is_read_and_brought_into_the_order_of_time() {
        let read = local(
            "[[fault]]\nat = \"30s\"\nrestart = \"kafka-1\"\n\
             [[fault]]\nat = \"20s\"\nkill = \"kafka-2\"\nrestart_after = \"5s\"\n\
             [[fault]]\nat = \"10s\"\nkill = \"consumer-2\"\nrestart_after = \"3s\"\n\
             [[fault]]\nat = \"1m\"\nstop = \"tool\"\nfor = \"5s\"\n\
             [[fault]]\nat = \"40s\"\nstop = \"kafka\"\nfor = \"5s\"\n\
             [[fault]]\nat = \"50s\"\nnetwork = \"kafka\"\nlatency = \"100ms\"\nfor = \"5s\"\n\
             [[fault]]\nat = \"50s\"\nnetwork = \"kafka-1\"\nbandwidth = \"1MiB/s\"\nfor = \"1s\"\n\
             [[fault]]\nat = \"55s\"\nnetwork = \"kafka\"\nreset = true",
        )
        .expect("read");
        let with = |setting: &str, fault| Fault { setting: Some(setting.to_owned()), ..fault };
        assert_eq!(
            read,
            [
                fault(10, Deed::KillConsumer, "consumer-2", Some(3)),
                fault(20, Deed::Kill, "kafka-2", Some(5)),
                fault(30, Deed::Restart, "kafka-1", None),
                fault(40, Deed::Stop, "kafka", Some(5)),
                with("100ms", fault(50, Deed::Latency(100_000_000), "kafka", Some(5))),
                with("1MiB/s", fault(50, Deed::Bandwidth(1 << 20), "kafka-1", Some(1))),
                fault(55, Deed::Reset, "kafka", None),
                fault(60, Deed::StopTool, "tool", Some(5)),
            ]
        );
        assert_eq!(kill_consumer_values(&read), ["2@10s+3s"]);
        assert_eq!(read[4].record().name(), "latency 100ms kafka");
    }

    #[test]
    fn times_reach_the_tool_exactly() {
        let read = local("[[fault]]\nat = \"1500ms\"\nkill = \"consumer-12\"").expect("read");
        assert_eq!(kill_consumer_values(&read), ["12@1500ms"]);
    }

    #[test]
    fn unknown_keys_and_targets_are_answered_with_the_nearest() {
        assert_eq!(
            error("kil = \"kafka\""),
            "[[fault]] `kil`: no key of a fault; did you mean `kill`?"
        );
        assert_eq!(
            error("stop = \"kafka1\"\nfor = \"1s\""),
            "[[fault]] `stop`: there is no `kafka1`; did you mean `kafka-1`?"
        );
        assert!(error("stop = \"x\"\nfor = \"1s\"").contains("name one of kafka-1, kafka-2, "));
        assert!(error("kill = \"kafka-9\"").contains("there is no `kafka-9`"));
        assert!(error("kill = \"consumer-0\"").contains("did you mean `consumer-1`?"));
        assert!(error("kill = \"tool\"").contains("the tool can only be stopped for a time"));
        assert!(error("restart = \"consumer-1\"").contains("a worker can only be killed"));
        assert!(
            error("network = \"mysql\"\nreset = true").contains("there is no proxy before mysql")
        );
    }

    #[test]
    fn one_action_each_and_what_belongs_to_it() {
        assert_eq!(
            error(""),
            "[[fault]]: says nothing that is done; give one of kill, stop, restart, network"
        );
        let two = error("kill = \"kafka\"\nstop = \"kafka\"");
        assert!(two.starts_with("[[fault]] `stop`: stands beside `kill`"), "{two}");
        assert!(error("network = \"kafka\"").contains("give one of latency, bandwidth, reset"));
        for (text, message) in [
            ("kill = \"kafka\"\nfor = \"1s\"", "`for`: does not go with `kill`; leave it out"),
            ("restart = \"kafka\"\nfor = \"1s\"", "`for`: does not go with `restart`"),
            ("stop = \"kafka\"", "`for`: is missing, or 0"),
            ("stop = \"kafka\"\nfor = \"0s\"", "`for`: is missing, or 0"),
            ("stop = \"kafka\"\nfor = true", "`for`: is a boolean; give a text"),
            ("stop = \"kafka\"\nfor = \"long\"", "`for`: `long` is not"),
            (
                "network = \"kafka\"\nreset = true\nfor = \"1s\"",
                "`for`: does not go with `network` and `reset`",
            ),
            ("network = \"kafka\"\nreset = false", "`reset`: is not true"),
            ("network = \"kafka\"\nlatency = \"1ms\"", "`for`: is missing"),
            ("network = \"kafka\"\nlatency = \"0\"\nfor = \"1s\"", "`latency`: is out of range"),
            (
                "network = \"kafka\"\nbandwidth = \"1MiB\"\nfor = \"1s\"",
                "`bandwidth`: is not a size a second; say bandwidth = \"1MiB/s\"",
            ),
            (
                "network = \"kafka\"\nbandwidth = \"0B/s\"\nfor = \"1s\"",
                "`bandwidth`: lets nothing through",
            ),
        ] {
            let error = error(text);
            assert!(error.contains(message), "{text}: {error}");
        }
        let error = local("[[fault]]\nkill = \"kafka\"").expect_err("no time");
        assert!(error.contains("`at`: is missing"), "{error}");
    }

    #[test]
    fn services_of_others_are_left_alone() {
        for services in [ServiceOrigin::Embedded, ServiceOrigin::External] {
            let error = faults("[[fault]]\nat = \"1s\"\nkill = \"kafka\"", services);
            let error = error.expect_err("refused");
            assert!(error.contains(&format!("these are {services}")), "{error}");
            assert!(error.ends_with("say services = \"local\""), "{error}");
            let text = "[[fault]]\nat = \"1s\"\nstop = \"tool\"\nfor = \"1s\"\n\
                        [[fault]]\nat = \"1s\"\nkill = \"consumer-1\"";
            assert!(faults(text, services).is_ok());
        }
    }

    #[test]
    fn two_faults_do_not_hold_the_same_thing_at_once() {
        let freeze = "[[fault]]\nat = \"10s\"\nstop = \"kafka-1\"\nfor = \"5s\"\n";
        let kill = |at, node| format!("[[fault]]\nat = \"{at}s\"\nkill = \"{node}\"\n");
        let error = local(&format!("{freeze}{}", kill(12, "kafka"))).expect_err("frozen");
        assert!(error.contains("stop kafka-1 is not over at 12.0 s"), "{error}");
        assert!(local(&format!("{freeze}{}", kill(15, "kafka-1"))).is_ok());
        assert!(local(&format!("{freeze}{}", kill(12, "kafka-2"))).is_ok());
        let error = local(&(kill(1, "kafka-1") + &kill(50, "kafka-1"))).expect_err("dead");
        assert!(error.contains("kill kafka-1 is not over"), "{error}");
        let network = "[[fault]]\nat = \"11s\"\nnetwork = \"kafka\"\nreset = true\n";
        assert!(local(&format!("{freeze}{network}")).is_ok());
    }

    #[test]
    fn a_fault_after_the_end_is_refused_where_the_end_is_known() {
        let faults = [fault(20, Deed::StopTool, "tool", Some(1))];
        let end = |seconds| Some(Duration::from_secs(seconds));
        assert!(refuse_late(&faults, "try", end(21)).is_ok());
        assert!(refuse_late(&faults, "try", None).is_ok());
        let error = refuse_late(&faults, "try", end(20)).expect_err("too late").to_string();
        assert!(error.contains("the schedule of try has ended after 20.0 s"), "{error}");
    }
}
