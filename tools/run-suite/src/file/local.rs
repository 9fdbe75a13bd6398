//! `[local]`: the services that run-suite starts for an experiment, and their settings.

use bench_cli::UsageError;
use bench_core::system::shortened;
use toml::{Table, Value};

use super::form::LocalForm;
use super::options::{Options, options};
use super::owner::Owner;
use super::refusal::{at, nearest, remedy};
use super::services;

const LOCAL: &str = "[local]";

/// The services to start; their settings go to `all`.
pub(super) fn read(form: LocalForm, all: &mut Options) -> Result<Vec<String>, UsageError> {
    for name in &form.start {
        if !services::exists(name) {
            let problem = format!("there is no service `{}`", shortened(name));
            let remedy = format!("the services are {}", services::listed());
            return Err(at(LOCAL, "start", &problem, &remedy));
        }
    }
    for (key, value) in form.settings {
        let (service, own) = match value {
            Value::Table(own) if services::of_section(&key).next().is_some() => (key, own),
            // A setting by itself belongs to the service that has it.
            value => match services::with_option(&key).filter(|_| !value.is_table()) {
                Some(service) => (service.to_owned(), Table::from_iter([(key, value)])),
                None => return Err(unknown_key(&key)),
            },
        };
        let owner = Owner::Service(service);
        owner.add(options(&owner.section(), own)?, all);
    }
    Ok(form.start)
}

fn unknown_key(key: &str) -> UsageError {
    let known = ["start"].into_iter().chain(services::words());
    let remedy = remedy(nearest(key, known), || {
        format!("use `start`, or a service: {}", services::listed())
    });
    at(LOCAL, key, "unknown key", &remedy)
}
