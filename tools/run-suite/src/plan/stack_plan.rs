//! The services that run-suite starts for an experiment.
//!
//! Real servers are started for `services = "local"`. A tool brings embedded ones with it, unless two
//! tools use the same: then run-suite starts them, too.

use bench_cli::UsageError;
use bench_core::results::ServiceOrigin;
use bench_services::local::{BROKERS_MAX, LambdaOptions, Service, StackOptions};
use serde::{Deserialize, Serialize};

use super::tool::Tool;
use super::tools::Tools;
use crate::file::experiment::Experiment;
use crate::file::fault::need_network;
use crate::file::options::OptionValue;
use crate::file::owner::Owner;
use crate::file::refusal::at;

/// The services that tools of a chain use.
const CHAINED: [(&str, &[Service]); 6] = [
    ("kin-producer", &[Service::Kinesis]),
    ("kin-consumer", &[Service::Kinesis]),
    ("kin-db-consumer", &[Service::Dynamodb, Service::KinLambda]),
    ("kin-sql-consumer", &[Service::Mysql, Service::SqlLambda]),
    ("delta-producer", &[Service::S3]),
    ("delta-consumer", &[Service::S3]),
];

/// The options that name a server: any other tool that has one uses the service.
const OPTIONS: [(&str, Service); 4] = [
    ("bootstrap-servers", Service::Kafka),
    ("connect-url", Service::Connect),
    ("mysql-url", Service::Mysql),
    ("s3-endpoint", Service::S3),
];

/// The option that makes a tool use a table.
const LAND: &str = "land";

/// Services that experiments on embedded ones may have started.
const BESIDE_EMBEDDED: [Service; 6] = [
    Service::Kinesis,
    Service::Dynamodb,
    Service::KinLambda,
    Service::SqlLambda,
    Service::S3,
    // There is no embedded one.
    Service::Mysql,
];

/// What an experiment needs to run on. The settings of the services are those of each cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StackPlan {
    /// The services by name, with those that they need.
    pub(crate) services: Vec<Service>,
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
        let all = if services.is_empty() {
            Vec::new()
        } else {
            let all = StackOptions::of(services).completed().map_err(UsageError::from_library)?;
            all.services.into_iter().collect()
        };
        refuse_unused_settings(experiment, &all)?;
        if all.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self {
            services: all,
            proxied: need_network(&experiment.faults),
            embedded: experiment.services == ServiceOrigin::Embedded,
        }))
    }

    /// Whether the service of this name is among what is started.
    pub(crate) fn starts(&self, service: &str) -> bool {
        self.services.iter().any(|started| started.to_string() == service)
    }

    /// Whether each run has services of its own: what one run leaves in a stream, its shards and its
    /// checkpoints, the next would find there.
    pub(crate) fn is_for_one_run(&self) -> bool {
        self.services.contains(&Service::Kinesis)
    }
}

/// Refuses settings of services that the experiment does not start.
fn refuse_unused_settings(experiment: &Experiment, started: &[Service]) -> Result<(), UsageError> {
    for name in experiment.option_names() {
        let (Owner::Service(section), own) = Owner::of(name) else { continue };
        let meant = services_of(&section);
        if !meant.iter().any(|service| started.contains(service)) {
            let meant: Vec<String> = meant.iter().map(ToString::to_string).collect();
            let problem = format!("the experiment does not start {}", meant.join(" or "));
            let quoted = meant.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>();
            let remedy = format!("add {} to `start` in [local]", quoted.join(" or "));
            return Err(at(&Owner::of(name).0.section(), own, &problem, &remedy));
        }
    }
    Ok(())
}

/// The services that a section of settings is about.
pub(crate) fn services_of(section: &str) -> Vec<Service> {
    match section {
        "lambda" => vec![Service::KinLambda, Service::SqlLambda],
        name => name.parse().into_iter().collect(),
    }
}

/// Whether an option of this name says where a server is.
pub(super) fn names_server(option: &str) -> bool {
    const NAMING: [&str; 7] = [
        "bootstrap-servers",
        "bootstrap-server",
        "endpoint-url",
        "mysql-url",
        "connect-url",
        "lake-path",
        "bucket",
    ];
    NAMING.contains(&option.replace('_', "-").as_str())
}

