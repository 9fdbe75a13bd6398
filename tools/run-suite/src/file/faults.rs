//! `[[fault]]`: what breaks in every run of an experiment.

use std::fmt::Display;
use std::time::Duration;

use bench_cli::UsageError;
use bench_cli::quantity::{duration_ns, parse_duration, parse_size_bytes};
use bench_core::clock;
use bench_record::ServiceOrigin;
use bench_services::SERVICES;
use toml::{Table, Value};

use super::fault::{Fault, FaultAction, TOOL, consumer_number};
use super::form::{FaultForm, refuse_unknown_keys};
use super::options::scalar;
use super::refusal::{at, nearest, remedy};

/// The place of faults in the file, as messages name it.
const FAULT: &str = "[[fault]]";

/// The keys that name what breaks.
const ACTIONS: [&str; 4] = ["kill", "stop", "restart", "network"];

/// The keys that say how a network is disturbed.
const EFFECTS: [&str; 3] = ["latency", "bandwidth", "reset"];

/// The largest latency: a minute.
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

/// One `[[fault]]`.
struct Section {
    table: Table,
}

impl Section {
    fn fault(self, services: ServiceOrigin) -> Result<Fault, UsageError> {
        refuse_unknown_keys::<FaultForm>(Some(FAULT), &self.table)?;
        let kind = self.one_of(&ACTIONS, "has no action")?;
        let at_ns = self.time_ns("at")?.ok_or_else(|| {
            at(FAULT, "at", "is missing", "add the time after the start, such as at = \"20s\"")
        })?;
        let target = self.target(kind)?;
        let (action, setting, lasts_ns) = match kind {
            "kill" => {
                self.keep_to(kind, &["restart_after"])?;
                let action = if consumer_number(&target).is_some() {
                    FaultAction::KillConsumer
                } else {
                    FaultAction::Kill
                };
                (action, None, self.time_ns("restart_after")?)
            }
            "stop" => {
                self.keep_to(kind, &["for"])?;
                let action = if target == TOOL { FaultAction::StopTool } else { FaultAction::Stop };
                (action, None, Some(self.length_ns()?))
            }
            "restart" => {
                self.keep_to(kind, &[])?;
                (FaultAction::Restart, None, None)
            }
            _ => self.network()?,
        };
        if action.needs_local() && services != ServiceOrigin::Local {
            let problem = format!("needs local services, and this experiment uses {services} ones");
            return Err(at(FAULT, kind, &problem, "set services = \"local\""));
        }
        Ok(Fault { at_ns, action, target, setting, lasts_ns })
    }

    /// What a network does, how much, and for how long.
    fn network(&self) -> Result<(FaultAction, Option<String>, Option<u64>), UsageError> {
        let effect = self.one_of(&EFFECTS, "has a network without an effect")?;
        if effect == "reset" {
            self.keep_to("network", &[effect])?;
            return match self.table.get(effect) {
                Some(Value::Boolean(true)) => Ok((FaultAction::Reset, None, None)),
                _ => Err(at(FAULT, effect, "is not true", "set reset = true, or leave it out")),
            };
        }
        self.keep_to("network", &[effect, "for"])?;
        let setting = self.text(effect)?.unwrap_or_default();
        let action = if effect == "latency" {
            let latency = parse_duration(&setting)
                .map_err(|error| wrong(effect, error, "write latency = \"100ms\""))?;
            if latency.is_zero() || latency > LATENCY_MAX {
                return Err(wrong(effect, "must be more than 0 and at most 1m", "change it"));
            }
            FaultAction::Latency(clock::duration_ns(latency))
        } else {
            const REMEDY: &str = "write bandwidth = \"1MiB/s\"";
            let size = setting.trim().strip_suffix("/s");
            let size = size.ok_or_else(|| wrong(effect, "is not a size per second", REMEDY))?;
            let bytes_per_s =
                parse_size_bytes(size).map_err(|error| wrong(effect, error, REMEDY))?;
            if bytes_per_s == 0 {
                return Err(wrong(
                    effect,
                    "must be more than 0",
                    "to let nothing through, stop the service",
                ));
            }
            FaultAction::Bandwidth(bytes_per_s)
        };
        Ok((action, Some(setting), Some(self.length_ns()?)))
    }

