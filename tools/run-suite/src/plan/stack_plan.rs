//! The services that run-suite starts for an experiment.
//!
//! Real servers are started for `services = "local"`. A tool brings embedded ones with it, unless two
//! tools use the same: then run-suite starts them, too.

use bench_cli::UsageError;
use bench_record::ServiceOrigin;
use bench_services::SERVICES;
use bench_stack::{Embedded, Service, StackOptions};
use serde::{Deserialize, Serialize};

use super::tools::Tools;
use crate::file::experiment::Experiment;
use crate::file::fault::need_network;
use crate::file::owner::Owner;
use crate::file::refusal::at;
use crate::file::services::of_section;

/// What an experiment needs to run on. The settings of the services are those of each cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StackPlan {
    /// The services by name, with those that they need.
    pub(crate) services: Vec<String>,
    /// Whether the tool reaches its servers through proxies, for faults of the network.
    pub(crate) proxied: bool,
    /// Whether stand-ins are wanted where there is a choice.
    pub(crate) embedded: bool,
}

impl StackPlan {
    /// The services that the experiment asks for, or else those that its tools use. `None` when there
    /// is nothing to start.
    pub(crate) fn new(experiment: &Experiment, tools: &Tools) -> Result<Option<Self>, UsageError> {
        let services = match experiment.services {
            ServiceOrigin::External => Vec::new(),
            ServiceOrigin::Local => beside_local(experiment, tools)?,
            ServiceOrigin::Embedded => beside_embedded(experiment, tools)?,
        };
        let services = with_needs(&services)?;
        refuse_unused_settings(experiment, &services)?;
        if services.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self {
            services,
            proxied: need_network(&experiment.faults),
            embedded: experiment.services == ServiceOrigin::Embedded,
        }))
    }

    /// Whether the service of this name is among those that are started.
    pub(crate) fn starts(&self, service: &str) -> bool {
        self.services.iter().any(|started| started == service)
    }

    /// Whether each run needs services of its own, because it would find what the one before it left.
    pub(crate) fn is_for_one_run(&self) -> bool {
        let services = self.services.iter().filter_map(|name| SERVICES.get(name));
        services.into_iter().any(Service::is_for_one_run)
    }
}

/// The services with those that they need, in the order of the list of services.
fn with_needs(services: &[String]) -> Result<Vec<String>, UsageError> {
    if services.is_empty() {
        return Ok(Vec::new());
    }
    let options = StackOptions::of(services.iter().map(String::as_str));
    let all = SERVICES.completed(&options).map_err(UsageError::from_library)?;
    let names = SERVICES.names().into_iter().filter(|name| all.contains(name));
    Ok(names.map(str::to_owned).collect())
}

/// Refuses settings of services that the experiment does not start.
fn refuse_unused_settings(experiment: &Experiment, started: &[String]) -> Result<(), UsageError> {
    for name in experiment.option_names() {
        let (Owner::Service(section), own) = Owner::of(name) else { continue };
        let meant: Vec<&str> = of_section(&section).map(Service::name).collect();
        if meant.iter().any(|service| started.iter().any(|started| started == service)) {
            continue;
        }
        let problem = format!("the experiment does not start {}", meant.join(" or "));
        let quoted: Vec<String> = meant.iter().map(|name| format!("\"{name}\"")).collect();
        let remedy = match experiment.services {
            ServiceOrigin::External => "leave it out, or use other services".to_owned(),
            _ => format!("add {} to `start` in [local]", quoted.join(" or ")),
        };
        return Err(at(&Owner::of(name).0.section(), own, &problem, &remedy));
    }
    Ok(())
}

/// The real servers of an experiment, and the stand-ins beside them.
fn beside_local(experiment: &Experiment, tools: &Tools) -> Result<Vec<String>, UsageError> {
    let start = &experiment.start;
    let services = if start.is_empty() { tools.services(experiment) } else { start.clone() };
    if services.is_empty() {
        return Err(UsageError::new(
            "`services`",
            "\"local\" starts nothing, since the tool uses no service",
            "list the services to start in [local]: start = [\"NAME\"]",
        ));
    }
    Ok(services)
}

/// The services that two tools share. One alone brings its own, unless they have no stand-in.
fn beside_embedded(experiment: &Experiment, tools: &Tools) -> Result<Vec<String>, UsageError> {
    let start = &experiment.start;
    if let Some(service) = start.iter().find(|service| embedded(service) == Embedded::No) {
        let problem =
            format!("{service} is a real server, but the experiment asks for embedded ones");
        let remedy = "set services = \"local\", or leave it out";
        return Err(at("[local]", "start", &problem, remedy));
    }
    if !start.is_empty() {
        return Ok(start.clone());
    }
    let mut services = tools.services(experiment);
    services.retain(|service| match embedded(service) {
        Embedded::Started => true,
        Embedded::Shared => tools.then.is_some(),
        Embedded::No => false,
    });
    Ok(services)
}

