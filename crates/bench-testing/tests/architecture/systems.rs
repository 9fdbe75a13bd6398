//! Which packages name which systems.

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::visit_mut::{self, VisitMut};
use syn::{Attribute, Item};

use crate::packages::Package;
use crate::sources::sources;

/// How code names a system, and the packages of that system that do not have it in their own name.
const SYSTEMS: &[(&str, &[&str])] = &[
    // Kafka Connect is a part of Kafka; Spark reads and writes topics; tables hold rows of topics and
    // have names of their own.
    (
        "kafka",
        &[
            "bench-service-connect",
            "bench-service-spark",
            "bench-tables",
            "connect-pipeline",
            "spark-pipeline",
            "table-reset",
            "topic-clean",
        ],
    ),
    // Streams feed Lambda functions, which fill tables.
    (
        "kinesis",
        &[
            "bench-aws",
            "bench-lambda",
            "bench-landed",
            "bench-service-lambda",
            "bench-tables",
            "kin-consumer",
            "kin-producer",
            "local-lambda",
            "table-reset",
        ],
    ),
    ("lambda", &["bench-landed"]),
    ("dynamodb", LANDING),
    ("mysql", LANDING),
    // Tables of Delta Lake are on S3.
    ("s3", &["bench-aws", "bench-delta", "delta-consumer", "delta-producer"]),
    ("deltalake", &["bench-delta"]),
    ("spark", &[]),
];

/// Packages of messages that land in tables, which are in one of two databases.
const LANDING: &[&str] = &[
    "bench-aws",
    "bench-lambda",
    "bench-landed",
    "bench-service-lambda",
    "bench-tables",
    "kafka-prodcon",
    "kin-db-consumer",
    "kin-lambda",
    "kin-sql-consumer",
    "sql-lambda",
    "table-reset",
];

/// Files that name systems of others all the same, and why.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("crates/bench-cli/src/arguments/peers.rs", "options of other tools, and their counterparts"),
    ("tools/run-suite/src/file/experiment.rs", "the section [lambda] of older files"),
    ("tools/run-suite/src/file/form.rs", "the section [lambda] of older files"),
    ("tools/run-suite/src/file/owner.rs", "the prefix lambda. of older files"),
    ("tools/run-suite/src/plan/delta_sweep.rs", "the command line of the original script"),
    ("tools/run-suite/src/plan/quick.rs", "which experiments a first look consists of"),
];

/// Each place where a package names a system that it is not of.
pub(crate) fn problems(packages: &[Package]) -> Vec<String> {
    let mut used = Vec::new();
    let mut problems = Vec::new();
    // The list of all services, and helpers of tests, are there to name them.
    let all = ["bench-services", "bench-testing"];
    for package in packages.iter().filter(|package| !all.contains(&package.name.as_str())) {
        let foreign: Vec<&str> = SYSTEMS
            .iter()
            .filter(|(system, owners)| {
                !package.name.contains(system) && !owners.contains(&package.name.as_str())
            })
            .map(|(system, _)| *system)
            .collect();
        for source in sources(package) {
            let mut words = Vec::new();
            for mut item in source.items {
                WithoutComments.visit_item_mut(&mut item);
                named(item.to_token_stream(), &foreign, &mut words);
            }
            match EXCEPTIONS.iter().find(|(file, _)| *file == source.path) {
                Some((file, _)) if !words.is_empty() => used.push(*file),
                Some(_) => {}
                None => {
                    problems.extend(words.iter().map(|word| format!("{}: {word}", source.path)));
                }
            }
        }
    }
    let unused = EXCEPTIONS.iter().filter(|(file, _)| !used.contains(file));
    problems.extend(unused.map(|(file, _)| format!("{file}: an exception that nothing needs")));
    problems
}

/// Identifiers and literals that name one of these systems.
fn named(tokens: TokenStream, systems: &[&str], words: &mut Vec<String>) {
    for token in tokens {
        let text = match token {
            TokenTree::Group(group) => {
                named(group.stream(), systems, words);
                continue;
            }
            TokenTree::Ident(word) => word.to_string(),
            TokenTree::Literal(literal) => literal.to_string(),
            TokenTree::Punct(_) => continue,
        };
        let lower = text.to_lowercase();
        if systems.iter().any(|system| has_word(&lower, system)) {
            words.push(text);
        }
    }
}

/// Whether `text` has this word: not within a longer one, where it is as short as `s3`.
fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        word.len() > 2 || !before.is_some_and(|before| before.is_ascii_alphanumeric())
    })
}

/// Takes doc comments out of an item: prose may give a system as an example.
struct WithoutComments;

impl VisitMut for WithoutComments {
    fn visit_item_mut(&mut self, item: &mut Item) {
        visit_mut::visit_item_mut(self, item);
    }

    fn visit_attributes_mut(&mut self, attributes: &mut Vec<Attribute>) {
        attributes.retain(|attribute| !attribute.path().is_ident("doc"));
    }
}
