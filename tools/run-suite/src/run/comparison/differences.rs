//! What differs between two sides beside the measured figures.

use std::collections::{BTreeMap, BTreeSet};

use bench_record::RunDocument;
use serde::Serialize;
use serde_json::Value;

use super::side::Side;
use crate::run::machine;

/// Something that has another value on each side.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Difference {
    /// What it is: `option rate`, `host cpu`, `version of librdkafka`.
    pub(crate) what: String,
    pub(crate) a: Option<String>,
    pub(crate) b: Option<String>,
}

const HOST: &str = "host ";

impl Difference {
    /// Whether the sides ran on machines of different names.
    pub(crate) fn is_of_host(&self) -> bool {
        self.what.strip_prefix(HOST) == Some("name")
    }
}

/// What has one value in all runs of A, and another one in all runs of B. Names of folders and topics,
/// which differ from run to run, are thus left out.
pub(crate) fn between(a: &Side, b: &Side) -> Vec<Difference> {
    let (a, b) = (common(a), common(b));
    let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let differences = names.into_iter().filter_map(|what| {
        let (a, b) = (a.get(what), b.get(what));
        let differs = a != b && a != Some(&None) && b != Some(&None);
        differs.then(|| Difference {
            what: what.clone(),
            a: a.cloned().flatten(),
            b: b.cloned().flatten(),
        })
    });
    differences.collect()
}

/// The facts about the runs of a side: the value of each if it is the same in all of them.
pub(crate) fn common(side: &Side) -> BTreeMap<String, Option<String>> {
    let mut common: BTreeMap<String, Option<String>> = BTreeMap::new();
    for (index, run) in side.runs.iter().enumerate() {
        let mut facts = BTreeMap::new();
        for (document, prefix) in run.documents().zip(["", "then "]) {
            facts.extend(facts_of(document, prefix));
        }
        if index == 0 {
            // A single run does not show which values are its own.
            let is_own = |value: &String| value.contains(&run.first.run_id);
            common = facts
                .into_iter()
                .map(|(what, value)| (what, Some(value).filter(|value| !is_own(value))))
                .collect();
            continue;
        }
        let names: BTreeSet<String> = common.keys().chain(facts.keys()).cloned().collect();
        for what in names {
            let known = common.entry(what.clone()).or_default();
            if known.as_ref() != facts.get(&what) {
                *known = None;
            }
        }
    }
    if let Some(revision) = side.git_revision() {
        common.insert("git revision".to_owned(), Some(revision.to_owned()));
    }
    common
}

fn facts_of(document: &RunDocument, prefix: &str) -> BTreeMap<String, String> {
    let mut facts = BTreeMap::new();
    let mut add = |what: String, value: String| {
        if !value.is_empty() {
            facts.insert(what, value);
        }
    };
    for (name, value) in &document.options {
        // Folders differ from run to run.
        if !name.ends_with("-dir") && name != "from-run" {
            add(format!("{prefix}option {name}"), shown(value));
        }
    }
    for service in &document.services {
        add(format!("{prefix}version of {}", service.name), service.version.clone());
        add(format!("{prefix}origin of {}", service.name), service.origin.to_string());
    }
    for (name, version) in &document.versions {
        add(format!("{prefix}version of {name}"), version.clone());
    }
    for (name, value) in &document.settings_in_force {
        add(format!("{prefix}setting {name}"), value.clone());
    }
    add(format!("{prefix}version of {}", document.tool.name), document.tool.version.clone());
    for (name, value) in machine::facts(&document.host) {
        add(format!("{HOST}{name}"), value);
    }
    facts
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
