//! A stack: create, start, inspect, break, stop.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bench_record::ServiceOrigin;

use crate::cache::{Cache, Lock, Progress};
use crate::error::StackError;
use crate::folder::{
    CONFIG, DATA, LOGS, RECORD, RECORD_NEW, SECRETS, TMP, absolute, clients_files, create_private,
    is_stack, refuse_foreign, remove,
};
use crate::interruption;
use crate::options::StackOptions;
use crate::origin::VARIABLE;
use crate::ports::Ports;
use crate::process::{Process, ProcessState, kill_members, last_lines};
use crate::record::{Node, Record, ports_in_use, read_unchecked, unexpected_node};
use crate::registry::Registry;
use crate::service::{NodeContext, Service, environment, nodes_of};

/// Time that another process may work on the same stack.
const LOCK_TIMEOUT: Duration = Duration::from_mins(1);

/// Time for a server to become healthy on a busy machine.
const START_TIMEOUT: Duration = Duration::from_mins(3);

/// Time for a server to end by itself before it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Interval between health checks of a starting server.
const POLL: Duration = Duration::from_millis(100);

/// A node and its current state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeStatus {
    /// Its name, such as `postgres-1`.
    pub name: String,
    /// The service that it belongs to.
    pub service: String,
    /// Its process, unless it has ended.
    pub pid: Option<u32>,
    /// The state of the process.
    pub state: ProcessState,
    /// Where clients reach it.
    pub address: String,
    /// Its name and version.
    pub version: String,
    /// What results call figures taken against it.
    pub origin: ServiceOrigin,
    /// What the user should know of it.
    pub note: Option<String>,
    /// The file with its output.
    pub log: PathBuf,
}

/// A stack of local servers, which keep running when this value is dropped.
#[derive(Debug)]
pub struct Stack {
    services: Registry,
    dir: PathBuf,
    record: Record,
}

impl Stack {
    /// Starts what is missing of a stack in `dir`, and waits until all of it is healthy. Nodes that
    /// have ended are started again, frozen ones thawed. On failure, what was started is stopped.
    pub fn up(
        services: Registry,
        dir: &Path,
        cache: &Cache,
        options: &StackOptions,
        progress: &mut Progress<'_>,
    ) -> Result<Self, StackError> {
        let options = services.completed(options)?;
        refuse_foreign(dir)?;
        let is_new = !dir.exists();
        // Another user who can write here could replace the secrets.
        create_private(dir)?;
        let dir = absolute(dir)?;
        let _lock = Lock::take(&dir, LOCK_TIMEOUT)?;
        let before = if is_stack(&dir) { Some(read(services, &dir)?) } else { None };
        let record = match &before {
            Some(record) => Record {
                options: merged(services, &dir, &record.options, &options)?,
                cache: cache.dir().to_owned(),
                ..record.clone()
            },
            None => Record::new(cache, options)?,
        };
        let mut stack = Self { services, dir, record };
        match stack.bring_up(cache, progress) {
            Ok(()) => Ok(stack),
            Err(error) => {
                stack.roll_back(before);
                if is_new && matches!(error, StackError::Interrupted) {
                    // Logs are kept for failures only.
                    let _ = remove(&stack.dir);
                }
                Err(error)
            }
        }
    }

    /// Downloads into the cache what a stack with these options consists of, and starts nothing.
    pub fn fetch(
        services: Registry,
        cache: &Cache,
        options: &StackOptions,
        progress: &mut Progress<'_>,
    ) -> Result<(), StackError> {
        let options = services.completed(options)?;
        for service in services.all() {
            if let Some(own) = options.get(service.name()) {
                service.fetch(cache, own, progress)?;
            }
        }
        Ok(())
    }

    /// The stack in `dir`, whatever its state.
    pub fn open(services: Registry, dir: &Path) -> Result<Self, StackError> {
        if !is_stack(dir) {
            return Err(StackError::NoStack { dir: dir.to_owned() });
        }
        let dir = absolute(dir)?;
        let record = read(services, &dir)?;
        Ok(Self { services, dir, record })
    }

