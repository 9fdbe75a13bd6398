//! The structure of the workspace, read from its manifests and sources: which package may use which,
//! which may name a system, that no file is entangled with many others, and that a package alone
//! compiles no dependency again.
//!
//! `cargo test --release -p bench-testing --test architecture`

mod features;
mod imports;
mod packages;
mod sources;
mod systems;

use packages::packages;

/// More files than these in a circle of imports cannot be read one at a time.
const CIRCLE_MAX: usize = 3;

#[test]
fn packages_use_only_lower_floors() {
    let packages = packages();
    let mut problems = Vec::new();
    for package in &packages {
        let used = packages.iter().filter(|other| package.uses.contains(&other.name));
        for other in used.filter(|other| !package.may_use(other)) {
            let (own, below) = (package.floor(), other.floor());
            problems.push(format!("{} ({own:?}) uses {} ({below:?})", package.name, other.name));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn systems_are_named_by_their_own_crates_only() {
    let problems = systems::problems(&packages());
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn packages_alone_use_the_features_of_the_whole() {
    let problems = features::compiled_again();
    assert!(problems.is_empty(), "complete crates/features:\n{}", problems.join("\n"));
}

#[test]
fn circles_of_files_are_small() {
    let mut problems = Vec::new();
    for package in packages() {
        for circle in imports::circles(&package) {
            if circle.len() > CIRCLE_MAX {
                problems.push(format!("{} files: {}", circle.len(), circle.join(", ")));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn folders_of_run_suite_import_one_way() {
    const FOLDERS: [&str; 5] = ["file", "plan", "host", "run", "show"];
    let packages = packages();
    let suite = packages.iter().find(|package| package.name == "run-suite");
    let suite = suite.expect("run-suite is a package");
    let place = |file: &str| {
        let first = file.strip_prefix(&suite.src)?.split('/').next()?.trim_end_matches(".rs");
        FOLDERS.iter().position(|folder| *folder == first)
    };
    let edges = imports::edges(suite);
    assert!(edges.iter().any(|(from, to)| place(from) > place(to)), "run-suite has the folders");
    let backwards = edges.iter().filter(|(from, to)| match (place(from), place(to)) {
        (Some(from), Some(to)) => from < to,
        // main.rs is above all folders.
        (Some(_), None) => true,
        (None, _) => false,
    });
    let backwards: Vec<_> = backwards.map(|(from, to)| format!("{from} imports {to}")).collect();
    assert!(backwards.is_empty(), "{}", backwards.join("\n"));
}
