//! Limits of the system at which a process would die, or a library abort, without a word.

use std::any::Any;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::channel;
use std::thread;

use rustix::process::{Resource, getrlimit};
use signal_hook::consts::SIGXFSZ;

use super::plain;

/// Parts of what libraries say when they panic over something that the system refused them.
const REFUSALS: [&str; 6] = [
    "os error 11",
    "os error 12",
    "os error 24",
    "WouldBlock",
    "failed to spawn thread",
    "OutOfMemory",
];

/// Has a write beyond the limit of file sizes (`ulimit -f`) fail from now on, instead of ending the
/// process. To be called first of all in `main`.
///
/// Programs that this one starts have the signal as it was: it is handled, and a handler ends where
/// another program begins; an ignored signal would stay ignored in them.
pub fn survive_file_size_limit() {
    // Where there is no room for a handler, the write that would end the process is far away.
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)));
}

/// Whether the system lets this process start so many threads: starts them, and ends them again.
/// Libraries that are refused one abort the process, or blame a server for it.
///
/// Tries nothing where the address space is limited: the C library keeps 64 MB of it for each thread
/// that was there, and the work itself would find none.
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

/// Why a thread could not be started, with what helps.
#[must_use]
pub fn start_thread_error(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::WouldBlock => {
            "a limit of threads or of address space is reached (ulimit -u, \
                                      ulimit -v, kernel.threads-max, or pids.max of a container); \
                                      raise it, or end other processes"
                .to_owned()
        }
        _ => super::explain(error),
    }
}

/// What the system refused, of a panic that is about that; nothing of one that is a bug.
#[must_use]
pub fn refusal(payload: &(dyn Any + Send)) -> Option<String> {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied())?;
    if !REFUSALS.iter().any(|refusal| text.contains(refusal)) {
        return None;
    }
    // An error in Rust's own notation, of which the message is what people can read.
    let said = text.split_once("message: \"").and_then(|(before, rest)| {
        let code = before.rsplit_once("code: ")?.1.split(',').next()?;
        let what = before.split(": Os {").next()?;
        Some(format!("{what}: {} (os error {code})", rest.split('"').next()?))
    });
    Some(plain(&said.unwrap_or_else(|| text.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Option<String> {
        refusal(&text.to_owned())
    }

    #[test]
    fn a_panic_over_a_refused_thread_is_one_sentence_and_a_bug_stays_one() {
        let tokio = "OS can't spawn worker thread: Resource temporarily unavailable (os error 11)";
        let spawn = "failed to spawn thread: Os { code: 11, kind: WouldBlock, message: \"Resource \
                     temporarily unavailable\" }";
        for text in [tokio, spawn] {
            let told = told(text).expect("a refusal");
            assert!(told.contains("ulimit -u") && told.contains("; raise"), "{told}");
            assert!(!told.contains("os error") && !told.contains("Os {"), "{told}");
        }
        assert_eq!(told("index out of bounds: the len is 11"), None);
    }

    #[test]
    fn programs_that_are_started_do_not_inherit_it() {
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
    fn threads_that_were_tried_have_ended() {
        reserve_threads(8).expect("eight threads");
    }

    #[test]
    fn a_refused_thread_names_the_limits() {
        let text = start_thread_error(&io::ErrorKind::WouldBlock.into());
        assert!(text.contains("ulimit -u") && text.contains("; raise it"), "{text}");
    }
}
