//! Stops the stacks of a test process that ends without doing so: because it keeps one for tests
//! that might follow, fails, or is killed.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use bench_stack::MEMBER_VARIABLE;

/// Waits for the end of its standard input, then kills the processes of the stack in the folder
/// `$2`, recognised by the variable `$1`, and removes the folder.
const SCRIPT: &str = r#"
cat > /dev/null
for environment in /proc/[0-9]*/environ; do
    if tr '\0' '\n' < "$environment" | grep -qxF "$1=$2"; then
        process=${environment#/proc/}
        kill -9 "${process%/environ}"
    fi
done 2> /dev/null
sleep 0.2
rm -rf "$2"
"#;

/// A process that briefly outlives this one.
#[derive(Debug)]
pub(crate) struct Reaper {
    process: Child,
}

impl Reaper {
    /// Guards the stack in this folder.
    pub(crate) fn of(dir: &Path) -> Self {
        let dir = dir.canonicalize().expect("the folder is there");
        // In a process group of its own, which a Ctrl-C does not reach.
        let process = Command::new("sh")
            .args(["-c", SCRIPT, "sh", MEMBER_VARIABLE])
            .arg(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("a shell");
        Self { process }
    }

    /// Ends the guard of a stack that was stopped.
    pub(crate) fn dismiss(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
