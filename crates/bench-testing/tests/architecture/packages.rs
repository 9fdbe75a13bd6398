//! The packages of the workspace, and which may use which.

use std::process::Command;

use serde_json::Value;

/// The packages that serve every system, from the ground up. A package uses only lower floors.
const FLOORS: &[&[&str]] = &[
    &["bench-record"],
    &["bench-core", "bench-stats"],
    &["bench-aws", "bench-cli", "bench-proxy", "bench-stack"],
    &["bench-query", "bench-stand-in"],
    &["bench-stand-in-host"],
];

/// Packages that use one of their own floor, and why.
const BESIDE: &[(&str, &str, &str)] = &[
    ("bench-lambda", "bench-kinesis", "the functions unpack the records of a stream"),
    ("bench-lambda", "bench-tables", "the functions write rows"),
    ("bench-landed", "bench-tables", "it reads rows, for two tools"),
    ("local-lambda", "bench-kinesis", "it reads streams, as AWS Lambda does"),
];

/// The root of the workspace.
pub(crate) const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// Where a package stands: the place decides what it may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Floor {
    /// Has no code: `crates/features/*`.
    Features,
    /// Serves every system.
    Neutral(usize),
    /// Talks to one system: `crates/bench-*`.
    Adapter,
    /// Starts one server, or is one: `crates/services/*`.
    Service,
    /// The list of all services.
    List,
    /// Supports tests.
    Testing,
    /// Is a program: `tools/*`.
    Tool,
}

/// A package of the workspace.
pub(crate) struct Package {
    pub(crate) name: String,
    /// The folder of its sources, from the root of the workspace, with a slash at the end.
    pub(crate) src: String,
    /// The packages of the workspace that it uses outside its tests.
    pub(crate) uses: Vec<String>,
}

impl Package {
    pub(crate) fn floor(&self) -> Floor {
        if let Some(floor) = FLOORS.iter().position(|names| names.contains(&self.name.as_str())) {
            return Floor::Neutral(floor);
        }
        match self.name.as_str() {
            "bench-services" => Floor::List,
            "bench-testing" => Floor::Testing,
            _ if self.src.starts_with("tools/") => Floor::Tool,
            _ if self.src.starts_with("crates/services/") => Floor::Service,
            _ if self.src.starts_with("crates/features/") => Floor::Features,
            _ => Floor::Adapter,
        }
    }

    /// Whether it may use `other`.
    pub(crate) fn may_use(&self, other: &Self) -> bool {
        let names = (self.name.as_str(), other.name.as_str());
        if BESIDE.iter().any(|&(from, to, _)| names == (from, to)) {
            return true;
        }
        match (self.floor(), other.floor()) {
            (Floor::Features, Floor::Features) | (Floor::Service, Floor::Service) => true,
            // Tools start stand-ins, and do not contain them.
            (Floor::Tool, Floor::Service) => other.name.starts_with("bench-service-"),
            (Floor::Service, Floor::Adapter) | (Floor::Tool, Floor::Testing) => false,
            (own, other) => other < own,
        }
    }
}

/// What cargo prints in the workspace.
pub(crate) fn cargo(arguments: &[&str]) -> String {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(arguments).arg("--offline").current_dir(ROOT);
    let output = command.output().expect("cargo");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// All packages of the workspace.
pub(crate) fn packages() -> Vec<Package> {
    let metadata = cargo(&["metadata", "--no-deps", "--format-version", "1"]);
    let metadata: Value = serde_json::from_str(&metadata).expect("JSON");
    let root = metadata["workspace_root"].as_str().expect("a folder");
    let packages = metadata["packages"].as_array().expect("packages");
    packages.iter().map(|package| of(package, root)).collect()
}

fn of(package: &Value, root: &str) -> Package {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let manifest = text(&package["manifest_path"]);
    let folder = manifest.trim_end_matches("Cargo.toml");
    let folder = folder.strip_prefix(root).expect("a package of the workspace");
    let dependencies = package["dependencies"].as_array().expect("dependencies");
    let own = dependencies.iter().filter(|dependency| {
        dependency["path"].is_string() && dependency["kind"].as_str() != Some("dev")
    });
    Package {
        name: text(&package["name"]),
        src: format!("{}src/", folder.trim_start_matches('/')),
        uses: own.map(|dependency| text(&dependency["name"])).collect(),
    }
}
