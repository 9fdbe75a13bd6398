//! The services that an experiment file can name.

use bench_services::SERVICES;
use bench_stack::Service;

/// Their names in words.
pub(super) fn listed() -> String {
    SERVICES.names().join(", ")
}

/// Whether there is a service of this name.
pub(super) fn exists(name: &str) -> bool {
    SERVICES.get(name).is_some()
}

/// The services that a section of settings is about: the one of this name, or all with this title.
pub(crate) fn of_section(section: &str) -> impl Iterator<Item = &'static dyn Service> {
    let services = SERVICES.all().iter().copied();
    services.filter(move |service| {
        service.name() == section || service.title().to_lowercase() == section
    })
}

/// The service that has an option of this name.
pub(super) fn with_option(name: &str) -> Option<&'static str> {
    let mut services = SERVICES.all().iter();
    let service =
        services.find(|service| service.options().iter().any(|option| option.key == name))?;
    Some(service.name())
}

/// The words that can stand in `[local]`: services, and the options of all of them.
pub(super) fn words() -> impl Iterator<Item = &'static str> {
    let services = SERVICES.all().iter();
    services.flat_map(|service| {
        let options = service.options().iter().map(|option| option.key);
        std::iter::once(service.name()).chain(options)
    })
}
