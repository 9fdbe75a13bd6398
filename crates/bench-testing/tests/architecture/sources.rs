//! The source files of a package, without their tests.

use std::fs;
use std::path::{Path, PathBuf};

use syn::{Attribute, Item, Meta};

use crate::packages::{Package, ROOT};

/// A source file.
pub(crate) struct Source {
    /// From the root of the workspace.
    pub(crate) path: String,
    /// The path of its module in the crate: empty for `lib.rs` and `main.rs`.
    pub(crate) module: Vec<String>,
    pub(crate) items: Vec<Item>,
}

/// The sources of a package, without modules that are compiled for tests only.
pub(crate) fn sources(package: &Package) -> Vec<Source> {
    let mut paths = Vec::new();
    find(&Path::new(ROOT).join(&package.src), &mut paths);
    paths.sort();
    let mut sources: Vec<Source> = paths.iter().map(|path| read(path, package)).collect();
    let tests: Vec<Vec<String>> = sources.iter().flat_map(modules_of_tests).collect();
    sources.retain(|source| !tests.iter().any(|test| source.module.starts_with(test)));
    for source in &mut sources {
        source.items.retain(|item| !attributes(item).iter().any(is_for_tests));
    }
    sources
}

fn find(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            find(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}

fn read(path: &Path, package: &Package) -> Source {
    let inner = path.strip_prefix(Path::new(ROOT).join(&package.src)).expect("below src");
    let mut module: Vec<String> =
        inner.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if matches!(module.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        module.pop();
    }
    let text = fs::read_to_string(path).expect("a readable source");
    let file = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Source { path: format!("{}{}", package.src, inner.display()), module, items: file.items }
}

/// The modules in files of their own that a source declares for tests only.
fn modules_of_tests(source: &Source) -> Vec<Vec<String>> {
    let for_tests = source.items.iter().filter_map(|item| match item {
        Item::Mod(module) if module.attrs.iter().any(is_for_tests) => Some(&module.ident),
        _ => None,
    });
    let path = |name: &syn::Ident| {
        let mut path = source.module.clone();
        path.push(name.to_string());
        path
    };
    for_tests.map(path).collect()
}

fn is_for_tests(attribute: &Attribute) -> bool {
    match &attribute.meta {
        Meta::List(list) if list.path.is_ident("cfg") => {
            list.tokens.to_string().split(|c: char| !c.is_alphanumeric()).any(|word| word == "test")
        }
        _ => false,
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}
