//! `[local]`: the services that run-suite starts for an experiment, and their settings.

use bench_cli::UsageError;
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
        services::refuse_unknown(name).map_err(|problem| {
            at(LOCAL, "start", &problem, &format!("the services are {}", services::listed()))
        })?;
    }
    for (key, value) in form.settings {
        let (service, own) = match value {
            Value::Table(own) if services::refuse_unknown(&key).is_ok() => (key, own),
            // A setting by itself belongs to the service that has it.
            value => match services::with_setting(&key).filter(|_| !value.is_table()) {
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
    let known = ["start"].into_iter().chain(services::names());
    let remedy = remedy(nearest(key, known), || {
        format!("use `start`, or a service: {}", services::listed())
    });
    at(LOCAL, key, "unknown key", &remedy)
}
