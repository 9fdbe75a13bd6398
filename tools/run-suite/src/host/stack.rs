//! What run-suite starts for an experiment: which services it needs, and their life beside its runs.
//!
//! Real servers are started for `services = "local"`. Embedded ones come with a tool, unless two
//! tools are to use the same: then they are started here, too. They stand in the folder `services`
//! of the experiment, so that `run-suite services down --dir` finds them when run-suite itself was
//! killed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result};
use bench_cli::{Interrupted, Progress, Shutdown, UsageError};
use bench_core::results::ServiceOrigin;
use bench_services::local::{
    Cache, LambdaOptions, LocalError, S3Server, Service, Stack, StackOptions, interruptible,
};
use serde::{Deserialize, Serialize};

use super::fault_targets::{Network, Site};
use crate::file::experiment::{Experiment, OptionValue, Options, at};
use crate::file::fault::need_network;
use crate::file::owner::Owner;
use crate::plan::tool::Tool;
use crate::plan::tools::Tools;

/// The folder of the stack in that of the experiment.
const FOLDER: &str = "services";

/// What tools of a chain use.
const CHAINED: [(&str, &[Service]); 6] = [
    ("kin-producer", &[Service::Kinesis]),
    ("kin-consumer", &[Service::Kinesis]),
    ("kin-db-consumer", &[Service::Dynamodb, Service::KinLambda]),
    ("kin-sql-consumer", &[Service::Mysql, Service::SqlLambda]),
    ("delta-producer", &[Service::S3]),
    ("delta-consumer", &[Service::S3]),
];

/// The option by which any other tool is told of a service: a tool that has it uses the service.
const OPTIONS: [(&str, Service); 4] = [
    ("bootstrap-servers", Service::Kafka),
    ("connect-url", Service::Connect),
    ("mysql-url", Service::Mysql),
    ("s3-endpoint", Service::S3),
];

/// The option by which a tool is told to use a table, if it is to use one.
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

/// What an experiment needs to run on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LocalPlan {
    services: Vec<Service>,
    brokers: u32,
    kafka_settings: Vec<(String, String)>,
    /// Whether the tool reaches Kafka through proxies, for faults of the network.
    proxied: bool,
    /// The S3 server, if it has to be a certain one.
    #[serde(default)]
    s3_server: Option<S3Server>,
}

impl LocalPlan {
    /// What the experiment asks for; without a word on services, those that its tools use. `None`
    /// when there is nothing to start.
    pub(crate) fn new(experiment: &Experiment, tools: &Tools) -> Result<Option<Self>, UsageError> {
        let services = match experiment.services {
            ServiceOrigin::External => Vec::new(),
            ServiceOrigin::Local => beside_local(experiment, tools)?,
            ServiceOrigin::Embedded => beside_embedded(experiment, tools)?,
        };
        let has_lambda =
            [Service::KinLambda, Service::SqlLambda].iter().any(|l| services.contains(l));
        let mut names = experiment.option_names();
        if !has_lambda && let Some(name) = names.find(|name| Owner::of(name).0 == Owner::Lambda) {
            return Err(at(
                Owner::Lambda.fixed_place(),
                Owner::of(name).1,
                "the experiment starts no Lambda",
                "add \"kin-lambda\" or \"sql-lambda\" to `start` in [local]",
            ));
        }
        if services.is_empty() {
            return Ok(None);
        }
        let section = &experiment.local;
        // What these bring with them is as right in a result as they are.
        let all = StackOptions::of(services).completed().map_err(UsageError::from_library)?;
        let has_s3 = all.services.contains(&Service::S3);
        Ok(Some(Self {
            services: all.services.into_iter().collect(),
            brokers: section.brokers.unwrap_or(1),
            kafka_settings: section.kafka_settings.clone(),
            proxied: need_network(&experiment.faults),
            s3_server: (experiment.services == ServiceOrigin::Embedded && has_s3)
                .then_some(S3Server::Embedded),
        }))
    }

    /// Whether the service of this name is among what is started.
    pub(crate) fn starts(&self, service: &str) -> bool {
        self.services.iter().any(|started| started.to_string() == service)
    }

