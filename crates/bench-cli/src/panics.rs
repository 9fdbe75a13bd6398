//! Panics of libraries that the system refuses something.

use std::panic;
use std::thread;

use bench_core::system::refusal;

use crate::{Exit, progress};

/// Has a panic over something that the system refused end the process with one sentence and
/// [`Exit::Failed`], in whichever thread it is: tokio for one panics when it gets no thread, and what
/// waits for that thread would wait for ever. Other panics are bugs, and are reported as they were.
pub(crate) fn tell_refusals() {
    let others = panic::take_hook();
    panic::set_hook(Box::new(move |panic| match refusal(panic.payload()) {
        Some(refusal) => end(&refusal),
        None => others(panic),
    }));
}

fn end(refusal: &str) {
    progress::print_line_on_stderr(&format!("error: {refusal}"));
    // The main thread unwinds: what it holds is cleared away. Others would leave it waiting.
    if thread::current().name() != Some("main") {
        signal_hook::low_level::exit(Exit::Failed as i32);
    }
}
