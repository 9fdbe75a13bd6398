//! The part of the command line of `run-suite services up` that follows from the list of services.

use bench_services::SERVICES;
use bench_stack::Service;
use clap::{Arg, ArgMatches, Args, Command, Error, FromArgMatches};

/// The options that services have of their own.
#[derive(Debug, Clone)]
pub(super) struct ServiceFlags(Vec<(&'static str, &'static str, String)>);

impl ServiceFlags {
    /// Their values, each with its service and key.
    pub(super) fn settings(&self) -> Vec<(&str, &str, &str)> {
        self.0.iter().map(|(service, key, value)| (*service, *key, value.as_str())).collect()
    }
}

impl Args for ServiceFlags {
    fn augment_args(command: Command) -> Command {
        SERVICES.flags().fold(command, |command, (_, option)| {
            let flag = option.flag.unwrap_or(option.key);
            let check = |text: &str| (option.check)(text).map(|()| text.to_owned());
            let arg = Arg::new(flag).long(flag).value_name(option.value_name).help(option.help);
            let arg = arg.value_parser(check);
            command.arg(if option.default.is_empty() {
                arg
            } else {
                arg.default_value(option.default)
            })
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ServiceFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let settings = SERVICES.flags().filter_map(|(service, option)| {
            let value = matches.get_one::<String>(option.flag?)?;
            Some((service.name(), option.key, value.clone()))
        });
        Ok(Self(settings.collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Reads the name of a service.
pub(super) fn service(text: &str) -> Result<&'static str, String> {
    SERVICES.find(text).map(Service::name)
}

/// The help of the list of services to start.
pub(super) fn services_help() -> String {
    let services = SERVICES.all().iter().map(|service| match service.needs() {
        [] => service.name().to_owned(),
        needs => format!("{} (with {})", service.name(), needs.join(", ")),
    });
    let services = services.collect::<Vec<_>>().join(", ");
    format!("Services to start: {services} [default: {}]", SERVICES.defaults().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_settings_of_their_services() {
        let settings = |words: &[&str]| {
            let matches = ServiceFlags::augment_args(Command::new("up"))
                .try_get_matches_from(std::iter::once(&"up").chain(words))
                .map_err(|error| error.to_string())?;
            Ok::<_, String>(ServiceFlags::from_arg_matches(&matches).expect("flags"))
        };
        let flags = settings(&["--brokers", "3"]).expect("valid");
        assert!(flags.settings().contains(&("kafka", "brokers", "3")));
        assert!(settings(&["--brokers", "9"]).is_err());
    }
}
