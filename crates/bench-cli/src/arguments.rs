//! Reading a tool's command line.
//!
//! Corrects clap's suggestions for unknown options. clap suggests the most similar option, however
//! dissimilar it is (`--output` for `--throughput`); people mostly mean an option of another tool that
//! they know, which is in [`peers`].

mod peers;

use std::borrow::Cow;
use std::error::Error as _;
use std::ffi::OsString;
use std::io::Write as _;

use bench_core::system::{plain, shortened_lines};
use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, Error};
use clap::{ArgMatches, Command, Parser};

use crate::output::LAYOUT;
use crate::{UsageError, limits, printable, printable_except};

/// How similar two names must be for a suggestion, 0 to 1.
const LIKENESS_MIN: f64 = 0.6;

/// The shortest prefix of a name that leads to a suggestion.
const PREFIX_MIN: usize = 4;

/// Reads this process's command line as the options of a program. Exits where clap does: after help,
/// and with code 2 after wrong options. An error says what the machine lacks for any work.
pub fn parse<T: Parser>() -> Result<T, UsageError> {
    let matches = matches_from(T::command(), std::env::args_os())?;
    Ok(T::from_arg_matches(&matches).unwrap_or_else(|error| error.exit()))
}

/// Reads a command line; the first argument is the name of the program. Exits as
/// [`parse`] does.
pub(crate) fn matches_from(
    command: Command,
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<ArgMatches, UsageError> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    match command.clone().try_get_matches_from(&arguments) {
        Ok(matches) => limits::check_start().map(|()| matches),
        Err(error) => exit(&corrected(error, command, &arguments)),
    }
}

/// Prints clap's message and exits.
fn exit(error: &Error) -> ! {
    let text = error.render().to_string();
    let safe = safe(&text);
    // Our own parsers quote the value.
    let reason = error.source().map(ToString::to_string).unwrap_or_default();
    if !error.use_stderr() || (safe == text && matches!(printable(&reason), Cow::Borrowed(_))) {
        error.exit();
    }
    // Without colours, which could not be told from those in the reason.
    let _ = std::io::stderr().write_all(safe.as_bytes());
    std::process::exit(error.exit_code());
}

fn safe(text: &str) -> String {
    let text = plain(text);
    printable_except(&shortened_lines(&text), &LAYOUT).into_owned()
}

/// Improves the advice of an error.
fn corrected(mut error: Error, mut command: Command, arguments: &[OsString]) -> Error {
    command.build();
    let mut command = named(&command, arguments);
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    let (unknown, suggested) = (text(ContextKind::InvalidArg), text(ContextKind::SuggestedArg));
    if let (Some(unknown), clap::error::ErrorKind::UnknownArgument) = (unknown, error.kind()) {
        let advice = advice(&unknown, &command);
        if advice.is_some() || suggested.is_some() {
            error.remove(ContextKind::SuggestedArg);
            error.insert(ContextKind::Usage, ContextValue::StyledStr(command.render_usage()));
        }
        match advice {
            Some(Advice::Similar(name)) => {
                error.insert(ContextKind::SuggestedArg, ContextValue::String(name));
            }
            Some(Advice::Words(words)) => {
                let tips = ContextValue::StyledStrs(vec![StyledStr::from(words)]);
                error.insert(ContextKind::Suggested, tips);
            }
            None => {}
        }
    }
    escape_values(&mut error);
    drop_unlike(&mut error, ContextKind::InvalidSubcommand, ContextKind::SuggestedSubcommand);
    drop_unlike(&mut error, ContextKind::InvalidValue, ContextKind::SuggestedValue);
    error
}

/// Escapes the values in a command-line error but keeps clap's own colours.
fn escape_values(error: &mut Error) {
    let escaped: Vec<(ContextKind, ContextValue)> = error
        .context()
        .filter_map(|(kind, value)| match value {
            ContextValue::String(text) => match printable(text) {
                Cow::Owned(escaped) => Some((kind, ContextValue::String(escaped))),
                Cow::Borrowed(_) => None,
            },
            _ => None,
        })
        .collect();
    for (kind, value) in escaped {
        error.insert(kind, value);
    }
}

/// Removes a suggestion that is not similar to what was given.
fn drop_unlike(error: &mut Error, given: ContextKind, suggested: ContextKind) {
    let Some(ContextValue::String(word)) = error.get(given) else { return };
    let is_like = match error.get(suggested) {
        Some(ContextValue::String(suggestion)) => is_like(word, suggestion),
        Some(ContextValue::Strings(all)) => all.iter().any(|suggestion| is_like(word, suggestion)),
        _ => true,
    };
    if !is_like {
        error.remove(suggested);
    }
}

