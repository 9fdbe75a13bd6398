//! How `run-suite` and the tools that it starts talk to each other: environment variables, and names of
//! options.

/// Environment variable that says where a tool's services come from: `embedded`, `local` or
/// `external`. With `embedded`, adapters ignore servers that the environment names.
pub const SERVICES_VARIABLE: &str = "BENCH_SERVICES";

/// Environment variable with the folder of the local stack whose services a tool uses.
pub const STACK_VARIABLE: &str = "BENCH_STACK";

/// Option with the result folder itself. Hidden from `--help`.
pub const RUN_DIR: &str = "run-dir";

/// Option with the folder below which a tool creates its result folder.
pub const RESULTS_DIR: &str = "results-dir";

/// Option with the result folder of the run that sent the messages.
pub const FROM_RUN: &str = "from-run";

/// Option with the form of the result on standard output.
pub const OUTPUT: &str = "output";

/// Option that makes a tool print something about itself, such as its options.
pub const GENERATE: &str = "generate";

/// Option with the length of the intervals in the result folder.
pub const INTERVAL: &str = "interval";

/// Option with a consumer to kill in the course of the run: `N@AT[+AFTER]`. Hidden from `--help`.
pub const KILL_CONSUMER: &str = "kill-consumer";
