//! The packages of the workspace, and the floors they stand on.

use std::process::Command;

use serde_json::Value;

/// From the ground up: a package uses only packages of lower floors. Tests are free: their
/// dependencies do not count.
pub(crate) const FLOORS: &[&[&str]] = &[&["bench-record"], &["bench-core"]];

/// A package of the workspace.
pub(crate) struct Package {
    pub(crate) name: String,
    /// The folder of its sources, from the root of the workspace, with a slash at the end.
    pub(crate) src: String,
    /// The packages of the workspace that it uses outside its tests.
    pub(crate) uses: Vec<String>,
}

/// The root of the workspace.
pub(crate) const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// All packages of the workspace.
pub(crate) fn packages() -> Vec<Package> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["metadata", "--no-deps", "--offline", "--format-version", "1"];
    let output = Command::new(cargo).args(arguments).current_dir(ROOT).output().expect("cargo");
    let text = String::from_utf8_lossy(&output.stderr);
    let metadata: Value = serde_json::from_slice(&output.stdout).expect(&text);
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
