//! What a tool can print about itself: shell completions, a man page, and as JSON its options and the
//! services that it uses, by which run-suite checks options and starts services.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;

use clap::builder::StyledStr;
use clap::{Arg, Args, Command, ValueEnum};
use clap_complete::Shell;
use clap_mangen::Man;
use serde::Serialize;

use crate::output;

/// The option `--generate`; flatten it into a tool's options, and call [`handle`] before they are
/// parsed.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct GenerateArgs {
    /// Print a completion script, the man page, or the options as JSON, and exit
    ///
    /// After the name of a subcommand, `man` prints the page of that subcommand.
    #[arg(
        help_heading = "Output",
        long,
        value_enum,
        value_name = "WHAT",
        hide_short_help = true,
        global = true
    )]
    generate: Option<Target>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Target {
    /// Completions for bash
    Bash,
    /// Completions for zsh
    Zsh,
    /// Completions for fish
    Fish,
    /// Man page, in roff
    Man,
    /// Options, in JSON
    Options,
}

/// A service that a tool uses, by the name that run-suite has for it. A tool declares its services
/// where it calls [`handle`], and nowhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct UsedService {
    name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    when: Option<OptionValue>,
}

/// A value that an option must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct OptionValue {
    option: &'static str,
    value: &'static str,
}

impl UsedService {
    /// A service that every run of the tool uses.
    #[must_use]
    pub const fn always(name: &'static str) -> Self {
        Self { name, when: None }
    }

    /// A service that a run uses when `option`, without dashes, has this value.
    #[must_use]
    pub const fn when(name: &'static str, option: &'static str, value: &'static str) -> Self {
        Self { name, when: Some(OptionValue { option, value }) }
    }
}

/// Prints what `--generate` on this process's command line asks for. Returns false without it, or
/// with an unknown value, which parsing the options then reports.
///
/// It is called before parsing so that required arguments can be left out.
pub fn handle(command: Command, services: &[UsedService]) -> io::Result<bool> {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let Some(target) = requested(&args) else {
        return Ok(false);
    };
    output::print(&generate(command, services, target, &args)?)?;
    Ok(true)
}

/// The value of `--generate` before any `--`.
fn requested(args: &[OsString]) -> Option<Target> {
    let mut args = args.iter().map_while(|arg| arg.to_str().filter(|arg| *arg != "--"));
    let value = loop {
        match args.next()?.strip_prefix("--generate") {
            Some("") => break args.next()?,
            Some(rest) if rest.starts_with('=') => break &rest[1..],
            _ => {}
        }
    };
    Target::from_str(value, false).ok()
}

fn generate(
    command: Command,
    services: &[UsedService],
    target: Target,
    args: &[OsString],
) -> io::Result<String> {
    let bytes = match target {
        Target::Bash => completions(command, Shell::Bash),
        Target::Zsh => completions(command, Shell::Zsh),
        Target::Fish => completions(command, Shell::Fish),
        Target::Man => man(command, args.first().map(OsString::as_os_str))?,
        Target::Options => {
            let mut json = serde_json::to_vec_pretty(&describe(command, services))?;
            json.push(b'\n');
            json
        }
    };
    String::from_utf8(bytes).map_err(io::Error::other)
}

fn completions(mut command: Command, shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    let name = command.get_name().to_owned();
    clap_complete::generate(shell, &mut command, name, &mut script);
    script
}

/// The page of `subcommand` when it is the name of one, else of the whole tool.
fn man(mut command: Command, subcommand: Option<&OsStr>) -> io::Result<Vec<u8>> {
    command.build();
    let named = subcommand.and_then(|name| command.find_subcommand(name));
    let mut page = Vec::new();
    Man::new(named.unwrap_or(&command).clone()).render(&mut page)?;
    Ok(page)
}

#[derive(Debug, Serialize)]
struct ToolDescription<'a> {
    tool: String,
    services: &'a [UsedService],
    options: Vec<OptionDescription>,
    subcommands: BTreeMap<String, Vec<OptionDescription>>,
}

#[derive(Debug, Serialize)]
struct OptionDescription {
    /// Long name, without dashes.
    name: String,
    /// Other long names, without dashes.
    aliases: Vec<String>,
    takes_value: bool,
    /// As it would be written on the command line.
    default: Option<String>,
    help: String,
}

