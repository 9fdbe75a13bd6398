//! What the Lambda functions do with a Kinesis event: take its records apart, write a row for each
//! message into the landing table, store when the rows were confirmed, and answer which records
//! failed. `docs/lambda.md` says how they are deployed.

mod event;
mod handler;
mod logging;
mod rows;
mod settings;

use std::process::ExitCode;
use std::sync::Arc;

use lambda_runtime::{LambdaEvent, service_fn};
use tokio::sync::Mutex;

pub use event::ReceivedEvent;
pub use handler::{Handler, HandlerError};
pub use settings::{Settings, SettingsError, System};

/// Tells a program of Lambda from one that somebody started by hand.
const RUNTIME_VARIABLE: &str = "AWS_LAMBDA_RUNTIME_API";

/// Runs as a Lambda function that lands what it gets in `system`, until Lambda ends the process.
pub fn run(system: System) -> ExitCode {
    bench_core::system::survive_file_size_limit();
    logging::start();
    if std::env::var_os(RUNTIME_VARIABLE).is_none() {
        tracing::error!(
            "this program runs in AWS Lambda, or below `run-suite services up`; see docs/lambda.md"
        );
        return ExitCode::from(2);
    }
    match serve(system) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(system: System) -> Result<(), lambda_runtime::Error> {
    let settings = Settings::from_environment(system)?;
    // A function has less than two processors below 1,769 MB of memory.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // What is made here is kept from one invocation to the next.
        let handler = Arc::new(Mutex::new(Handler::connect(&settings).await?));
        lambda_runtime::run(service_fn(move |event: LambdaEvent<ReceivedEvent>| {
            let handler = Arc::clone(&handler);
            async move {
                // Lambda hands over one event at a time, so nobody ever waits here.
                let mut handler = handler.lock().await;
                handler.handle(&event.payload, event.context.deadline()).await
            }
        }))
        .await
    })
}