    /// The one key of `keys` that is there.
    fn one_of(&self, keys: &[&'static str], none: &str) -> Result<&'static str, UsageError> {
        let mut given = keys.iter().filter(|key| self.table.contains_key(**key));
        match (given.next(), given.next()) {
            (Some(key), None) => Ok(key),
            (Some(first), Some(second)) => {
                let problem = format!("cannot stand beside `{first}`");
                Err(at(FAULT, second, &problem, "write two faults at the same time"))
            }
            (None, _) => {
                Err(UsageError::new(FAULT, none, format!("add one of {}", keys.join(", "))))
            }
        }
    }

    /// Refuses keys that do not belong to `action`.
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

    /// The target of `action`.
    fn target(&self, action: &str) -> Result<String, UsageError> {
        let target = self.text(action)?.unwrap_or_default();
        let mut known = SERVICES.fault_targets(action == "network");
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
                "a consumer can only be killed".to_owned()
            }
            ("network", target) if SERVICES.fault_targets(false).iter().any(|t| t == target) => {
                format!("there is no proxy in front of {target}")
            }
            _ => format!("there is no `{target}`"),
        };
        let nearest = nearest(&target, known.iter().map(String::as_str));
        let remedy = remedy(nearest.filter(|nearest| *nearest != target), || {
            format!("use one of {}", known.join(", "))
        });
        Err(at(FAULT, action, &problem, &remedy))
    }