/// What to use instead of an unknown option.
#[derive(Debug, PartialEq, Eq)]
enum Advice {
    /// An option with a similar name.
    Similar(String),
    /// The counterpart of another tool's option.
    Words(String),
}

fn advice(unknown: &str, command: &Command) -> Option<Advice> {
    let unknown = unknown.split_once('=').map_or(unknown, |(name, _)| name);
    let has = |name: &str| longs(command).any(|long| long == name);
    if let Some(words) = peers::counterpart(unknown, &has) {
        return Some(Advice::Words(words));
    }
    let name = unknown.strip_prefix("--")?;
    let likeness = |long: &&str| strsim::normalized_damerau_levenshtein(name, long);
    let like = longs(command).filter(|long| is_like(name, long));
    let nearest = like.max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    Some(Advice::Similar(format!("--{nearest}")))
}

/// Whether `word` is plausibly meant as `name`.
fn is_like(word: &str, name: &str) -> bool {
    let begins = word.len() >= PREFIX_MIN && name.starts_with(word);
    begins || strsim::normalized_damerau_levenshtein(word, name) >= LIKENESS_MIN
}

fn longs(command: &Command) -> impl Iterator<Item = &str> {
    let shown = command.get_arguments().filter(|arg| !arg.is_hide_set());
    shown.filter_map(clap::Arg::get_long)
}

/// The subcommand used in a command line, or the tool itself.
fn named(command: &Command, arguments: &[OsString]) -> Command {
    let words = arguments.iter().skip(1).filter_map(|argument| argument.to_str());
    let innermost =
        words.fold(command, |command, word| command.find_subcommand(word).unwrap_or(command));
    innermost.clone()
}

#[cfg(test)]
mod tests {
    use clap::Arg;

    use super::*;

    fn tool() -> Command {
        let option = |name: &'static str| Arg::new(name).long(name);
        let names = ["bootstrap-servers", "properties", "config", "rate", "messages", "output"];
        let names = names.into_iter().chain(["land-in-flight", "record-size", "partitions"]);
        let print = Command::new("print").args(["bootstrap-servers", "from"].map(option));
        Command::new("tool").args(names.map(option)).subcommand(print)
    }

    fn error_of(arguments: &[&str]) -> String {
        let all: Vec<OsString> =
            std::iter::once(&"tool").chain(arguments).map(OsString::from).collect();
        let error = tool().try_get_matches_from(&all).expect_err("wrong");
        safe(&corrected(error, tool(), &all).render().to_string())
    }

    #[test]
    fn options_of_other_tools_suggest_their_counterparts() {
        for (given, wanted) in [
            ("--throughput", "--rate"),
            ("--command-config", "--properties"),
            ("--producer.config=x", "--properties"),
            ("--producer-props", "--config"),
            ("--num-record", "--messages"),
            ("--broker-list", "--bootstrap-servers"),
            ("--zookeeper", "--bootstrap-servers"),
            ("--max-messages", "--messages"),
            ("-b", "--bootstrap-servers"),
        ] {
            let text = error_of(&[given, "5"]);
            assert!(text.contains("tip: ") && text.contains(&format!("'{wanted}")), "{text}");
            assert!(!text.contains("--land-in-flight <") && !text.contains("--output <"), "{text}");
        }
        let text = error_of(&["print", "--from-beginning"]);
        assert!(text.contains("'--from earliest'") && text.contains("Usage: tool print"), "{text}");
    }

    #[test]
    fn only_similar_options_are_suggested() {
        assert!(error_of(&["--record-sise", "5"]).contains("'--record-size'"));
        assert!(error_of(&["pritn"]).contains("'print'"));
        assert!(error_of(&["--partition", "5"]).contains("'--partitions'"));
        assert!(error_of(&["--boot", "5"]).contains("'--bootstrap-servers'"));
        for unlike in ["--through", "--reports", "--xyz", "--land"] {
            let text = error_of(&[unlike, "5"]);
            assert!(unlike == "--land" || !text.contains("tip: a similar"), "{text}");
        }
        assert!(!error_of(&["--colour-me-bad"]).contains("similar"));
    }

    #[test]
    fn arguments_are_shown_escaped_and_shortened() {
        let all = ["tool", "--\u{1b}[31mred"].map(OsString::from);
        let error = tool().try_get_matches_from(&all).expect_err("wrong");
        let coloured = corrected(error, tool(), &all).render().ansi().to_string();
        assert!(coloured.contains("\\x1b[31mred") && coloured.contains("\u{1b}["), "{coloured}");
        let text = error_of(&["--\u{1b}[31mred", "x"]);
        assert!(text.contains("\\x1b[31mred") && !text.contains('\u{1b}'), "{text}");
        let text = error_of(&[&format!("--{}", "x".repeat(100_000))]);
        assert!(text.len() < 2_000 && text.contains("characters left out"), "{text}");
    }
}
