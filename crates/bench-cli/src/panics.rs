//! Handles panics of libraries that were refused a resource by the system.

use std::panic;
use std::thread;

use bench_core::system::refusal;

use crate::{Exit, progress};

/// Makes a panic caused by a refused resource end the process with one sentence and
/// [`Exit::Failed`], whichever thread it happens in: tokio, for one, panics when it cannot start a
/// thread, and whoever waits for that thread would wait forever. Other panics are bugs, and
/// reported as usual.
pub(crate) fn tell_refusals() {
    let others = panic::take_hook();
    panic::set_hook(Box::new(move |panic| match refusal(panic.payload()) {
        Some(refusal) => end(&refusal),
        None => others(panic),
    }));
}

fn end(refusal: &str) {
    progress::print_line_on_stderr(&format!("error: {refusal}"));
    // The main thread unwinds, which cleans up. A panic in another thread would leave it waiting.
    if thread::current().name() != Some("main") {
        signal_hook::low_level::exit(Exit::Failed as i32);
    }
}
