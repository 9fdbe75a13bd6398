//! The tool that an experiment runs: where its binary is, which options it takes.
//!
//! A tool is started as `TOOL [SUBCOMMAND] --run-dir DIR --OPTION=VALUE... --output json`. It leaves
//! `run.json`, `intervals.csv` and its histograms in `DIR`, handles SIGINT, and exits with the codes
//! that all tools share. `TOOL --generate options` describes its options as JSON. A tool that runs
//! after another also gets that one's folder, by `--from-run DIR`.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use bench_cli::UsageError;
use bench_record::protocol;
use bench_stack::programs;
use serde::Deserialize;

use crate::file::options::{OptionValue, Options};
use crate::file::refusal::{at, nearest, remedy};

/// Options that belong to run-suite.
const RESERVED: [&str; 6] = [
    protocol::RUN_DIR,
    protocol::RESULTS_DIR,
    protocol::OUTPUT,
    protocol::GENERATE,
    "help",
    "version",
];

/// A binary and its options.
#[derive(Debug)]
pub(crate) struct Tool {
    name: String,
    executable: PathBuf,
    options: ToolOptions,
}

/// What `--generate options` prints.
#[derive(Debug, Deserialize)]
struct ToolOptions {
    #[serde(default)]
    services: Vec<UsedService>,
    options: Vec<ToolOption>,
    #[serde(default)]
    subcommands: BTreeMap<String, Vec<ToolOption>>,
}

/// A service that a tool uses, always or with a certain value of an option.
#[derive(Debug, Deserialize)]
struct UsedService {
    name: String,
    when: Option<Condition>,
}

#[derive(Debug, Deserialize)]
struct Condition {
    option: String,
    value: String,
}

/// One option of a tool.
#[derive(Debug, Deserialize)]
struct ToolOption {
    name: String,
    #[serde(default)]
    aliases: Vec<String>,
    takes_value: bool,
    #[serde(default)]
    default: Option<String>,
}

impl Tool {
    /// Finds the tool beside this binary, then on the path, and asks it for its options.
    pub(crate) fn find(name: &str) -> Result<Self> {
        let executable = programs::find_own(name)
            .map_err(|error| UsageError::from_library(format!("`tool`: {error}")))?;
        Self::at(name, &executable)
    }

    /// The build of the tool at a path.
    pub(super) fn at(name: &str, executable: &Path) -> Result<Self> {
        let options = describe(executable).with_context(|| {
            format!("failed to ask {} for its options: build it again", executable.display())
        })?;
        Ok(Self { name: name.to_owned(), executable: executable.to_owned(), options })
    }

