//! The features of dependencies: those of each package alone against those of the whole workspace.

use std::collections::{BTreeMap, BTreeSet};

use super::packages::{cargo, packages};

/// Edges of `cargo build` and of `cargo test`.
const COMMANDS: [&str; 2] = ["normal,build", "normal,build,dev"];

/// Dependencies that one macro, `num_enum`, compiles for itself, with features that never change.
const OF_ONE_MACRO: [&str; 3] = ["toml_datetime ", "toml_parser ", "winnow "];

/// A dependency with its version, and each set of features that it is compiled with: one for
/// programs, one for procedural macros and build scripts.
type Features = BTreeMap<String, BTreeSet<String>>;

/// Says which dependencies are compiled again when packages are built or tested alone, after the
/// whole workspace was.
pub(crate) fn compiled_again() -> Vec<String> {
    let whole = features(&["--workspace"], COMMANDS[1]);
    // A second set would hide a difference: it is not known which one a package alone should have.
    let several = whole.iter().filter(|(dependency, sets)| {
        sets.len() > 1 && !OF_ONE_MACRO.iter().any(|macros| dependency.starts_with(macros))
    });
    let mut problems: Vec<_> = several
        .map(|(dependency, sets)| format!("{dependency} has several sets of features: {sets:?}"))
        .collect();
    let mut lacking = BTreeMap::new();
    note(&mut lacking, "the build of all", &features(&["--workspace"], COMMANDS[0]), &whole);
    for package in packages() {
        for edges in COMMANDS {
            note(&mut lacking, &package.name, &features(&["-p", &package.name], edges), &whole);
        }
    }
    problems.extend(lacking.iter().map(|(dependency, (missing, packages))| {
        format!("{dependency} lacks {missing:?} in {packages:?}")
    }));
    problems
}

/// Adds to each dependency the features that it lacks in `package`, and the package.
fn note(
    lacking: &mut BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)>,
    package: &str,
    alone: &Features,
    whole: &Features,
) {
    for (dependency, sets) in alone {
        let Some(of_whole) = whole.get(dependency) else { continue };
        for other in sets.difference(of_whole) {
            let (missing, packages) = lacking.entry(dependency.clone()).or_default();
            let has: BTreeSet<&str> = other.split(',').collect();
            let wanted = of_whole.iter().flat_map(|set| set.split(','));
            missing.extend(wanted.filter(|name| !has.contains(name)).map(str::to_owned));
            packages.insert(package.to_owned());
        }
    }
}

/// The dependencies of a selection of packages, other than packages of the workspace.
fn features(selection: &[&str], edges: &str) -> Features {
    let arguments = ["tree", "--prefix", "none", "--format", "{p}\t{f}", "--edges", edges];
    let text = cargo(&[&arguments, selection].concat());
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
    features
}
