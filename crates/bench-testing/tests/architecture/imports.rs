//! Which file of a package imports from which.

use std::collections::{BTreeMap, BTreeSet};

use syn::visit::{self, Visit};
use syn::{Item, ItemUse, UseTree};

use crate::packages::Package;
use crate::sources::{Source, sources};

/// The files of a package by their module.
type Files<'a> = BTreeMap<&'a [String], &'a Source>;

/// Each pair of files of which the first imports something that the second defines. A name that a
/// module passes on with `use` counts as imported from the file that defines it.
pub(crate) fn edges(package: &Package) -> BTreeSet<(String, String)> {
    let sources = sources(package);
    let files: Files<'_> =
        sources.iter().map(|source| (source.module.as_slice(), source)).collect();
    let mut edges = BTreeSet::new();
    for source in &sources {
        let mut uses = Uses { found: Vec::new() };
        for item in &source.items {
            // What is only passed on is no import of this file.
            let is_passed_on = matches!(item, Item::Use(ItemUse { vis, .. }) if is_wide(vis));
            if !is_passed_on {
                uses.visit_item(item);
            }
        }
        for path in uses.found {
            if let Some(other) = definition(&files, &source.module, &path, 0)
                && other != source.path
            {
                edges.insert((source.path.clone(), other));
            }
        }
    }
    edges
}

/// The groups of files of which each imports, directly or not, from each other one.
pub(crate) fn circles(package: &Package) -> Vec<Vec<String>> {
    let edges = edges(package);
    let reached = |from: &String| {
        let mut reached = BTreeSet::from([from.clone()]);
        let mut open = vec![from.clone()];
        while let Some(file) = open.pop() {
            for (_, to) in edges.iter().filter(|(from, _)| *from == file) {
                if reached.insert(to.clone()) {
                    open.push(to.clone());
                }
            }
        }
        reached
    };
    let files: BTreeSet<&String> = edges.iter().map(|(from, _)| from).collect();
    let reach: BTreeMap<&String, BTreeSet<String>> =
        files.into_iter().map(|file| (file, reached(file))).collect();
    let circle = |(file, others): (&&String, &BTreeSet<String>)| -> Vec<String> {
        let mutual = |other: &&String| reach.get(other).is_some_and(|back| back.contains(*file));
        others.iter().filter(mutual).cloned().collect()
    };
    let circles: BTreeSet<Vec<String>> = reach.iter().map(circle).collect();
    circles.into_iter().filter(|circle| circle.len() > 1).collect()
}

/// The file that defines what `path` leads to from `module`, if that is in this package.
fn definition(
    files: &Files<'_>,
    module: &[String],
    path: &[String],
    depth: usize,
) -> Option<String> {
    const DEPTH_MAX: usize = 8;
    let (mut at, rest) = match path.first()?.as_str() {
        "crate" => (Vec::new(), &path[1..]),
        "self" => (module.to_vec(), &path[1..]),
        "super" => (module[..module.len().checked_sub(1)?].to_vec(), &path[1..]),
        _ if files.contains_key([module, &path[..1]].concat().as_slice()) => {
            (module.to_vec(), path)
        }
        _ => return None,
    };
    let mut rest = rest.iter();
    let mut name = rest.next();
    while let Some(step) = name {
        if step == "super" {
            at.pop()?;
        } else if files
            .contains_key([at.as_slice(), std::slice::from_ref(step)].concat().as_slice())
        {
            at.push(step.clone());
        } else {
            break;
        }
        name = rest.next();
    }
    let file = files.get(at.as_slice())?;
    if let Some(name) = name
        && depth < DEPTH_MAX
        && let Some(path) = passed_on(file, name)
        && let Some(found) = definition(files, &at, &path, depth + 1)
    {
        return Some(found);
    }
    Some(file.path.clone())
}

/// Where a file has a name from that it does not define itself.
fn passed_on(file: &Source, name: &str) -> Option<Vec<String>> {
    let mut uses = Uses { found: Vec::new() };
    for item in &file.items {
        if let Item::Use(item) = item {
            uses.visit_item_use(item);
        }
    }
    uses.found.into_iter().find(|path| path.last().is_some_and(|last| last == name))
}

fn is_wide(visibility: &syn::Visibility) -> bool {
    !matches!(visibility, syn::Visibility::Inherited)
}

/// The paths of all `use` items, and of the other paths that begin at the root of the crate.
struct Uses {
    found: Vec<Vec<String>>,
}

impl<'ast> Visit<'ast> for Uses {
    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        flatten(&item.tree, &mut Vec::new(), &mut self.found);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<String> =
            path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if names.len() > 1 {
            self.found.push(names);
        }
        visit::visit_path(self, path);
    }
}

fn flatten(tree: &UseTree, prefix: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    match tree {
        UseTree::Path(path) => {
            prefix.push(path.ident.to_string());
            flatten(&path.tree, prefix, found);
            prefix.pop();
        }
        UseTree::Name(name) if name.ident == "self" => found.push(prefix.clone()),
        UseTree::Name(name) => found.push([prefix.as_slice(), &[name.ident.to_string()]].concat()),
        UseTree::Rename(rename) => {
            found.push([prefix.as_slice(), &[rename.ident.to_string()]].concat());
        }
        UseTree::Glob(_) => found.push(prefix.clone()),
        UseTree::Group(group) => {
            for tree in &group.items {
                flatten(tree, prefix, found);
            }
        }
    }
}
