//! Ends the stacks of a test process that ends without doing so: because it keeps one for tests
//! that might follow, fails, or is killed.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use bench_services::local::MEMBER_VARIABLE;

/// Waits until nobody holds the other end of its standard input, then kills the processes of the
/// stack in the folder `$2`, known by the variable `$1`, and removes the folder.
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

/// A process that outlives this one for a moment.
#[derive(Debug)]
pub(crate) struct Warden {
    process: Child,
}

impl Warden {
    /// For the stack in this folder.
    pub(crate) fn of(dir: &Path) -> Self {
        let dir = dir.canonicalize().expect("the folder is there");
        // In a process group of its own, so that a Ctrl-C leaves it to do its work.
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

    /// For a stack that has ended.
    pub(crate) fn dismiss(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