/// The name of a setting of a service that stands at `place` of an experiment file, after a look at
/// its value.
pub(super) fn canonical_setting(
    place: &str,
    section: &str,
    name: &str,
    value: &OptionValue,
) -> Result<String, UsageError> {
    let refuse = |problem: &str, remedy: &str| Err(at(place, name, problem, remedy));
    let text = match value.single() {
        Ok(text) => text,
        Err(problem) => return refuse(problem, "sweep it in [matrix]"),
    };
    let services = services_of(section);
    if services.is_empty() {
        return refuse("there is no such service", "`run-suite services up --help` has them all");
    }
    match section {
        "kafka" if name != "brokers" => Ok(name.to_owned()),
        "kafka" => match text.parse() {
            Ok(brokers) if (1..=BROKERS_MAX).contains(&brokers) => Ok(name.to_owned()),
            _ => refuse(&format!("must be 1 to {BROKERS_MAX}"), "change it"),
        },
        _ => {
            let canonical = name.replace('_', "-");
            let checked = LambdaOptions::default().set(&canonical, &text);
            match checked {
                Ok(()) => Ok(canonical),
                Err(error) => refuse(&error.to_string(), "see docs/lambda.md"),
            }
        }
    }
}

/// The real servers of an experiment, and the stand-ins beside them.
fn beside_local(experiment: &Experiment, tools: &Tools) -> Result<Vec<Service>, UsageError> {
    let start = started(experiment);
    let services = if start.is_empty() { used(experiment, tools) } else { start };
    if services.is_empty() {
        return Err(UsageError::new(
            "`services`",
            "\"local\" starts nothing, since the tool uses no service",
            "list the services to start in [local], such as start = [\"kafka\"]",
        ));
    }
    Ok(services)
}

/// The services that two tools share. One alone brings its own embedded ones, but no database.
fn beside_embedded(experiment: &Experiment, tools: &Tools) -> Result<Vec<Service>, UsageError> {
    let start = started(experiment);
    if let Some(service) = start.iter().find(|service| !BESIDE_EMBEDDED.contains(service)) {
        let problem =
            format!("{service} is a real server, but the experiment asks for embedded ones");
        let remedy = "set services = \"local\", or leave it out";
        return Err(at("[local]", "start", &problem, remedy));
    }
    if !start.is_empty() {
        return Ok(start);
    }
    let mut services = used(experiment, tools);
    services.retain(|service| match tools.then {
        Some(_) => BESIDE_EMBEDDED.contains(service),
        None => *service == Service::Mysql,
    });
    Ok(services)
}

fn started(experiment: &Experiment) -> Vec<Service> {
    experiment.start.iter().filter_map(|name| name.parse().ok()).collect()
}

/// The services that the tools of an experiment use.
fn used(experiment: &Experiment, tools: &Tools) -> Vec<Service> {
    let mut services = Vec::new();
    for service in tools.all().flat_map(|tool| used_by(tool, experiment)) {
        if !services.contains(&service) {
            services.push(service);
        }
    }
    services
}

fn used_by(tool: &Tool, experiment: &Experiment) -> Vec<Service> {
    if let Some((_, services)) = CHAINED.iter().find(|(name, _)| *name == tool.name()) {
        return services.to_vec();
    }
    let lands = |table: &str| {
        let table = OptionValue::Text(table.to_owned());
        experiment.values(LAND).any(|value| *value == table)
    };
    let is_used = |service| service != Service::Mysql || !tool.has_option(LAND) || lands("mysql");
    let by_option = OPTIONS.iter().filter(|(option, _)| tool.has_option(option));
    let by_option = by_option.map(|(_, service)| *service).filter(|service| is_used(*service));
    by_option.chain(lands("dynamodb").then_some(Service::Dynamodb)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::experiment::Call;

    fn tools(names: &[&str]) -> Tools {
        let tool = |name: &&str| {
            let options: &[&str] = match *name {
                "kafka-prodcon" => &["bootstrap-servers", "mysql-url", "land"],
                _ => &["from-run"],
            };
            Tool::of(name, options)
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
        Ok(services.iter().map(ToString::to_string).collect())
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
