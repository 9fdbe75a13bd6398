//! System limits at which a process would die, or a library abort, without a message.

use std::any::Any;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::channel;
use std::thread;

use rustix::process::{Resource, getrlimit};
use signal_hook::consts::SIGXFSZ;

use super::plain;

/// Parts of the messages with which libraries panic when the system refuses them a resource.
const REFUSALS: [&str; 6] = [
    "os error 11",
    "os error 12",
    "os error 24",
    "WouldBlock",
    "failed to spawn thread",
    "OutOfMemory",
];

/// Makes a write beyond the file size limit (`ulimit -f`) fail instead of ending the process. Call
/// it first in `main`.
///
/// The signal is handled rather than ignored: child processes would inherit an ignored signal, but
/// not a handler.
pub fn survive_file_size_limit() {
    // Installing the handler practically never fails; the default action would remain.
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)));
}

/// Checks that the system lets this process start `count` threads by starting and ending them.
/// Libraries that are refused a thread abort the process, or blame a server.
///
/// Does nothing where the address space is limited: the C library keeps 64 MB of it for each thread
/// that ever existed, leaving none for the work itself.
pub fn reserve_threads(count: u64) -> io::Result<()> {
    if getrlimit(Resource::As).current.is_some() {
        return Ok(());
    }
    let mut waiting = Vec::new();
    for _ in 0..count {
        let (go, wait) = channel::<()>();
        let started = thread::Builder::new().name("reserve".to_owned()).spawn(move || {
            // Ends when the other side is dropped.
            let _ = wait.recv();
        });
        waiting.push((go, started?));
    }
    for (go, thread) in waiting {
        drop(go);
        let _ = thread.join();
    }
    Ok(())
}

/// Why a thread could not be started, with a remedy.
#[must_use]
pub fn start_thread_error(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::WouldBlock => {
            "a limit on threads or address space is reached (ulimit -u, ulimit -v, \
             kernel.threads-max, or pids.max of a container); raise it, or end other processes"
                .to_owned()
        }
        _ => super::explain(error),
    }
}

/// What the system refused, if a panic is about that; `None` if it is a bug.
#[must_use]
pub fn refusal(payload: &(dyn Any + Send)) -> Option<String> {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied())?;
    if !REFUSALS.iter().any(|refusal| text.contains(refusal)) {
        return None;
    }
    // An error in Rust's debug notation, of which only the message is readable.
    let readable = text.split_once("message: \"").and_then(|(before, rest)| {
        let code = before.rsplit_once("code: ")?.1.split(',').next()?;
        let what = before.split(": Os {").next()?;
        Some(format!("{what}: {} (os error {code})", rest.split('"').next()?))
    });
    Some(plain(&readable.unwrap_or_else(|| text.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal_of(text: &str) -> Option<String> {
        refusal(&text.to_owned())
    }

    #[test]
    fn refused_threads_are_explained_but_bugs_are_not() {
        let tokio = "OS can't spawn worker thread: Resource temporarily unavailable (os error 11)";
        let spawn = "failed to spawn thread: Os { code: 11, kind: WouldBlock, message: \"Resource \
                     temporarily unavailable\" }";
        for text in [tokio, spawn] {
            let shown = refusal_of(text).expect("a refusal");
            assert!(shown.contains("ulimit -u") && shown.contains("; raise"), "{shown}");
            assert!(!shown.contains("os error") && !shown.contains("Os {"), "{shown}");
        }
        assert_eq!(refusal_of("index out of bounds: the len is 11"), None);
    }

    #[test]
    fn child_processes_do_not_inherit_the_handler() {
        survive_file_size_limit();
        let mask = |status: &str, field: &str| {
            let mask = status.lines().find_map(|line| line.strip_prefix(field)).expect(field);
            u64::from_str_radix(mask.trim(), 16).expect("a mask") & (1 << (SIGXFSZ - 1))
        };
        let own = std::fs::read_to_string("/proc/self/status").expect("a status");
        assert_ne!(mask(&own, "SigCgt:"), 0, "handled");
        let child = std::process::Command::new("cat").arg("/proc/self/status").output();
        let child = String::from_utf8(child.expect("cat runs").stdout).expect("text");
        assert_eq!((mask(&child, "SigIgn:"), mask(&child, "SigCgt:")), (0, 0));
    }

    #[test]
    fn eight_threads_can_be_reserved() {
        reserve_threads(8).expect("eight threads");
    }

    #[test]
    fn refused_threads_name_the_limits() {
        let text = start_thread_error(&io::ErrorKind::WouldBlock.into());
        assert!(text.contains("ulimit -u") && text.contains("; raise it"), "{text}");
    }
}
