//! A page in a browser: headless Chromium, driven by its `DevTools` protocol
//! (<https://chromedevtools.github.io/devtools-protocol/>) over two pipes.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Names under which it is installed.
const PROGRAMS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// A browser with one page.
#[derive(Debug)]
pub struct Browser {
    child: Child,
    to: File,
    from: BufReader<File>,
    session: String,
    next_id: u64,
    /// What it has told meanwhile.
    events: VecDeque<Value>,
    _folder: TempDir,
}

/// What a page did that it should not have done.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Misdeeds {
    /// Errors and violations of its policy, as the console shows them.
    pub errors: Vec<String>,
    /// Addresses that it asked for, other than its own.
    pub requests: Vec<String>,
}

impl Browser {
    /// Starts a browser without a network, if there is one on this machine.
    ///
    /// # Panics
    /// On other errors than a missing browser, and as [`crate::skip`] does.
    #[must_use]
    pub fn start(test: &str) -> Option<Self> {
        let is_there = |program: &&str| {
            Command::new(program)
                .arg("--version")
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success())
        };
        let Some(program) = PROGRAMS.into_iter().find(is_there) else {
            crate::skip(test, "Chromium is not installed (Debian: apt-get install chromium)");
            return None;
        };
        let folder = tempfile::tempdir().expect("a temporary folder");
        let [to, from] = ["to", "from"].map(|name| folder.path().join(name));
        for pipe in [&to, &from] {
            let made = Command::new("mkfifo").arg(pipe).status().expect("mkfifo starts");
            assert!(made.success());
        }
        // It reads commands from the file descriptor 3, and answers on 4.
        let child = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" 3<\"$TO\" 4>\"$FROM\"", program])
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--hide-scrollbars",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--host-resolver-rules=MAP * ~NOTFOUND",
                "--remote-debugging-pipe",
            ])
            .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
            .envs([("TO", &to), ("FROM", &from)])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh starts");
        let to = File::options().write(true).open(to).expect("a pipe");
        let from = BufReader::new(File::open(from).expect("a pipe"));
        let (session, events) = (String::new(), VecDeque::new());
        let mut browser = Self { child, to, from, session, next_id: 0, events, _folder: folder };
        let target = browser.call("Target.createTarget", &json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = browser.call("Target.attachToTarget", &attach);
        attached["sessionId"].as_str().expect("a session").clone_into(&mut browser.session);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), &json!({}));
        }
        Some(browser)
    }

    /// Sets the size of the window, and whether the system prefers dark colours.
    pub fn show_as(&mut self, width: u32, height: u32, is_dark: bool) {
        self.call(
            "Emulation.setDeviceMetricsOverride",
            &json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false}),
        );
        let scheme = if is_dark { "dark" } else { "light" };
        self.call(
            "Emulation.setEmulatedMedia",
            &json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]}),
        );
    }

    /// Opens a file.
    pub fn open(&mut self, path: &Path) {
        self.events.clear();
        let url = format!("file://{}", path.display());
        self.call("Page.navigate", &json!({"url": url}));
        while !self.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
            let event = self.receive();
            self.events.push_back(event);
        }
    }

    /// The value of an expression in the page, which may be a promise.
    ///
    /// # Panics
    /// If the expression fails.
    pub fn evaluate(&mut self, expression: &str) -> Value {
        let parameters =
            json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let answer = self.call("Runtime.evaluate", &parameters);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Presses a key.
    pub fn press(&mut self, key: &str) {
        let text = if key.chars().count() == 1 { key } else { "" };
        for kind in ["keyDown", "keyUp"] {
            let mut event = json!({"type": kind, "key": key, "code": key});
            if kind == "keyDown" && !text.is_empty() {
                event["text"] = json!(text);
            }
            if key == "Tab" {
                event["windowsVirtualKeyCode"] = json!(9);
            }
            self.call("Input.dispatchKeyEvent", &event);
        }
    }

    /// The whole page as PNG.
    pub fn screenshot(&mut self) -> Vec<u8> {
        let whole = json!({"format": "png", "captureBeyondViewport": true});
        let answer = self.call("Page.captureScreenshot", &whole);
        decoded(&answer["data"])
    }

    /// What the first element of a selector shows, as PNG.
    ///
    /// # Panics
    /// When no element matches the selector.
    pub fn picture_of(&mut self, selector: &str) -> Vec<u8> {
        let place = self.evaluate(&format!(
            "(() => {{ const {{ x, y, width, height }} = document.querySelector({}).getBoundingClientRect();
                return {{ x: x + scrollX, y: y + scrollY, width, height, scale: 1 }}; }})()",
            json!(selector)
        ));
        let clip = json!({"format": "png", "captureBeyondViewport": true, "clip": place});
        let answer = self.call("Page.captureScreenshot", &clip);
        decoded(&answer["data"])
    }

    /// The page as it is printed, as PDF.
    pub fn printed(&mut self) -> Vec<u8> {
        let answer = self.call("Page.printToPDF", &json!({"printBackground": true}));
        decoded(&answer["data"])
    }

    /// What the page has done since it was opened that it should not have done.
    pub fn misdeeds(&mut self) -> Misdeeds {
        // What it told before the answer to this has arrived by then.
        self.evaluate("0");
        let mut misdeeds = Misdeeds::default();
        for event in &self.events {
            let parameters = &event["params"];
            match event["method"].as_str().unwrap_or_default() {
                "Runtime.exceptionThrown" => {
                    misdeeds.errors.push(parameters["exceptionDetails"].to_string());
                }
                "Log.entryAdded" if parameters["entry"]["level"] == "error" => {
                    misdeeds.errors.push(parameters["entry"]["text"].to_string());
                }
                "Runtime.consoleAPICalled" => {
                    misdeeds.errors.push(parameters["args"].to_string());
                }
                "Network.requestWillBeSent" if parameters["type"] != "Document" => {
                    misdeeds.requests.push(parameters["request"]["url"].to_string());
                }
                _ => {}
            }
        }
        misdeeds
    }

    /// Sends a command and waits for its answer.
    fn call(&mut self, method: &str, parameters: &Value) -> Value {
        self.next_id += 1;
        let id = self.next_id;
        let mut command = json!({"id": id, "method": method, "params": parameters});
        if !self.session.is_empty() {
            command["sessionId"] = json!(self.session);
        }
        let mut text = command.to_string().into_bytes();
        text.push(0);
        self.to.write_all(&text).expect("the browser reads");
        loop {
            let message = self.receive();
            if message["id"] == id {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].clone();
            }
            self.events.push_back(message);
        }
    }

    /// The next message: an answer, or an event.
    fn receive(&mut self) -> Value {
        let mut text = Vec::new();
        self.from.read_until(0, &mut text).expect("the browser answers");
        text.pop();
        serde_json::from_slice(&text).expect("JSON")
    }
}

fn decoded(data: &Value) -> Vec<u8> {
    STANDARD.decode(data.as_str().expect("data")).expect("base64")
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