    /// The stack's folder, as an absolute path.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What the stack consists of.
    #[must_use]
    pub fn options(&self) -> &StackOptions {
        &self.record.options
    }

    /// All nodes and their current states.
    #[must_use]
    pub fn nodes(&self) -> Vec<NodeStatus> {
        let status = |node: &Node| {
            let context = self.context(node);
            let state = node.state();
            let pid = node.process.as_ref().map(|process| process.pid);
            NodeStatus {
                name: node.name.clone(),
                service: node.service.clone(),
                pid: pid.filter(|_| state != ProcessState::Ended),
                state,
                address: self.address(node),
                version: node.parts.version.clone(),
                origin: node.parts.origin,
                note: node.parts.note.clone(),
                log: context.log(),
            }
        };
        self.record.nodes.iter().map(status).collect()
    }

    /// What tools need in their environment to find the services. It holds passwords: keep it out
    /// of logs.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        let mut all = vec![
            ("BENCH_SERVICES".to_owned(), "local".to_owned()),
            (VARIABLE.to_owned(), self.dir.to_string_lossy().into_owned()),
        ];
        all.extend(environment(&self.dir, &self.record, self.services.all()));
        all
    }

    /// The nodes that have a proxy in front of them, and the address that each proxy leads to.
    #[must_use]
    pub fn behind_proxies(&self) -> Vec<(String, SocketAddr)> {
        let behind = |node: &Node| {
            let context = self.context(node);
            context.proxy()?;
            let port = context.port(self.services.get(&node.service)?.proxied_port()?);
            Some((node.name.clone(), SocketAddr::from((Ipv4Addr::LOCALHOST, port))))
        };
        self.record.nodes.iter().filter_map(behind).collect()
    }

    /// Sends SIGKILL and waits until the process has ended.
    pub fn kill(&mut self, node: &str) -> Result<(), StackError> {
        let _lock = self.lock()?;
        let index = self.find(node)?;
        let process = self.process("kill", index)?;
        self.must_be_done("kill", index, process.kill())
    }

    /// Sends SIGSTOP and waits until the process has stopped: it keeps its connections and answers
    /// nothing.
    pub fn freeze(&mut self, node: &str) -> Result<(), StackError> {
        let _lock = self.lock()?;
        let index = self.find(node)?;
        let process = self.process("freeze", index)?;
        self.must_be_done("freeze", index, process.freeze())
    }

    /// Sends SIGCONT, after [`Stack::freeze`].
    pub fn thaw(&mut self, node: &str) -> Result<(), StackError> {
        let _lock = self.lock()?;
        let index = self.find(node)?;
        self.thaw_node(index)
    }

    /// Sends SIGTERM and waits until the process has ended; kills one that does not.
    pub fn stop(&mut self, node: &str) -> Result<(), StackError> {
        let _lock = self.lock()?;
        let index = self.find(node)?;
        let process = self.process("stop", index)?;
        process.ask_to_end();
        let deadline = Instant::now() + STOP_TIMEOUT;
        let has_ended = process.wait_unless(deadline, interruption::is_requested) || process.kill();
        self.must_be_done("stop", index, has_ended)
    }

    /// Starts a node that has ended, or thaws a frozen one, and waits until it is healthy.
    pub fn start(&mut self, node: &str, progress: &mut Progress<'_>) -> Result<(), StackError> {
        let _lock = self.lock()?;
        let index = self.find(node)?;
        self.start_node(index, progress)?;
        self.wait_until_healthy(&[index])
    }

    /// Stops all nodes and removes their data. Configuration and logs stay. Does nothing when the
    /// stack was stopped already.
    pub fn down(&mut self, progress: &mut Progress<'_>) -> Result<(), StackError> {
        if !is_stack(&self.dir) {
            return Ok(());
        }
        let _lock = Lock::take(&self.dir, LOCK_TIMEOUT)?;
        if !is_stack(&self.dir) {
            return Ok(());
        }
        self.record = read(self.services, &self.dir)?;
        for wave in self.services.waves(&self.record.options).iter().rev() {
            self.end_nodes(wave, progress);
        }
        self.clear()
    }

    fn bring_up(&mut self, cache: &Cache, progress: &mut Progress<'_>) -> Result<(), StackError> {
        self.add_nodes(cache, progress)?;
        self.record.write(&self.dir)?;
        cache.register(&self.record.id, &self.dir)?;
        for folder in [CONFIG, DATA, LOGS, SECRETS, TMP] {
            create_private(&self.dir.join(folder))?;
        }
        for service in self.services.all() {
            self.prepare(*service, progress)?;
        }
        for wave in self.services.waves(&self.record.options) {
            let indices = self.indices(|node| is_one_of(&wave, node));
            for &index in &indices {
                interruption::check()?;
                self.start_node(index, progress)?;
            }
            self.wait_until_healthy(&indices)?;
        }
        Ok(())
    }

    /// Nodes for the services that have none yet.
    fn add_nodes(&mut self, cache: &Cache, progress: &mut Progress<'_>) -> Result<(), StackError> {
        let options = self.record.options.clone();
        let mut free = Ports::beside(ports_in_use(cache, &self.record));
        for service in self.services.all() {
            let Some(own) = options.get(service.name()) else { continue };
            if self.record.nodes.iter().any(|node| node.service == service.name()) {
                continue;
            }
            let parts = service.fetch(cache, own, progress)?;
            for name in service.node_names(own) {
                let mut node = Node {
                    name,
                    service: service.name().to_owned(),
                    parts: parts.clone(),
                    ports: BTreeMap::new(),
                    is_prepared: false,
                    process: None,
                };
                for name in service.ports(own) {
                    node.ports.insert(name.to_owned(), free.next()?);
                }
                self.record.nodes.push(node);
            }
        }
        Ok(())
    }

    fn prepare(
        &mut self,
        service: &dyn Service,
        progress: &mut Progress<'_>,
    ) -> Result<(), StackError> {
        let name = service.name();
        let indices = self.indices(|node| node.service == name && !node.is_prepared);
        if indices.is_empty() {
            return Ok(());
        }
        progress(&format!("preparing {name}"));
        let nodes = nodes_of(&self.dir, &self.record, self.services.all(), name);
        for node in &nodes {
            create_private(&node.config_dir())?;
            // Left by an earlier stack of this folder.
            remove(&node.data_dir())?;
            remove(&node.log())?;
            create_private(&node.data_dir())?;
        }
        service.prepare(&nodes)?;
        for index in indices {
            self.record.nodes[index].is_prepared = true;
        }
        self.record.write(&self.dir)
    }

    fn start_node(&mut self, index: usize, progress: &mut Progress<'_>) -> Result<(), StackError> {
        let node = &self.record.nodes[index];
        match node.state() {
            ProcessState::Running => Ok(()),
            ProcessState::Frozen => self.thaw_node(index),
            ProcessState::Ended => {
                progress(&format!("starting {}", node.name));
                let launch = self.service(node)?.launch(&self.context(node))?;
                let process = launch.spawn(&node.name, &self.dir)?;
                self.record.nodes[index].process = Some(process);
                self.record.write(&self.dir)
            }
        }
    }

    fn wait_until_healthy(&self, indices: &[usize]) -> Result<(), StackError> {
        let deadline = Instant::now() + START_TIMEOUT;
        for &index in indices {
            let node = &self.record.nodes[index];
            let context = self.context(node);
            let service = self.service(node)?;
            let unhealthy = |how: String| StackError::Unhealthy {
                node: node.name.clone(),
                how,
                last_lines: last_lines(&context.log()),
                log: context.log(),
            };
            while let Err(reason) = service.check(&context) {
                let ended = indices.iter().find(|&&index| self.has_ended(index));
                if let Some(&ended) = ended {
                    let node = &self.record.nodes[ended];
                    let log = self.context(node).log();
                    return Err(StackError::Unhealthy {
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

    /// Stops the nodes of these services, all at once. After an interrupt they are killed instead:
    /// their data is removed anyway.
    fn end_nodes(&self, services: &[&dyn Service], progress: &mut Progress<'_>) {
        let nodes = self.record.nodes.iter().filter(|node| is_one_of(services, node));
        let running: Vec<(&Node, &Process)> = nodes
            .filter(|node| node.state() != ProcessState::Ended)
            .filter_map(|node| Some((node, node.process.as_ref()?)))
            .collect();
        for (node, process) in &running {
            progress(&format!("stopping {}", node.name));
            process.ask_to_end();
        }
        let deadline = Instant::now() + STOP_TIMEOUT;
        for (_, process) in running {
            if !process.wait_unless(deadline, interruption::is_requested) {
                process.kill();
            }
        }
    }

    /// Removes all processes, data and the record.
    fn clear(&self) -> Result<(), StackError> {
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

    /// Stops what was started since the record was `before`.
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
        // The error that led here is more useful than one from cleaning up.
        let Some(before) = before else {
            let _ = self.clear();
            for folder in [CONFIG, LOGS, "."] {
                // Removes empty folders only.
                let _ = fs::remove_dir(self.dir.join(folder));
            }
            let _ = fs::remove_dir(&self.dir);
            return;
        };
        for node in &self.record.nodes {
            if !before.nodes.iter().any(|other| other.name == node.name) {
                let _ = remove(&self.context(node).data_dir());
            }
        }
        self.record = before;
        let _ = self.record.write(&self.dir);
    }

    /// Locks the stack against other processes, and reads what they have changed.
    fn lock(&mut self) -> Result<Lock, StackError> {
        if !is_stack(&self.dir) {
            return Err(StackError::NoStack { dir: self.dir.clone() });
        }
        let lock = Lock::take(&self.dir, LOCK_TIMEOUT)?;
        self.record = read(self.services, &self.dir)?;
        Ok(lock)
    }

    fn context<'a>(&'a self, node: &'a Node) -> NodeContext<'a> {
        NodeContext { dir: &self.dir, record: &self.record, node, services: self.services.all() }
    }

    /// The service of a node, which was checked when the record was read.
    fn service(&self, node: &Node) -> Result<&'static dyn Service, StackError> {
        self.services.find(&node.service).map_err(StackError::Options)
    }

    fn address(&self, node: &Node) -> String {
        let service = self.services.get(&node.service);
        service.map(|service| service.address(&self.context(node))).unwrap_or_default()
    }

    fn indices(&self, wanted: impl Fn(&Node) -> bool) -> Vec<usize> {
        let nodes = self.record.nodes.iter().enumerate();
        nodes.filter(|(_, node)| wanted(node)).map(|(index, _)| index).collect()
    }

    /// The node of this name. A service with one node names it too.
    fn find(&self, name: &str) -> Result<usize, StackError> {
        let is_single = self.indices(|node| node.service == name).len() == 1;
        let is_meant = |node: &Node| node.name == name || is_single && node.service == name;
        self.record.nodes.iter().position(is_meant).ok_or_else(|| {
            let known: Vec<&str> =
                self.record.nodes.iter().map(|node| node.name.as_str()).collect();
            StackError::UnknownNode { name: name.to_owned(), known: known.join(", ") }
        })
    }

    /// A node's process; an error if it has ended.
    fn process(&self, attempted: &'static str, index: usize) -> Result<Process, StackError> {
        let node = &self.record.nodes[index];
        let process = node.process.clone().filter(|process| process.state() != ProcessState::Ended);
        process.ok_or_else(|| StackError::State {
            attempted,
            node: node.name.clone(),
            state: "has ended".to_owned(),
        })
    }

    fn has_ended(&self, index: usize) -> bool {
        self.record.nodes[index].state() == ProcessState::Ended
    }

    fn thaw_node(&self, index: usize) -> Result<(), StackError> {
        let process = self.process("thaw", index)?;
        self.must_be_done("thaw", index, process.thaw())
    }

    /// An error if a signal had no effect.
    fn must_be_done(
        &self,
        attempted: &'static str,
        index: usize,
        is_done: bool,
    ) -> Result<(), StackError> {
        if is_done {
            return Ok(());
        }
        let node = &self.record.nodes[index];
        let state = format!("is {} despite the signal", node.state());
        Err(StackError::State { attempted, node: node.name.clone(), state })
    }
}

fn is_one_of(services: &[&dyn Service], node: &Node) -> bool {
    services.iter().any(|service| service.name() == node.service)
}

/// The record of the stack in `dir`, with nodes as its options allow them: their names become
/// paths.
fn read(services: Registry, dir: &Path) -> Result<Record, StackError> {
    let record = read_unchecked(dir)?;
    for node in &record.nodes {
        let known = services.node_names(&node.service, &record.options);
        let own = record.options.get(&node.service);
        let ports = services.get(&node.service).zip(own).map(|(service, own)| service.ports(own));
        let has_ports = |ports: Vec<&str>| ports.iter().all(|&port| node.ports.contains_key(port));
        if !known.contains(&node.name) || !ports.is_some_and(has_ports) {
            return Err(unexpected_node(dir, node));
        }
    }
    Ok(record)
}

/// The options of a stack with `old` that is to have the services of `new` as well.
fn merged(
    services: Registry,
    dir: &Path,
    old: &StackOptions,
    new: &StackOptions,
) -> Result<StackOptions, StackError> {
    let mut merged = old.clone();
    for service in services.all() {
        let name = service.name();
        match (old.get(name), new.get(name)) {
            (Some(old), Some(new)) => {
                if let Some(difference) = service.difference(old, new) {
                    return Err(StackError::Different { dir: dir.to_owned(), difference });
                }
            }
            (None, Some(new)) => *merged.get_mut(name) = new.clone(),
            (_, None) => {}
        }
    }
    Ok(merged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{PLAIN, SERVICES, TOP, sample};

    #[test]
    fn tampered_records_are_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let refused = |record: &Record| {
            record.write(dir.path()).expect("written");
            let error = read(SERVICES, dir.path()).expect_err("refused");
            assert!(error.to_string().contains("not the record of a stack"), "{error}");
        };
        sample().write(dir.path()).expect("written");
        assert_eq!(read(SERVICES, dir.path()).expect("read"), sample());
        let mut elsewhere = sample();
        elsewhere.nodes[0].name = "../../home".to_owned();
        refused(&elsewhere);
        let mut mute = sample();
        mute.nodes[0].ports.clear();
        refused(&mute);
        let mut unknown = sample();
        unknown.nodes[0].service = "unknown".to_owned();
        refused(&unknown);
        let mut none = sample();
        none.options = StackOptions::of([TOP]);
        refused(&none);
    }

    #[test]
    fn stacks_grow_but_do_not_change() {
        let dir = Path::new("dir");
        let old = StackOptions::of([PLAIN]).with(PLAIN, "nodes", 3);
        let more = StackOptions::of([TOP]);
        let merge = |old: &StackOptions, new: &StackOptions| merged(SERVICES, dir, old, new);
        let both = merge(&old, &more).expect("grows");
        assert_eq!(both, old.clone().with_proxies(TOP, Vec::new()));
        assert_eq!(merge(&both, &old).expect("unchanged"), both);
        assert_eq!(merge(&more, &old).expect("the other way round"), both);
        for other in [StackOptions::of([PLAIN]), old.clone().with_proxies(PLAIN, vec![1, 2, 3])] {
            let error = merge(&both, &other).expect_err("changes");
            assert!(error.is_usage() && error.to_string().contains("services down"), "{error}");
        }
    }

    #[test]
    fn bad_options_are_refused_before_anything_is_done() {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = folder.path().join("stack");
        let cache = Cache::at(&folder.path().join("cache")).expect("a cache");
        let refused = [
            StackOptions::of([]),
            StackOptions::of(["unknown"]),
            StackOptions::of([TOP]).with(PLAIN, "nodes", 4),
            StackOptions::of([PLAIN]).with(PLAIN, "node", 1),
            StackOptions::of([TOP]).with(TOP, "nodes", 1),
            StackOptions::of([PLAIN]).with_proxies(PLAIN, vec![1, 2]),
        ];
        for options in refused {
            let error = Stack::up(SERVICES, &dir, &cache, &options, &mut |_| ());
            let error = error.expect_err("refused");
            assert!(error.is_usage() && !error.is_missing(), "{error}");
            assert!(!dir.exists() && !cache.dir().exists());
        }
    }
}
