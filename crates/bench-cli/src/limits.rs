//! Checks before a run whether the machine has room for its workers.
//!
//! A thousand clients can bring a machine down. A run is refused if the minimum needs of its
//! workers exceed any known limit; needs with full queues only cause a warning.

mod machine;

use bench_core::system;

use crate::{UsageError, quantity};

/// Address space of a thread in bytes: its stack, most of which is never used.
const STACK_BYTES: u64 = 8 << 20;

/// The most threads that are started on trial before a run: enough to reveal user and container
/// limits that cannot be read, and quickly done.
const RESERVED_MAX: u64 = 512;

/// Number of workers from which saving memory outweighs the speed of huge pages.
const MANY: u32 = 16;

/// The resources that a worker needs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Needs {
    /// Minimum memory, bytes.
    pub memory_bytes: u64,
    /// Additional memory, mainly when its queues are full, bytes.
    pub queue_bytes: u64,
    /// Threads, including those of the client library.
    pub threads: u64,
    /// Open files and connections.
    pub files: u64,
}

/// Workers of one kind.
#[derive(Debug, Clone, Copy)]
pub struct Workers {
    /// Their kind, in the plural.
    pub kind: &'static str,
    /// The option that sets their number.
    pub option: &'static str,
    /// Their number.
    pub count: u32,
    /// What each needs.
    pub each: Needs,
}

/// Refuses to start if the machine, its container or the ulimits leave no room for any work at all:
/// libraries abort, or blame a server, when they are refused a thread or memory.
pub(crate) fn check_start() -> Result<(), UsageError> {
    if let Some(limit) = machine::too_tight() {
        let needs = limit.resource.amount(machine::least(limit.resource));
        let left = limit.resource.amount(limit.left);
        return Err(UsageError::from_library(format!(
            "this needs at least {needs}, but {} leaves {left}; {}",
            limit.source, limit.remedy
        )));
    }
    machine::raise_file_limit(0);
    reserve(machine::least(Resource::Threads))
}

/// Checks that this many threads can be started, since not all limits can be read.
fn reserve(threads: u64) -> Result<(), UsageError> {
    system::reserve_threads(threads).map_err(|error| {
        let threads = Resource::Threads.amount(threads);
        let why = system::start_thread_error(&error);
        UsageError::from_library(format!("failed to start {threads}: {why}"))
    })
}

/// A limited resource of a machine, a container or a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resource {
    Memory,
    AddressSpace,
    Threads,
    Files,
}

/// How much of a resource is left.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Limit {
    resource: Resource,
    left: u64,
    /// What sets it, as the subject of a sentence.
    source: &'static str,
    /// The remedy, other than fewer workers.
    remedy: &'static str,
}

/// Refuses workers that exceed the limits of this machine, and prepares the process for those that
/// fit: raises its file limit, and uses small pages if they are many. Returns a warning if they fit
/// only while their queues stay short; it is also logged, since the machine may not survive until
/// the result.
pub fn check_limits(workers: &[Workers]) -> Result<Option<String>, UsageError> {
    let warning = judge(workers, &machine::limits())?;
    if let Some(warning) = &warning {
        tracing::warn!("{warning}");
    }
    machine::raise_file_limit(needed(workers, Resource::Files));
    let threads = needed(workers, Resource::Threads) + machine::least(Resource::Threads);
    reserve(threads.min(RESERVED_MAX))?;
    if workers.iter().map(|workers| workers.count).sum::<u32>() >= MANY {
        machine::use_small_pages();
    }
    Ok(warning)
}

fn judge(workers: &[Workers], limits: &[Limit]) -> Result<Option<String>, UsageError> {
    for limit in limits {
        let needed = needed(workers, limit.resource);
        if needed > limit.left {
            let count: u32 = workers.iter().map(|workers| workers.count).sum();
            let verb = if count == 1 { "needs" } else { "need" };
            let problem = format!(
                "{} {verb} {}, but {} leaves {}",
                list(workers),
                limit.resource.amount(needed),
                limit.source,
                limit.resource.amount(limit.left),
            );
            let options: Vec<_> = workers.iter().map(|workers| workers.option).collect();
            let fewest = workers.iter().all(|workers| workers.count <= 1);
            let fewer = if fewest { "" } else { "use fewer, or " };
            let remedy = format!("{fewer}{}", limit.remedy);
            return Err(UsageError::new(&options.join(", "), problem, remedy));
        }
    }
    let queues: u64 = workers.iter().map(|w| u64::from(w.count) * w.each.queue_bytes).sum();
    let most = needed(workers, Resource::Memory).saturating_add(queues);
    let memory = limits.iter().filter(|limit| limit.resource == Resource::Memory);
    let short = memory.min_by_key(|limit| limit.left).filter(|limit| most > limit.left);
    Ok(short.map(|limit| {
        format!(
            "{} may take {} with full queues, but {} leaves {}: use fewer, or bound their queues",
            list(workers),
            Resource::Memory.amount(most),
            limit.source,
            Resource::Memory.amount(limit.left),
        )
    }))
}

