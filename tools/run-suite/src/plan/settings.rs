//! Settings of services in an experiment file.

use bench_cli::UsageError;

use crate::file::options::OptionValue;
use crate::file::refusal::at;
use crate::file::services;

/// The canonical name of a setting in `section`, at `place` of an experiment file, after its service
/// has checked its value.
pub(super) fn canonical_setting(
    place: &str,
    section: &str,
    name: &str,
    value: &OptionValue,
) -> Result<String, UsageError> {
    let refuse = |problem: &str, remedy: &str| Err(at(place, name, problem, remedy));
    let text = match value.single() {
        Ok(text) => text,
        Err(problem) => return refuse(problem, "sweep it in [matrix]"),
    };
    let mut refusal = format!("there is no service `{section}`");
    for service in services::of_section(section) {
        for name in [name.to_owned(), name.replace('_', "-")] {
            match service.check_setting(&name, &text) {
                Ok(()) => return Ok(name),
                Err(problem) => refusal = problem,
            }
        }
    }
    refuse(&refusal, "see docs/services.md")
}
