//! The trait that every service implements, and a node of a stack as the service sees it.

use std::path::{Path, PathBuf};

use crate::cache::{Cache, Progress};
use crate::error::StackError;
use crate::folder::{CONFIG, DATA, LOGS, SECRETS, TMP};
use crate::options::{NO_OPTIONS, ServiceOptions};
use crate::process::{Launch, ProcessState};
use crate::record::{Node, Parts, Record};

/// A service that a stack can run: its name, its options, and how its servers are run.
///
/// It keeps nothing in memory: a stack is handled by many processes, one after another.
pub trait Service: Sync {
    /// Its name in command lines, experiment files and results, such as `postgres`.
    fn name(&self) -> &'static str;

    /// Its name in prose, such as `PostgreSQL`.
    fn title(&self) -> &'static str;

    /// The services that it cannot work without; they are started before it.
    fn needs(&self) -> &'static [&'static str] {
        &[]
    }

    /// Whether a stack has it unless the user says which services to start.
    fn is_default(&self) -> bool {
        false
    }

    /// How experiments on embedded services get it.
    fn embedded(&self) -> Embedded;

    /// Turns the settings into those of its stand-in, for a stack in which it may not be a real
    /// server.
    fn embed(&self, _options: &mut ServiceOptions) {}

    /// Whether each run needs a new one, because a run would find what the one before it left.
    fn is_for_one_run(&self) -> bool {
        false
    }

    /// Its options: `[local.NAME]` in an experiment file, `--set NAME.KEY=VALUE`.
    fn options(&self) -> &'static [ServiceOption] {
        &[]
    }

    /// Whether a setting without a service in front of its key (`--set KEY=VALUE`) is for it.
    fn claims(&self, _key: &str) -> bool {
        false
    }

    /// Checks one setting by itself.
    fn check_setting(&self, key: &str, value: &str) -> Result<(), String> {
        check_listed(self.options(), key, value)
    }

    /// Checks all options together.
    fn validate(&self, options: &ServiceOptions) -> Result<(), StackError> {
        for (key, value) in &options.settings {
            self.check_setting(key, value).map_err(|problem| {
                StackError::Options(format!("{}.{key}: {problem}", self.name()))
            })?;
        }
        let nodes = self.node_names(options).len();
        if !options.proxies.is_empty() && options.proxies.len() != nodes {
            let proxies = options.proxies.len();
            let problem = format!("{}: {proxies} proxies for {nodes} nodes", self.name());
            return Err(StackError::Options(problem));
        }
        Ok(())
    }

    /// How a running service differs from one with options `new`, as in `has 3 brokers, not 1`.
    fn difference(&self, old: &ServiceOptions, new: &ServiceOptions) -> Option<String> {
        (old != new).then(|| format!("has {} with other settings", self.name()))
    }

    /// The options of tools that name a server of it, without dashes.
    fn tool_options(&self) -> &'static [&'static str] {
        &[]
    }

    /// The names of its nodes.
    fn node_names(&self, _options: &ServiceOptions) -> Vec<String> {
        vec![self.name().to_owned()]
    }

    /// The names that its nodes can have under any options.
    fn possible_node_names(&self) -> Vec<String> {
        vec![self.name().to_owned()]
    }

    /// Whether experiments may kill, stop and restart its nodes.
    fn bears_process_faults(&self) -> bool {
        false
    }

    /// The port of a node that a proxy leads to; `None` where there can be no proxies, and so no
    /// network faults. A node learns of its proxy by [`NodeContext::proxy`].
    fn proxied_port(&self) -> Option<&'static str> {
        None
    }

    /// What must be installed for it to start without a long download; `None` if nothing.
    fn not_installed(&self) -> Option<String> {
        None
    }

    /// Finds what its servers consist of, or downloads it into the cache.
    fn fetch(
        &self,
        cache: &Cache,
        options: &ServiceOptions,
        progress: &mut Progress<'_>,
    ) -> Result<Parts, StackError>;

    /// The ports that each node needs, by names of the service's own.
    fn ports(&self, options: &ServiceOptions) -> Vec<&'static str>;

    /// Writes the configuration and initialises the data of all nodes, whose folders exist.
    fn prepare(&self, _nodes: &[NodeContext<'_>]) -> Result<(), StackError> {
        Ok(())
    }

    /// How a node is started, the first time and again.
    fn launch(&self, node: &NodeContext<'_>) -> Result<Launch, StackError>;

    /// Returns what is wrong with a node that does not work yet. Takes a second at most.
    fn check(&self, node: &NodeContext<'_>) -> Result<(), String>;

    /// Where clients reach a node.
    fn address(&self, node: &NodeContext<'_>) -> String;

    /// The environment variables by which clients find the service, which has at least one node.
    /// Of two services that set a variable, the one earlier in the list of services wins.
    fn environment(&self, _nodes: &[NodeContext<'_>]) -> Vec<(String, String)> {
        Vec::new()
    }
}

/// How experiments on embedded services get a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Embedded {
    /// A tool alone brings a stand-in; tools of one run that share it get one in a stack.
    Shared,
    /// No tool brings one: it is always started in a stack.
    Started,
    /// No stack can have it beside embedded services: each tool has its own, or there is none.
    No,
}

/// An option of a service.
#[derive(Debug, Clone, Copy)]
pub struct ServiceOption {
    /// Its key: `KEY` in `[local.NAME]`, `NAME.KEY` in `--set`.
    pub key: &'static str,
    /// The name of its own option of `services up`, without dashes, if it has one.
    pub flag: Option<&'static str>,
    /// What a value is called in help.
    pub value_name: &'static str,
    /// What it sets, in one line.
    pub help: &'static str,
    /// The default, as it would be given; empty where the service chooses.
    pub default: &'static str,
    /// Checks a value.
    pub check: fn(&str) -> Result<(), String>,
}

/// Checks a setting whose key must be one of `options`.
pub fn check_listed(options: &[ServiceOption], key: &str, value: &str) -> Result<(), String> {
    match options.iter().find(|option| option.key == key) {
        Some(option) => (option.check)(value),
        None if options.is_empty() => Err("unknown key; this service has no options".to_owned()),
        None => {
            let known: Vec<&str> = options.iter().map(|option| option.key).collect();
            Err(format!("unknown key; use one of {}", known.join(", ")))
        }
    }
}

/// A check for [`ServiceOption::check`]: one of these words.
pub fn one_of(words: &[&str], value: &str) -> Result<(), String> {
    if words.contains(&value) {
        return Ok(());
    }
    Err(format!("unknown value '{value}'; use one of {}", words.join(", ")))
}

/// One node, and the stack around it.
#[derive(Clone, Copy)]
pub struct NodeContext<'a> {
    pub(crate) dir: &'a Path,
    pub(crate) record: &'a Record,
    pub(crate) node: &'a Node,
    pub(crate) services: &'static [&'static dyn Service],
}

impl<'a> NodeContext<'a> {
    /// The node's name.
    #[must_use]
    pub fn name(&self) -> &'a str {
        &self.node.name
    }

    /// What it consists of.
    #[must_use]
    pub fn parts(&self) -> &'a Parts {
        &self.node.parts
    }

    /// The options of its service.
    #[must_use]
    pub fn options(&self) -> &'a ServiceOptions {
        self.record.options.get(&self.node.service).unwrap_or(&NO_OPTIONS)
    }

    /// The stack's folder, for files that its users need. Configuration there (`*.properties`) goes
    /// when the stack is stopped.
    #[must_use]
    pub fn stack_dir(&self) -> &'a Path {
        self.dir
    }

    /// The folder for its configuration, which stays when the stack is stopped.
    #[must_use]
    pub fn config_dir(&self) -> PathBuf {
        self.dir.join(CONFIG).join(&self.node.name)
    }

    /// The folder for its data.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.dir.join(DATA).join(&self.node.name)
    }

    /// The folder for temporary files, shared with the other nodes.
    #[must_use]
    pub fn tmp_dir(&self) -> PathBuf {
        self.dir.join(TMP)
    }

    /// The folder for secrets, shared with the other nodes. Only their owner may read them.
    #[must_use]
    pub fn secrets_dir(&self) -> PathBuf {
        self.dir.join(SECRETS)
    }

    /// Its log, which stays when the stack is stopped.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.dir.join(LOGS).join(format!("{}.log", self.node.name))
    }

    /// One of the ports that its service asked for.
    #[must_use]
    pub fn port(&self, name: &str) -> u16 {
        // That none is missing was checked when the record was read.
        self.node.ports.get(name).copied().unwrap_or_default()
    }

    /// The port on 127.0.0.1 of the proxy in front of it.
    #[must_use]
    pub fn proxy(&self) -> Option<u16> {
        let index = self.nodes_of(&self.node.service).iter().position(|node| node.is(self))?;
        self.options().proxies.get(index).copied()
    }

    /// Whether its process runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.node.state() == ProcessState::Running
    }

    /// Whether both are the same node.
    #[must_use]
    pub fn is(&self, other: &NodeContext<'_>) -> bool {
        self.node.name == other.node.name
    }

    /// The nodes of a service of the same stack.
    #[must_use]
    pub fn nodes_of(&self, service: &str) -> Vec<NodeContext<'a>> {
        nodes_of(self.dir, self.record, self.services, service)
    }

    /// What clients need in their environment to find the services of the stack.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        environment(self.dir, self.record, self.services)
    }

    /// Its program, started with these arguments in the folder for its data.
    #[must_use]
    pub fn launch(&self, args: Vec<String>) -> Launch {
        Launch {
            program: self.node.parts.program.clone(),
            args,
            env: Vec::new(),
            current_dir: self.data_dir(),
            log: self.log(),
        }
    }
}

/// The nodes of a service.
pub(crate) fn nodes_of<'a>(
    dir: &'a Path,
    record: &'a Record,
    services: &'static [&'static dyn Service],
    service: &str,
) -> Vec<NodeContext<'a>> {
    let nodes = record.nodes.iter().filter(|node| node.service == service);
    nodes.map(|node| NodeContext { dir, record, node, services }).collect()
}

/// What clients need in their environment to find the services of a stack.
pub(crate) fn environment(
    dir: &Path,
    record: &Record,
    services: &'static [&'static dyn Service],
) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    for service in services {
        let nodes = nodes_of(dir, record, services, service.name());
        if nodes.is_empty() {
            continue;
        }
        for (name, value) in service.environment(&nodes) {
            if all.iter().all(|(other, _)| *other != name) {
                all.push((name, value));
            }
        }
    }
    all
}