fn embedded(service: &str) -> Embedded {
    SERVICES.get(service).map_or(Embedded::No, Service::embedded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::experiment::Call;
    use crate::plan::tool::Tool;

    fn tools(names: &[&str]) -> Tools {
        let tool = |name: &&str| {
            let services = match *name {
                "kafka-prodcon" => {
                    r#"[{"name": "kafka"},
                        {"name": "mysql", "when": {"option": "land", "value": "mysql"}},
                        {"name": "dynamodb", "when": {"option": "land", "value": "dynamodb"}}]"#
                }
                "kin-producer" | "kin-consumer" => r#"[{"name": "kinesis"}]"#,
                "kin-db-consumer" => r#"[{"name": "dynamodb"}, {"name": "kin-lambda"}]"#,
                "kin-sql-consumer" => r#"[{"name": "mysql"}, {"name": "sql-lambda"}]"#,
                "delta-producer" | "delta-consumer" => r#"[{"name": "s3"}]"#,
                _ => "[]",
            };
            Tool::with_services(name, services)
        };
        let mut tools = names.iter().map(tool);
        Tools { first: tools.next().expect("a tool"), then: tools.next() }
    }

    /// The services that an experiment on these tools starts.
    fn started(names: &[&str], body: &str) -> Result<Vec<String>, String> {
        let head = "name = \"e\"\nquestion = \"?\"\ntool = \"t\"\n";
        let mut experiment = Experiment::parse(&format!("{head}{body}")).expect("parsed");
        experiment.then =
            names.get(1).map(|tool| Call { tool: (*tool).to_owned(), subcommand: None });
        let plan = StackPlan::new(&experiment, &tools(names)).map_err(|error| error.to_string())?;
        let services = plan.map(|plan| plan.services).unwrap_or_default();
        Ok(services)
    }

    fn expect(names: &[&str], body: &str, services: &[&str]) {
        assert_eq!(started(names, body).map(|started| started.join(" ")), Ok(services.join(" ")));
    }

    #[test]
    fn single_tools_bring_their_embedded_services() {
        let embedded = "services = \"embedded\"\n";
        for tool in ["kafka-prodcon", "kin-producer", "kin-consumer"] {
            expect(&[tool], embedded, &[]);
        }
        let lands = format!("{embedded}[options]\nland = \"dynamodb\"");
        expect(&["kafka-prodcon"], &lands, &[]);
        expect(&["kin-producer", "kin-db-consumer"], "services = \"external\"", &[]);
        expect(&["delta-producer"], embedded, &[]);
        expect(&["delta-producer"], "services = \"local\"", &["s3"]);
    }

    #[test]
    fn two_tools_share_services() {
        let embedded = "services = \"embedded\"\n";
        expect(&["kin-producer", "kin-consumer"], embedded, &["kinesis"]);
        expect(&["delta-producer", "delta-consumer"], embedded, &["s3"]);
        let chain = ["kin-producer", "kin-db-consumer"];
        expect(&chain, embedded, &["kinesis", "dynamodb", "kin-lambda"]);
        expect(&chain, "services = \"local\"", &["kinesis", "dynamodb", "kin-lambda"]);
        let chain = ["kin-producer", "kin-sql-consumer"];
        expect(&chain, embedded, &["mysql", "kinesis", "sql-lambda"]);
    }

    #[test]
    fn databases_start_only_for_tables() {
        let tool = ["kafka-prodcon"];
        expect(&tool, "services = \"local\"", &["kafka"]);
        let lands = |services: &str, how: &str| format!("services = \"{services}\"\n{how}");
        let options = "[options]\nland = \"mysql\"";
        expect(&tool, &lands("local", options), &["kafka", "mysql"]);
        expect(&tool, &lands("embedded", options), &["mysql"]);
        let swept = "[matrix]\nland = [\"dynamodb\", \"mysql\"]";
        expect(&tool, &lands("local", swept), &["kafka", "mysql", "dynamodb"]);
        let case = "[[case]]\nland = \"mysql\"\n[[case]]\nname = \"bare\"";
        expect(&tool, &lands("embedded", case), &["mysql"]);
    }

    #[test]
    fn listed_services_start_with_their_needs() {
        let start = |services: &str, names: &str| {
            started(&["t"], &format!("services = \"{services}\"\n[local]\nstart = [{names}]"))
        };
        let with_rest = start("embedded", "\"sql-lambda\"").expect("planned");
        assert_eq!(with_rest, ["mysql", "kinesis", "sql-lambda"]);
        let error = start("embedded", "\"kafka\"").expect_err("real");
        assert!(error.contains("kafka is a real server"), "{error}");
    }
}
