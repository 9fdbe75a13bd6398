//! A stack: what it is made of, how it comes up, how it is treated while it is, and how it goes.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::cache::Lock;
use super::folder::{
    CONFIG, DATA, LOGS, RECORD, RECORD_NEW, SECRETS, TMP, absolute, clients_files, create_private,
    refuse_foreign, remove,
};
use super::kafka::{self, Listener};
use super::port::Ports;
use super::process::{Process, ProcessState, kill_members, last_lines};
use super::record::{Node, Record, is_stack, merged, node_names, ports_in_use, read};
use super::server::{Notice, Site, environment, server, sites};
use super::{Cache, LocalError, Service, StackOptions, interruption, s3, secret};

/// The environment variable that names the folder of the stack that tools work with.
pub(super) const VARIABLE: &str = bench_core::results::protocol::STACK_VARIABLE;

/// How long another process may be at work on the same stack.
const LOCK_TIMEOUT: Duration = Duration::from_mins(1);

/// How long a server may take to become healthy, on a machine that has much else to do.
const START_TIMEOUT: Duration = Duration::from_mins(3);

/// How long a server may take to end by itself, before it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// How often a server that starts is asked whether it is healthy.
const POLL: Duration = Duration::from_millis(100);

/// Which services are started together. Connect needs Kafka, functions need streams and tables.
const WAVES: [&[Service]; 2] = [
    &[Service::Kafka, Service::Mysql, Service::S3, Service::Kinesis, Service::Dynamodb],
    &[Service::Connect, Service::KinLambda, Service::SqlLambda],
];

/// What a node is and does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeStatus {
    /// `kafka-1`, `connect`, `mysql`, ...
    pub name: String,
    /// The service that it is part of.
    pub service: Service,
    /// Its process, while there is one.
    pub pid: Option<u32>,
    /// What the process does.
    pub state: ProcessState,
    /// Where clients reach it.
    pub address: String,
    /// Its name and version.
    pub version: String,
    /// What it says.
    pub log: PathBuf,
}

/// A stack of local servers, which goes on when this value goes.
#[derive(Debug)]
pub struct Stack {
    dir: PathBuf,
    record: Record,
}

impl Stack {
    /// Starts what is missing of a stack in `dir`, and waits until all of it is healthy. Nodes that
    /// have ended are started again, frozen ones thawed. If it fails, what it started is ended.
    pub fn up(
        dir: &Path,
        cache: &Cache,
        options: &StackOptions,
        notice: &mut Notice<'_>,
    ) -> Result<Self, LocalError> {
        let options = options.completed()?;
        refuse_foreign(dir)?;
        let is_new = !dir.exists();
        // Another user who can write here could replace the secrets.
        create_private(dir)?;
        let dir = absolute(dir)?;
        let _lock = Lock::take(&dir, LOCK_TIMEOUT)?;
        let before = if is_stack(&dir) { Some(read(&dir)?) } else { None };
        let record = match &before {
            Some(record) => Record {
                options: merged(&dir, &record.options, &options)?,
                cache: cache.dir().to_owned(),
                ..record.clone()
            },
            None => Record {
                id: secret::password()?,
                cache: cache.dir().to_owned(),
                options,
                nodes: Vec::new(),
            },
        };
        let mut stack = Self { dir, record };
        match stack.bring_up(cache, notice) {
            Ok(()) => Ok(stack),
            Err(error) => {
                stack.roll_back(before);
                if is_new && matches!(error, LocalError::Interrupted) {
                    // Logs are kept for failures, and this is none.
                    let _ = remove(&stack.dir);
                }
                Err(error)
            }
        }
    }

    /// Fetches into the cache what a stack with these options is made of, and starts nothing.
    pub fn fetch(
        cache: &Cache,
        options: &StackOptions,
        notice: &mut Notice<'_>,
    ) -> Result<(), LocalError> {
        let options = options.completed()?;
        let mut services = options.services.iter();
        services.try_for_each(|&service| {
            server(service).fetch(cache, &options, notice).map(|_parts| ())
        })
    }

    /// The stack in `dir`, in whatever state it is.
    pub fn open(dir: &Path) -> Result<Self, LocalError> {
        if !is_stack(dir) {
            return Err(LocalError::NoStack { dir: dir.to_owned() });
        }
        let dir = absolute(dir)?;
        let record = read(&dir)?;
        Ok(Self { dir, record })
    }