    /// Whether each run has services of its own: what one run leaves in a stream, its shards and its
    /// checkpoints, the next would find there.
    fn is_for_one_run(&self) -> bool {
        self.services.contains(&Service::Kinesis)
    }

    fn options(
        &self,
        lambda: &Options,
        network: Option<&Network>,
    ) -> Result<StackOptions, LocalError> {
        let lambda = lambda_options(lambda)?;
        Ok(StackOptions {
            brokers: self.brokers,
            kafka_settings: self.kafka_settings.clone(),
            kafka_proxy_ports: network.map(Network::ports).unwrap_or_default(),
            kin_lambda: lambda.clone(),
            sql_lambda: lambda,
            s3_server: self.s3_server,
            ..StackOptions::of(self.services.iter().copied())
        })
    }
}

/// The real servers of an experiment, and what goes with them.
fn beside_local(experiment: &Experiment, tools: &Tools) -> Result<Vec<Service>, UsageError> {
    let start = &experiment.local.start;
    let services = if start.is_empty() { used(experiment, tools) } else { start.clone() };
    if services.is_empty() {
        return Err(UsageError::new(
            "`services`",
            "\"local\" starts nothing, since the tool has no option that names a server",
            "name what to start: `start = [\"kafka\"]` in [local]",
        ));
    }
    Ok(services)
}