    /// A tool that uses these services, in JSON.
    #[cfg(test)]
    pub(super) fn with_services(name: &str, services: &str) -> Self {
        let services = serde_json::from_str(services).expect("services");
        let options = ToolOptions { services, options: Vec::new(), subcommands: BTreeMap::new() };
        Self { name: name.to_owned(), executable: PathBuf::from(name), options }
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The binary.
    pub(crate) fn executable(&self) -> &Path {
        &self.executable
    }

    /// The services that it uses. `can_be` says whether an option can have a value in some run.
    pub(super) fn services(
        &self,
        can_be: impl Fn(&str, &str) -> bool,
    ) -> impl Iterator<Item = &str> {
        let used = self.options.services.iter().filter(move |service| {
            let when = service.when.as_ref();
            when.is_none_or(|when| can_be(&when.option, &when.value))
        });
        used.map(|service| service.name.as_str())
    }

    /// The default of one of its options.
    pub(super) fn default_of(&self, option: &str) -> Option<&str> {
        let known = self.options.options.iter().find(|known| known.is_called(option));
        known?.default.as_deref()
    }

    /// Refuses a subcommand that the tool does not have.
    pub(crate) fn check_subcommand(&self, name: Option<&str>) -> Result<(), UsageError> {
        let known = &self.options.subcommands;
        match name {
            Some(name) if !known.contains_key(name) => Err(UsageError::new(
                "`subcommand`",
                format!("{} has no subcommand `{name}`", self.name),
                remedy(nearest(name, known.keys().map(String::as_str)), || self.see_help()),
            )),
            _ => Ok(()),
        }
    }

    /// The tool's own name of an option at `place` of an experiment file, after a check of its value.
    pub(crate) fn canonical_option(
        &self,
        subcommand: Option<&str>,
        place: &str,
        name: &str,
        value: &OptionValue,
    ) -> Result<String, UsageError> {
        let known = self.known_options(subcommand);
        let Some(option) = known.iter().find(|option| option.is_called(name)) else {
            let names = known.iter().map(|option| option.name.as_str());
            let nearest = nearest(name, names.filter(|name| !RESERVED.contains(name)));
            let problem = format!("{} has no such option", self.name);
            return Err(at(place, name, &problem, &remedy(nearest, || self.see_help())));
        };
        if RESERVED.contains(&option.name.as_str()) {
            return Err(at(place, name, "run-suite sets it", "leave it out"));
        }
        match (option.takes_value, value) {
            (false, OptionValue::Text(_) | OptionValue::Many(_)) => {
                Err(at(place, name, "is a flag", "set it to true or false"))
            }
            (true, OptionValue::Flag(_)) => {
                Err(at(place, name, "needs a value", "use true and false for flags only"))
            }
            _ => Ok(option.name.clone()),
        }
    }

    /// Refuses a fault that the tool has no option for.
    pub(crate) fn check_fault(
        &self,
        subcommand: Option<&str>,
        fault: &str,
        option: &str,
    ) -> Result<(), UsageError> {
        if self.knows_option(subcommand, option) {
            return Ok(());
        }
        let name: Vec<&str> = std::iter::once(self.name.as_str()).chain(subcommand).collect();
        let problem = format!("{} has no option --{option}", name.join(" "));
        Err(at("[[fault]]", fault, &problem, "leave the fault out, or use another tool"))
    }

    /// Whether its subcommand, or itself without one, takes an option of this name.
    pub(crate) fn knows_option(&self, subcommand: Option<&str>, name: &str) -> bool {
        self.known_options(subcommand).iter().any(|option| option.is_called(name))
    }

    fn known_options(&self, subcommand: Option<&str>) -> &[ToolOption] {
        subcommand
            .and_then(|subcommand| self.options.subcommands.get(subcommand))
            .unwrap_or(&self.options.options)
    }

    fn see_help(&self) -> String {
        format!("`{} --help` lists them", self.name)
    }
}

impl ToolOption {
    fn is_called(&self, name: &str) -> bool {
        self.name == name || self.aliases.iter().any(|alias| alias == name)
    }
}

/// The arguments of one run. An option and its value are joined by `=`, so that a value may begin with
/// a dash.
pub(crate) fn arguments(
    subcommand: Option<&str>,
    options: &Options,
    run_dir: &Path,
    from_run: Option<&Path>,
) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = subcommand.map(OsString::from).into_iter().collect();
    arguments.extend([format!("--{}", protocol::RUN_DIR).into(), run_dir.into()]);
    if let Some(from_run) = from_run {
        arguments.extend([format!("--{}", protocol::FROM_RUN).into(), from_run.into()]);
    }
    for (name, value) in options {
        match value {
            OptionValue::Flag(true) => arguments.push(format!("--{name}").into()),
            OptionValue::Flag(false) => {}
            OptionValue::Text(text) => arguments.push(format!("--{name}={text}").into()),
            OptionValue::Many(texts) => {
                arguments.extend(texts.iter().map(|text| format!("--{name}={text}").into()));
            }
        }
    }
    arguments.extend(["--output".into(), "json".into()]);
    arguments
}