fn describe(mut command: Command, services: &[UsedService]) -> ToolDescription<'_> {
    // Global options reach the subcommands only when the command is built.
    command.build();
    ToolDescription {
        tool: command.get_name().to_owned(),
        services,
        options: describe_options(&command),
        subcommands: command
            .get_subcommands()
            .filter(|subcommand| subcommand.get_name() != "help")
            .map(|subcommand| (subcommand.get_name().to_owned(), describe_options(subcommand)))
            .collect(),
    }
}

/// The options that ask the tool to do its work: those that only explain it are left out.
fn describe_options(command: &Command) -> Vec<OptionDescription> {
    let explains = |name: &str| matches!(name, "help" | "version" | "generate");
    let named = command.get_arguments().filter_map(|arg| Some((arg, arg.get_long()?)));
    named
        .filter(|(_, name)| !explains(name))
        .map(|(arg, name)| OptionDescription {
            name: name.to_owned(),
            aliases: arg
                .get_all_aliases()
                .unwrap_or_default()
                .into_iter()
                .map(Into::into)
                .collect(),
            takes_value: arg.get_action().takes_values(),
            default: default_of(arg),
            help: arg.get_help().map(StyledStr::to_string).unwrap_or_default(),
        })
        .collect()
}

fn default_of(arg: &Arg) -> Option<String> {
    let values = arg.get_default_values();
    let joined = values.iter().map(|value| value.to_string_lossy()).collect::<Vec<_>>().join(",");
    (arg.get_action().takes_values() && !values.is_empty()).then_some(joined)
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser, Subcommand};
    use snapbox::{assert_data_eq, str};

    use super::*;

    #[derive(Parser)]
    #[command(name = "pour", version, about = "Pours messages")]
    struct Pour {
        #[command(subcommand)]
        mode: Option<Mode>,
        /// Where to pour
        #[arg(long, required = true)]
        topic: String,
        /// How much to pour
        #[arg(short, long, alias = "num_records", default_value = "10k")]
        messages: String,
        #[command(flatten)]
        generate: GenerateArgs,
    }

    #[derive(Subcommand)]
    enum Mode {
        /// Only fills
        Fill {
            /// Fill up to the brim
            #[arg(long)]
            full: bool,
        },
    }

    fn requested_by(args: &[&str]) -> Option<Target> {
        requested(&args.iter().map(OsString::from).collect::<Vec<_>>())
    }

    fn generated(target: Target, args: &[&str]) -> String {
        let args: Vec<_> = args.iter().map(OsString::from).collect();
        let services = [UsedService::always("well"), UsedService::when("sink", "into", "sink")];
        generate(Pour::command(), &services, target, &args).expect("generates")
    }

    #[test]
    fn the_request_is_found_wherever_it_stands() {
        assert_eq!(requested_by(&["--generate", "zsh"]), Some(Target::Zsh));
        assert_eq!(requested_by(&["fill", "--full", "--generate=man"]), Some(Target::Man));
        for args in [
            &["--topic", "x"][..],
            &["--generate"],
            &["--generate", "pdf"],
            &["--", "--generate", "man"],
            &["--generated=man"],
        ] {
            assert_eq!(requested_by(args), None, "{args:?}");
        }
    }

    #[test]
    fn descriptions_have_services_aliases_defaults_and_subcommands() {
        assert_data_eq!(
            generated(Target::Options, &[]),
            str![[r#"
{
  "tool": "pour",
  "services": [
    {
      "name": "well"
    },
    {
      "name": "sink",
      "when": {
        "option": "into",
        "value": "sink"
      }
    }
  ],
  "options": [
    {
      "name": "topic",
      "aliases": [],
      "takes_value": true,
      "default": null,
      "help": "Where to pour"
    },
    {
      "name": "messages",
      "aliases": [
        "num_records"
      ],
      "takes_value": true,
      "default": "10k",
      "help": "How much to pour"
    }
  ],
  "subcommands": {
    "fill": [
      {
        "name": "full",
        "aliases": [],
        "takes_value": false,
        "default": null,
        "help": "Fill up to the brim"
      }
    ]
  }
}

"#]]
        );
    }

    #[test]
    fn completions_and_man_pages_name_the_tool_and_its_options() {
        for shell in [Target::Bash, Target::Zsh, Target::Fish] {
            let script = generated(shell, &[]);
            assert!(script.contains("pour") && script.contains("messages"), "{script}");
        }
        let page = generated(Target::Man, &["--generate", "man"]);
        assert!(page.contains("Pours messages") && page.contains("How much to pour"), "{page}");
        let page = generated(Target::Man, &["fill", "--generate", "man"]);
        assert!(page.contains("Fill up to the brim") && !page.contains("How much"), "{page}");
    }
}