/// The workers' minimum need of a resource.
fn needed(workers: &[Workers], resource: Resource) -> u64 {
    let each = |needs: &Needs| match resource {
        Resource::Memory => needs.memory_bytes,
        Resource::AddressSpace => needs.memory_bytes + needs.threads * STACK_BYTES,
        Resource::Threads => needs.threads,
        Resource::Files => needs.files,
    };
    workers.iter().map(|workers| u64::from(workers.count) * each(&workers.each)).sum()
}

/// `1,000 producers and 1 consumer`.
fn list(workers: &[Workers]) -> String {
    let each = workers.iter().map(|workers| {
        let kind = workers.kind;
        let kind = if workers.count == 1 { kind.trim_end_matches('s') } else { kind };
        format!("{} {kind}", quantity::count(workers.count.into()))
    });
    each.collect::<Vec<_>>().join(" and ")
}

impl Resource {
    fn amount(self, amount: u64) -> String {
        match self {
            Self::Memory => format!("{} of memory", quantity::bytes(amount)),
            Self::AddressSpace => format!("{} of address space", quantity::bytes(amount)),
            Self::Threads => format!("{} threads", quantity::count(amount)),
            Self::Files => format!("{} open files", quantity::count(amount)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EACH: Needs =
        Needs { memory_bytes: 2 << 20, queue_bytes: 64 << 20, threads: 4, files: 10 };

    fn workers(producers: u32, consumers: u32) -> [Workers; 2] {
        [
            Workers { kind: "producers", option: "--producers", count: producers, each: EACH },
            Workers { kind: "consumers", option: "--consumers", count: consumers, each: EACH },
        ]
    }

    fn limit(resource: Resource, left: u64) -> Limit {
        Limit { resource, left, source: "this machine", remedy: "buy more" }
    }

    fn judged(resource: Resource, left: u64) -> Result<Option<String>, UsageError> {
        judge(&workers(100, 50), &[limit(resource, left)])
    }

    #[test]
    fn refusals_name_limit_and_remedy() {
        for (resource, least, needs) in [
            (Resource::Memory, 150 * (2 << 20), "315 MB of memory"),
            (Resource::AddressSpace, 150 * ((2 << 20) + 4 * STACK_BYTES), "5.35 GB of address"),
            (Resource::Threads, 600, "600 threads"),
            (Resource::Files, 1_500, "1,500 open files"),
        ] {
            assert!(judged(resource, least).is_ok(), "{resource:?}");
            let text = judged(resource, least - 1).expect_err("too little").to_string();
            let start = "--producers, --consumers: 100 producers and 50 consumers need ";
            assert!(text.starts_with(&format!("{start}{needs}")), "{text}");
            assert!(text.contains("but this machine leaves "), "{text}");
            assert!(text.ends_with("; use fewer, or buy more"), "{text}");
        }
    }

    #[test]
    fn queues_exceeding_the_memory_cause_a_warning() {
        let most = 150 * (66 << 20);
        assert_eq!(judged(Resource::Memory, most), Ok(None));
        let warning = judged(Resource::Memory, most - 1).expect("it may fit").expect("a warning");
        assert!(warning.contains("may take 10.4 GB of memory with full queues"), "{warning}");
        assert_eq!(judged(Resource::Threads, 600), Ok(None), "threads have no queues");
    }

    #[test]
    fn the_tightest_limit_counts() {
        let limits = [limit(Resource::Memory, 100 << 30), limit(Resource::Memory, 1 << 20)];
        let text = judge(&workers(1, 2), &limits).expect_err("too little").to_string();
        assert!(text.contains("1 producer and 2 consumers need 6.29 MB of memory"), "{text}");
        assert_eq!(judge(&workers(1_000, 1_000), &[]), Ok(None), "no limit is known");
    }

    #[test]
    fn refusals_of_one_worker_do_not_suggest_fewer() {
        let text = judge(&workers(1, 0)[..1], &[limit(Resource::Threads, 1)]);
        let text = text.expect_err("too little").to_string();
        let problem = "--producers: 1 producer needs 4 threads, but this machine leaves 1 threads";
        assert_eq!(text, format!("{problem}; buy more"));
    }
}
