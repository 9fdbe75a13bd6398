//! The features of dependencies: those of each package alone against those of the whole workspace.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use super::packages::{ROOT, packages};

/// Edges of `cargo build` and of `cargo test`.
const COMMANDS: [&str; 2] = ["normal,build", "normal,build,dev"];

/// A dependency with its version, and each set of features that it is compiled with: one for
/// programs, one for procedural macros and build scripts.
type Features = BTreeMap<String, BTreeSet<String>>;

/// Says which dependencies are compiled again when packages are built or tested alone, after the
/// whole workspace was.
pub(crate) fn compiled_again() -> Vec<String> {
    let whole = features(&["--workspace"], COMMANDS[1]);
    let mut problems =
        differences("the build of all packages", &features(&["--workspace"], COMMANDS[0]), &whole);
    for package in packages() {
        for edges in COMMANDS {
            let alone = features(&["-p", &package.name], edges);
            problems.extend(differences(&format!("{} ({edges})", package.name), &alone, &whole));
        }
    }
    problems
}

fn differences(what: &str, alone: &Features, whole: &Features) -> Vec<String> {
    let differs = |dependency: &String, sets: &BTreeSet<String>| {
        let of_whole = whole.get(dependency)?;
        let other = sets.difference(of_whole).next()?;
        Some(format!("{what}: {dependency} with [{other}], and [{}] in all", join(of_whole)))
    };
    alone.iter().filter_map(|(dependency, sets)| differs(dependency, sets)).collect()
}

fn join(sets: &BTreeSet<String>) -> String {
    sets.iter().map(String::as_str).collect::<Vec<_>>().join("] or [")
}

/// The dependencies of a selection of packages, other than packages of the workspace.
fn features(selection: &[&str], edges: &str) -> Features {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["tree", "--offline", "--prefix", "none", "--format", "{p}\t{f}", "--edges", edges])
        .args(selection)
        .current_dir(ROOT)
        .output()
        .expect("cargo");
    let text = String::from_utf8_lossy(&output.stdout);
    let mut features = Features::new();
    for (dependency, set) in text.lines().filter_map(|line| line.split_once('\t')) {
        // A package of the workspace is shown with its path.
        if !dependency.contains(" (/") {
            let set = set.trim_end_matches(" (*)").to_owned();
            features
                .entry(dependency.trim_end_matches(" (proc-macro)").to_owned())
                .or_default()
                .insert(set);
        }
    }
    assert!(!features.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    features
}