    /// The stack's folder, as an absolute path.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What the stack is made of.
    #[must_use]
    pub fn options(&self) -> &StackOptions {
        &self.record.options
    }

    /// All nodes and what they do at this moment.
    #[must_use]
    pub fn nodes(&self) -> Vec<NodeStatus> {
        let status = |node: &Node| {
            let site = self.site(node);
            let state = node.state();
            let pid = node.process.as_ref().map(|process| process.pid);
            NodeStatus {
                name: node.name.clone(),
                service: node.service,
                pid: pid.filter(|_| state != ProcessState::Ended),
                state,
                address: server(node.service).address(&site),
                version: node.parts.version.clone(),
                log: site.log(),
            }
        };
        self.record.nodes.iter().map(status).collect()
    }

    /// What tools need in their environment to find the services. Passwords among it: not for
    /// logs.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        let mut all = vec![
            ("BENCH_SERVICES".to_owned(), "local".to_owned()),
            (VARIABLE.to_owned(), self.dir.to_string_lossy().into_owned()),
        ];
        all.extend(environment(&self.dir, &self.record));
        all
    }

    /// Whether its S3 server is the embedded one.
    #[must_use]
    pub fn has_embedded_s3(&self) -> bool {
        self.record.nodes.iter().any(s3::is_embedded)
    }

    /// Where the proxies at [`StackOptions::kafka_proxy_ports`] lead, in their order.
    #[must_use]
    pub fn kafka_behind_proxies(&self) -> Vec<SocketAddr> {
        let nodes = sites(&self.dir, &self.record, Service::Kafka);
        kafka::addresses(&nodes, Listener::Proxied)
    }

    /// SIGKILL, and waits until the process has gone.
    pub fn kill(&mut self, node: &str) -> Result<(), LocalError> {
        let _lock = self.lock()?;
        let index = self.find(node)?;
        let process = self.process("kill", index)?;
        self.must_be_done("kill", index, process.kill())
    }

    /// SIGSTOP: the process keeps its connections and answers nothing. Returns once it stands
    /// still.
    pub fn freeze(&mut self, node: &str) -> Result<(), LocalError> {
        let _lock = self.lock()?;
        let index = self.find(node)?;
        let process = self.process("freeze", index)?;
        self.must_be_done("freeze", index, process.freeze())
    }

    /// SIGCONT, after [`Stack::freeze`].
    pub fn thaw(&mut self, node: &str) -> Result<(), LocalError> {
        let _lock = self.lock()?;
        let index = self.find(node)?;
        self.thaw_node(index)
    }

    /// SIGTERM, and waits until the process has gone; one that does not go is killed.
    pub fn stop(&mut self, node: &str) -> Result<(), LocalError> {
        let _lock = self.lock()?;
        let index = self.find(node)?;
        let process = self.process("stop", index)?;
        process.ask_to_end();
        let deadline = Instant::now() + STOP_TIMEOUT;
        let has_ended = process.wait_unless(deadline, interruption::is_requested) || process.kill();
        self.must_be_done("stop", index, has_ended)
    }

    /// Starts a node again that has ended, or thaws a frozen one, and waits until it is healthy.
    ///
    /// A Kafka broker without whose like there is no majority of controllers cannot be healthy;
    /// it is then not waited for.
    pub fn start(&mut self, node: &str, notice: &mut Notice<'_>) -> Result<(), LocalError> {
        let _lock = self.lock()?;
        let index = self.find(node)?;
        self.start_node(index, notice)?;
        self.wait_until_healthy(&[index])
    }

    /// Ends all nodes and removes their data. Configuration and logs stay. Does nothing when the
    /// stack has gone already.
    pub fn down(&mut self, notice: &mut Notice<'_>) -> Result<(), LocalError> {
        if !is_stack(&self.dir) {
            return Ok(());
        }
        let _lock = Lock::take(&self.dir, LOCK_TIMEOUT)?;
        if !is_stack(&self.dir) {
            return Ok(());
        }
        self.record = read(&self.dir)?;
        for services in WAVES.iter().rev() {
            self.end_nodes(services, notice);
        }
        self.clear()
    }

    fn bring_up(&mut self, cache: &Cache, notice: &mut Notice<'_>) -> Result<(), LocalError> {
        self.add_nodes(cache, notice)?;
        self.record.write(&self.dir)?;
        cache.register(&self.record.id, &self.dir)?;
        for folder in [CONFIG, DATA, LOGS, SECRETS, TMP] {
            create_private(&self.dir.join(folder))?;
        }
        for service in Service::ALL {
            self.prepare(service, notice)?;
        }
        for services in WAVES {
            let indices = self.indices(|node| services.contains(&node.service));
            for &index in &indices {
                interruption::check()?;
                self.start_node(index, notice)?;
            }
            self.wait_until_healthy(&indices)?;
        }
        Ok(())
    }

    /// Nodes for the services that have none yet.
    fn add_nodes(&mut self, cache: &Cache, notice: &mut Notice<'_>) -> Result<(), LocalError> {
        let options = self.record.options.clone();
        let mut free = Ports::beside(ports_in_use(cache, &self.record));
        for &service in &options.services {
            if self.record.nodes.iter().any(|node| node.service == service) {
                continue;
            }
            let parts = server(service).fetch(cache, &options, notice)?;
            for name in node_names(service, &options) {
                let mut node = Node {
                    name,
                    service,
                    parts: parts.clone(),
                    ports: BTreeMap::new(),
                    is_prepared: false,
                    process: None,
                };
                for name in server(service).ports(&options) {
                    node.ports.insert(name.to_owned(), free.next()?);
                }
                self.record.nodes.push(node);
            }
        }
        Ok(())
    }

    fn prepare(&mut self, service: Service, notice: &mut Notice<'_>) -> Result<(), LocalError> {
        let indices = self.indices(|node| node.service == service && !node.is_prepared);
        if indices.is_empty() {
            return Ok(());
        }
        notice(&format!("preparing {service}"));
        let nodes = sites(&self.dir, &self.record, service);
        for site in &nodes {
            create_private(&site.config_dir())?;
            // Whatever an earlier stack of this folder left.
            remove(&site.data_dir())?;
            remove(&site.log())?;
            create_private(&site.data_dir())?;
        }
        server(service).prepare(&nodes)?;
        for index in indices {
            self.record.nodes[index].is_prepared = true;
        }
        self.record.write(&self.dir)
    }

    fn start_node(&mut self, index: usize, notice: &mut Notice<'_>) -> Result<(), LocalError> {
        let node = &self.record.nodes[index];
        match node.state() {
            ProcessState::Running => Ok(()),
            ProcessState::Frozen => self.thaw_node(index),
            ProcessState::Ended => {
                notice(&format!("starting {}", node.name));
                let launch = server(node.service).launch(&self.site(node))?;
                let process = launch.spawn(&node.name, &self.dir)?;
                self.record.nodes[index].process = Some(process);
                self.record.write(&self.dir)
            }
        }
    }

    fn wait_until_healthy(&self, indices: &[usize]) -> Result<(), LocalError> {
        let deadline = Instant::now() + START_TIMEOUT;
        for &index in indices {
            let node = &self.record.nodes[index];
            let site = self.site(node);
            let unhealthy = |how: String| LocalError::Unhealthy {
                node: node.name.clone(),
                how,
                last_lines: last_lines(&site.log()),
                log: site.log(),
            };
            while let Err(reason) = server(node.service).check(&site) {
                let ended = indices.iter().find(|&&index| self.has_ended(index));
                if let Some(&ended) = ended {
                    let node = &self.record.nodes[ended];
                    let log = self.site(node).log();
                    return Err(LocalError::Unhealthy {
                        node: node.name.clone(),
                        how: "it has ended".to_owned(),
                        last_lines: last_lines(&log),
                        log,
                    });
                }
                interruption::check()?;
                if Instant::now() >= deadline {
                    return Err(unhealthy(format!("after {START_TIMEOUT:?}, {reason}")));
                }
                std::thread::sleep(POLL);
            }
        }
        Ok(())
    }

    /// Ends the nodes of these services, all at once. Who is interrupted does not wait for them: their
    /// data goes with them.
    fn end_nodes(&self, services: &[Service], notice: &mut Notice<'_>) {
        let nodes = self.record.nodes.iter().filter(|node| services.contains(&node.service));
        let running: Vec<(&Node, &Process)> = nodes
            .filter(|node| node.state() != ProcessState::Ended)
            .filter_map(|node| Some((node, node.process.as_ref()?)))
            .collect();
        for (node, process) in &running {
            notice(&format!("stopping {}", node.name));
            process.ask_to_end();
        }
        let deadline = Instant::now() + STOP_TIMEOUT;
        for (_, process) in running {
            if !process.wait_unless(deadline, interruption::is_requested) {
                process.kill();
            }
        }
    }

    /// Leaves no process, no data and no record.
    fn clear(&self) -> Result<(), LocalError> {
        kill_members(&self.dir);
        for folder in [DATA, SECRETS, TMP] {
            remove(&self.dir.join(folder))?;
        }
        for file in clients_files(&self.dir) {
            remove(&file)?;
        }
        remove(&self.dir.join(RECORD_NEW))?;
        remove(&self.dir.join(RECORD))?;
        if let Ok(cache) = Cache::at(&self.record.cache) {
            cache.unregister(&self.record.id);
        }
        Ok(())
    }

    /// Ends what has been started since the record was `before`.
    fn roll_back(&mut self, before: Option<Record>) {
        let was_there = |process: &Process| {
            let nodes = before.iter().flat_map(|record| &record.nodes);
            nodes.filter_map(|node| node.process.as_ref()).any(|other| other == process)
        };
        for process in self.record.nodes.iter().filter_map(|node| node.process.as_ref()) {
            if !was_there(process) {
                process.kill();
            }
        }
        // The error that led here says more than one of clearing up would.
        let Some(before) = before else {
            let _ = self.clear();
            for folder in [CONFIG, LOGS, "."] {
                // Goes only if there is nothing in it.
                let _ = fs::remove_dir(self.dir.join(folder));
            }
            let _ = fs::remove_dir(&self.dir);
            return;
        };
        for node in &self.record.nodes {
            if !before.nodes.iter().any(|other| other.name == node.name) {
                let _ = remove(&self.site(node).data_dir());
            }
        }
        self.record = before;
        let _ = self.record.write(&self.dir);
    }

    /// Keeps other processes from this stack, and takes over what they have done to it.
    fn lock(&mut self) -> Result<Lock, LocalError> {
        if !is_stack(&self.dir) {
            return Err(LocalError::NoStack { dir: self.dir.clone() });
        }
        let lock = Lock::take(&self.dir, LOCK_TIMEOUT)?;
        self.record = read(&self.dir)?;
        Ok(lock)
    }

    fn site<'a>(&'a self, node: &'a Node) -> Site<'a> {
        Site { dir: &self.dir, record: &self.record, node }
    }

    fn indices(&self, wanted: impl Fn(&Node) -> bool) -> Vec<usize> {
        let nodes = self.record.nodes.iter().enumerate();
        nodes.filter(|(_, node)| wanted(node)).map(|(index, _)| index).collect()
    }

    /// The node of this name. Where there is one broker, `kafka` names it too.
    fn find(&self, name: &str) -> Result<usize, LocalError> {
        let is_meant = |node: &Node| {
            node.name == name
                || self.record.options.brokers == 1 && node.service.to_string() == name
        };
        self.record.nodes.iter().position(is_meant).ok_or_else(|| {
            let known: Vec<&str> =
                self.record.nodes.iter().map(|node| node.name.as_str()).collect();
            LocalError::UnknownNode { name: name.to_owned(), known: known.join(", ") }
        })
    }

    /// A node's process, for something that only makes sense while there is one.
    fn process(&self, attempted: &'static str, index: usize) -> Result<Process, LocalError> {
        let node = &self.record.nodes[index];
        let process = node.process.clone().filter(|process| process.state() != ProcessState::Ended);
        process.ok_or_else(|| LocalError::State {
            attempted,
            node: node.name.clone(),
            state: "has ended".to_owned(),
        })
    }

    fn has_ended(&self, index: usize) -> bool {
        self.record.nodes[index].state() == ProcessState::Ended
    }

    fn thaw_node(&self, index: usize) -> Result<(), LocalError> {
        let process = self.process("thaw", index)?;
        self.must_be_done("thaw", index, process.thaw())
    }

    /// An error if a signal was without effect.
    fn must_be_done(
        &self,
        attempted: &'static str,
        index: usize,
        is_done: bool,
    ) -> Result<(), LocalError> {
        if is_done {
            return Ok(());
        }
        let node = &self.record.nodes[index];
        let state = format!("is {} in spite of the signal", node.state());
        Err(LocalError::State { attempted, node: node.name.clone(), state })
    }
}
