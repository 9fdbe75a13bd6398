//! The picture of an experiment at work, on a terminal.

use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use bench_testing::tool::until;
use vt100::Parser;

use crate::fake_tool::{FakeTool, stderr};

/// Runs the command in `$RUN` on a terminal of `$SIZE`, and prints its name before, and its exit code and
/// its modes after.
const SHELL: &str = "trap : INT; echo terminal=$(tty)=; stty $SIZE; $RUN; echo exit=$?=; stty -a";

/// `run-suite` on a terminal of its own, which script(1) makes.
struct OnTerminal {
    child: Child,
    seen: Arc<Mutex<Seen>>,
}

/// What it has written.
struct Seen {
    /// All of it, with what moves the cursor.
    text: String,
    /// What a person sees of it.
    terminal: Parser,
}

impl OnTerminal {
    /// Starts it in the folder of the tool.
    fn start(tool: &FakeTool, arguments: &str, size: &str) -> Self {
        let run_suite = tool.run_suite(&[]);
        let mut script = Command::new("script");
        script.args(["--quiet", "--flush", "--command", SHELL, "/dev/null"]);
        if let Some(dir) = run_suite.get_current_dir() {
            script.current_dir(dir);
        }
        for (name, value) in run_suite.get_envs() {
            match value {
                Some(value) => script.env(name, value),
                None => script.env_remove(name),
            };
        }
        let run = format!("{} {arguments}", run_suite.get_program().display());
        let mut child = script
            .env("RUN", run)
            .env("SIZE", size)
            .env("SHELL", "/bin/sh")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("script starts");
        let mut output = child.stdout.take().expect("piped");
        let number = |after: &str| -> u16 {
            let (_, rest) = size.split_once(after).expect("a size");
            rest.split(' ').next().expect("a number").parse().expect("a number")
        };
        let terminal = Parser::new(number("rows "), number("cols "), 0);
        let seen = Arc::new(Mutex::new(Seen { text: String::new(), terminal }));
        let shared = Arc::clone(&seen);
        thread::spawn(move || {
            let mut part = [0; 4096];
            while let Ok(length @ 1..) = output.read(&mut part) {
                let mut seen = shared.lock().expect("whole");
                seen.text.push_str(&String::from_utf8_lossy(&part[..length]));
                seen.terminal.process(&part[..length]);
            }
        });
        Self { child, seen }
    }

    /// Everything that it has written.
    fn screen(&self) -> String {
        self.seen.lock().expect("whole").text.clone()
    }

    /// The rows that a person sees, and how many begin with each of these texts.
    fn rows(&self, beginnings: &[&str]) -> (String, Vec<usize>) {
        let rows = self.seen.lock().expect("whole").terminal.screen().contents();
        let begin = |text: &&str| rows.lines().filter(|row| row.starts_with(*text)).count();
        let counts = beginnings.iter().map(begin).collect();
        (rows, counts)
    }

    fn shows(&self, text: &str) -> bool {
        self.screen().contains(text)
    }

    /// What it prints between `NAME=` and `=`.
    fn told(&self, name: &str) -> String {
        let screen = self.screen();
        let text = screen.split_once(&format!("{name}=")).expect("told").1;
        text.split('=').next().expect("a value").to_owned()
    }

    fn resize(&self, size: &str) {
        let terminal = self.told("terminal");
        let done = Command::new("stty").args(["-F", &terminal]).args(size.split(' ')).status();
        assert!(done.expect("stty starts").success(), "{size} of {terminal}");
    }

    fn press(&mut self, key: &[u8]) {
        let keys = self.child.stdin.as_mut().expect("piped");
        keys.write_all(key).and_then(|()| keys.flush()).expect("pressed");
    }
}

impl Drop for OnTerminal {
    fn drop(&mut self) {
        // What a failed test leaves.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn waiting() -> FakeTool {
    let tool = FakeTool::new();
    tool.behave("b", "wait");
    tool.experiment("repeats = 2\norder = \"interleaved\"\n[matrix]\nload = [\"a\", \"b\"]");
    tool
}

#[test]
fn experiments_are_drawn_resized_and_ended_by_keys() {
    for (size, key) in [("cols 80 rows 24", &b"q"[..]), ("cols 200 rows 60", b"\x03")] {
        let tool = waiting();
        let mut terminal = OnTerminal::start(&tool, "run try.toml", size);
        until("the picture is drawn", || terminal.shows("> load=b"));
        assert!(terminal.shows("[2/4] try load=b"), "the title: {}", terminal.screen());
        assert!(terminal.shows("q or Ctrl-C: end in good order"));
        terminal.resize("cols 70 rows 20");
        let before = terminal.screen().len();
        until("it is drawn again", || terminal.screen()[before..].contains("> load=b"));
        terminal.resize("cols 40 rows 10");
        until("a small terminal gets one line", || terminal.shows("load=b repeat 1: "));
        terminal.press(key);
        until("it ends", || terminal.shows("exit="));
        assert_eq!(terminal.told("exit"), "130", "{}", terminal.screen());
        until("the modes are told", || terminal.shows("icanon"));
        let modes = terminal.screen();
        let modes = modes.rsplit_once("exit=130=").expect("an end").1;
        assert!(!modes.contains("-icanon") && !modes.contains("-echo "), "restored: {modes}");
        assert_eq!(tool.statuses()[..2], ["complete", "interrupted"]);
        assert!(terminal.shows("report.html"), "it still reports");
        terminal.child.wait().expect("it has ended");
    }
}

#[test]
fn pictures_replace_each_other_and_leave_nothing_behind() {
    const KEYS: &str = "q or Ctrl-C";
    let wide = "\u{5ef6}\u{9072}".repeat(30);
    let tool = FakeTool::new();
    tool.behave(&wide, "wait");
    tool.experiment(&format!("[matrix]\nload = [\"a\", \"{wide}\"]"));
    let mut terminal = OnTerminal::start(&tool, "run try.toml", "cols 62 rows 24");
    // Five times a second.
    until("it is drawn again and again", || terminal.screen().matches(KEYS).count() > 10);
    let beginnings = [KEYS, "[2/2] try", "  load=a", "> load=", "[1/2] try load=a:"];
    until("one picture is seen whole", || terminal.rows(&beginnings).1 == [1; 5]);
    let (rows, _) = terminal.rows(&[]);
    assert!(rows.contains(" s\n  load=a"), "a long name leaves room for the time: {rows}");
    terminal.press(b"q");
    until("it ends", || terminal.shows("exit="));
    terminal.child.wait().expect("it has ended");
    until("all is read", || terminal.rows(&["exit=130="]).1 == [1]);
    let (rows, counts) = terminal.rows(&beginnings);
    assert_eq!(counts[..4], [0; 4], "nothing of it is left: {rows}");
    assert!(rows.contains("report:"), "{rows}");
}

#[test]
fn output_that_is_no_terminal_has_plain_lines() {
    let tool = FakeTool::new();
    tool.experiment("");
    let output = tool.run(&["run", "try.toml"]);
    assert!(!stderr(&output).contains('\u{1b}'), "{}", stderr(&output));
}
