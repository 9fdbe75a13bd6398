//! Which crates name which systems.

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::visit_mut::{self, VisitMut};
use syn::{Attribute, Item};

use crate::packages::Package;
use crate::sources::sources;

/// The systems, and the words by which code names them.
const SYSTEMS: [&str; 8] =
    ["kafka", "kinesis", "dynamodb", "mysql", "lambda", "deltalake", "delta_", "s3"];

/// Packages that serve every system and so may know none.
const NEUTRAL: &[&str] = &["bench-record", "bench-core", "bench-cli"];

/// Files of these packages that name a system all the same, and why they may.
const EXCEPTIONS: &[(&str, &str)] = &[];

/// Each place where a package that is of no system names one.
pub(crate) fn problems(packages: &[Package]) -> Vec<String> {
    let neutral = packages.iter().filter(|package| NEUTRAL.contains(&package.name.as_str()));
    let mut used = Vec::new();
    let mut problems = Vec::new();
    for source in neutral.flat_map(sources) {
        let exception = EXCEPTIONS.iter().find(|(file, _)| *file == source.path);
        let mut words = Vec::new();
        for mut item in source.items {
            WithoutComments.visit_item_mut(&mut item);
            named(item.to_token_stream(), &mut words);
        }
        match exception {
            Some((file, _)) if !words.is_empty() => used.push(*file),
            Some(_) => {}
            None => problems.extend(words.iter().map(|word| format!("{}: {word}", source.path))),
        }
    }
    let unused = EXCEPTIONS.iter().filter(|(file, _)| !used.contains(file));
    problems.extend(unused.map(|(file, _)| format!("{file}: an exception that nothing needs")));
    problems
}

/// Identifiers and literals that name a system.
fn named(tokens: TokenStream, words: &mut Vec<String>) {
    for token in tokens {
        let text = match token {
            TokenTree::Group(group) => {
                named(group.stream(), words);
                continue;
            }
            TokenTree::Ident(word) => word.to_string(),
            TokenTree::Literal(literal) => literal.to_string(),
            TokenTree::Punct(_) => continue,
        };
        let lower = text.to_lowercase().replace('-', "_");
        if SYSTEMS.iter().any(|system| lower.contains(system)) {
            words.push(text);
        }
    }
}

/// Takes doc comments and inner tests out of an item: prose may give a system as an example.
struct WithoutComments;

impl VisitMut for WithoutComments {
    fn visit_item_mut(&mut self, item: &mut Item) {
        visit_mut::visit_item_mut(self, item);
    }

    fn visit_attributes_mut(&mut self, attributes: &mut Vec<Attribute>) {
        attributes.retain(|attribute| !attribute.path().is_ident("doc"));
    }
}