    /// The value of `for`.
    fn length_ns(&self) -> Result<u64, UsageError> {
        self.time_ns("for")?.filter(|ns| *ns > 0).ok_or_else(|| {
            at(FAULT, "for", "is missing, or 0", "add how long it lasts, such as for = \"5s\"")
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
        scalar(value.clone())
            .map(Some)
            .map_err(|kind| at(FAULT, key, &format!("is a {kind}"), "write a text such as \"20s\""))
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

/// Refuses a fault while another one of its kind affects the same target: neither could be undone by
/// itself.
fn refuse_overlaps(faults: &[Fault]) -> Result<(), UsageError> {
    for (index, later) in faults.iter().enumerate() {
        let holds = |earlier: &&Fault| {
            let until_ns = match earlier.action {
                FaultAction::Restart | FaultAction::Reset => Some(earlier.at_ns),
                FaultAction::Kill | FaultAction::KillConsumer => earlier.end_ns(),
                _ => earlier.end_ns().or(Some(earlier.at_ns)),
            };
            kind(earlier.action) == kind(later.action)
                && overlap(&earlier.target, &later.target)
                && (until_ns.is_none_or(|until_ns| later.at_ns < until_ns)
                    || later.at_ns == earlier.at_ns)
        };
        if let Some(earlier) = faults[..index].iter().find(holds) {
            let problem =
                format!("{} is not over at {}", earlier.record().name(), duration_ns(later.at_ns));
            let remedy = "end the first before the second begins";
            return Err(at(FAULT, "at", &problem, remedy));
        }
    }
    Ok(())
}

/// Faults of one kind exclude each other.
fn kind(action: FaultAction) -> u8 {
    match action {
        FaultAction::Kill
        | FaultAction::Stop
        | FaultAction::Restart
        | FaultAction::StopTool
        | FaultAction::KillConsumer => 0,
        FaultAction::Latency(_) => 1,
        FaultAction::Bandwidth(_) => 2,
        FaultAction::Reset => 3,
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

    fn fault(at_s: u64, action: FaultAction, target: &str, lasts_s: Option<u64>) -> Fault {
        Fault {
            at_ns: at_s * 1_000_000_000,
            action,
            target: target.to_owned(),
            setting: None,
            lasts_ns: lasts_s.map(|s| s * 1_000_000_000),
        }
    }

    #[test]
    fn all_kinds_are_read_in_order_of_time() {
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
                fault(10, FaultAction::KillConsumer, "consumer-2", Some(3)),
                fault(20, FaultAction::Kill, "kafka-2", Some(5)),
                fault(30, FaultAction::Restart, "kafka-1", None),
                fault(40, FaultAction::Stop, "kafka", Some(5)),
                with("100ms", fault(50, FaultAction::Latency(100_000_000), "kafka", Some(5))),
                with("1MiB/s", fault(50, FaultAction::Bandwidth(1 << 20), "kafka-1", Some(1))),
                fault(55, FaultAction::Reset, "kafka", None),
                fault(60, FaultAction::StopTool, "tool", Some(5)),
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
    fn unknown_keys_and_targets_suggest_the_nearest() {
        assert_eq!(error("kil = \"kafka\""), "[[fault]] `kil`: unknown key; did you mean `kill`?");
        assert_eq!(
            error("stop = \"kafka1\"\nfor = \"1s\""),
            "[[fault]] `stop`: there is no `kafka1`; did you mean `kafka-1`?"
        );
        assert!(error("stop = \"x\"\nfor = \"1s\"").contains("use one of kafka-1, kafka-2, "));
        assert!(error("kill = \"kafka-9\"").contains("there is no `kafka-9`"));
        assert!(error("kill = \"consumer-0\"").contains("did you mean `consumer-1`?"));
        assert!(error("kill = \"tool\"").contains("the tool can only be stopped for a time"));
        assert!(error("restart = \"consumer-1\"").contains("a consumer can only be killed"));
        assert!(
            error("network = \"mysql\"\nreset = true")
                .contains("there is no proxy in front of mysql")
        );
    }

    #[test]
    fn faults_have_one_action_and_its_keys() {
        assert_eq!(error(""), "[[fault]]: has no action; add one of kill, stop, restart, network");
        let two = error("kill = \"kafka\"\nstop = \"kafka\"");
        assert!(two.starts_with("[[fault]] `stop`: cannot stand beside `kill`"), "{two}");
        assert!(error("network = \"kafka\"").contains("add one of latency, bandwidth, reset"));
        for (text, message) in [
            ("kill = \"kafka\"\nfor = \"1s\"", "`for`: does not go with `kill`; leave it out"),
            ("restart = \"kafka\"\nfor = \"1s\"", "`for`: does not go with `restart`"),
            ("stop = \"kafka\"", "`for`: is missing, or 0"),
            ("stop = \"kafka\"\nfor = \"0s\"", "`for`: is missing, or 0"),
            ("stop = \"kafka\"\nfor = true", "`for`: is a boolean; write a text"),
            ("stop = \"kafka\"\nfor = \"long\"", "`for`: `long` is not"),
            (
                "network = \"kafka\"\nreset = true\nfor = \"1s\"",
                "`for`: does not go with `network` and `reset`",
            ),
            ("network = \"kafka\"\nreset = false", "`reset`: is not true"),
            ("network = \"kafka\"\nlatency = \"1ms\"", "`for`: is missing"),
            (
                "network = \"kafka\"\nlatency = \"0\"\nfor = \"1s\"",
                "`latency`: must be more than 0",
            ),
            (
                "network = \"kafka\"\nbandwidth = \"1MiB\"\nfor = \"1s\"",
                "`bandwidth`: is not a size per second; write bandwidth = \"1MiB/s\"",
            ),
            (
                "network = \"kafka\"\nbandwidth = \"0B/s\"\nfor = \"1s\"",
                "`bandwidth`: must be more than 0",
            ),
        ] {
            let error = error(text);
            assert!(error.contains(message), "{text}: {error}");
        }
        let error = local("[[fault]]\nkill = \"kafka\"").expect_err("no time");
        assert!(error.contains("`at`: is missing"), "{error}");
    }

    #[test]
    fn services_of_others_cannot_break() {
        for services in [ServiceOrigin::Embedded, ServiceOrigin::External] {
            let error = faults("[[fault]]\nat = \"1s\"\nkill = \"kafka\"", services);
            let error = error.expect_err("refused");
            assert!(error.contains(&format!("uses {services} ones")), "{error}");
            assert!(error.ends_with("set services = \"local\""), "{error}");
            let text = "[[fault]]\nat = \"1s\"\nstop = \"tool\"\nfor = \"1s\"\n\
                        [[fault]]\nat = \"1s\"\nkill = \"consumer-1\"";
            assert!(faults(text, services).is_ok());
        }
    }

    #[test]
    fn faults_of_a_kind_do_not_overlap() {
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
}