/// A command line for a shell.
pub(crate) fn command_line(tool: &str, arguments: &[impl AsRef<OsStr>]) -> String {
    let mut line = tool.to_owned();
    for argument in arguments {
        let argument = argument.as_ref().to_string_lossy();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,+@%".contains(c);
        if !argument.is_empty() && argument.chars().all(plain) {
            let _ = write!(line, " {argument}");
        } else {
            let _ = write!(line, " '{}'", argument.replace('\'', "'\\''"));
        }
    }
    line
}

fn describe(executable: &Path) -> Result<ToolOptions> {
    let output = Command::new(executable)
        .args(["--generate", "options"])
        .stdin(Stdio::null())
        .output()
        .context("failed to start it")?;
    ensure!(
        output.status.success(),
        "`--generate options` ended with {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    serde_json::from_slice(&output.stdout).context("failed to read its output")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool() -> Tool {
        let options = serde_json::from_str(
            r#"{"tool": "t", "options": [
                {"name": "record-size", "aliases": ["record_size"], "takes_value": true,
                 "default": "100", "help": "Size."},
                {"name": "idempotent", "aliases": [], "takes_value": false, "default": null,
                 "help": ""},
                {"name": "output", "takes_value": true}],
               "subcommands": {"fill": [{"name": "topic", "takes_value": true}]}}"#,
        )
        .expect("described");
        Tool { name: "t".to_owned(), executable: PathBuf::from("/t"), options }
    }

    fn text(text: &str) -> OptionValue {
        OptionValue::Text(text.to_owned())
    }

    fn canonical(name: &str, value: &OptionValue) -> Result<String, String> {
        tool().canonical_option(None, "[options]", name, value).map_err(|error| error.to_string())
    }

    #[test]
    fn options_are_known_by_name_and_alias() {
        assert_eq!(canonical("record-size", &text("1")).as_deref(), Ok("record-size"));
        assert_eq!(canonical("record_size", &text("1")).as_deref(), Ok("record-size"));
        assert_eq!(
            canonical("record-sise", &text("1")),
            Err("[options] `record-sise`: t has no such option; did you mean `record-size`?"
                .to_owned())
        );
        let error = canonical("output", &text("json")).expect_err("reserved");
        assert!(error.contains("run-suite sets it"), "{error}");
    }

    #[test]
    fn subcommands_have_options_of_their_own() {
        let tool = tool();
        let of_fill = |name| tool.canonical_option(Some("fill"), "[options]", name, &text("1"));
        assert!(of_fill("topic").is_ok());
        assert!(of_fill("record-size").is_err());
        assert!(tool.check_subcommand(Some("fill")).is_ok());
        let error = tool.check_subcommand(Some("fil")).expect_err("unknown").to_string();
        assert_eq!(error, "`subcommand`: t has no subcommand `fil`; did you mean `fill`?");
    }

    #[test]
    fn flags_and_values_are_distinguished() {
        assert!(canonical("idempotent", &OptionValue::Flag(true)).is_ok());
        assert!(canonical("idempotent", &text("yes")).is_err());
        assert!(canonical("record-size", &OptionValue::Flag(true)).is_err());
    }

    #[test]
    fn command_lines_are_quoted_for_shells() {
        let arguments = ["--key=zipf:10", "--format=%(a) b's"].map(OsString::from);
        assert_eq!(command_line("t", &arguments), r"t --key=zipf:10 '--format=%(a) b'\''s'");
    }

    #[test]
    fn arguments_keep_the_order_of_options() {
        let options = vec![
            ("acks".to_owned(), text("-1")),
            ("idempotent".to_owned(), OptionValue::Flag(true)),
            ("transactional".to_owned(), OptionValue::Flag(false)),
            ("config".to_owned(), OptionValue::Many(vec!["a=1".to_owned(), "b=2".to_owned()])),
        ];
        assert_eq!(
            arguments(Some("fill"), &options, Path::new("/r/then"), Some(Path::new("/r"))),
            [
                "fill",
                "--run-dir",
                "/r/then",
                "--from-run",
                "/r",
                "--acks=-1",
                "--idempotent",
                "--config=a=1",
                "--config=b=2",
                "--output",
                "json"
            ]
        );
    }
}