/// What two tools need that use the same embedded services. One alone brings its own, but no
/// database.
fn beside_embedded(experiment: &Experiment, tools: &Tools) -> Result<Vec<Service>, UsageError> {
    let start = &experiment.local.start;
    if let Some(service) = start.iter().find(|service| !BESIDE_EMBEDDED.contains(service)) {
        let problem =
            format!("{service} is a real server, and the experiment asks for embedded ones");
        let remedy = "say `services = \"local\"`, or leave it out";
        return Err(at("[local]", "start", &problem, remedy));
    }
    if !start.is_empty() {
        return Ok(start.clone());
    }
    let mut services = used(experiment, tools);
    services.retain(|service| match tools.then {
        Some(_) => BESIDE_EMBEDDED.contains(service),
        None => *service == Service::Mysql,
    });
    Ok(services)
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

/// The name of a setting of the Lambda that stands at `place` of an experiment file.
pub(crate) fn canonical_lambda_setting(
    place: &str,
    name: &str,
    value: &OptionValue,
) -> Result<String, UsageError> {
    let canonical = name.replace('_', "-");
    let Some(text) = setting(value) else {
        return Err(at(place, name, "has several values", "sweep it in [matrix]"));
    };
    let checked = LambdaOptions::default().set(&canonical, &text);
    checked.map_err(|error| at(place, name, &error.to_string(), "see docs/lambda.md"))?;
    Ok(canonical)
}

/// The Lambda of an experiment; its settings have been checked.
fn lambda_options(settings: &Options) -> Result<LambdaOptions, LocalError> {
    let mut options = LambdaOptions::default();
    for (name, value) in settings {
        options.set(name, &setting(value).unwrap_or_default())?;
    }
    Ok(options)
}

/// A value as a setting takes it.
fn setting(value: &OptionValue) -> Option<String> {
    match value {
        OptionValue::Flag(is_on) => Some(is_on.to_string()),
        OptionValue::Text(text) => Some(text.clone()),
        OptionValue::Many(_) => None,
    }
}

/// A stack that experiments run on, one after another.
pub(crate) struct LocalServices {
    folder: PathBuf,
    /// What ends the waiting for services, and that for their end.
    interruption: Arc<AtomicBool>,
    running: Option<Running>,
}

struct Running {
    plan: LocalPlan,
    lambda: Options,
    network: Option<Network>,
    stack: Stack,
}

impl LocalServices {
    /// Nothing runs yet; what an earlier, killed run-suite left in `experiments` is stopped.
    pub(crate) fn in_folder(
        experiments: &Path,
        shutdown: &Shutdown,
        progress: &mut Progress,
    ) -> Result<Self> {
        let (folder, interruption) = (experiments.join(FOLDER), shutdown.flag());
        match Stack::open(&folder) {
            Ok(mut stack) => interruptible(&interruption, || {
                let down = stack.down(&mut |line| progress.update(line));
                down.map_err(|error| as_interrupted(error, "the services stopped"))
            })?,
            Err(LocalError::NoStack { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(Self { folder, interruption, running: None })
    }

    /// Sees to it that what `plan` asks for is there, and whole: what has died is started again,
    /// what was frozen goes on.
    pub(crate) fn provide(
        &mut self,
        plan: &LocalPlan,
        lambda: &Options,
        progress: &mut Progress,
    ) -> Result<Site<'_>> {
        let is_unfit = |running: &Running| {
            running.plan != *plan || running.lambda != *lambda || plan.is_for_one_run()
        };
        if self.running.as_ref().is_some_and(is_unfit) {
            self.stop(progress)?;
        }
        let cache = Cache::from_environment()?;
        let mut up = |network: Option<&Network>| {
            let up = plan.options(lambda, network).and_then(|options| {
                interruptible(&self.interruption, || {
                    Stack::up(&self.folder, &cache, &options, &mut |line| progress.update(line))
                })
            });
            up.map_err(|error| as_interrupted(error, "the services started"))
                .context("failed to start the services of the experiment")
        };
        let running = match &mut self.running {
            Some(running) => {
                running.stack = up(running.network.as_ref())?;
                running
            }
            none => {
                let network = plan.proxied.then(|| Network::new(plan.brokers)).transpose()?;
                let stack = up(network.as_ref())?;
                let (plan, lambda) = (plan.clone(), lambda.clone());
                none.insert(Running { plan, lambda, network, stack })
            }
        };
        let Running { stack, network, .. } = running;
        if let Some(network) = network {
            network.connect(stack);
        }
        Ok(Site { stack: Some(stack), network: network.as_ref() })
    }

    /// Stops what runs.
    pub(crate) fn stop(&mut self, progress: &mut Progress) -> Result<()> {
        let Some(mut running) = self.running.take() else { return Ok(()) };
        let stopped = interruptible(&self.interruption, || {
            running.stack.down(&mut |line| progress.update(line))
        });
        stopped.context("failed to stop the services of the experiment")
    }
}

/// An interruption as tools end with one, and any other error as it is.
pub(crate) fn as_interrupted(error: LocalError, doing: &'static str) -> anyhow::Error {
    match error {
        LocalError::Interrupted => Interrupted(doing).into(),
        other => other.into(),
    }
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

    /// What is started for an experiment on these tools.
    fn started(names: &[&str], body: &str) -> Result<Vec<String>, String> {
        let head = "name = \"e\"\nquestion = \"?\"\ntool = \"t\"\n";
        let mut experiment = Experiment::parse(&format!("{head}{body}")).expect("parsed");
        experiment.then =
            names.get(1).map(|tool| Call { tool: (*tool).to_owned(), subcommand: None });
        let plan = LocalPlan::new(&experiment, &tools(names)).map_err(|error| error.to_string())?;
        let services = plan.map(|plan| plan.services).unwrap_or_default();
        Ok(services.iter().map(ToString::to_string).collect())
    }

    fn expect(names: &[&str], body: &str, services: &[&str]) {
        assert_eq!(started(names, body).map(|started| started.join(" ")), Ok(services.join(" ")));
    }

    #[test]
    fn a_tool_alone_brings_its_own_embedded_services() {
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
    fn two_tools_share_what_they_use() {
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
    fn a_database_is_there_only_where_something_lands_in_it() {
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
    fn what_the_file_names_is_started_with_what_that_needs() {
        let start = |services: &str, names: &str| {
            started(&["t"], &format!("services = \"{services}\"\n[local]\nstart = [{names}]"))
        };
        let with_rest = start("embedded", "\"sql-lambda\"").expect("planned");
        assert_eq!(with_rest, ["mysql", "kinesis", "sql-lambda"]);
        let error = start("embedded", "\"kafka\"").expect_err("real");
        assert!(error.contains("kafka is a real server"), "{error}");
    }
}
