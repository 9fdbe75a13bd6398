//! What runs beside the measurement: the job's report is read, and its driver killed on schedule.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use bench_core::clock::{Clock as _, InstantNs, SystemClock, duration_ns};
use bench_core::counts::Count;

use crate::batches::Batches;
use crate::explain;
use crate::job::Job;
use crate::kills::{DriverKill, Killed};

/// Interval between looks at the job.
const POLL: Duration = Duration::from_millis(50);

/// Longest part of a job's log that is searched for a cause, bytes.
const LOG_MAX_BYTES: u64 = 1 << 20;

/// A thread that watches the job.
pub(crate) struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Killed>>,
}

impl Watch {
    /// Begins to watch. The kills count from `start_ns`, and `starts` the times that the job's query
    /// has started.
    pub(crate) fn begin(
        job: Arc<Job>,
        batches: Batches,
        starts: Count,
        kills: &[DriverKill],
        clock: SystemClock,
        start_ns: InstantNs,
    ) -> Self {
        let instant = |after: Duration| start_ns.saturating_add(duration_ns(after));
        let mut events: Vec<(InstantNs, Event)> = kills
            .iter()
            .flat_map(|kill| {
                let back = kill.at.saturating_add(kill.back_after);
                [(instant(kill.at), Event::Kill), (instant(back), Event::Start)]
            })
            .collect();
        // The next one last.
        events.reverse();
        let stop = Arc::new(AtomicBool::new(false));
        let killed = Vec::with_capacity(kills.len());
        let mut watched =
            Watched { job, batches, starts, events, clock, is_up: true, killed, starts_before: 0 };
        let stopping = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !stopping.load(Ordering::Relaxed) {
                watched.look();
                std::thread::sleep(POLL);
            }
            watched.batches.take();
            watched.killed
        });
        Self { stop, thread }
    }

    /// Ends it. Returns what became of the kills that the run has reached.
    pub(crate) fn end(self) -> Vec<Killed> {
        self.stop.store(true, Ordering::Relaxed);
        // A panic there has been reported by itself.
        self.thread.join().unwrap_or_default()
    }
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Kill,
    Start,
}

struct Watched {
    job: Arc<Job>,
    batches: Batches,
    starts: Count,
    events: Vec<(InstantNs, Event)>,
    clock: SystemClock,
    is_up: bool,
    killed: Vec<Killed>,
    /// Starts of the query before the last kill.
    starts_before: u64,
}

impl Watched {
    fn look(&mut self) {
        self.batches.take();
        self.note_return();
        let is_due = |&mut (at_ns, _): &mut (InstantNs, Event)| at_ns <= self.clock.now_ns();
        if let Some((_, event)) = self.events.pop_if(is_due) {
            match event {
                Event::Kill => {
                    tracing::info!("killing the driver");
                    let killed_ns = Some(self.clock.now_ns());
                    self.job.kill();
                    self.is_up = false;
                    // The dead driver may have reported since.
                    self.batches.take();
                    self.starts_before = self.starts.get();
                    self.killed.push(Killed { killed_ns, back_ns: None });
                }
                Event::Start => {
                    tracing::info!("starting the driver again");
                    match self.job.start() {
                        Ok(()) => self.is_up = true,
                        Err(error) => self.job.fail(format!("{error:#}")),
                    }
                }
            }
        }
        if self.is_up && self.job.ended().is_some() {
            self.job.fail(end_of(&self.job));
            self.is_up = false;
        }
    }

    /// Notes when the query runs again after a kill.
    fn note_return(&mut self) {
        if let Some(killed) = self.killed.last_mut()
            && killed.back_ns.is_none()
            && self.starts.get() > self.starts_before
        {
            killed.back_ns = Some(self.clock.now_ns());
        }
    }
}

/// Why a job has ended that should not have, in one sentence.
pub(crate) fn end_of(job: &Job) -> String {
    let log = job.log().display();
    match (explain::end(&last_log(job)), job.ended()) {
        (Some(cause), _) => format!("the Spark job has ended: {cause}; its log is {log}"),
        (None, Some(status)) => {
            format!("the Spark job has ended ({status}) for an unknown reason; see its log {log}")
        }
        (None, None) => format!("the Spark job has ended for an unknown reason; see its log {log}"),
    }
}

/// What a job waits for that is not ready in time, as the end of a sentence with the remedy.
pub(crate) fn delay_of(job: &Job) -> String {
    let log = job.log().display();
    match explain::delay(&last_log(job)) {
        Some(cause) => format!("{cause}; its log is {log}"),
        None => format!("raise --ready-timeout, or see {log}"),
    }
}

/// The end of what the job has written since its last start.
fn last_log(job: &Job) -> String {
    let read = || -> std::io::Result<_> {
        let mut log = File::open(job.log())?;
        let start = log.metadata()?.len().saturating_sub(LOG_MAX_BYTES).max(job.log_start());
        log.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        log.take(LOG_MAX_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    String::from_utf8_lossy(&read().unwrap_or_default()).into_owned()
}
